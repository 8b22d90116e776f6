import BalsaRaft
import XCTest

@testable import BalsaSimulation

/// Which members may stay without the checkpoint that they wait for, and when that counts.
final class LivenessExcuseTests: XCTestCase {
    private func rebuilding(
        inDispute: Bool = false,
        confirmed: Bool = false,
        wasConfirmed: Bool = false,
        reporting: Int,
        witnesses: Int? = nil
    ) -> LivenessCheck.Rebuilding {
        LivenessCheck.Rebuilding(
            isInDispute: inDispute,
            isConfirmed: confirmed,
            wasConfirmed: wasConfirmed,
            reporting: reporting,
            witnesses: witnesses ?? reporting,
            members: 3
        )
    }

    /// The rule owes it a checkpoint, whether the leader is confirmed or not.
    func testUnreadableMember_ofALeaderWithoutADispute_isNotExcused() {
        for confirmed in [true, false] {
            for reporting in 1...3 {
                XCTAssertFalse(rebuilding(confirmed: confirmed, reporting: reporting).excusesSound)
            }
        }
        XCTAssertTrue(rebuilding(inDispute: true, reporting: 2, witnesses: 1).excusesSound)
    }

    func testDivergedMember_ofALeaderThatCannotBeConfirmed_isExcused() {
        XCTAssertTrue(rebuilding(reporting: 1).excusesDiverged)
        XCTAssertFalse(rebuilding(confirmed: true, reporting: 1).excusesDiverged)
        XCTAssertFalse(rebuilding(wasConfirmed: true, reporting: 1).excusesDiverged, "it must not forget that")
        XCTAssertFalse(rebuilding(reporting: 2).excusesDiverged)
        XCTAssertTrue(rebuilding(inDispute: true, confirmed: true, reporting: 3, witnesses: 1).excusesDiverged)
    }

    /// A majority that is up and right has to find out.
    func testMember_inADisputeThatAMajorityCanDecide_isNotExcused() {
        for rebuilding in [rebuilding(inDispute: true, reporting: 2), rebuilding(inDispute: true, reporting: 3)] {
            XCTAssertFalse(rebuilding.excusesSound)
            XCTAssertFalse(rebuilding.excusesDiverged)
        }
    }

    /// The excuse may hold for a moment only, in which a report is on its way.
    func testMember_thatIsExcused_isWaitedForUntilAllTheTimeHasPassed() throws {
        for change in [\LivenessCheck.State.isUndecided, \LivenessCheck.State.isCutOff] {
            var check = LivenessCheck()
            for id in 1...3 as ClosedRange<MemberID> {
                var state = LivenessCheck.State(
                    role: .follower,
                    term: 2,
                    commitIndex: 8,
                    appliedIndex: id == 3 ? 7 : 8,
                    last: LogPosition(term: 2, index: 8)
                )
                if id == 3 { state[keyPath: change] = true }
                check.members.append(LivenessCheck.Member(id: id, state: state))
            }
            XCTAssertNil(check.agreedIndex(excusing: false), "the run does not end early")
            XCTAssertEqual(check.agreedIndex(excusing: true), 8)
            XCTAssertNoThrow(try check.check(after: .seconds(15), at: .seconds(20)))
        }
    }

    /// At the end an entry may be on its way, and a member that is not excused may lack it for a moment.
    func testMembers_thatAgreedInTheLastSecond_areNotHeldToTheLastInstant() {
        var check = LivenessCheck()
        for id in 1...2 as ClosedRange<MemberID> {
            let state = LivenessCheck.State(
                role: .follower,
                term: 2,
                commitIndex: 8,
                appliedIndex: id == 2 ? 7 : 8,
                last: LogPosition(term: 2, index: 8)
            )
            check.members.append(LivenessCheck.Member(id: id, state: state))
        }
        func violation() -> Invariant? {
            do throws(Violation) { try check.check(after: .seconds(15), at: .seconds(20)) } catch {
                return error.invariant
            }
            return nil
        }
        XCTAssertEqual(violation(), .liveness, "they never agreed")
        check.agreedAt = .milliseconds(18_999)
        XCTAssertEqual(violation(), .liveness, "that was too early")
        check.agreedAt = .seconds(19)
        XCTAssertNil(violation())
        check.waitingClients = [1]
        XCTAssertEqual(violation(), .liveness, "a client still waits")
    }

    /// A leader outside of the surviving quorum leads on, and cannot reach one of its members.
    func testRun_inWhichAMemberIsExcused_endsWithItsSettlingAndNotBefore() {
        var ends: [TimeSpan] = []
        for seed in 1...4 as ClosedRange<UInt64> {
            var scenario = Scenario(seed: seed, members: 3, duration: .seconds(3))
            scenario.core = Scenario.bit(1) | Scenario.bit(2)
            scenario.settling = .seconds(3)
            for (from, to) in [(3, 1), (1, 3)] as [(MemberID, MemberID)] {
                var fault = Fault(at: .seconds(1), kind: .oneWay)
                fault.member = from
                fault.peer = to
                fault.lasts = .seconds(60)
                scenario.faults.append(fault)
            }
            let report = Simulation(scenario).run()
            XCTAssertNil(report.violation, "seed \(seed)")
            ends.append(report.simulated)
        }
        XCTAssertEqual(ends.max(), .seconds(6), "\(ends)")
        XCTAssertLessThan(ends.min() ?? .zero, .seconds(6), "where another member leads, all agree early")
    }

    /// Two of five were cut off until the log had dropped what they lack, and one of the others computes another state:
    /// two reports against one decide nothing. The two cannot report before they have a checkpoint, and nobody needs
    /// them.
    func testMembers_behindTheLogOfALeaderInADispute_areNoWitnessesAndAreExcused() throws {
        let scenario = try Scenario(
            text: """
                balsa-scenario 1
                members=5
                duration=21000000000
                settling=4000000000
                fault 11000000000 partition set=10 lasts=8000000000
                fault 12000000000 altered-digest member=4
                """
        )
        let report = Simulation(scenario).run()
        XCTAssertNil(report.violation)
        XCTAssertEqual(report.counters[.alteredDigest], 1)
        XCTAssertEqual(report.simulated, .seconds(25), "the excuse is needed until the end")
    }
}
