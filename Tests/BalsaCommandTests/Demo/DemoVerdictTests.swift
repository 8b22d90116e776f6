import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaCommand

/// Whole runs of the demo with members that are shell scripts, and that lose or invent something.
final class DemoVerdictTests: XCTestCase {
    private static let keys = 24

    /// A member that acknowledges everything and has the value `of-KEY` of each key. Its arguments: its state, how many keys
    /// it has after the load, a pattern of keys and its answer to those, its digest.
    private static let script = """
        printf '* state %s\\n' "$1"
        count=0
        while read -r id verb key value; do
            case $verb in
            put) printf '%s ok 1\\n' "$id" ;;
            local)
                count=$2
                case $key in
                $3) printf '%s %s\\n' "$id" "$4" ;;
                *) printf '%s value 1 of-%s\\n' "$id" "$key" ;;
                esac ;;
            count) printf '%s ok %s\\n' "$id" "$count" ;;
            status) printf '%s status applied=5 digest=%s\\n' "$id" "$5" ;;
            close) exit 0 ;;
            esac
        done
        """

    /// What a member says that is not right.
    private struct Fault {
        var pattern = "none"
        var answer = ""
        var digest = "ab"
        /// How many keys it has after the load; nil for as many as there are.
        var count: Int?
    }

    private func verdict(third: Fault = Fault(), kills: Int = 0, keys: Int = keys) async throws -> DemoVerdict {
        let members = [Fault(), Fault(), third].enumerated().map { place, fault in
            let state = place == 0 ? "leader" : "follower 1"
            return ChildMember(
                id: UInt64(place + 1),
                executable: URL(fileURLWithPath: "/bin/sh"),
                arguments: [
                    "-c", DemoVerdictTests.script, "member", state, "\(fault.count ?? keys)", fault.pattern,
                    fault.answer,
                    fault.digest,
                ]
            ) { _, _ in }
        }
        let lines = (0..<keys).map { "key-\($0)\tof-key-\($0)\n" }.joined()
        let run = DemoRun(members: members, input: DemoInput(file: Bytes(lines)), kills: kills)
        return try await ChildMember.run(members) { await run.run() }
    }

    func testDemo_everyPairIsThere_isGood() async throws {
        let verdict = try await verdict()
        XCTAssertEqual(verdict, .good(keys: 24, members: 3, kills: 0))
        XCTAssertTrue(verdict.isGood)
    }

    func testDemo_aPairIsMissing_isFailed() async throws {
        let verdict = try await verdict(third: Fault(pattern: "key-7", answer: "none"))
        XCTAssertEqual(verdict, .failed("1 of 72 reads did not find what was acknowledged"))
        XCTAssertFalse(verdict.isGood)
        XCTAssertEqual(verdict.line, "verdict: FAILED, 1 of 72 reads did not find what was acknowledged")
    }

    func testDemo_aValueIsWrong_isFailed() async throws {
        let verdict = try await verdict(third: Fault(pattern: "key-?", answer: "value 1 of-key-10"))
        XCTAssertEqual(verdict, .failed("10 of 72 reads did not find what was acknowledged"))
    }

    func testDemo_aPairIsExtra_isFailed() async throws {
        let verdict = try await verdict(third: Fault(count: 25))
        XCTAssertEqual(verdict, .failed("member 3 has 25 keys after a load of 24, and had 0 before"))
    }

    func testDemo_digestsDiffer_isFailed() async throws {
        let verdict = try await verdict(third: Fault(digest: "ac"))
        XCTAssertEqual(verdict, .failed("the members do not agree"))
    }

    func testDemo_leaderIsKilledAsAsked_isGood() async throws {
        let verdict = try await verdict(kills: 1)
        XCTAssertEqual(verdict, .good(keys: 24, members: 3, kills: 1))
    }

    func testDemo_fewerKillsThanAsked_isFailed() async throws {
        let verdict = try await verdict(kills: 100, keys: 3)
        guard case .failed(let reason) = verdict else { return XCTFail("\(verdict)") }
        XCTAssertTrue(reason.hasPrefix("the leader was killed "), reason)
        XCTAssertTrue(reason.hasSuffix(" times and not 100: the input was too short for more"), reason)
    }
}

/// The verdict as a function of what a run has counted.
final class DemoVerdictValueTests: XCTestCase {
    private func verdict(
        lost: Int = 0,
        before: [Int?] = [0, 0, 0],
        after: [Int?] = [10, 10, 10],
        kills: Int = 2
    ) -> DemoVerdict {
        DemoVerdict(
            keys: 10,
            members: 3,
            lost: lost,
            keysBefore: before,
            keysAfter: after,
            kills: kills,
            killsAsked: 2
        )
    }

    func testVerdict_nothingIsWrong_isGood() {
        XCTAssertEqual(verdict(), .good(keys: 10, members: 3, kills: 2))
        XCTAssertEqual(
            verdict().line,
            "verdict: nothing was lost; 10 keys are on each of 3 members, with equal digests; "
                + "the leader was killed 2 times"
        )
    }

    func testVerdict_aKeyIsExtraOrMissing_isFailed() {
        XCTAssertEqual(
            verdict(after: [10, 11, 10]),
            .failed("member 2 has 11 keys after a load of 10, and had 0 before")
        )
        XCTAssertEqual(
            verdict(after: [10, 10, 9]),
            .failed("member 3 has 9 keys after a load of 10, and had 0 before")
        )
    }

    func testVerdict_aDirectoryHadKeysBefore_countsBoth() {
        let before: [Int?] = [4, 4, 4]
        XCTAssertTrue(verdict(before: before, after: [14, 14, 14]).isGood)
        XCTAssertTrue(verdict(before: before, after: [10, 10, 10]).isGood)
        XCTAssertFalse(verdict(before: before, after: [14, 14, 15]).isGood)
        XCTAssertFalse(verdict(before: [40, 40, 40], after: [40, 40, 39]).isGood)
    }

    func testVerdict_aMemberDoesNotCount_isFailed() {
        XCTAssertEqual(verdict(after: [10, nil, 10]), .failed("member 2 did not say how many keys it has"))
        XCTAssertEqual(verdict(before: [0, 0, nil]), .failed("member 3 did not say how many keys it has"))
        XCTAssertEqual(verdict(after: [10, 10]), .failed("member 3 did not say how many keys it has"))
    }

    func testVerdict_fewerKillsThanAsked_isFailed() {
        XCTAssertEqual(
            verdict(kills: 1),
            .failed("the leader was killed 1 times and not 2: the input was too short for more")
        )
    }

    func testVerdict_aReadFoundNothing_isFailedWhateverElse() {
        XCTAssertEqual(verdict(lost: 3, kills: 0), .failed("3 of 30 reads did not find what was acknowledged"))
    }

    func testCount_onlyANumberIsOne() {
        func count(_ line: String) -> Int? { ReadBack.count(Array(line.utf8).split(separator: UInt8(ascii: " "))) }
        XCTAssertEqual(count("ok 17"), 17)
        XCTAssertNil(count("ok"))
        XCTAssertNil(count("ok many"))
        XCTAssertNil(count("error not-applied closed"))
        XCTAssertNil(ReadBack.count(nil))
    }
}
