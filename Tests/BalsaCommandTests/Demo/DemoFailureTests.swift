import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaCommand

/// A demo that cannot run says in one line of its own what is in the way.
final class DemoFailureTests: XCTestCase {
    private var folder = ""

    override func setUpWithError() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-demo-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        folder = url.path
    }

    override func tearDownWithError() throws { try FileManager.default.removeItem(atPath: folder) }

    /// What a demo that fails says on standard error. It ends with 2.
    private func refusal(of arguments: String...) throws -> String {
        let process = Process()
        let errors = Pipe()
        process.executableURL = try MemberExecutable.url()
        process.arguments = ["demo"] + arguments
        process.standardOutput = Pipe()
        process.standardError = errors
        try process.run()
        process.waitUntilExit()
        XCTAssertEqual(process.terminationReason, .exit)
        XCTAssertEqual(process.terminationStatus, 2)
        return String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    }

    func testDemo_thatCannotKeepItsFiles_namesThePathAndTheReason() throws {
        let file = folder + "/file"
        try Data("1\n".utf8).write(to: URL(fileURLWithPath: file))
        XCTAssertEqual(
            try refusal(of: "--pairs", "1", "--keep", file),
            "balsa demo: \(file) exists and is not a directory; name another directory\n"
        )
        XCTAssertEqual(
            try refusal(of: "--pairs", "1", "--keep", file + "/below"),
            "balsa demo: \(file) exists and is not a directory; name another directory\n"
        )
        let member = folder + "/kept"
        try FileManager.default.createDirectory(atPath: member, withIntermediateDirectories: true)
        try Data("1\n".utf8).write(to: URL(fileURLWithPath: member + "/member-2"))
        XCTAssertEqual(
            try refusal(of: "--pairs", "1", "--keep", member),
            "balsa demo: \(member)/member-2 exists and is not a directory; name another directory\n"
        )
        // What the sentence advises.
        try DemoCommand.createDirectory(folder + "/another/below", LinuxFileSystem())
        XCTAssertEqual(try KeptPorts.take(3, in: folder + "/another/below", LinuxFileSystem()).ports.count, 3)
        try Data("7001\nseven\n".utf8).write(to: URL(fileURLWithPath: member + "/ports"))
        XCTAssertEqual(
            try refusal(of: "--pairs", "1", "--keep", member),
            "balsa demo: \(member)/ports is not a list of different ports, one a line: remove it, or name another "
                + "directory\n"
        )
    }

    func testDemo_inputThatIsNotThere_namesThePath() throws {
        XCTAssertEqual(
            try refusal(of: folder + "/none"),
            "balsa demo: open \(folder)/none: No such file or directory (errno 2)\n"
        )
    }

    func testDemo_inputThatIsADevice_isNamedAsNoRegularFile() throws {
        XCTAssertEqual(
            try refusal(of: "/dev/null"),
            "balsa demo: /dev/null is no regular file, which can be read as a whole\n"
        )
    }

    func testDemo_lineThatIsTooLong_isNamedWithTheLimits() throws {
        let file = folder + "/input"
        try Data((String(repeating: "k", count: 5_000) + "\tv\n").utf8).write(to: URL(fileURLWithPath: file))
        XCTAssertEqual(
            try refusal(of: file),
            "balsa demo: line 1 is left out: a key has at most 4096 bytes, a value at most 1048576\n"
                + "balsa demo: there is nothing to load\n"
        )
    }

    func testDemo_unknownOption_isNamed() throws {
        XCTAssertEqual(
            try refusal(of: "--bogus"),
            "balsa demo: unknown argument '--bogus'; --help lists the arguments\n"
        )
    }

    func testArguments_optionThatIsGivenTwice_isRefused() {
        for option in ["--keep", "--kills", "--members", "--pairs"] {
            XCTAssertThrowsError(try DemoCommand.parse([option, "3", option, "3"])) {
                XCTAssertEqual($0 as? DemoCommand.Failure, DemoCommand.Failure(line: "\(option) is given twice"))
            }
        }
    }

    func testArguments_fileAndNumberOfPairs_areRefusedInEitherOrder() throws {
        let sentence = "--pairs does not go with a FILE, of which every line is loaded"
        for arguments in [["FILE", "--pairs", "5"], ["--pairs", "5", "FILE"]] {
            XCTAssertThrowsError(try DemoCommand.parse(arguments)) {
                XCTAssertEqual($0 as? DemoCommand.Failure, DemoCommand.Failure(line: sentence))
            }
        }
        XCTAssertEqual(try DemoCommand.parse(["FILE", "--kills", "0"]).file, "FILE")
    }

    func testMember_programThatIsNotThere_isNamedWithTheReason() {
        for (path, reason) in [
            ("/no/such/program", "No such file or directory (errno 2)"), (folder, "Is a directory (errno 21)"),
        ] {
            let member = ChildMember(id: 1, executable: URL(fileURLWithPath: path), arguments: []) { _, _ in }
            XCTAssertThrowsError(try member.start()) { XCTAssertEqual("\($0)", "start \(path): \(reason)") }
        }
    }

    // MARK: Ports

    func testPorts_ofADirectory_areHeldAndRemembered() throws {
        let files = LinuxFileSystem()
        var first: KeptPorts? = try KeptPorts.take(3, in: folder, files)
        let ports = try XCTUnwrap(first?.ports)
        XCTAssertEqual(Set(ports).count, 3)
        // Whoever asks for such a port meanwhile is refused, and a member that allows its use again can listen on it.
        XCTAssertThrowsError(try PlainListener(ports[0]), "it is held") {
            XCTAssertEqual(($0 as? PlainListener.Refused)?.number, EADDRINUSE)
        }
        XCTAssertNoThrow(try PlainListener(ports[0], isReusing: true), "a member can listen on it")
        first = nil
        XCTAssertEqual(try KeptPorts.take(3, in: folder, files).ports, ports, "the directory remembers them")
        XCTAssertThrowsError(try KeptPorts.take(5, in: folder, files)) {
            let sentence =
                "\(folder) is of 3 members, and not of 5: pass --members 3, or name another directory"
            XCTAssertEqual($0 as? KeptPorts.Failure, KeptPorts.Failure(description: sentence))
        }
        // What the sentence advises.
        XCTAssertEqual(try KeptPorts.take(3, in: folder, files).ports, ports)
        try files.createDirectory(folder + "/other")
        XCTAssertEqual(try KeptPorts.take(5, in: folder + "/other", files).ports.count, 5)
    }

    func testPorts_listThatIsNone_isRefusedAndKept() throws {
        let sentence =
            "\(folder)/ports is not a list of different ports, one a line: remove it, or name another directory"
        for text in ["", "\n", "7001\n7002\n70", "7001\n7002\n7001\n", "7001\n0\n7002\n", "7001\n70000\n7002\n"] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: folder + "/ports"))
            XCTAssertThrowsError(try KeptPorts.take(3, in: folder, LinuxFileSystem()), text) {
                XCTAssertEqual($0 as? KeptPorts.Failure, KeptPorts.Failure(description: sentence), text)
            }
            XCTAssertEqual(try String(contentsOfFile: folder + "/ports", encoding: .utf8), text)
        }
        // What the sentence advises: another directory, or removing the list.
        let files = LinuxFileSystem()
        try files.createDirectory(folder + "/other")
        XCTAssertEqual(try KeptPorts.take(3, in: folder + "/other", files).ports.count, 3)
        try files.remove(folder + "/ports")
        XCTAssertEqual(try KeptPorts.take(3, in: folder, files).ports.count, 3)
    }

    func testPorts_ofADirectoryThatAnotherDemoUses_areRefusedUntilItEnds() throws {
        let files = LinuxFileSystem()
        var first: KeptPorts? = try KeptPorts.take(3, in: folder, files)
        let ports = first?.ports
        XCTAssertThrowsError(try KeptPorts.take(3, in: folder, files)) {
            let sentence =
                "another demo uses \(folder); this process, \(getpid()), holds \(folder)/LOCK: wait until it ends, or "
                + "name another directory"
            XCTAssertEqual($0 as? KeptPorts.Failure, KeptPorts.Failure(description: sentence))
        }
        // What the sentence advises: another directory, and then the same one.
        try files.createDirectory(folder + "/other")
        XCTAssertEqual(try KeptPorts.take(3, in: folder + "/other", files).ports.count, 3)
        first = nil
        XCTAssertEqual(try KeptPorts.take(3, in: folder, files).ports, ports)
    }

    /// What a crash left of a list that was being written is not gone on with.
    func testPorts_listThatWasBeingWritten_isWrittenAgain() throws {
        try Data("70".utf8).write(to: URL(fileURLWithPath: folder + "/ports.new"))
        let ports = try KeptPorts.take(3, in: folder, LinuxFileSystem()).ports
        XCTAssertEqual(
            try String(contentsOfFile: folder + "/ports", encoding: .utf8),
            ports.map { "\($0)\n" }.joined()
        )
        XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: folder).sorted(), ["LOCK", "ports"])
    }

    func testPorts_ofWhichOneIsTaken_areReplacedAndRememberedAnew() throws {
        let files = LinuxFileSystem()
        let ports = try KeptPorts.take(3, in: folder, files).ports
        let listener = try PlainListener(ports[1])
        let others = try KeptPorts.take(3, in: folder, files)
        XCTAssertFalse(others.ports.contains(ports[1]))
        XCTAssertEqual(
            try String(contentsOfFile: folder + "/ports", encoding: .utf8),
            others.ports.map { "\($0)\n" }.joined()
        )
        withExtendedLifetime(listener) {}
    }

    // MARK: The kind

    /// Files are read and written by `BalsaPlatform`, whose errors name the operation, the path and the reason. What
    /// Foundation throws is caught where it is thrown.
    func testSources_ofTheCommand_letNoErrorOfFoundationPass() throws {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let folder = root.appendingPathComponent("Sources/BalsaCommand").path
        let throwing = [
            "FileManager", "contentsOf:", "contentsOfFile:", "toFile:", "write(to:", "FileHandle(", ".run()",
        ]
        var found: [String] = []
        var known: [String] = []
        for path in try FileManager.default.subpathsOfDirectory(atPath: folder) where path.hasSuffix(".swift") {
            let lines = try String(contentsOfFile: "\(folder)/\(path)", encoding: .utf8).components(separatedBy: "\n")
            for (number, line) in lines.enumerated() {
                guard let call = throwing.first(where: { line.contains($0) }) else { continue }
                // A reason that is thrown away reaches nobody.
                if line.contains("try?") || line.contains("try!") { found.append("\(path):\(number + 1): \(call)") }
                guard line.contains("try ") else { continue }
                known.append("\(path): \(call)")
                // Whoever calls it catches what it throws in the same block.
                let isCaught = lines[max(0, number - 2)..<number].contains { $0.hasSuffix(" do {") }
                let isRethrown = lines[number..<min(lines.count, number + 6)].contains { $0.hasSuffix("throw error") }
                if !isCaught || isRethrown { found.append("\(path):\(number + 1): \(call)") }
            }
        }
        XCTAssertEqual(found, [])
        // A rule that recognizes nothing cannot fail.
        for call in ["Demo/ChildMember.swift: .run()", "Demo/DemoCommand.swift: FileManager"] {
            XCTAssertTrue(known.contains(call), "\(call) in \(known)")
        }
    }
}

/// Somebody who listens on a port, and does not allow that it is used again unless it says so.
private final class PlainListener {
    struct Refused: Error {
        let number: Int32
    }
    private let descriptor: Int32

    init(_ port: UInt16, isReusing: Bool = false) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var reuse: Int32 = isReusing ? 1 : 0
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isBound, listen(descriptor, 1) == 0 else { throw Refused(number: errno) }
    }

    deinit { close(descriptor) }
}
