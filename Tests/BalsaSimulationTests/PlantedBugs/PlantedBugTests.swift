import BalsaRaft
import XCTest

@testable import BalsaSimulation

/// The tester is tested: each planted error is found in its shrunk scenario, by name, and the scenario passes without it.
final class PlantedBugTests: XCTestCase {
    private func check(_ name: String, _ text: String, _ invariants: [Invariant], line: UInt = #line) throws {
        var scenario = try Scenario(text: text)
        let bug = try XCTUnwrap(PlantedBugs(name: name), line: line)
        // The faults are those of the schedule. What a message and a sync take, which a change of the members shifts, is
        // varied a little until it fits again.
        var found: Violation?
        for _ in 0..<40 where found == nil {
            found = Simulation(scenario, bugs: bug).run().violation
            if found == nil { scenario.seed &+= 1 }
        }
        let violation = try XCTUnwrap(found, "\(name) was not found", line: line)
        XCTAssertTrue(invariants.contains(violation.invariant), "found by \(violation)", line: line)
        let sound = Simulation(scenario).run()
        XCTAssertNil(sound.violation, "without the error", line: line)
        XCTAssertGreaterThan(sound.counters.acknowledged, 0, line: line)
    }

    func testAVoteThatIsNotPersistedIsFound() throws {
        try check("vote-not-persisted", ShrunkScenarios.voteNotPersisted, [.recovery, .monotoneTerm, .oneVote])
    }

    func testAnAcknowledgementBeforeTheLeadersOwnSyncIsFound() throws {
        let invariants: [Invariant] = [.memberState, .acknowledgedPresent, .leaderCompleteness, .stateMachineSafety]
        try check("ack-before-own-sync", ShrunkScenarios.ackBeforeOwnSync, invariants)
    }

    func testAnOldEntryThatIsCommittedByCountingIsFound() throws {
        let invariants: [Invariant] = [.acknowledgedPresent, .leaderCompleteness, .stateMachineSafety]
        try check("commit-old-term-by-counting", ShrunkScenarios.commitOldTermByCounting, invariants)
    }

    func testTruncationWithoutConflictIsFound() throws {
        let invariants: [Invariant] = [.acknowledgedPresent, .leaderCompleteness, .stateMachineSafety, .liveness]
        try check("truncate-without-conflict", ShrunkScenarios.truncateWithoutConflict, invariants)
    }

    func testAnAcknowledgementOfMoreThanWasSentIsFound() throws {
        let invariants: [Invariant] = [
            .memberState, .acknowledgedPresent, .leaderCompleteness, .stateMachineSafety, .liveness,
        ]
        try check("acknowledge-beyond-sent", ShrunkScenarios.acknowledgeBeyondSent, invariants)
    }

    func testAReadBeforeTheFirstCommitOfTheTermIsFound() throws {
        let invariants: [Invariant] = [.certificate, .linearizability]
        try check("read-before-first-commit", ShrunkScenarios.readBeforeFirstCommit, invariants)
    }

    func testWithholdingWithoutCheckQuorumIsFound() throws {
        try check("withhold-without-check-quorum", ShrunkScenarios.withholdWithoutCheckQuorum, [.liveness])
    }

    func testAStaleSuffixAfterRecyclingIsFound() throws {
        try check("stale-suffix-after-recycling", ShrunkScenarios.staleSuffixAfterRecycling, [.recovery, .memberState])
    }

    func testMissingDeduplicationIsFound() throws {
        try check("deduplication-off", ShrunkScenarios.deduplicationOff, [.exactlyOnce])
    }

    func testSessionsThatACheckpointLosesAreFound() throws {
        let invariants: [Invariant] = [.equalReplies, .equalStates, .exactlyOnce]
        try check("sessions-lost-in-checkpoint", ShrunkScenarios.sessionsLostInCheckpoint, invariants)
    }

    func testALocalReadServedAsLinearizableIsFound() throws {
        let invariants: [Invariant] = [.certificate, .linearizability]
        try check("local-read-as-linearizable", ShrunkScenarios.localReadAsLinearizable, invariants)
    }

    func testApplyingBeyondWhatIsPersistedIsFound() throws {
        try check("apply-beyond-persisted", ShrunkScenarios.applyBeyondPersisted, [.memberState, .recovery])
    }

    func testAReplayFromTheWrongIndexIsFound() throws {
        let invariants: [Invariant] = [.equalStates, .equalReplies, .recovery, .memberState, .exactlyOnce]
        try check("replay-from-wrong-index", ShrunkScenarios.replayFromWrongIndex, invariants)
    }

    func testATombstoneThatIsDroppedTooEarlyIsFound() throws {
        let invariants: [Invariant] = [.equalStates, .certificate, .linearizability, .equalReplies]
        try check("tombstone-dropped-early", ShrunkScenarios.tombstoneDroppedEarly, invariants)
    }

    func testACompactionBeyondTheMarkIsFound() throws {
        let invariants: [Invariant] = [.equalStates, .certificate]
        try check("compaction-beyond-mark", ShrunkScenarios.compactionBeyondMark, invariants)
    }

    func testAManifestPublishedBeforeItsTableIsSyncedIsFound() throws {
        let invariants: [Invariant] = [.recovery, .memberState]
        try check("manifest-before-table-sync", ShrunkScenarios.manifestBeforeTableSync, invariants)
    }

    func testADirectorySyncThatIsLeftOutIsFound() throws {
        try check("directory-sync-left-out", ShrunkScenarios.directorySyncLeftOut, [.recovery, .memberState])
    }

    func testAWipedMemberThatIsAcceptedIsFound() throws {
        try check("wiped-member-accepted", ShrunkScenarios.wipedMemberAccepted, [.identity])
    }

    func testAMemberThatVotesBeforeItIsEstablishedIsFound() throws {
        try check("first-boot-votes-early", ShrunkScenarios.firstBootVotesEarly, [.identity])
    }

    func testTheJudgesAreNotToldWhichErrorIsPlanted() {
        XCTAssertEqual(PlantedBugs.names.count, 19)
        for (name, bug) in PlantedBugs.names { XCTAssertEqual(PlantedBugs(name: name), bug) }
        XCTAssertNil(PlantedBugs(name: "none"))
    }
}
