import BalsaKeyValue
import BalsaLSM
import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaTransport
import BalsaWire
import Foundation
import XCTest

@testable import Balsa

/// The texts of all public errors: one line that begins with what happened, and that says nothing twice.
final class ErrorSentenceTests: XCTestCase {
    /// The codes or reasons of a type, in words, as its source lists them.
    private func kinds(_ name: String, in path: String) throws -> [String] {
        let source = try PageClaims.page(path)
        let pattern = try NSRegularExpression(
            pattern: "public static let [a-zA-Z]+ = \(name)\\((?:description: )?\"([^\"]+)\""
        )
        let range = NSRange(source.startIndex..., in: source)
        return pattern.matches(in: source, range: range).compactMap { match in
            Range(match.range(at: 1), in: source).map { String(source[$0]) }
        }
    }

    /// What is wrong with a text; nil where nothing is.
    private func fault(of text: String, beginningWith start: String) -> String? {
        if !text.hasPrefix(start) { return "it begins otherwise" }
        if text.contains("\n") { return "it is longer than a line" }
        if text.hasSuffix(":") || text.hasSuffix(": ") || text.hasSuffix(".") { return "its end" }
        let parts = text.components(separatedBy: ": ")
        for (left, right) in zip(parts, parts.dropFirst()) where left == right { return "'\(left)' twice" }
        // `invalid (not applied): invalid: ...`
        let kind = start.components(separatedBy: " (")[0].components(separatedBy: ": ")[0]
        if !kind.isEmpty, parts.dropFirst().contains(kind) { return "'\(kind)' twice" }
        return nil
    }

    private let file = FileError(.sync, "d/log/1.log", .noSpace)
    private let fileText = "sync d/log/1.log: No space left on device (errno 28)"

    private func check(_ texts: [(text: String, start: String)], line: UInt = #line) {
        for (text, start) in texts {
            if let fault = fault(of: text, beginningWith: start) { XCTFail("\(text): \(fault)", line: line) }
        }
    }

    /// All errors of the engine, by code.
    private let engineErrors: [EngineError] =
        ([
            .file, .damaged, .invalid, .compacted, .wouldWait, .locked, .failed, .closed, .upgradeRequired,
        ] as [EngineError.Code]).map { EngineError($0, "a sentence") }

    private let keyValueErrors: [KeyValueError] =
        ([
            .engine, .damaged, .upgradeRequired, .invalid, .compacted, .futureRevision, .wouldWait, .failed,
        ] as [KeyValueError.Code]).map { KeyValueError($0, "a sentence") }

    private let replicaErrors: [ReplicaError] =
        ([
            .file, .damaged, .locked, .stateMachine, .invalid, .upgradeRequired, .refused, .contradiction,
            .diverged,
        ] as [ReplicaError.Code]).map { ReplicaError($0, "a sentence") }

    private let transportErrors: [TransportError] = ([.address, .insecure, .invalid, .system] as [TransportError.Code])
        .map { TransportError($0, "a sentence") }

    private let logErrors: [LogError] =
        ([
            .damage, .unsupportedVersion, .unexpectedFile, .otherOwner, .file, .noSuchEntries, .invalidOptions,
        ] as [LogError.Reason]).map { LogError($0, path: "d/1.log", explanation: "a sentence") }

    private let voteErrors: [VoteError] =
        ([
            .missing, .exists, .damage, .unsupportedVersion, .wrongGroup, .otherOwner, .file,
        ] as [VoteError.Reason]).map { VoteError($0, path: "d/VOTE") }

    private let reasons: [RequestError.Reason] = [
        .notLeader, .noQuorum, .busy, .tooLarge, .invalid, .diverged, .damaged, .upgradeRequired, .conflict,
        .superseded, .deadlineExceeded, .overtakenByCheckpoint, .cancelled, .sessionExpired, .compacted,
        .futureRevision,
        .startingUp, .inUse, .insecure, .closed, .failed,
    ]

    func testErrors_ofEachKind_beginWithItAndSayItOnce() {
        check(engineErrors.map { ("\($0)", "\($0.code): a sentence") })
        check(keyValueErrors.map { ("\($0)", "\($0.code): a sentence") })
        check(replicaErrors.map { ("\($0)", "\($0.code): a sentence") })
        check(transportErrors.map { ("\($0)", "\($0.code): a sentence") })
        check(logErrors.map { ("\($0)", "d/1.log: \($0.reason): a sentence") })
        check(voteErrors.map { ("\($0)", "d/VOTE: \($0.reason)") })
        for outcome in [.notApplied, .unknown] as [RequestError.Outcome] {
            for reason in reasons {
                let start = "\(reason) (\(outcome.rawValue))"
                check([(RequestError(outcome, reason).description, start)])
                check([(StoreError(outcome, reason).description, start)])
                check([(StoreError(outcome, reason, "a sentence").description, start + ": a sentence")])
            }
        }
        check([(file.description, fileText)])
        check([(DecodingError(.checksum, "header", at: 8).description, "header: checksum mismatch at byte 8")])
        check([(CommandError.unknown(version: 2, kind: 9).description, "a command of version 2 and kind 9")])
        let truncated = DecodingError(.truncated, "key", at: 3)
        check([(CommandError.malformed(truncated).description, "no command: key: truncated")])
    }

    /// An error of a lower part that becomes one of a higher part.
    func testErrors_passedUpwards_sayTheirKindOnce() {
        for error in engineErrors {
            let inner = KeyValueError(error)
            check([("\(inner)", "\(error.code): a sentence")])
            check([(StoreError(inner).description, "\(StoreError(inner).reason) (not applied): ")])
        }
        for error in keyValueErrors {
            check([(StoreError(error).description, "\(StoreError(error).reason) (not applied): ")])
        }
        for error in replicaErrors {
            check([(StoreError(error).description, "\(StoreError(error).reason) (not applied): ")])
        }
        for error in transportErrors {
            for kind in [.failed, .invalid] as [RequestError.Reason] {
                let outer = StoreError(error, otherwise: kind)
                check([(outer.description, "\(outer.reason) (not applied): a sentence")])
            }
        }
        for error in logErrors { check([("\(ReplicaError(error))", "\(ReplicaError(error).code): d/1.log: ")]) }
        check([("\(ReplicaError(LogError(file)))", "file operation failed: \(fileText)")])
        let vote = VoteError(.file, path: "d/VOTE", cause: file)
        check([("\(ReplicaError(vote))", "file operation failed: \(fileText)")])
        for error in voteErrors { check([("\(ReplicaError(error))", "\(ReplicaError(error).code): d/VOTE: ")]) }
        for code in ["damaged", "invalid", "upgrade required", "state machine"] {
            let inner = StateMachineError(
                "\(code): a sentence",
                needsUpgrade: code.hasPrefix("up"),
                isDamaged: code == "damaged"
            )
            check([("\(ReplicaError(inner))", "\(ReplicaError(inner).code): ")])
        }
        check([("\(ReplicaError(file))", "file operation failed: \(fileText)")])
        check([("\(LogError(file))", "file operation failed: \(fileText)")])
        check([("\(EngineError(file))", "file operation failed: \(fileText)")])
        check([(KeyValueError(EngineError(file)).description, "file operation failed: \(fileText)")])
    }

    /// The lists above have every kind that the sources have.
    func testKinds_ofTheSources_areAllHere() throws {
        XCTAssertEqual(
            try kinds("Code", in: "Sources/BalsaLSM/Engine/EngineError.swift"),
            engineErrors.map(\.code.description)
        )
        XCTAssertEqual(
            try kinds("Code", in: "Sources/BalsaKeyValue/KeyValueError.swift"),
            keyValueErrors.map(\.code.description)
        )
        XCTAssertEqual(
            try kinds("Code", in: "Sources/Balsa/Replica/ReplicaIO.swift"),
            replicaErrors.map(\.code.description)
        )
        XCTAssertEqual(
            try kinds("Code", in: "Sources/BalsaTransport/TransportError.swift"),
            transportErrors.map(\.code.description)
        )
        XCTAssertEqual(try kinds("Reason", in: "Sources/BalsaLog/LogError.swift"), logErrors.map(\.reason.description))
        XCTAssertEqual(
            try kinds("Reason", in: "Sources/BalsaLog/Vote/VoteError.swift"),
            voteErrors.map(\.reason.description)
        )
        XCTAssertEqual(
            try kinds("Reason", in: "Sources/Balsa/Replica/Requests.swift"),
            reasons.map(\.description)
        )
    }

    /// The check above finds what it looks for.
    func testFault_ofATextThatIsWrong_isFound() {
        let wrong = [
            "invalid: invalid: levels", "failed: ", "damaged: a\nb", "invalid (not applied): invalid: levels",
            "a: b: "
                + "b",
            "damaged: d/1.log: damaged: a sentence",
            "invalid: levels.",
        ]
        for text in wrong {
            let start = text.components(separatedBy: ": ")[0]
            XCTAssertNotNil(fault(of: text, beginningWith: start), text)
        }
        XCTAssertEqual(fault(of: "levels", beginningWith: "invalid"), "it begins otherwise")
        XCTAssertNil(fault(of: "invalid: levels", beginningWith: "invalid"))
    }

    /// Where the type is known. An `any Error` needs the conformance that the page shows and that the package
    /// `Tests/Consumer` has.
    func testLocalizedDescription_ofAStoreError_isItsTextWhereTheTypeIsKnown() throws {
        let error = StoreError(.notApplied, .busy, "too much waits")
        XCTAssertEqual(error.localizedDescription, "busy (not applied): too much waits")
        let any: any Error = error
        XCTAssertEqual(any.localizedDescription, "The operation could not be completed. (Balsa.StoreError error 1.)")
        let page = try PageClaims.page("Docs/Store.md").split(whereSeparator: \.isWhitespace).joined(separator: " ")
        XCTAssertTrue(page.contains("`\(any.localizedDescription)`"), "the page says so")
        let conformance = "extension StoreError: @retroactive LocalizedError"
        XCTAssertTrue(page.contains("`\(conformance) { public var errorDescription: String? { description } }`"))
        XCTAssertTrue(try PageClaims.page("Tests/Consumer/Sources/Consumer/Localized.swift").contains(conformance))
    }
}
