import BalsaKeyValue
import BalsaPlatform
import Foundation
import XCTest

@testable import Balsa

/// How the errors of the parts become those of a store.
final class StoreErrorTests: XCTestCase {
    func testErrorsOfReads() {
        let reasons: [(KeyValueError.Code, RequestError.Reason)] = [
            (.invalid, .invalid),
            (.compacted, .compacted),
            (.futureRevision, .futureRevision),
            (.engine, .failed),
            (.damaged, .failed),
            (.upgradeRequired, .failed),
            (.failed, .failed),
        ]
        for (code, reason) in reasons {
            let error = StoreError(KeyValueError(code, "a sentence"))
            XCTAssertEqual(error.reason, reason, "\(code)")
            XCTAssertEqual(error.outcome, .notApplied, "a read has no effect")
            XCTAssertTrue(error.message.contains("a sentence"))
        }
    }

    func testErrorsOfOpening() {
        let codes: [ReplicaError.Code] = [
            .file, .damaged, .locked, .stateMachine, .invalid, .upgradeRequired, .contradiction, .diverged,
        ]
        for code in codes {
            let error = StoreError(ReplicaError(code, "a sentence"))
            let reason: RequestError.Reason =
                switch code {
                case .invalid: .invalid
                case .locked: .inUse
                default: .failed
                }
            XCTAssertEqual(error.reason, reason, "\(code)")
            XCTAssertEqual(error.outcome, .notApplied)
            XCTAssertTrue(error.message.contains("a sentence"))
        }
        let file = FileError(.lock, "/data/store/LOCK", .wouldBlock)
        XCTAssertTrue(StoreError(ReplicaError(file)).message.contains("/data/store/LOCK"))
    }

    func testErrorsOfRequestsKeepWhatTheyKnow() {
        let reasons: [RequestError.Reason] = [
            .busy, .tooLarge, .invalid, .superseded, .deadlineExceeded, .overtakenByCheckpoint, .cancelled,
            .sessionExpired, .compacted, .futureRevision, .closed, .failed, .noQuorum, .startingUp,
        ]
        for reason in reasons {
            for outcome in [.notApplied, .unknown] as [RequestError.Outcome] {
                let error = StoreError(RequestError(outcome, reason, leader: 3))
                XCTAssertEqual(error, StoreError(outcome, reason, leader: 3))
            }
        }
    }

    func testThatAMemberDoesNotLeadMattersOnlyWhereNobodyIsKnownTo() {
        XCTAssertEqual(StoreError(RequestError(.notApplied, .notLeader)).reason, .noQuorum)
        XCTAssertEqual(StoreError(RequestError(.unknown, .notLeader)).outcome, .unknown)
        let known = StoreError(RequestError(.notApplied, .notLeader, leader: 2))
        XCTAssertEqual(known.reason, .notLeader)
        XCTAssertEqual(known.leader, 2)
    }

    func testOnlyWhatCertainlyDidNotHappenAndMayYetSucceedIsRetriable() {
        let retriable: [RequestError.Reason] = [
            .busy, .notLeader, .noQuorum, .superseded, .startingUp, .diverged, .deadlineExceeded, .upgradeRequired,
        ]
        let others: [RequestError.Reason] = [
            .tooLarge, .invalid, .overtakenByCheckpoint, .cancelled, .sessionExpired, .compacted, .futureRevision,
            .closed, .failed, .inUse, .insecure,
        ]
        for reason in retriable {
            XCTAssertTrue(StoreError(.notApplied, reason).isRetriable, "\(reason)")
            XCTAssertFalse(StoreError(.unknown, reason).isRetriable, "\(reason)")
        }
        for reason in others { XCTAssertFalse(StoreError(.notApplied, reason).isRetriable, "\(reason)") }
    }

    /// The limit that is named is the one that was exceeded; where this member cannot know it, none is.
    func testSentence_ofWhatIsTooLarge_namesTheLimitThatIsExceeded() {
        let put = Command.Operation.put(key: "key", value: Bytes([UInt8](repeating: 1, count: 100)))
        var options = ReplicatedOptions()
        XCTAssertEqual(
            StoreError.sentence(ofTooLarge: put, nil, waitingLimit: 1_000),
            "a key of 3 bytes and a value of 100 bytes; the leader has refused it by limits that this member has not "
                + "applied yet"
        )
        XCTAssertEqual(
            StoreError.sentence(ofTooLarge: put, options, waitingLimit: 1_000),
            StoreError.sentence(ofTooLarge: put, nil, waitingLimit: 1_000),
            "what is applied here allows it"
        )
        XCTAssertEqual(
            StoreError.sentence(ofTooLarge: put, options, waitingLimit: 166),
            "a command of 167 bytes; `StoreOptions.maxWaitingBytes` is 166"
        )
        options.maxValueBytes = 99
        XCTAssertEqual(
            StoreError.sentence(ofTooLarge: put, options, waitingLimit: 1_000),
            "a value of 100 bytes; `ReplicatedOptions.maxValueBytes` is 99"
        )
        XCTAssertEqual(
            StoreError.sentence(ofTooLarge: .delete(key: "key"), nil, waitingLimit: 1_000).hasPrefix(
                "a key of 3 bytes;"
            ),
            true
        )
    }

    func testAnErrorIsOneLine() {
        XCTAssertEqual(StoreError(.notApplied, .busy).description, "busy (not applied)")
        XCTAssertEqual(
            StoreError(.unknown, .closed, leader: 2, "the machine goes down").description,
            "closed (unknown): the machine goes down"
        )
    }

    /// Every reason has a row in `Docs/Store.md`, and the rows are all of reasons.
    func testThePageSaysWhatEachReasonMeans() throws {
        var package = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { package.deleteLastPathComponent() }
        let source = try String(
            contentsOf: package.appendingPathComponent("Sources/Balsa/Replica/Requests.swift"),
            encoding: .utf8
        )
        let reasons = source.components(separatedBy: "= Reason(\"").dropFirst().map {
            $0.components(separatedBy: "\"")[0]
        }
        XCTAssertGreaterThan(reasons.count, 10)
        let page = try String(contentsOf: package.appendingPathComponent("Docs/Store.md"), encoding: .utf8)
        let table = page.components(separatedBy: "| reason | in Swift | outcome | when |\n|---|---|---|---|\n")[1]
        let rows = table.components(separatedBy: "\n\n")[0].components(separatedBy: "\n").map {
            $0.components(separatedBy: "|")[1].trimmingCharacters(in: .whitespaces)
        }
        let brief = ["superseded by another leader": "superseded"]
        let named = rows.flatMap { $0.components(separatedBy: ", ") }
        XCTAssertEqual(named.sorted(), reasons.map { brief[$0] ?? $0 }.sorted())
    }
}
