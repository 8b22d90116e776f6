import Balsa
import BalsaKeyValue
import BalsaLSM
import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

/// The only member of a cluster, with real files and a clock that the program moves. What it wants done is done at
/// once.
///
/// It is the member of a store, driven as the store's shell drives it: flushes, compactions, the dropping of the log
/// and the entries of an idle leader come when the member decides.
final class TimedMember {
    private let member: Member
    private(set) var now = Instant.zero
    private var wakeAt = Instant.never
    private var effects: [ReplicaEffect] = []
    private var requests: UInt64 = 0
    private var unanswered: Set<RequestID> = []
    private var refusal: String?

    /// Opens a new member in a directory, and waits until it leads.
    init(_ directory: String) throws(BenchmarkError) {
        var setup = MemberSetup(
            directory: directory,
            member: 1,
            list: [MemberAddress(member: 1, address: "")],
            seed: 1,
            identitySeed: UniqueID(high: .random(in: 0 ... .max), low: .random(in: 0 ... .max))
        )
        setup.seed = .random(in: 0 ... .max)
        do throws(ReplicaError) {
            member = try Member.open(
                setup,
                fileSystem: LinuxFileSystem(),
                provider: KeyValueProvider(seed: setup.seed),
                at: now,
                into: &effects
            )
        } catch { throw BenchmarkError("the member cannot be opened: \(error)") }
        try settle()
        var timers = 0
        while member.replica?.raft.role != .leader || machine?.replicatedOptions.revision == 0 {
            guard wakeAt != .never, timers < 1_000 else { throw BenchmarkError("the only member does not lead") }
            timers += 1
            try advance(to: wakeAt)
        }
    }

    /// Gives up its files.
    func close() { member.close() }

    /// The state; nil before the member is established.
    var machine: KeyValueMachine? { (member.replica?.machine as? KeyValueStateMachine)?.machine }

    /// The counters of the engine.
    var engine: EngineMetrics { machine?.metrics ?? EngineMetrics() }

    /// The counters of the log.
    var log: LogMetrics { member.replica?.logMetrics ?? LogMetrics() }

    /// Whether background work is due.
    var hasWork: Bool { machine?.hasWork ?? false }

    /// Has commands applied, and waits until all are.
    func submit(_ operations: [Command.Operation]) throws(BenchmarkError) {
        var submissions: [Submission] = []
        for operation in operations {
            requests += 1
            let command = Command(
                identity: RequestIdentity(session: .none, number: requests),
                operation: operation
            )
            unanswered.insert(RequestID(requests))
            submissions.append(Submission(RequestID(requests), command.encoded(), deadline: .never))
        }
        member.step(.submit(submissions), at: now, into: &effects)
        try settle()
        var timers = 0
        while !unanswered.isEmpty {
            guard wakeAt != .never, timers < 1_000 else { throw BenchmarkError("a command was not answered") }
            timers += 1
            try advance(to: wakeAt)
        }
    }

    /// Lets time pass.
    func advance(to moment: Instant) throws(BenchmarkError) {
        while wakeAt <= moment {
            now = max(now, wakeAt)
            wakeAt = .never
            member.step(.timer, at: now, into: &effects)
            try settle()
        }
        now = max(now, moment)
    }

    /// Does what the member wants, and what follows from that.
    private func settle() throws(BenchmarkError) {
        var next = 0
        while next < effects.count {
            let effect = effects[next]
            next += 1
            carryOut(effect)
        }
        effects.removeAll(keepingCapacity: true)
        if let failure = member.failure { throw BenchmarkError("the member failed: \(failure)") }
        if let refusal { throw BenchmarkError("a command was refused: \(refusal)") }
    }

    private func carryOut(_ effect: ReplicaEffect) {
        switch effect {
        case .write(let write):
            do throws(FileError) {
                try write.write.perform()
                step(.written(write))
            } catch { step(.writeFailed(write, error)) }
        case .run(let task):
            do throws(FileError) {
                while try !task.step(budgetBytes: 1 << 20) {}
                step(.taskFinished(task))
            } catch { step(.taskFailed(task, error)) }
        case .work(let work):
            do throws(StateMachineError) {
                try work.step()
                step(.worked(work))
            } catch { step(.workFailed(work, error)) }
        case .reply(let id, let reply):
            unanswered.remove(id)
            if case .failure(let error) = reply { refusal = "\(error)" }
        case .wake(let moment): wakeAt = moment
        default: break
        }
    }

    private func step(_ input: ReplicaInput) { member.step(input, at: now, into: &effects) }
}
