import XCTest

@testable import BalsaRaft

/// Random schedules of three and of five members, checked for all that Raft promises after every step.
///
/// A failure names its seed; the same seed makes the same schedule.
final class RandomScheduleTests: XCTestCase {
    private func explore(size: Int, seeds: Range<UInt64>, steps: Int) throws {
        var commits: LogIndex = 0
        var reads = 0
        var handOvers = 0
        for seed in seeds {
            var schedule = try RandomSchedule(size: size, seed: seed)
            try schedule.run(steps: steps)
            if seed % 2 == 0 { schedule.recoverWithoutAMinority() }
            schedule.recover()
            commits += schedule.cluster.judge.commitIndex
            reads += schedule.answeredReads
            handOvers += schedule.handOvers
            guard testRun?.totalFailureCount == 0 else { return XCTFail("\(size) members, seed \(seed)") }
        }
        // A storm in which nothing is ever decided would prove nothing.
        XCTAssertGreaterThan(commits, UInt64(seeds.count) * 3)
        XCTAssertGreaterThan(reads, seeds.count / 4)
        XCTAssertGreaterThan(handOvers, seeds.count / 10)
    }

    func testThreeMembersKeepTheirPromisesInAStormAndRecover() throws {
        try explore(size: 3, seeds: 1..<151, steps: 400)
    }

    func testFiveMembersKeepTheirPromisesInAStormAndRecover() throws {
        try explore(size: 5, seeds: 1..<61, steps: 600)
    }
}
