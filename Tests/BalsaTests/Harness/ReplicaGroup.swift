import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// Replicas under a shell for tests: effects are carried out at once and in order, unless a test holds them back. Time
/// passes only when a test says so.
final class ReplicaGroup {
    /// What becomes of a frame.
    enum Fate {
        case arrives
        case isLost
        case arrivesTwice
        /// It waits until ``deliverHeld(_:)``.
        case isHeld
    }

    private enum Work {
        case frame(PeerFrame, Bytes)
        case write(MemberID, start: UInt64, ReplicaWrite)
        case task(MemberID, start: UInt64, LogTask)
        case state(MemberID, start: UInt64, StateWork)
    }

    let hosts: [ReplicaHost]
    var options = ReplicaOptions()
    /// Decides about every frame that nobody is cut off from.
    var fate: (PeerFrame) -> Fate = { _ in .arrives }
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private(set) var heldFrames: [(from: MemberID, to: MemberID, bytes: Bytes)] = []
    private var work: [Work] = []
    private var isolated: [MemberID] = []
    private var lastRequest: UInt64 = 0
    private var allowedIncidents: Set<Incident> = []
    /// Where the test made it.
    let file: StaticString
    let line: UInt

    /// Replicas on empty disks, none of them open.
    init(members: UInt64, file: StaticString = #filePath, line: UInt = #line) {
        self.file = file
        self.line = line
        hosts = (1...members).map(ReplicaHost.init)
        options.log.sectorBytes = 64
        options.log.smallestSegmentBytes = 1_024
        options.log.largestSegmentBytes = 2_048
        options.log.maxFrameBytes = 512
        ReplicaTestCase.add(self)
    }

    func host(_ id: MemberID) -> ReplicaHost { hosts[Int(id) - 1] }

    // MARK: Incidents

    /// Declares that the test makes these members report something of these kinds.
    func expect(_ incidents: Incident..., of ids: MemberID...) {
        for id in ids { host(id).expectedIncidents.formUnion(incidents) }
    }

    /// Declares that members may report something of these kinds: for tests whose seed decides.
    func allow(_ incidents: Incident...) { allowedIncidents.formUnion(incidents) }

    /// A sentence for each member that reported something that was not declared, or did not report what was.
    var unexpectedIncidents: [String] {
        hosts.filter { $0.incidents.subtracting(allowedIncidents) != $0.expectedIncidents }.map {
            "member \($0.id) reported \($0.incidents.sorted()), and not \($0.expectedIncidents.sorted())"
        }
    }

    /// Fails for each of ``unexpectedIncidents``.
    func checkIncidents() {
        for sentence in unexpectedIncidents { XCTFail(sentence, file: file, line: line) }
    }

    // MARK: Processes

    /// Starts a process of a member.
    func open(_ id: MemberID) throws {
        let host = host(id)
        let files = host.disk.mount(host.hook)
        var effects: [ReplicaEffect] = []
        host.starts += 1
        do {
            host.replica = try Replica.open(
                directory: "balsa",
                fileSystem: files,
                member: id,
                configuration: try Configuration(voters: hosts.map(\.id)),
                provider: host.provider,
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
        host.heldWork = []
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
        var wakes = 0
        settle()
        while let next = hosts.filter({ $0.replica != nil }).map(\.wakeAt).min(), next <= end {
            wakes = next <= now ? wakes + 1 : 0
            guard wakes < 100 else { return XCTFail("a replica asks to be woken at \(now) again and again") }
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
            case .frame(let frame, let bytes):
                deliver(frame, bytes)
            case .write(let id, let start, let write):
                if isRunning(id, start) { perform(write, id) }
            case .task(let id, let start, let task):
                if isRunning(id, start) { perform(task, id) }
            case .state(let id, let start, let step):
                if isRunning(id, start) { perform(step, id) }
            }
        }
    }

    private func isRunning(_ id: MemberID, _ start: UInt64) -> Bool {
        host(id).starts == start && host(id).replica != nil
    }

    private func deliver(_ frame: PeerFrame, _ bytes: Bytes) {
        let (from, to) = (frame.from, frame.to)
        guard !isolated.contains(from), !isolated.contains(to) else { return }
        switch fate(frame) {
        case .arrives: step(to, .received(bytes))
        case .isLost: break
        case .arrivesTwice:
            step(to, .received(bytes))
            step(to, .received(bytes))
        case .isHeld: heldFrames.append((from, to, bytes))
        }
    }

    /// Delivers the frames that are held, in the order that `order` gives them.
    func deliverHeld(_ order: ([Bytes]) -> [Bytes] = { $0 }) {
        let frames = heldFrames
        heldFrames = []
        for bytes in order(frames.map(\.bytes)) {
            if let frame = frames.first(where: { $0.bytes == bytes }) { step(frame.to, .received(bytes)) }
        }
        settle()
    }

    /// Gives a replica a frame that no other replica has sent.
    func receive(
        _ id: MemberID,
        from peer: MemberID,
        to addressee: MemberID? = nil,
        term: Term,
        _ content: PeerFrame.Content
    ) throws {
        let frame = PeerFrame(group: 1, from: peer, to: addressee ?? id, term: term, content: content)
        step(id, .received(Bytes(try frame.encoded(options: options.wire, version: 1).flatMap { [UInt8]($0) })))
    }

    // MARK: What is held

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

    /// Lets the background work go that is held, along with what follows.
    func releaseWork(_ id: MemberID) {
        host(id).holdsWork = false
        while !host(id).heldWork.isEmpty {
            work.append(.state(id, start: host(id).starts, host(id).heldWork.removeFirst()))
        }
        settle()
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

    private func perform(_ state: StateWork, _ id: MemberID) {
        do {
            try state.step()
            step(id, .worked(state))
        } catch {
            step(id, .workFailed(state, error))
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
            if let incident = Incident(effect) { host.incidents.insert(incident) }
            switch effect {
            case .send(let peer, let pieces, let path):
                send(Bytes(pieces.flatMap { [UInt8]($0) }), to: peer, path, host)
            case .write(let write):
                if host.holdsWrites {
                    host.held.append(write)
                } else {
                    work.append(.write(host.id, start: host.starts, write))
                }
            case .run(let task):
                work.append(.task(host.id, start: host.starts, task))
            case .work(let step):
                XCTAssertEqual(host.heldWork.count, 0, "never two steps of work at once")
                if host.holdsWork {
                    host.heldWork.append(step)
                } else {
                    work.append(.state(host.id, start: host.starts, step))
                }
            case .reply(let id, let reply):
                answer(id, reply, host)
            case .wake(let moment):
                host.wakeAt = moment
            case .undecodable(let error):
                host.undecodable.append(error)
            case .report(let anomaly):
                host.anomalies.append(anomaly)
            case .checkpointRefused(let peer, let sentence):
                host.refusedCheckpoints.append("member \(peer): \(sentence)")
            case .standing, .established, .firstBootWaits, .retrying, .damagedCopy, .failed, .optionsDiffer:
                break
            }
        }
    }

    private func send(_ bytes: Bytes, to peer: MemberID, _ path: SendPath, _ host: ReplicaHost) {
        let frame: PeerFrame
        do { frame = try PeerFrame(decoding: bytes, options: options.wire) } catch {
            return XCTFail("member \(host.id) sends what cannot be decoded: \(error)")
        }
        XCTAssertEqual(path, frame.isBulk ? .bulk : .control)
        XCTAssertTrue(frame.from == host.id && frame.to == peer, "a frame says from whom it is and to whom")
        host.sent.append(frame)
        work.append(.frame(frame, bytes))
    }

    private func answer(_ id: RequestID, _ reply: Reply, _ host: ReplicaHost) {
        XCTAssertTrue(host.open.contains(id), "\(id) was answered twice, or was never asked: \(reply)")
        host.open.removeAll { $0 == id }
        host.replies.append((id, reply))
        if case .readable(let index) = reply, let key = host.readKeys[id] {
            XCTAssertEqual(index, host.replica?.appliedIndex, "what may be read is what is applied")
            host.values[id] = host.machine?.value(of: key).map { String($0) }
        }
    }

    // MARK: Requests

    private func newRequest(_ id: MemberID) -> RequestID {
        lastRequest += 1
        host(id).open.append(RequestID(lastRequest))
        return RequestID(lastRequest)
    }

    /// Asks a member to write a register, under a name or without one.
    @discardableResult
    func write(
        _ id: MemberID,
        _ key: Bytes,
        _ value: Bytes,
        as identity: CommandIdentity? = nil,
        within span: TimeSpan = .seconds(100)
    ) -> RequestID {
        submit(id, [(key, value, identity)], within: span)[0]
    }

    /// Asks a member to write several registers at once.
    @discardableResult
    func submit(
        _ id: MemberID,
        _ writes: [(key: Bytes, value: Bytes, identity: CommandIdentity?)],
        within span: TimeSpan = .seconds(100)
    ) -> [RequestID] {
        var submissions: [Submission] = []
        for write in writes {
            let command = RegisterCommand(identity: write.identity, key: write.key, value: write.value)
            do {
                submissions.append(Submission(newRequest(id), try command.encoded(), deadline: now + span))
            } catch {
                XCTFail("a command cannot be encoded: \(error)")
            }
        }
        step(id, .submit(submissions))
        return submissions.map(\.id)
    }

    /// Asks a member for the value of a register.
    @discardableResult
    func read(
        _ id: MemberID,
        _ key: Bytes,
        _ consistency: ReadConsistency = .linearizable,
        within span: TimeSpan = .seconds(100)
    ) -> RequestID {
        let request = newRequest(id)
        host(id).readKeys[request] = key
        step(id, .read(request, consistency, deadline: now + span))
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
    static func written(_ index: LogIndex) -> Reply { .success(RegisterMachine.reply(at: index), index: index) }

    static func failed(
        _ outcome: RequestError.Outcome,
        _ reason: RequestError.Reason,
        leader: MemberID = 0
    ) -> Reply {
        .failure(RequestError(outcome, reason, leader: leader))
    }

    var isSuccess: Bool { if case .success = self { true } else { false } }

    var isReadable: Bool { if case .readable = self { true } else { false } }
}
