import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaCommand

/// The requests of `balsa member`, each as a line, and the line that answers it.
final class MemberRequestTests: XCTestCase {
    private var folder = ""
    private let (input, output, errors) = (Pipe(), Pipe(), Pipe())
    private var process: Process?
    private var reader: LineReader?

    override func setUpWithError() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-request-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        folder = url.path
    }

    override func tearDownWithError() throws {
        if let process, process.isRunning {
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        try FileManager.default.removeItem(atPath: folder)
    }

    private func run(_ arguments: [String]) throws -> Process {
        let process = Process()
        process.executableURL = try MemberExecutable.url()
        process.arguments = ["member"] + arguments
        process.standardInput = input
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        self.process = process
        reader = LineReader(output.fileHandleForReading.fileDescriptor, limit: 1 << 20)
        return process
    }

    /// A member of its own cluster of one.
    private func startMember() throws -> ReservedPorts {
        let reserved = try ReservedPorts(1)
        _ = try run([
            "--directory", folder + "/store", "--member", "1", "--peers", "1=127.0.0.1:\(reserved.ports[0])",
        ])
        return reserved
    }

    /// Sends a line, and returns the answer to it; what the member says of itself is left out.
    private func answer(_ line: String) throws -> String {
        input.fileHandleForWriting.write(Data((line + "\n").utf8))
        while case .line(let bytes)? = reader?.next() {
            let text = String(decoding: bytes, as: UTF8.self)
            if !text.hasPrefix("* ") { return text }
        }
        throw MemberExecutable.Missing(path: "the member has ended before it answered '\(line)'")
    }

    /// The revision in an answer such as `7 ok 12`.
    private func revision(_ line: String) throws -> UInt64 {
        let text = try answer(line)
        let words = text.split(separator: " ")
        XCTAssertEqual(words.count, 3, text)
        XCTAssertEqual(words.dropLast(), [line.split(separator: " ")[0], "ok"], text)
        return try XCTUnwrap(UInt64(words.last ?? ""), text)
    }

    func testRequests_putGetDelete_areAnsweredWithRevisions() throws {
        let reserved = try startMember()
        let put = try revision("1 put key%2F1 a%20value")
        XCTAssertEqual(try answer("2 get key%2F1"), "2 value \(put) a%20value")
        XCTAssertEqual(try answer("3 local key%2F1"), "3 value \(put) a%20value")
        let deleted = try revision("4 delete key%2F1")
        XCTAssertGreaterThan(deleted, put)
        XCTAssertEqual(try answer("5 get key%2F1"), "5 none")
        XCTAssertEqual(try answer("6 local key%2F1"), "6 none")
        let again = try revision("7 delete key%2F1")
        XCTAssertGreaterThan(again, deleted, "a key without a value can be deleted")
        let empty = try revision("8 put % %")
        XCTAssertEqual(try answer("9 get %"), "9 value \(empty) %", "a key and a value of no bytes")
        withExtendedLifetime(reserved) {}
    }

    func testRequests_add_isAnsweredWithTheSum() throws {
        let reserved = try startMember()
        XCTAssertEqual(try answer("1 add counter 40"), "1 ok 40")
        XCTAssertEqual(try answer("2 add counter 2"), "2 ok 42")
        XCTAssertEqual(try answer("3 add counter -100"), "3 ok -58")
        XCTAssertEqual(try answer("4 add other \(Int64.max)"), "4 ok \(Int64.max)")
        let over = try answer("5 add other 1")
        XCTAssertTrue(over.hasPrefix("5 error not-applied invalid"), over)
        XCTAssertEqual(try answer("6 add other 0"), "6 ok \(Int64.max)", "a sum that does not fit changes nothing")
        _ = try revision("7 put text words")
        let text = try answer("8 add text 1")
        XCTAssertTrue(text.hasPrefix("8 error not-applied invalid"), text)
        for amount in ["one", "1.5", "9223372036854775808", "%"] {
            let word = amount == "%" ? "" : amount
            XCTAssertEqual(
                try answer("9 add counter \(amount)"),
                "9 error not-applied invalid: add takes a number from \(Int64.min) to \(Int64.max), not '\(word)'"
            )
        }
        XCTAssertEqual(try answer("10 add counter 0"), "10 ok -58")
        withExtendedLifetime(reserved) {}
    }

    func testRequests_options_areReadAndChangedAtARevision() throws {
        let reserved = try startMember()
        let first = try answer("1 options")
        XCTAssertTrue(first.hasPrefix("1 options 1 maxKeyBytes=4096 maxValueBytes=1048576 maxSessions=10000 "), first)
        let changed = try revision("2 change-options 1 maxValueBytes=8 retainedRevisions=7")
        let second = try answer("3 options")
        XCTAssertTrue(second.hasPrefix("3 options \(changed) maxKeyBytes=4096 maxValueBytes=8 "), second)
        XCTAssertTrue(second.contains(" retainedRevisions=7 "), second)
        XCTAssertEqual(
            try answer("4 put k ninebytes"),
            "4 error not-applied too large: a value of 9 bytes; `ReplicatedOptions.maxValueBytes` is 8"
        )
        XCTAssertEqual(
            try answer("5 change-options 1 maxValueBytes=100"),
            "5 error not-applied conflict: the options in force are of revision \(changed), and 1 was expected: "
                + "read them again"
        )
        XCTAssertEqual(
            try answer("6 change-options \(changed) maxValueBytes=7"),
            "6 error not-applied invalid: maxValueBytes must be 8 to 268435456, not 7"
        )
        XCTAssertEqual(
            try answer("7 change-options \(changed) maxValueBytes=few"),
            "7 error not-applied invalid: maxValueBytes is a number from 0, not 'few'"
        )
        let unknown = try answer("8 change-options \(changed) maxvaluebytes=9")
        XCTAssertTrue(unknown.hasPrefix("8 error not-applied invalid: 'maxvaluebytes=9' is no option"), unknown)
        XCTAssertEqual(
            try answer("9 change-options now maxValueBytes=9"),
            "9 error not-applied invalid: change-options takes the revision of the options in force first"
        )
        XCTAssertEqual(
            try answer("9 change-options \(changed) maxValueBytes=9 maxSessions=9 maxValueBytes=9"),
            "9 error not-applied invalid: maxValueBytes is named twice"
        )
        XCTAssertEqual(try answer("10 options").dropFirst(3), second.dropFirst(2), "nothing has changed")
        withExtendedLifetime(reserved) {}
    }

    func testRequests_thatAreNone_areRefusedWithASentence() throws {
        let reserved = try startMember()
        for (request, sentence) in [
            ("put", "a line with put is ID put KEY VALUE"), ("put k", "a line with put is ID put KEY VALUE"),
            ("put k v w", "a line with put is ID put KEY VALUE"),
            ("get", "a line with get is ID get KEY"), ("get a b", "a line with get is ID get KEY"),
            ("local", "a line with local is ID local KEY"), ("delete", "a line with delete is ID delete KEY"),
            ("delete a b", "a line with delete is ID delete KEY"), ("add k", "a line with add is ID add KEY NUMBER"),
            ("count k", "a line with count is ID count"), ("status k", "a line with status is ID status"),
            ("options k", "a line with options is ID options"),
            ("change-options", "a line with change-options is ID change-options REVISION NAME=NUMBER…"),
            ("change-options 1", "a line with change-options is ID change-options REVISION NAME=NUMBER…"),
            (
                "watch k",
                "there is no request 'watch': a line is ID VERB …, and the verbs are put, get, local, delete, add, "
                    + "count, status, options, change-options, close"
            ), ("close now", "a line with close is ID close"), ("put k %4", "the word '%4' is not percent-encoded"),
            ("put k a+b", "the word 'a+b' is not percent-encoded"),
            ("delete %zz", "the word '%zz' is not percent-encoded"),
            ("add %zz 1", "the word '%zz' is not percent-encoded"),
            ("add k %3", "the word '%3' is not percent-encoded"),
            (
                "put k " + String(repeating: "+", count: 41),
                "the word '\(String(repeating: "+", count: 40))…' is not percent-encoded"
            ),
        ] {
            XCTAssertEqual(try answer("7 \(request)"), "7 error not-applied invalid: \(sentence)", request)
        }
        XCTAssertEqual(try answer("8"), "? error not-applied a line is ID VERB …")
        // An empty line is answered by nothing.
        XCTAssertEqual(try answer("\n9 get k"), "9 none", "and nothing was written")
        withExtendedLifetime(reserved) {}
    }

    func testArguments_thatAreRefused_endTheProcessWithStatus2AndASentence() throws {
        let process = try run(["--directory", folder, "--member", "0", "--peers", "1=127.0.0.1:1"])
        process.waitUntilExit()
        XCTAssertEqual(process.terminationReason, .exit)
        XCTAssertEqual(process.terminationStatus, 2)
        let text = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        XCTAssertEqual(text, "balsa member: --member is a number from 1, not '0'\n")
        XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: folder), [], "nothing was written")
    }

    func testArguments_memberThatIsNoPeer_endTheProcessWithStatus1AndASentence() throws {
        let process = try run(["--directory", folder + "/store", "--member", "4", "--peers", "1=127.0.0.1:1"])
        process.waitUntilExit()
        XCTAssertEqual(process.terminationReason, .exit)
        XCTAssertEqual(process.terminationStatus, 1)
        let text = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        XCTAssertTrue(text.hasPrefix("balsa member: "), text)
        XCTAssertTrue(text.contains("member 4 is not among the peers"), text)
    }
}
