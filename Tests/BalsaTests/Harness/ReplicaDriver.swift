import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// One replica of a group of three, alone with its files: what it wants done is done at once, and what it says is noted.
final class ReplicaDriver {
    let replica: Replica
    private let options: ReplicaOptions
    private var effects: [ReplicaEffect] = []
    /// Whether background work is left undone.
    var holdsWork = false
    /// Whether a write is done only behind the frame that comes next, so that more than one thing is under way.
    private let delaysWrites: Bool
    private var delayed: [ReplicaWrite] = []
    /// The highest index that it has acknowledged to a leader.
    private(set) var acknowledged: LogIndex = 0
    private var round: UInt64 = 0
    /// What it has reported.
    private(set) var incidents: [Incident] = []

    /// The limits of a replica whose files have a few hundred bytes, and which seals whatever it applies.
    static var tinyOptions: ReplicaOptions {
        var options = ReplicaOptions()
        options.log.sectorBytes = 64
        options.log.smallestSegmentBytes = 1_024
        options.log.largestSegmentBytes = 2_048
        options.log.maxFrameBytes = 512
        options.sealStateAfterBytes = 1
        options.entriesKeptBehindSeal = 1
        return options
    }

    /// Opens member 1.
    init(
        _ files: any FileSystem,
        options: ReplicaOptions = ReplicaDriver.tinyOptions,
        delaysWrites: Bool = false
    ) throws {
        self.options = options
        self.delaysWrites = delaysWrites
        replica = try Replica.open(
            directory: "balsa",
            fileSystem: files,
            member: 1,
            configuration: try Configuration(voters: [1, 2, 3]),
            provider: RegisterProvider(),
            options: options,
            seed: 1,
            at: .zero,
            into: &effects
        )
        settle()
    }

    var machine: RegisterMachine? { replica.machine as? RegisterMachine }

    /// Gives it a frame of member 2 and does what follows from that.
    func receive(term: Term, _ content: PeerFrame.Content) throws {
        let frame = PeerFrame(group: 1, from: 2, to: 1, term: term, content: content)
        let due = delayed
        delayed = []
        step(.received(Bytes(try frame.encoded(options: options.wire, version: 1).flatMap { [UInt8]($0) })))
        settle()
        for write in due { perform(write) }
        settle()
    }

    /// Does the writes that are delayed, and those that follow from them.
    func flush() {
        while !delayed.isEmpty {
            perform(delayed.removeFirst())
            settle()
        }
    }

    /// What the entry of an index writes: its index, and so much more that a frame has several sectors.
    static func value(of index: LogIndex) -> Bytes { Bytes("\(index)" + String(repeating: "-", count: 200)) }

    /// Gives it entries, each of which writes its ``value(of:)`` into the register `k`.
    func append(term: Term, behind previous: LogPosition, count: UInt64, commit: LogIndex) throws {
        var builder = EntryBatch.Builder(group: 1, previous: previous, capacityBytes: 2_000)
        for index in previous.index + 1...previous.index + count {
            let command = RegisterCommand(identity: nil, key: "k", value: ReplicaDriver.value(of: index))
            builder.append(term: term, stamp: index, kind: .command, payload: try command.encoded())
        }
        let entries = builder.finish()
        let range = EntryRange(first: entries.firstIndex, last: entries.last)
        let append = Append(previous: previous, entries: range, commit: commit)
        try receive(term: term, .message(.append(append), entries: entries))
    }

    /// Tells it how much is committed, after an append has compared its log.
    func heartbeat(term: Term, commit: LogIndex) throws {
        let append = Append(previous: replica.raft.log.last, entries: nil, commit: 0)
        try receive(term: term, .message(.append(append), entries: nil))
        round += 1
        let heartbeat = Heartbeat(round: round, sentAt: .zero, commit: commit)
        try receive(term: term, .message(.heartbeat(heartbeat), entries: nil))
    }

    private func step(_ input: ReplicaInput) { replica.step(input, at: .zero, into: &effects) }

    private func settle() {
        while !effects.isEmpty {
            let effect = effects.removeFirst()
            if let incident = Incident(effect) { incidents.append(incident) }
            switch effect {
            case .write(let write):
                if delaysWrites { delayed.append(write) } else { perform(write) }
            case .run(let task):
                do {
                    while try !task.step(budgetBytes: 1 << 20) {}
                    step(.taskFinished(task))
                } catch {
                    step(.taskFailed(task, error))
                }
            case .work(let work):
                if !holdsWork { perform(work) }
            case .send(_, let pieces, _):
                note(Bytes(pieces.flatMap { [UInt8]($0) }))
            case .reply, .wake, .standing, .established, .report, .undecodable, .firstBootWaits, .retrying,
                .damagedCopy, .checkpointRefused, .optionsDiffer, .failed:
                break
            }
        }
    }

    private func perform(_ write: ReplicaWrite) {
        do {
            try write.write.perform()
            step(.written(write))
        } catch {
            step(.writeFailed(write, error))
        }
    }

    private func perform(_ work: StateWork) {
        do {
            try work.step()
            step(.worked(work))
        } catch {
            step(.workFailed(work, error))
        }
    }

    private func note(_ bytes: Bytes) {
        do {
            let frame = try PeerFrame(decoding: bytes, options: options.wire)
            guard case .appendResponse(let response)? = frame.envelope?.message.body,
                case .accepted(let index) = response.answer
            else { return }
            acknowledged = max(acknowledged, index)
        } catch {
            XCTFail("it sends what cannot be decoded: \(error)")
        }
    }
}
