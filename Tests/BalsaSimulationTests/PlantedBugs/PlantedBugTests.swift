import XCTest

@testable import BalsaSimulation

/// The checkers are tested: the recorded seed of each planted error violates the invariant that the catalogue names,
/// and of two named ones each without the other. That no seed fails without its error, `balsa simulate --planted
/// replay` checks.
final class PlantedBugTests: XCTestCase {
    private func check(_ name: String, line: UInt = #line) throws {
        let error = try XCTUnwrap(PlantedBugs.catalogue.first { $0.name == name }, line: line)
        XCTAssertFalse(error.records.isEmpty, "nothing is recorded", line: line)
        for record in error.records {
            let enforced = error.enforced(for: record.invariant)
            let simulation = Simulation(error.scenario(seed: record.seed), bugs: error.bug, enforced: enforced)
            let report = simulation.run()
            XCTAssertEqual(report.violation?.invariant, record.invariant, "\(record)", line: line)
            let named = report.firstViolation.map { error.invariants.contains($0.invariant) } ?? false
            XCTAssertTrue(named, "\(report.firstViolation.map(\.description) ?? "nothing") stands in front", line: line)
        }
    }

    func testVoteNotPersisted_recordedSeed_violatesItsInvariant() throws {
        try check("vote-not-persisted")
    }

    func testAckBeforeOwnSync_recordedSeed_violatesItsInvariant() throws {
        try check("ack-before-own-sync")
    }

    func testCommitOldTermByCounting_recordedSeed_violatesItsInvariant() throws {
        try check("commit-old-term-by-counting")
    }

    func testTruncateWithoutConflict_recordedSeed_violatesItsInvariant() throws {
        try check("truncate-without-conflict")
    }

    func testAcknowledgeBeyondSent_recordedSeed_violatesItsInvariant() throws {
        try check("acknowledge-beyond-sent")
    }

    func testReadBeforeFirstCommit_recordedSeed_violatesItsInvariant() throws {
        try check("read-before-first-commit")
    }

    func testWithholdWithoutCheckQuorum_recordedSeed_violatesItsInvariant() throws {
        try check("withhold-without-check-quorum")
    }

    func testStaleSuffixAfterRecycling_recordedSeed_violatesItsInvariant() throws {
        try check("stale-suffix-after-recycling")
    }

    func testDeduplicationOff_recordedSeed_violatesItsInvariant() throws {
        try check("deduplication-off")
    }

    func testSessionsLostInCheckpoint_recordedSeed_violatesItsInvariant() throws {
        try check("sessions-lost-in-checkpoint")
    }

    func testLocalReadAsLinearizable_recordedSeed_violatesItsInvariant() throws {
        try check("local-read-as-linearizable")
    }

    func testApplyBeyondPersisted_recordedSeed_violatesItsInvariant() throws {
        try check("apply-beyond-persisted")
    }

    func testReplayFromWrongIndex_recordedSeed_violatesItsInvariant() throws {
        try check("replay-from-wrong-index")
    }

    func testTombstoneDroppedEarly_recordedSeed_violatesItsInvariant() throws {
        try check("tombstone-dropped-early")
    }

    func testCompactionBeyondMark_recordedSeed_violatesItsInvariant() throws {
        try check("compaction-beyond-mark")
    }

    func testManifestBeforeTableSync_recordedSeed_violatesItsInvariant() throws {
        try check("manifest-before-table-sync")
    }

    func testDirectorySyncLeftOut_recordedSeed_violatesItsInvariant() throws {
        try check("directory-sync-left-out")
    }

    func testWipedMemberAccepted_recordedSeed_violatesItsInvariant() throws {
        try check("wiped-member-accepted")
    }

    func testFirstBootVotesEarly_recordedSeed_violatesItsInvariant() throws {
        try check("first-boot-votes-early")
    }

    func testMarksNotCompared_recordedSeed_violatesItsInvariant() throws {
        try check("marks-not-compared")
    }

    func testChangesNotCompared_recordedSeed_violatesItsInvariant() throws {
        try check("changes-not-compared")
    }

    func testOtherValuesOnOneMember_recordedSeed_violatesItsInvariant() throws {
        try check("other-values-on-one-member")
    }

    func testDivergenceIgnored_recordedSeed_violatesItsInvariant() throws {
        try check("divergence-ignored")
    }

    func testQuarantineIgnored_recordedSeed_violatesItsInvariant() throws {
        try check("quarantine-ignored")
    }

    func testLastEntryForgotten_recordedSeed_violatesItsInvariant() throws {
        try check("last-entry-forgotten")
    }

    func testLocalLimits_recordedSeed_violatesItsInvariant() throws {
        try check("local-limits")
    }

    func testPlantedBugTests_catalogue_hasATestForEachError() throws {
        let source = try String(contentsOfFile: #filePath, encoding: .utf8)
        let checked = source.split(separator: "try check(\"").dropFirst().compactMap { $0.split(separator: "\"").first }
        XCTAssertEqual(
            checked.map(String.init),
            PlantedBugs.catalogue.map(\.name),
            "a new error needs a test here"
        )
        XCTAssertNil(PlantedBugs(name: "none"))
    }
}
