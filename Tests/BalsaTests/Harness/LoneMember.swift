import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// A member alone on a simulated disk, mostly the only one of its cluster: what it wants done is done at once.
final class LoneMember {
    let member: Member
    private var effects: [ReplicaEffect] = []
    private(set) var now = Instant.zero
    private(set) var wakeAt = Instant.never
    private var requests: UInt64 = 0
    private var replies: [RequestID: Reply] = [:]

    /// The files have a few hundred bytes, and what is applied is sealed now and then.
    static var options: ReplicaOptions {
        var options = ReplicaOptions()
        options.log.sectorBytes = 64
        options.log.smallestSegmentBytes = 1_024
        options.log.largestSegmentBytes = 1_024
        options.log.maxFrameBytes = 512
        options.sealStateAfterBytes = 2_000
        options.entriesKeptBehindSeal = 4
        return options
    }

    /// Opens member 1 in the directory `m`.
    init(
        _ files: any FileSystem,
        seed: UInt64,
        members: [MemberID] = [1],
        provider: any StateMachineProvider = RegisterProvider(),
        plantedBugs: ReplicaPlantedBugs = []
    ) throws(ReplicaError) {
        var setup = MemberSetup(
            directory: "m",
            member: 1,
            list: members.map { MemberAddress(member: $0, address: "a:\($0)") },
            seed: seed,
            identitySeed: UniqueID(high: seed, low: 1)
        )
        setup.options = LoneMember.options
        setup.options.plantedBugs = plantedBugs
        member = try Member.open(
            setup,
            fileSystem: files,
            provider: provider,
            at: .zero,
            into: &effects
        )
        settle()
    }

    /// Gives it a frame of another member, and does what follows.
    func receive(from peer: MemberID, term: Term, _ content: PeerFrame.Content) throws {
        let frame = PeerFrame(group: 1, from: peer, to: 1, term: term, content: content)
        step(.received(Bytes(try frame.encoded(options: .formatMaximum, version: 1).flatMap { [UInt8]($0) })))
        settle()
    }

    /// Listens to an opening of a peer, and says whether it does.
    func connect(_ introduction: Introduction) -> Bool {
        guard case .accept = member.connect(introduction, into: &effects) else { return false }
        settle()
        return true
    }

    /// Lets time pass until the log is sealed.
    func rest() { _ = run(until: { member.replica?.log.needsSeal == false }) }

    private func step(_ input: ReplicaInput) { member.step(input, at: now, into: &effects) }

    private func settle() {
        while !effects.isEmpty {
            switch effects.removeFirst() {
            case .write(let write):
                do throws(FileError) {
                    try write.write.perform()
                    step(.written(write))
                } catch {
                    step(.writeFailed(write, error))
                }
            case .run(let task):
                do throws(FileError) {
                    while try !task.step(budgetBytes: 1 << 20) {}
                    step(.taskFinished(task))
                } catch {
                    step(.taskFailed(task, error))
                }
            case .work(let work):
                do throws(StateMachineError) {
                    try work.step()
                    step(.worked(work))
                } catch {
                    step(.workFailed(work, error))
                }
            case .reply(let id, let reply): replies[id] = reply
            case .wake(let moment): wakeAt = moment
            default: break
            }
        }
    }

    /// Lets time pass until `isDone`, or for so many timers; returns whether it is.
    private func run(until isDone: () -> Bool) -> Bool {
        for _ in 0..<200 where !isDone() {
            guard wakeAt != .never else { break }
            now = max(now, wakeAt)
            step(.timer)
            settle()
        }
        return isDone()
    }

    /// Waits until it leads; returns whether it does.
    func elect() -> Bool {
        _ = run(until: { member.replica?.raft.role == .leader || member.failure != nil })
        return member.replica?.raft.role == .leader
    }

    /// Writes a register, and returns whether the write was acknowledged.
    func write(_ key: String, _ value: String) throws -> Bool {
        submit(try RegisterCommand(identity: nil, key: Bytes(key), value: Bytes(value)).encoded())
    }

    /// Has a command applied, and returns whether it was acknowledged.
    func submit(_ command: Bytes) -> Bool {
        guard elect() else { return false }
        requests += 1
        let id = RequestID(requests)
        step(.submit([Submission(id, command, deadline: .never)]))
        settle()
        guard run(until: { replies[id] != nil }) else { return false }
        return replies[id]?.isSuccess ?? false
    }

    /// The value of a register once everything of the log is applied; nil where it has none.
    func value(of key: String) throws -> String? {
        requests += 1
        let id = RequestID(requests)
        guard elect() else { return nil }
        step(.read(id, .linearizable, deadline: .never))
        settle()
        _ = run(until: { replies[id] != nil })
        guard case .readable? = replies[id] else { return nil }
        return (member.replica?.machine as? RegisterMachine)?.value(of: Bytes(key)).map { String($0) }
    }

    /// Closes it as a store does: what it was doing has ended, and the log ends with an end marker.
    func close() {
        _ = run(until: { member.replica?.log.needsSeal == false })
        step(.close)
        settle()
        member.close()
    }
}
