import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// The order in which things become durable, where two files depend on each other.
final class ReplicaOrderTests: ReplicaTestCase {
    /// What a checkpoint contains has a term that a member must not forget, or it could vote in it again.
    func testACheckpointOfANewTermIsNotPublishedBeforeTheTermIsDurable() throws {
        let group = ReplicaGroup(members: 3)
        try group.open(1)
        group.settle()
        group.host(1).holdsWrites = true
        let checkpoint = try TestCheckpoint(position: LogPosition(term: 5, index: 60), stamp: 7, state: [("k", "v")])
        for chunk in try checkpoint.chunks(of: 100) { try group.receive(1, from: 2, term: 5, .checkpointChunk(chunk)) }
        let offer = SnapshotOffer(position: checkpoint.state.position)
        try group.receive(1, from: 2, term: 5, .message(.snapshot(offer), entries: nil))
        XCTAssertEqual(group.host(1).held.map(\.isVote), [true])
        XCTAssertEqual(group.host(1).replica?.metrics.checkpointsInstalled, 0)
        group.crash(1, powerLoss: nil)
        group.host(1).holdsWrites = false
        XCTAssertNoThrow(try group.open(1), "nothing is damaged")

        // Once the term is durable, it is offered again.
        for chunk in try checkpoint.chunks(of: 100) { try group.receive(1, from: 2, term: 5, .checkpointChunk(chunk)) }
        for _ in 0..<2 {
            try group.receive(1, from: 2, term: 5, .message(.snapshot(offer), entries: nil))
            group.settle()
        }
        XCTAssertEqual(group.host(1).replica?.metrics.checkpointsInstalled, 1)
        XCTAssertEqual(group.host(1).machine?.value(of: "k"), "v")
    }

    /// A root that is lost is damage, and the generation is what it could be mended from.
    func testARefusedOpeningRemovesNothing() throws {
        let group = ReplicaGroup(members: 1)
        group.options.sealStateAfterBytes = 4_096
        group.options.entriesKeptBehindSeal = 0
        _ = try group.start()
        group.writeMany(1, 60)
        group.crash(1, powerLoss: nil)
        let files = group.host(1).disk.mount()
        try files.remove("balsa/groups/1/ROOT")
        let names = try files.list("balsa/groups/1")
        XCTAssertThrowsError(try group.open(1)) { error in
            XCTAssertEqual((error as? ReplicaError)?.code, .damaged, "\(error)")
            XCTAssertTrue("\(error)".contains("balsa/groups/1"), "\(error)")
            XCTAssertTrue("\(error)".contains("ROOT"), "\(error)")
        }
        XCTAssertEqual(try files.list("balsa/groups/1"), names)
    }

    func testLogOptionsThatCannotWorkAreInvalidAndNotDamage() throws {
        let group = ReplicaGroup(members: 1)
        group.options.log.maxWritesInFlight = 0
        XCTAssertThrowsError(try group.open(1)) { XCTAssertEqual(($0 as? ReplicaError)?.code, .invalid) }
    }

    /// Whoever published a generation may have died before the name of ROOT was durable. The next process must not take
    /// away what the old name stands for while that is so.
    func testAGenerationOutlivesADeathWhileItIsPublishedAndThenAPowerLoss() throws {
        let disk = SimulatedDisk()
        let files = disk.mount()
        try files.createDirectory("group")
        try files.syncDirectory(".")
        var store = try GenerationStore(opening: "group", in: files)
        try publish(&store)
        try disk.forEachCrashPoint { files in
            var store = try GenerationStore(opening: "group", in: files)
            try publish(&store)
        } check: { crashed, point in
            var next = try GenerationStore(opening: "group", in: crashed.mount())
            try next.confirm()
            try next.removeOrphans()
            for image in crashed.crashStates(limit: 60) {
                let files = SimulatedDisk(image).mount()
                let last = try GenerationStore(opening: "group", in: files)
                let generation = try XCTUnwrap(last.root?.generation, "\(point)")
                XCTAssertTrue(try files.exists(last.path(of: generation) + "/state"), "\(point)")
            }
        }
    }

    /// Fails to write one of the files.
    private final class OneFile: DiskHook {
        var name = ""

        func answer(_ call: DiskCall) -> DiskAnswer {
            !name.isEmpty && call.path.hasSuffix("/\(name).new") ? .fail(.noSpace) : .proceed
        }
    }

    /// Whichever file cannot be written, the other one has the note for the next opening.
    func testMarkDiverged_whereOneFileCannotBeWritten_isInTheOtherOne() throws {
        for (name, other) in [("OWNER", "ROOT"), ("ROOT", "OWNER")] {
            let hook = OneFile()
            let disk = SimulatedDisk()
            let files = disk.mount(hook)
            try files.createDirectory("group")
            var store = try GenerationStore(opening: "group", in: files)
            try publish(&store)
            hook.name = name
            XCTAssertThrowsError(try store.markDiverged()) { error in
                XCTAssertEqual((error as? FileError)?.number, .noSpace, name)
            }
            XCTAssertEqual(try isMarked(other, files), true, "\(name) cannot be written")
            XCTAssertEqual(try isMarked(name, files), false)
            XCTAssertEqual(store.root?.isDiverged, false, "\(name) is written later")
            hook.name = ""
            XCTAssertNoThrow(try store.markDiverged())
            for name in ["OWNER", "ROOT"] { XCTAssertEqual(try isMarked(name, files), true, name) }
        }
    }

    private func isMarked(_ name: String, _ files: SimulatedFileSystem) throws -> Bool? {
        let store = try GenerationStore(opening: "group", in: files)
        if name == "ROOT" { return store.root?.isDiverged }
        let path = store.path(of: try XCTUnwrap(store.root?.generation)) + "/" + name
        let bytes = try TwinFile.read(path, maxRecordBytes: StateOwner.byteCount, in: files)
        return try TwinFile.decode(try XCTUnwrap(bytes)) { bytes throws(DecodingError) in
            try StateOwner(decoding: bytes)
        }.record.isDiverged
    }

    /// Makes a generation of one file, live and durable, and removes the one before.
    private func publish(_ store: inout GenerationStore) throws {
        let before = store.root?.generation
        let generation = store.takeGeneration()
        let directory = store.path(of: generation)
        try store.fileSystem.removeDirectory(directory)
        try store.fileSystem.createDirectory(directory)
        let file = try store.fileSystem.open("\(directory)/state", .create)
        try file.write("state", at: 0)
        try file.sync()
        try store.fileSystem.syncDirectory(directory)
        try store.publish(generation, at: LogPosition(term: 1, index: generation))
        if let before { try store.remove(before) }
    }

    /// While a vote is written, changes of the log wait for it, and the core's commit index is ahead of the disk. A note of
    /// it would declare committed what is about to be cut off.
    func testACommitIndexIsNotNotedForWhatAVoteHoldsBack() throws {
        let group = ReplicaGroup(members: 3)
        try group.open(1)
        group.advance(by: .milliseconds(1))
        try group.hear(from: 2, term: 1, previous: .zero, terms: [1, 1, 1], commit: 1)
        group.settle()
        group.host(1).holdsWrites = true
        // A leader of a new term has another third entry, and has committed it.
        try group.hear(from: 3, term: 2, previous: LogPosition(term: 1, index: 2), terms: [2], commit: 3)
        XCTAssertEqual(group.host(1).replica?.commitIndex, 3)
        XCTAssertTrue(group.host(1).held.allSatisfy(\.isVote), "the log waits for the vote")
        // The log rests, and its seal is written, while the vote is still on its way.
        group.advance(by: .milliseconds(20))
        for write in group.host(1).held where !write.isVote { try write.write.perform() }
        group.crash(1, powerLoss: nil)
        group.host(1).holdsWrites = false
        try group.open(1)
        group.settle()
        XCTAssertEqual(group.host(1).replica?.raft.log.term(at: 3), 1, "the old entry is still there")
        XCTAssertLessThanOrEqual(try XCTUnwrap(group.host(1).replica).commitIndex, 2, "and not committed")
        XCTAssertLessThanOrEqual(try XCTUnwrap(group.host(1).replica).appliedIndex, 2)
    }

    /// The no-op is the first entry that a leader stamps, and its stamp is behind those of the leader before.
    func testStampsGrowAlongTheLogOverRestarts() throws {
        let group = ReplicaGroup(members: 1)
        for _ in 0..<3 {
            try group.open(1)
            _ = try group.elect()
            group.writeMany(1, 2)
            group.settle()
            group.advance(by: .milliseconds(100))
            group.crash(1, powerLoss: nil)
        }
        try group.open(1)
        group.settle()
        let replica = try XCTUnwrap(group.host(1).replica)
        let entries = try replica.log.entries(1, from: 1, through: replica.raft.log.lastIndex, maxBytes: .max)
        let stamps = (entries.firstIndex...entries.lastIndex).map { entries.header(at: $0).stamp }
        XCTAssertEqual(stamps, stamps.sorted())
        XCTAssertEqual(stamps.first, 0, "logical time begins with the group")
        XCTAssertLessThan(try XCTUnwrap(stamps.last), 10_000_000_000)
    }
}

extension ReplicaGroup {
    /// Gives member 1 an append of a peer that does not exist, with empty commands of these terms.
    fileprivate func hear(
        from peer: MemberID,
        term: Term,
        previous: LogPosition,
        terms: [Term],
        commit: LogIndex
    ) throws {
        var builder = EntryBatch.Builder(group: 1, previous: previous, capacityBytes: 1_000)
        for term in terms {
            let command = RegisterCommand(identity: nil, key: "k", value: Bytes("\(term)"))
            builder.append(term: term, stamp: 0, kind: .command, payload: try command.encoded())
        }
        let entries = builder.finish()
        let range = EntryRange(first: entries.firstIndex, last: entries.last)
        let append = Append(previous: previous, entries: range, commit: commit)
        try receive(1, from: peer, term: term, .message(.append(append), entries: entries))
    }
}
