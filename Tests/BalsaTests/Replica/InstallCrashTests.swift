import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// The power goes at every file call while a checkpoint arrives, is installed and built upon, and while a replica is opened.
/// Whatever the disk keeps of what was not synced, the replica has the old state with its log, or the new one.
final class InstallCrashTests: XCTestCase {
    /// The last entry of the log that the checkpoint meets. The first three of its six are sealed, durably.
    private static let oldLast = LogPosition(term: 1, index: 6)

    /// A checkpoint, and how the disk goes along with its installation.
    private struct Scenario: CustomStringConvertible {
        var description: String
        /// What the checkpoint contains everything through.
        var position: LogPosition
        var chunkBytes = 70
        /// How long the file beside the state is.
        var extraBytes = 24
        var delaysWrites = false
        /// Whether torn sectors hold garbage.
        var holdsGarbage = false

        /// The state after the entry of an index, as a leader would have it: entries write their index into `k`, and far
        /// behind them lies what only the checkpoint has.
        func state(through index: LogIndex) -> RegisterState {
            var state = RegisterState()
            if index >= position.index, position.index > oldLast.index {
                _ = state.apply(RegisterCommand(identity: nil, key: "c", value: "from far"), at: position.index)
            }
            _ = state.apply(RegisterCommand(identity: nil, key: "k", value: ReplicaDriver.value(of: index)), at: index)
            return state
        }

        var checkpoint: TestCheckpoint {
            get throws {
                var state = state(through: position.index)
                state.position = StatePosition(position: position, stamp: 60)
                let extra = Bytes((0..<extraBytes).map { UInt8(truncatingIfNeeded: $0 &* 7) })
                return TestCheckpoint(
                    position: position,
                    stamp: 60,
                    files: [("about", extra), ("seal-00000000000000000060", try state.encoded())]
                )
            }
        }

        var diskOptions: DiskOptions {
            var options = DiskOptions()
            options.sectorBytes = 64
            options.tornSectorsHoldGarbage = holdsGarbage
            return options
        }
    }

    private static let scenarios = [
        Scenario(description: "another log", position: LogPosition(term: 2, index: 60)),
        Scenario(
            description: "another log, several writes under way",
            position: LogPosition(term: 2, index: 60),
            delaysWrites: true
        ),
        Scenario(description: "a log that holds it", position: oldLast, delaysWrites: true, holdsGarbage: true),
        Scenario(
            description: "long files",
            position: LogPosition(term: 2, index: 60),
            chunkBytes: 250,
            extraBytes: 1_100,
            holdsGarbage: true
        ),
    ]

    /// What a replica that was opened has.
    private struct Found: Equatable {
        var generation: UInt64
        var durable: LogPosition
        var base: LogPosition
        var last: LogPosition
        var state: HardState
        var isNew: Bool { generation > 1 }

        init(_ driver: ReplicaDriver) {
            generation = driver.replica.generations.root?.generation ?? 0
            durable = driver.replica.machine.durable.position
            base = driver.replica.raft.log.base
            last = driver.replica.raft.log.last
            state = HardState(term: driver.replica.raft.term, vote: driver.replica.raft.vote)
        }
    }

    /// What is known of the process that was killed: what it was told, what it said, and what was done for it.
    private struct Progress {
        var isOffered = false
        var driver: ReplicaDriver?
        var isInstalled: Bool { driver?.replica.metrics.checkpointsInstalled == 1 }
        var acknowledged: LogIndex { driver?.acknowledged ?? 0 }
    }

    /// A disk with a state of three entries, a log that ends three entries later, and nothing under way.
    private func oldDisk(_ scenario: Scenario) throws -> SimulatedDisk {
        let disk = SimulatedDisk(options: scenario.diskOptions)
        let driver = try ReplicaDriver(disk.mount())
        try driver.append(term: 1, behind: .zero, count: 3, commit: 3)
        driver.holdsWork = true
        try driver.append(term: 1, behind: LogPosition(term: 1, index: 3), count: 3, commit: 5)
        XCTAssertEqual(driver.machine?.durable.position.index, 3)
        XCTAssertEqual(driver.incidents, [])
        return SimulatedDisk(disk.image())
    }

    /// Opens, receives, installs, and goes on: two entries more, which are applied, sealed, and dropped.
    private func work(_ files: SimulatedFileSystem, _ scenario: Scenario, _ progress: inout Progress) throws {
        let driver = try ReplicaDriver(files, delaysWrites: scenario.delaysWrites)
        progress.driver = driver
        try driver.heartbeat(term: 2, commit: 0)
        for chunk in try scenario.checkpoint.chunks(of: scenario.chunkBytes) {
            try driver.receive(term: 2, .checkpointChunk(chunk))
        }
        progress.isOffered = true
        try driver.receive(term: 2, .message(.snapshot(SnapshotOffer(position: scenario.position)), entries: nil))
        let position = scenario.position
        try driver.append(term: 2, behind: position, count: 1, commit: position.index)
        let next = LogPosition(term: 2, index: position.index + 1)
        try driver.append(term: 2, behind: next, count: 1, commit: position.index + 2)
        driver.flush()
    }

    /// Opens a disk twice, checks what is there against what may be, and returns it.
    @discardableResult
    private func checkRecovery(
        _ disk: SimulatedDisk,
        _ scenario: Scenario,
        _ progress: Progress,
        _ note: String
    ) throws -> Found {
        let first = try ReplicaDriver(disk.mount())
        let found = Found(first)
        XCTAssertNil(first.replica.failure, note)
        disk.processCrash()
        let driver = try ReplicaDriver(disk.mount())
        XCTAssertEqual(Found(driver).last, found.last, "\(note): opened again")
        XCTAssertEqual(Found(driver).generation, found.generation, "\(note): opened again")
        XCTAssertEqual(Found(driver).state, found.state, "\(note): opened again")
        checkIsAllowed(found, scenario, progress, note)

        // All of its log is committed now, and applied.
        try driver.heartbeat(term: 9, commit: found.last.index)
        XCTAssertEqual(driver.replica.appliedIndex, found.last.index, note)
        XCTAssertEqual(driver.machine?.digest, try scenario.state(through: found.last.index).digest, note)
        XCTAssertNil(driver.replica.failure, note)
        XCTAssertEqual(first.incidents + driver.incidents, [], note)
        return found
    }

    private func checkIsAllowed(_ found: Found, _ scenario: Scenario, _ progress: Progress, _ note: String) {
        if found.isNew {
            let index = scenario.position.index
            XCTAssertTrue(progress.isOffered, "\(note): nobody has offered it")
            XCTAssertGreaterThanOrEqual(found.base.index, index - 1, "\(note): one entry is kept behind a seal")
            XCTAssertTrue((index...index + 2).contains(found.last.index), "\(note): \(found)")
            XCTAssertTrue(found.last == scenario.position || found.last.term == 2, "\(note): \(found)")
            XCTAssertGreaterThanOrEqual(found.last.index, progress.acknowledged, "\(note): it was acknowledged")
        } else {
            XCTAssertFalse(progress.isInstalled, "\(note): an installation is not taken back")
            XCTAssertEqual(found.last, InstallCrashTests.oldLast, note)
            XCTAssertLessThanOrEqual(found.base.index, 5, note)
            XCTAssertGreaterThanOrEqual(found.durable.index, 3, note)
        }
    }

    /// Crashes at every call of a scenario.
    ///
    /// The bounds are nine tenths of the counts, which are the same in every run.
    ///
    /// - Parameters:
    ///   - different: how many disks that are not equal there are at least.
    ///   - expected: how many cases at least recover the old state, and how many the new one.
    private func checkEveryCrash(_ scenario: Scenario, different: Int, expected: (old: Int, new: Int)) throws {
        var progress = Progress()
        var disks: Set<UInt64> = []
        var cases: Set<UInt64> = []
        var (old, new) = (0, 0)
        let calls = try oldDisk(scenario).forEachCrashPoint { files in
            progress = Progress()
            try work(files, scenario, &progress)
        } check: { crashed, point in
            for image in crashed.crashStates() {
                let disk = SimulatedDisk(image)
                disks.insert(disk.contentDigest)
                // The same disk behind another call may be another case: less is allowed then.
                var digest = ByteDigest()
                digest.add(disk.contentDigest)
                digest.add(progress.isInstalled ? 1 : progress.isOffered ? 2 : 3 as UInt64)
                digest.add(progress.acknowledged)
                guard cases.insert(digest.value).inserted else { continue }
                let found = try checkRecovery(disk, scenario, progress, "\(scenario), \(point)")
                if found.isNew { new += 1 } else { old += 1 }
            }
        }
        print("        \(scenario): \(calls) calls, \(disks.count) disks, \(old) old, \(new) new")
        XCTAssertGreaterThanOrEqual(calls, 118)
        XCTAssertGreaterThanOrEqual(old, expected.old)
        XCTAssertGreaterThanOrEqual(new, expected.new)
        XCTAssertGreaterThanOrEqual(disks.count, different, "disks that are not equal")
    }

    func testEveryCrash_anotherLog_leavesTheOldStateWithItsLogOrTheNewOne() throws {
        try checkEveryCrash(InstallCrashTests.scenarios[0], different: 495, expected: (213, 296))
    }

    func testEveryCrash_anotherLogWithWritesUnderWay_leavesTheOldStateWithItsLogOrTheNewOne() throws {
        try checkEveryCrash(InstallCrashTests.scenarios[1], different: 442, expected: (225, 225))
    }

    func testEveryCrash_aLogThatHoldsTheCheckpoint_leavesTheOldStateWithItsLogOrTheNewOne() throws {
        try checkEveryCrash(InstallCrashTests.scenarios[2], different: 441, expected: (214, 235))
    }

    func testEveryCrash_longFiles_leavesTheOldStateWithItsLogOrTheNewOne() throws {
        try checkEveryCrash(InstallCrashTests.scenarios[3], different: 594, expected: (295, 313))
    }

    /// Recovery from every state that matters, killed at every one of its own calls.
    ///
    /// - Parameters:
    ///   - recoveries: how many states that matter there are at least: as many as in every run today.
    ///   - states: how many states there are at least after crashes of their recovery: nine tenths of today's.
    private func checkCrashesInRecovery(_ scenario: Scenario, recoveries: Int, states: Int) throws {
        var progress = Progress()
        var kinds: [Found] = []
        var digests: Set<UInt64> = []
        var found = (recoveries: 0, states: 0)
        try oldDisk(scenario).forEachCrashPoint { files in
            progress = Progress()
            try work(files, scenario, &progress)
        } check: { crashed, point in
            for image in crashed.crashStates(limit: 2) {
                let disk = SimulatedDisk(image)
                guard digests.insert(disk.contentDigest).inserted else { continue }
                let kind = Found(try ReplicaDriver(disk.mount()))
                // One of each kind.
                guard !kinds.contains(kind) else { continue }
                kinds.append(kind)
                found.recoveries += 1
                found.states += try checkCrashesOfRecovery(image, scenario, progress, kind, "\(scenario), \(point)")
            }
        }
        print("        \(scenario): \(found)")
        XCTAssertGreaterThanOrEqual(found.recoveries, recoveries)
        XCTAssertGreaterThanOrEqual(found.states, states)
    }

    func testACrashInRecovery_anotherLog_changesNothing() throws {
        try checkCrashesInRecovery(InstallCrashTests.scenarios[0], recoveries: 6, states: 87)
    }

    func testACrashInRecovery_anotherLogWithWritesUnderWay_changesNothing() throws {
        try checkCrashesInRecovery(InstallCrashTests.scenarios[1], recoveries: 6, states: 83)
    }

    func testACrashInRecovery_aLogThatHoldsTheCheckpoint_changesNothing() throws {
        try checkCrashesInRecovery(InstallCrashTests.scenarios[2], recoveries: 8, states: 126)
    }

    private func checkCrashesOfRecovery(
        _ image: DiskImage,
        _ scenario: Scenario,
        _ progress: Progress,
        _ expected: Found,
        _ note: String
    ) throws -> Int {
        var digests: Set<UInt64> = []
        try SimulatedDisk(image).forEachCrashPoint { files in
            _ = try ReplicaDriver(files)
        } check: { again, second in
            for image in again.crashStates(limit: 2) {
                let disk = SimulatedDisk(image)
                guard digests.insert(disk.contentDigest).inserted else { continue }
                let found = try checkRecovery(disk, scenario, progress, "\(note), then \(second)")
                XCTAssertEqual(found.last, expected.last, "\(note), then \(second)")
                XCTAssertEqual(found.generation, expected.generation, "\(note), then \(second)")
                XCTAssertEqual(found.state, expected.state, "\(note), then \(second)")
            }
        }
        return digests.count
    }
}
