import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// A replica with its disk, and what its effects asked for that is not done yet.
final class ReplicaHost {
    let id: MemberID
    let disk = SimulatedDisk()
    var replica: Replica?
    var files: SimulatedFileSystem?
    var wakeAt = Instant.never
    /// Whether writes wait in ``held`` until a test lets them go.
    var holdsWrites = false
    var held: [ReplicaWrite] = []
    /// What its callers were told.
    var replies: [(id: RequestID, reply: Reply)] = []
    /// The requests of the process that runs, which are to be answered.
    var open: [RequestID] = []
    /// What left for peers, arrived or not.
    var sent: [Envelope] = []
    var undecodable: [BalsaPlatform.DecodingError] = []
    var starts: UInt64 = 0

    init(id: MemberID) { self.id = id }

    func reply(to id: RequestID) -> Reply? { replies.first { $0.id == id }?.reply }

    var machine: RegisterMachine? { replica?.machine as? RegisterMachine }
}

/// Replicas under a shell for tests: effects are carried out at once and in order, unless a test holds them back. Time
/// passes only when a test says so.
final class ReplicaGroup {
    private enum Work {
        case frame(from: MemberID, to: MemberID, Bytes)
        case write(MemberID, start: UInt64, ReplicaWrite)
        case task(MemberID, start: UInt64, LogTask)
    }

    let hosts: [ReplicaHost]
    var options = ReplicaOptions()
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private var work: [Work] = []
    private var isolated: [MemberID] = []
    private var lastRequest: UInt64 = 0

    /// Replicas on empty disks, none of them open.
    init(members: UInt64) {
        hosts = (1...members).map(ReplicaHost.init)
        options.log.sectorBytes = 64
        options.log.smallestSegmentBytes = 1_024
        options.log.largestSegmentBytes = 2_048
        options.log.maxFrameBytes = 512
    }

    func host(_ id: MemberID) -> ReplicaHost { hosts[Int(id) - 1] }

    // MARK: Processes

    /// Starts a process of a member.
    func open(_ id: MemberID, machine: any StateMachine = RegisterMachine()) throws {
        let host = host(id)
        let files = host.disk.mount()
        var effects: [ReplicaEffect] = []
        host.starts += 1
        do {
            host.replica = try Replica.open(
                directory: "balsa",
                fileSystem: files,
                member: id,
                configuration: try Configuration(voters: hosts.map(\.id)),
                machine: machine,
                options: options,
                seed: id * 1_000 + host.starts,
                at: now,
                into: &effects
            )
        } catch {
            files.kill()
            throw error
        }
        host.files = files
        carryOut(effects, host)
    }

    /// Opens all of them and waits for a leader.
    func start() throws -> MemberID {
        for host in hosts { try open(host.id) }
        return try elect()
    }

    /// Ends the process of a member. With a salt, its machine loses power.
    func crash(_ id: MemberID, powerLoss salt: UInt64?) {
        let host = host(id)
        host.files?.kill()
        host.replica = nil
        host.files = nil
        host.wakeAt = .never
        host.held = []
        host.open = []
        if let salt { host.disk.powerLoss(salt: salt) } else { host.disk.processCrash() }
    }

    // MARK: Network and time

    /// Cuts members off from all others; the rest can speak to each other.
    func isolate(_ ids: MemberID...) { isolated = ids }

    /// Lets time pass until one member leads and all that it can reach follow it.
    func elect(file: StaticString = #filePath, line: UInt = #line) throws -> MemberID {
        for _ in 0..<500 {
            advance(by: .milliseconds(10))
            let reachable = hosts.filter { $0.replica != nil && !isolated.contains($0.id) }
            let leaders = reachable.filter { $0.replica?.raft.role == .leader }
            if leaders.count == 1, reachable.allSatisfy({ $0.replica?.raft.currentStanding.leader == leaders[0].id }) {
                return leaders[0].id
            }
        }
        XCTFail("nobody was elected", file: file, line: line)
        throw ReplicaError(.invalid, "nobody was elected")
    }

    /// Lets time pass, waking replicas when they asked for it.
    func advance(by span: TimeSpan) {
        let end = now + span
        settle()
        while let next = hosts.filter({ $0.replica != nil }).map(\.wakeAt).min(), next <= end {
            now = max(now, next)
            for host in hosts where host.wakeAt <= now {
                host.wakeAt = .never
                step(host.id, .timer)
            }
            settle()
        }
        now = end
    }

    /// Carries out everything that takes no time.
    func settle() {
        while !work.isEmpty {
            switch work.removeFirst() {
            case .frame(let from, let to, let bytes):
                guard !isolated.contains(from), !isolated.contains(to) else { continue }
                step(to, .received(bytes))
            case .write(let id, let start, let write):
                if host(id).starts == start, host(id).replica != nil { perform(write, id) }
            case .task(let id, let start, let task):
                if host(id).starts == start, host(id).replica != nil { perform(task, id) }
            }
        }
    }

    /// Lets the oldest write go that is held, or all of them along with those that follow.
    func releaseWrite(_ id: MemberID) {
        guard !host(id).held.isEmpty else { return XCTFail("no write of member \(id) is held") }
        work.append(.write(id, start: host(id).starts, host(id).held.removeFirst()))
        settle()
    }

    func releaseWrites(_ id: MemberID) {
        host(id).holdsWrites = false
        while !host(id).held.isEmpty { releaseWrite(id) }
    }

    private func perform(_ write: ReplicaWrite, _ id: MemberID) {
        do {
            try write.write.perform()
            step(id, .written(write))
        } catch {
            step(id, .writeFailed(write, error))
        }
    }

    private func perform(_ task: LogTask, _ id: MemberID) {
        do {
            while try !task.step(budgetBytes: 1 << 20) {}
            step(id, .taskFinished(task))
        } catch {
            step(id, .taskFailed(task, error))
        }
    }

    // MARK: Steps

    /// Gives a replica an input. What it wants done waits for ``settle()``.
    func step(_ id: MemberID, _ input: ReplicaInput) {
        let host = host(id)
        guard let replica = host.replica else { return }
        var effects: [ReplicaEffect] = []
        replica.step(input, at: now, into: &effects)
        XCTAssertNil(replica.brokenInvariant())
        carryOut(effects, host)
    }

    private func carryOut(_ effects: [ReplicaEffect], _ host: ReplicaHost) {
        for effect in effects {
            switch effect {
            case .send(let peer, let pieces):
                let frame = Bytes(pieces.flatMap { [UInt8]($0) })
                if let envelope = try? Envelope(decoding: frame, options: options.wire) { host.sent.append(envelope) }
                work.append(.frame(from: host.id, to: peer, frame))
            case .write(let write):
                if host.holdsWrites {
                    host.held.append(write)
                } else {
                    work.append(.write(host.id, start: host.starts, write))
                }
            case .run(let task):
                work.append(.task(host.id, start: host.starts, task))
            case .reply(let id, let reply):
                XCTAssertTrue(host.open.contains(id), "\(id) was answered twice, or was never asked: \(reply)")
                host.open.removeAll { $0 == id }
                host.replies.append((id, reply))
            case .wake(let moment):
                host.wakeAt = moment
            case .undecodable(let error):
                host.undecodable.append(error)
            case .standing, .report, .failed:
                break
            }
        }
    }

    // MARK: Requests

    private func newRequest(_ id: MemberID) -> RequestID {
        lastRequest += 1
        host(id).open.append(RequestID(lastRequest))
        return RequestID(lastRequest)
    }

    /// Asks a member to write a register.
    @discardableResult
    func write(_ id: MemberID, _ key: Bytes, _ value: Bytes, within span: TimeSpan = .seconds(100)) -> RequestID {
        let request = newRequest(id)
        let command = RegisterCommand(operation: request.number, key: key, input: .write(value))
        step(id, .submit(request, command: command.encoded(), deadline: now + span))
        return request
    }

    /// Asks a member for the value of a register.
    @discardableResult
    func read(_ id: MemberID, _ key: Bytes, within span: TimeSpan = .seconds(100)) -> RequestID {
        let request = newRequest(id)
        step(id, .query(request, query: key, deadline: now + span))
        return request
    }

    /// Writes `count` registers of 64 bytes at a member, one after the other.
    func writeMany(_ id: MemberID, _ count: Int) {
        for number in 0..<count {
            write(id, Bytes("k\(number % 5)"), Bytes("\(number)-" + String(repeating: "x", count: 60)))
            settle()
        }
    }
}

extension Reply {
    /// What a caller is told of a write.
    static func written(_ index: LogIndex) -> Reply { .success([2], index: index) }

    /// What a caller is told of a read; nil where the register holds nothing.
    static func value(_ value: String?, _ index: LogIndex) -> Reply {
        .success(value.map { Bytes([1] + Array($0.utf8)) } ?? [0], index: index)
    }

    static func failed(
        _ outcome: RequestError.Outcome,
        _ reason: RequestError.Reason,
        leader: MemberID = 0
    ) -> Reply {
        .failure(RequestError(outcome, reason, leader: leader))
    }
}
