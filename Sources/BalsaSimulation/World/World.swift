import Balsa
import BalsaKeyValue
import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

/// What happens next in a simulated world.
enum WorldEvent {
    /// A frame reaches a member.
    case deliver(SimulatedFrame)
    /// A member is told that a peer does not listen to it.
    case refusal(to: MemberID, nonce: UInt64, IdentityRefusal)
    /// A process is woken at the moment that it asked for.
    case wake(MemberID, start: UInt64, number: UInt64)
    /// A write of log or vote is handed to the system.
    case write(MemberID, start: UInt64, ReplicaWrite)
    /// The device has finished a sync.
    case synced(MemberID, start: UInt64, ReplicaWrite, SyncInFlight)
    /// A background task of the log makes its next step.
    case task(MemberID, start: UInt64, LogTask)
    /// A step of the state machine's background work is done.
    case work(MemberID, start: UInt64, StateWork)
    /// A client begins its next operation, or tries the present one again.
    case act(client: Int, attempt: UInt64)
    /// A client's request reaches a member.
    case request(client: Int, attempt: UInt64, MemberID)
    /// A client is told what became of its request.
    case answer(client: Int, attempt: UInt64, ClientAnswer)
    /// A client loses its patience.
    case giveUp(client: Int, attempt: UInt64)
    /// A fault begins or ends.
    case faultBegins(Int)
    case faultEnds(Int)
    /// A member is cut off from the others, or not any more.
    case cutOff(MemberID, by: Int)
    /// The power goes while a member's log is being written.
    case powerCut(MemberID, start: UInt64)
    /// A process is started where none runs, or goes on where it stood still.
    case start(MemberID)
    case resume(MemberID)
    /// All faults end; and, later, the time by which everybody should have been answered.
    case stormEnds
    case settlingEnds
}

/// A simulated world: members with their disks, a network, clients, faults and judges, driven by one queue of events in
/// virtual time.
///
/// The members are the real thing: `Member` with its replica, core and log, unmodified. The world supplies files, network,
/// time and randomness, and carries out a replica's effects as a production shell will, only that everything takes the
/// time that the scenario says. Between two events every process has finished its step.
///
/// - this file: the loop;
/// - `World+Processes`: starting and ending processes, and carrying out their effects;
/// - `World+Connections`: what passes between them, and who listens to whom;
/// - `World+Disks`: what becomes of their file calls;
/// - `World+Faults`: the faults of the scenario, and the calm after them;
/// - `World+Clients`: the load, drawn by ``Workload`` and noted in ``CallLog``;
/// - `World+Runtime`: how clients reach replicas, and replies reach clients.
final class World {
    let scenario: Scenario
    let bugs: PlantedBugs

    var queue = EventQueue<WorldEvent>()
    var now = TimeSpan.zero
    var members: [SimulatedMember]
    var network: SimulatedNetwork
    var clients: [SimulatedClient]
    var judges: Judges
    var trace: Trace
    var counters = RunCounters()
    var history = RecordedHistory()
    var calls = CallLog()
    let workload: Workload

    /// The invariants whose violation ends the run.
    var enforced = InvariantSet.all
    /// The first violation of an invariant that is enforced.
    var violation: Violation?
    /// The first violation of each invariant that is not enforced, in the order of time.
    var unenforced: [Violation] = []
    /// The faults that isolate leaders and are in force, oldest first.
    var isolations: [Int] = []
    /// Whether the faults have stopped.
    var isCalm = false
    /// When the members of the surviving quorum that are not excused agreed last since then.
    var agreedAt: TimeSpan?
    /// Whether they stopped before every member belonged to the cluster.
    var isEveryoneNeeded = false
    /// Whether everything that was waited for has happened.
    var isDone = false

    private var progress = ProgressCheck()
    /// At which event everything is looked at next.
    private var nextSweep: UInt64 = 4096

    /// Reused for the effects of every step.
    var effects: [ReplicaEffect] = []

    init(_ scenario: Scenario, bugs: PlantedBugs, traceLine: ((String) -> Void)?) {
        self.scenario = scenario
        self.bugs = bugs
        var diskOptions = DiskOptions()
        diskOptions.tornSectorsHoldGarbage = scenario.garbageInTornSectors == 1
        members = scenario.memberIDs.map {
            SimulatedMember(id: $0, of: scenario.members, disk: SimulatedDisk(options: diskOptions))
        }
        network = SimulatedNetwork(scenario)
        var random = RandomSource(seed: RandomSource.mix(scenario.seed ^ 0x636c_6965_6e74_7300))
        let owed = Int(scenario.answersAfterStorm)
        clients = (0..<Int(scenario.clients)).map {
            SimulatedClient(number: $0, random: random.fork(), answersOwed: owed)
        }
        workload = Workload(scenario)
        judges = Judges(members: Int(scenario.members))
        trace = Trace(write: traceLine)
    }

    func member(_ id: MemberID) -> SimulatedMember { members[Int(id) - 1] }

    /// Runs to the end, or to the first violation.
    func run() {
        for member in members { queue.schedule(.start(member.id), at: .zero) }
        for client in clients.indices {
            queue.schedule(.act(client: client, attempt: 0), at: .milliseconds(UInt64(client)))
        }
        for (index, fault) in scenario.faults.enumerated() { queue.schedule(.faultBegins(index), at: fault.at) }
        queue.schedule(.stormEnds, at: scenario.duration)
        while !isDone, violation == nil, let (moment, event) = queue.next() {
            now = moment
            handle(event)
            judge { try progress.check(events: trace.count, at: now) }
            if trace.count >= nextSweep { sweep() }
        }
        if violation == nil { sweep() }
    }

    private func handle(_ event: WorldEvent) {
        switch event {
        case .deliver(let frame):
            deliver(frame, event)
        case .refusal(let id, let nonce, let refusal):
            refused(id, nonce, refusal)
        case .wake(let id, let start, _), .write(let id, let start, _), .synced(let id, let start, _, _),
            .task(let id, let start, _), .work(let id, let start, _):
            handle(event, of: id, start: start)
        case .act(let client, let attempt):
            // Only what was scheduled last counts: a client never has two requests on their way.
            if clients[client].attempt == attempt { act(client) }
        case .request(let client, let attempt, let id):
            request(client, attempt, id, event)
        case .answer(let client, let attempt, let reply):
            answer(client, attempt, reply)
        case .giveUp(let client, let attempt):
            giveUp(client, attempt)
        case .faultBegins(let index):
            if !isCalm { begin(index) }
        case .faultEnds(let index):
            if !isCalm { end(index) }
        case .cutOff(let id, let change):
            cutOff(id, by: change)
        case .powerCut(let id, let start):
            powerCut(id, start: start)
        case .start(let id):
            start(id)
        case .resume(let id):
            resume(id)
        case .stormEnds:
            stormEnds()
        case .settlingEnds:
            settlingEnds()
        }
    }

    /// Looks at everything: at all logs, and at all states. Not so often that it takes more time than all the rest.
    private func sweep() {
        nextSweep = trace.count + max(4096, 64 * scenario.keys)
        let logs = members.compactMap { member in member.process?.replica.map { (member.id, $0.raft.log) } }
        judge { try Judges.sweep(logs, at: now) }
        for member in members where member.process != nil { judge { try checkState(of: member) } }
        judge {
            try judges.processes.sweep(at: now) { id in
                // At the moment at which a pause ends, the process may not have gone on yet.
                member(id).process.map { ($0.number, member(id).pausedUntil >= now) }
            }
        }
    }

    /// Runs `check` and notes what it finds.
    ///
    /// A violation of an enforced invariant ends the run: nothing is checked after it. A violation of another one ends
    /// this call of `check` alone, what the checker would have noted or found behind it included, and the run goes on.
    /// The first one of each invariant is kept for ``RunReport/unenforced``.
    func judge(_ check: () throws -> Void) {
        guard violation == nil else { return }
        do {
            try check()
        } catch let found as Violation {
            if enforced.contains(found.invariant) {
                violation = found
                trace.record("violation", member: 0, at: now, found.description)
            } else if !unenforced.contains(where: { $0.invariant == found.invariant }) {
                unenforced.append(found)
                trace.record("not-enforced", member: 0, at: now, found.description)
            }
            // Nothing more is waited for, or nothing would ever end.
            if found.invariant == .liveness { isDone = true }
        } catch {
            preconditionFailure("checkers throw violations")
        }
    }
}
