import Balsa
import BalsaPlatform
import BalsaRaft

extension World {
    private static let longestTrip: UInt64 = 300_000

    private func trip(_ client: Int) -> TimeSpan {
        TimeSpan(nanoseconds: 20_000 + clients[client].random.below(World.longestTrip))
    }

    /// A client begins an operation, or tries the one that it has at another member.
    func act(_ client: Int) {
        if clients[client].pending == nil {
            if isCalm, clients[client].hasSettled { return }
            call(client)
        }
        guard let pending = clients[client].pending else { return }
        guard now < pending.deadline else {
            clients[client].leader = 0
            finish(client, .failed)
            return
        }
        clients[client].attempt += 1
        let target = target(for: client)
        let event = WorldEvent.request(client: client, attempt: clients[client].attempt, target)
        queue.schedule(event, at: now + trip(client))
    }

    /// Any member that can be asked; the one that is thought to lead, mostly.
    private func target(for client: Int) -> MemberID {
        let known = clients[client].leader
        if known != 0, clients[client].random.chance(9, in: 10) { return known }
        let candidates = isCalm ? scenario.memberIDs.filter(isInCore) : scenario.memberIDs
        return clients[client].random.pick(candidates)
    }

    private func call(_ client: Int) {
        let key = Bytes("k\(clients[client].random.below(scenario.keys))")
        let input = drawInput(client, key)
        let operation = history.call(input, key: key, client: UInt64(client), at: now.nanoseconds)
        clients[client].isCallSinceCalm = isCalm
        clients[client].pending = SimulatedClient.Pending(
            operation: operation,
            key: key,
            input: input,
            deadline: now + scenario.patience
        )
        trace.record("call", member: 0, at: now, "client \(client) operation \(operation): \(input) of \(key)")
        trace.add(operation)
    }

    private func drawInput(_ client: Int, _ key: Bytes) -> RegisterModel.Input {
        let choice = clients[client].random.below(100)
        if choice < 40 { return .read }
        if choice < 45 { return .delete }
        clients[client].writes += 1
        let padding = clients[client].random.below(scenario.valueBytes)
        let value = Bytes("c\(client)-\(clients[client].writes)-" + String(repeating: "x", count: Int(padding)))
        guard choice < 65 else { return .write(value) }
        let expected = clients[client].lastRead.flatMap { $0.key == key ? $0.value : nil }
        return .compareAndSet(expected: expected, new: value)
    }

    /// A request reaches a member.
    func request(_ client: Int, _ attempt: UInt64, _ id: MemberID, _ event: WorldEvent) {
        guard clients[client].attempt == attempt, let pending = clients[client].pending else { return }
        let member = member(id)
        guard let process = member.process, let replica = process.replica else {
            // Nobody listens: that much is certain.
            let refusal = Reply.failure(RequestError(.notApplied, .notLeader))
            queue.schedule(.answer(client: client, attempt: attempt, refusal), at: now + trip(client))
            return
        }
        guard member.pausedUntil <= now else {
            member.held.append(event)
            if clients[client].pending?.acceptedBy == nil { startPatience(client, attempt) }
            clients[client].pending?.acceptedBy = id
            return
        }
        if clients[client].pending?.acceptedBy == nil { startPatience(client, attempt) }
        clients[client].pending?.acceptedBy = id
        trace.record("request", member: id, at: now, "client \(client) operation \(pending.operation)")
        trace.add(pending.operation)
        let name = RequestID(UInt64(client) << 48 | attempt)
        let left = TimeSpan(
            nanoseconds: pending.deadline.nanoseconds - min(pending.deadline.nanoseconds, now.nanoseconds)
        )
        let deadline = process.clock(at: now) + left
        if pending.input == .read {
            step(.query(name, query: pending.key, deadline: deadline), member, process, replica)
        } else {
            let command = RegisterCommand(operation: pending.operation, key: pending.key, input: pending.input)
            step(.submit(name, command: command.encoded(), deadline: deadline), member, process, replica)
        }
    }

    private func startPatience(_ client: Int, _ attempt: UInt64) {
        guard let deadline = clients[client].pending?.deadline else { return }
        queue.schedule(.giveUp(client: client, attempt: attempt), at: max(deadline + .milliseconds(50), now))
    }

    /// A replica has answered.
    func replied(_ request: RequestID, _ reply: Reply) {
        let client = Int(request.number >> 48)
        let attempt = request.number & (1 << 48 - 1)
        if clients[client].repliedAttempt == attempt {
            judge {
                throw Violation(.memberState, "request \(attempt) of client \(client) was answered twice", at: now)
            }
        }
        clients[client].repliedAttempt = attempt
        queue.schedule(.answer(client: client, attempt: attempt, reply), at: now + trip(client))
    }

    /// A client is told.
    func answer(_ client: Int, _ attempt: UInt64, _ reply: Reply) {
        guard clients[client].attempt == attempt, let pending = clients[client].pending else { return }
        switch reply {
        case .success(let bytes, let index):
            guard let output = try? RegisterAnswer.decode(bytes) else {
                judge { throw Violation(.certificate, "an answer cannot be decoded", at: now) }
                return
            }
            clients[client].leader = pending.acceptedBy ?? 0
            if case .value(let value) = output { clients[client].lastRead = (pending.key, value) }
            judges.acknowledged(index)
            finish(client, .answered(output, index: index))
        case .failure(let error) where error.outcome == .notApplied:
            clients[client].leader = error.leader
            clients[client].pending?.acceptedBy = nil
            let pause = TimeSpan(nanoseconds: 1_000_000 + clients[client].random.below(40_000_000))
            queue.schedule(.act(client: client, attempt: attempt), at: now + pause)
        case .failure:
            clients[client].leader = 0
            finish(client, pending.input == .read ? .failed : .unknown)
        }
    }

    /// The processes of a member have ended, and with them its answers.
    func loseClients(of id: MemberID) {
        for client in clients.indices where clients[client].pending?.acceptedBy == id {
            let lost = Reply.failure(RequestError(.unknown, .failed))
            queue.schedule(
                .answer(client: client, attempt: clients[client].attempt, lost),
                at: now + trip(client)
            )
        }
    }

    /// A client has waited long enough for a member that has its request.
    func giveUp(_ client: Int, _ attempt: UInt64) {
        guard clients[client].attempt == attempt, let pending = clients[client].pending, pending.acceptedBy != nil
        else {
            return
        }
        // Whoever it asked keeps silent; the next one may not.
        clients[client].leader = 0
        finish(client, pending.input == .read ? .failed : .unknown)
    }

    private func finish(_ client: Int, _ outcome: RecordedHistory.Outcome) {
        guard let pending = clients[client].pending else { return }
        trace.record("return", member: 0, at: now, "client \(client) operation \(pending.operation): \(outcome)")
        trace.add(pending.operation)
        history.return(pending.operation, outcome, at: now.nanoseconds)
        clients[client].pending = nil
        clients[client].attempt += 1
        switch outcome {
        case .answered:
            counters.acknowledged += 1
            if clients[client].isCallSinceCalm { clients[client].answersSinceCalm += 1 }
        case .failed:
            counters.refused += 1
        case .unknown:
            counters.unknown += 1
        }
        let pause = clients[client].random.below(scenario.thinking.nanoseconds)
        let next = WorldEvent.act(client: client, attempt: clients[client].attempt)
        queue.schedule(next, at: now + TimeSpan(nanoseconds: 1_000 + pause))
    }
}
