import Balsa
import BalsaKeyValue
import BalsaLSM
import BalsaPlatform
import BalsaRaft

/// What a replica has answered, as the caller's own code makes an answer of it: a read is done where the replica is, at the
/// moment that it allows.
enum ClientAnswer {
    case replied(CommandReply)
    case value(KeyValueEntry?, index: LogIndex)
    case page(ScanPage, index: LogIndex, asked: UInt64)
    case failure(RequestError)
}

extension World {
    private static let longestTrip: UInt64 = 300_000

    func trip(_ client: Int) -> TimeSpan {
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
            finish(client, pending.mayHaveHappened ? .unknown : .failed)
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
        if known != 0, clients[client].random.chance(7, in: 10) { return known }
        let candidates = isCalm ? scenario.memberIDs.filter(isInCore) : scenario.memberIDs
        return clients[client].random.pick(candidates)
    }

    private func call(_ client: Int) {
        let question = nextQuestion(client)
        clients[client].isCallSinceCalm = isCalm
        var pending = SimulatedClient.Pending(
            call: calls.call(question, client: client, at: now),
            question: question,
            deadline: now + scenario.patience
        )
        for (key, input) in registerOperations(of: question) {
            pending.operations.append(history.call(input, key: key, client: UInt64(client), at: now.nanoseconds))
        }
        clients[client].pending = pending
        trace.record("call", member: 0, at: now, "client \(client) call \(pending.call + 1): \(question)")
        trace.add(UInt64(pending.call))
    }

    /// What a client asks next: to open a session, if it has none.
    private func nextQuestion(_ client: Int) -> CallLog.Question {
        guard let session = clients[client].session else {
            let nonce = clients[client].random.next()
            return .command(Command(identity: RequestIdentity(session: .none, number: nonce), operation: .openSession))
        }
        switch workload.draw(&clients[client], judges.requests.options.options) {
        case .question(let question):
            return question
        case .operation(let operation, let inSession):
            guard inSession else {
                let nonce = clients[client].random.next()
                return .command(Command(identity: RequestIdentity(session: .none, number: nonce), operation: operation))
            }
            return .command(nextCommand(client, session, operation))
        }
    }

    /// The next command of a session. Like a caller with several requests under way it claims to wait for earlier replies as
    /// well; rarely for one that is as far below its number as the window allows, or one further.
    private func nextCommand(_ client: Int, _ session: SessionID, _ operation: Command.Operation) -> Command {
        let lowest: UInt64
        let number: UInt64
        let next = clients[client].lastNumber + 1
        if operation != .closeSession, clients[client].random.chance(1, in: 50) {
            lowest = next
            number = next + clients[client].window - clients[client].random.below(2)
        } else {
            lowest = next - min(next - 1, clients[client].random.below(4))
            number = next
        }
        clients[client].lastNumber = number
        let identity = RequestIdentity(session: session, number: number)
        return Command(identity: identity, lowestOutstanding: lowest, operation: operation)
    }

    /// What a question is to the registers: for each that it is about, an operation.
    private func registerOperations(of question: CallLog.Question) -> [(Bytes, RegisterModel.Input)] {
        switch question {
        case .get(let key, .linearizable):
            return isRegister(key) ? [(key, .read)] : []
        case .scan(let scan, .linearizable) where scan.back == 0:
            return registers(from: scan.from, to: scan.to).map { ($0, .read) }
        case .command(let command):
            switch command.operation {
            case .put(let key, let value): return isRegister(key) ? [(key, .write(value))] : []
            case .delete(let key): return isRegister(key) ? [(key, .delete)] : []
            case .deleteRange(let from, let to): return registers(from: from, to: to).map { ($0, .delete) }
            case .compareAndSet(let key, .absent, let change):
                return isRegister(key) ? [(key, .compareAndSet(expected: nil, new: value(after: change)))] : []
            case .compareAndSet(let key, .value(let expected), let change):
                return isRegister(key) ? [(key, .compareAndSet(expected: expected, new: value(after: change)))] : []
            default: return []
            }
        default:
            return []
        }
    }

    private func value(after change: Command.Change) -> Bytes? {
        switch change {
        case .put(let value): value
        case .delete: nil
        }
    }

    private func isRegister(_ key: Bytes) -> Bool { key >= "k" && key < "l" }

    private func registers(from: Bytes, to: Bytes?) -> [Bytes] {
        (0..<scenario.keys).map(Workload.register).filter { key in
            // An empty bound is none.
            key >= from && (to.map { $0.isEmpty || key < $0 } ?? true)
        }
    }

    /// A request reaches a member.
    func request(_ client: Int, _ attempt: UInt64, _ id: MemberID, _ event: WorldEvent) {
        guard clients[client].attempt == attempt, let pending = clients[client].pending else { return }
        let member = member(id)
        guard member.process?.instance != nil else {
            // Nobody listens: that much is certain.
            let refusal = ClientAnswer.failure(RequestError(.notApplied, .notLeader))
            queue.schedule(.answer(client: client, attempt: attempt, refusal), at: now + trip(client))
            return
        }
        if clients[client].pending?.acceptedBy == nil { startPatience(client, attempt) }
        clients[client].pending?.acceptedBy = id
        guard member.pausedUntil <= now else {
            member.held.append(event)
            return
        }
        trace.record("request", member: id, at: now, "client \(client) call \(pending.call + 1)")
        trace.add(UInt64(pending.call))
        let name = RequestID(UInt64(client) << 48 | attempt)
        let left = TimeSpan(
            nanoseconds: pending.deadline.nanoseconds - min(pending.deadline.nanoseconds, now.nanoseconds)
        )
        let store = StoreID(id)
        let deadline = now(of: store) + left
        if let process = member.process, let due = process.worldTime(of: deadline) {
            judges.processes.asked(name.number, of: id, start: process.number, deadline: due)
        }
        switch pending.question {
        case .command(let command):
            submit([Submission(name, command.encoded(), deadline: deadline)], to: store)
        case .get(_, let consistency), .scan(_, let consistency):
            read(name, consistency, deadline: deadline, of: store)
        }
    }

    private func startPatience(_ client: Int, _ attempt: UInt64) {
        guard let deadline = clients[client].pending?.deadline else { return }
        // A part of the whole: whoever keeps silent is not the only one that can be asked.
        let left = deadline.nanoseconds - min(deadline.nanoseconds, now.nanoseconds)
        let wait = TimeSpan(nanoseconds: left / 2 + 50_000_000)
        queue.schedule(.giveUp(client: client, attempt: attempt), at: now + wait)
    }

    /// What a replica's reply is to the client: for a read, what it finds there.
    func answer(_ reply: Reply, to client: Int, _ attempt: UInt64, by id: MemberID) -> ClientAnswer {
        switch reply {
        case .failure(let error):
            return .failure(error)
        case .success(let bytes, _):
            var answer = ClientAnswer.failure(RequestError(.unknown, .failed))
            judge { answer = .replied(try Certificate.decode(bytes, at: now)) }
            return answer
        case .readable(let index):
            // Whoever asked may have stopped waiting.
            guard clients[client].attempt == attempt, let pending = clients[client].pending,
                let machine = (member(id).process?.replica?.machine as? KeyValueStateMachine)?.machine
            else { return .failure(RequestError(.notApplied, .failed)) }
            return read(pending.question, machine, index, of: id)
        }
    }

    private func read(
        _ question: CallLog.Question,
        _ machine: KeyValueMachine,
        _ index: LogIndex,
        of id: MemberID
    ) -> ClientAnswer {
        let applied = machine.applied.index
        judge { try Certificate.checkReadable(index, applied: applied, at: now) }
        judge { try StateCheck(ledger: judges.requests).checkRetentionMark(id, machine, at: now) }
        do throws(KeyValueError) {
            switch question {
            case .get(let key, _):
                return .value(try machine.get(key), index: applied)
            case .scan(let scan, _):
                let revision = scan.back > 0 ? max(machine.retentionMark, applied - min(applied, scan.back)) : applied
                let page = try scanOn(machine, scan, at: revision)
                let isDiskSound = counters[.failedRead] == 0 && damagedTables(of: id).isEmpty
                judge { try Certificate.checkCutShort(page, isDiskSound: isDiskSound, at: now) }
                return .page(page, index: applied, asked: revision)
            case .command:
                preconditionFailure("a command is replied to")
            }
        } catch {
            // The disk failed under it; a read has no effect.
            judge { try Certificate.checkReadFailure(error, damaged: damagedTables(of: id), at: now) }
            return .failure(RequestError(.notApplied, error.cause?.quarantine == nil ? .failed : .damaged))
        }
    }

    /// The first page that has a pair, or the last one, as the public call finds it: a page may end early for its work.
    /// One that gets no further is given as it is, for the checker.
    private func scanOn(
        _ machine: KeyValueMachine,
        _ scan: CallLog.Scan,
        at revision: UInt64
    ) throws(KeyValueError) -> ScanPage {
        var (from, to) = (scan.from, scan.to)
        while true {
            let page = try machine.scan(from: from, to: to, limit: scan.limit, order: scan.order, at: revision)
            guard page.pairs.isEmpty, let next = page.continuation else { return page }
            switch scan.order {
            case .ascending:
                guard next > from else { return page }
                from = next
            case .descending:
                guard to.map({ next < $0 }) ?? true else { return page }
                to = next
            }
        }
    }

    /// A client is told.
    func answer(_ client: Int, _ attempt: UInt64, _ answer: ClientAnswer) {
        guard clients[client].attempt == attempt, let pending = clients[client].pending else { return }
        switch answer {
        case .replied(let reply):
            clients[client].leader = pending.acceptedBy ?? 0
            replied(client, pending, reply)
        case .value(let entry, let index):
            if case .get(let key, .linearizable) = pending.question {
                clients[client].leader = pending.acceptedBy ?? 0
                clients[client].lastRead = (key, entry)
                judges.acknowledged(index)
            }
            finish(client, .value(entry, index: index))
        case .page(let page, let index, let asked):
            finish(client, .page(page, index: index, asked: asked))
        case .failure(let error):
            clients[client].leader = error.leader
            if error.outcome == .unknown { clients[client].pending?.mayHaveHappened = true }
            if error.reason == .tooLarge || error.reason == .invalid {
                refused(client, pending, error)
                return
            }
            guard error.outcome == .notApplied || mayRepeat(pending.question) else {
                finish(client, .unknown)
                return
            }
            if error.outcome == .unknown { counters.retries += 1 }
            clients[client].pending?.acceptedBy = nil
            let pause = TimeSpan(nanoseconds: 1_000_000 + clients[client].random.below(40_000_000))
            queue.schedule(.act(client: client, attempt: attempt), at: now + pause)
        }
    }

    /// A member says that a command can never be executed.
    private func refused(_ client: Int, _ pending: SimulatedClient.Pending, _ error: RequestError) {
        judge {
            let reason = error.reason.description
            try Certificate.checkRefusal(
                of: pending.question,
                pending.call,
                reason,
                judges.requests,
                calledAt: TimeSpan(nanoseconds: calls.calls[pending.call].called),
                at: now
            )
        }
        // This attempt did nothing. The options may have changed since an earlier one, which may be in the log.
        finish(client, clients[client].pending?.mayHaveHappened == true ? .unknown : .failed)
    }

    /// Whether a question may be asked again although the first attempt may have had an effect.
    private func mayRepeat(_ question: CallLog.Question) -> Bool {
        guard case .command(let command) = question else { return true }
        return command.identity.session != .none
    }

    private func replied(_ client: Int, _ pending: SimulatedClient.Pending, _ reply: CommandReply) {
        switch reply.outcome {
        case .windowExceeded:
            // Every copy is refused alike.
            calls.refuse(pending.call, reply)
            finish(client, .failed)
        case .sessionExpired, .requestTooOld:
            // This copy was not executed. Whether an earlier one was, nobody knows any more.
            calls.refuse(pending.call, reply)
            clients[client].session = nil
            finish(client, pending.mayHaveHappened ? .unknown : .failed)
        default:
            if case .command(let command) = pending.question {
                if command.operation == .openSession {
                    clients[client].session = SessionID(rawValue: reply.revision)
                    clients[client].window = UInt64(reply.number ?? 1)
                    clients[client].lastNumber = 0
                } else if command.operation == .closeSession {
                    clients[client].session = nil
                } else if case .changeOptions = command.operation, reply.outcome != .invalidOptions {
                    clients[client].optionsRevision = reply.number.map { UInt64($0) } ?? reply.revision
                }
            }
            judges.acknowledged(reply.revision)
            finish(client, .replied(reply))
        }
    }

    /// The processes of a member have ended, and with them its answers.
    func loseClients(of id: MemberID) {
        for client in clients.indices where clients[client].pending?.acceptedBy == id {
            let lost = ClientAnswer.failure(RequestError(.unknown, .failed))
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
        answer(client, attempt, .failure(RequestError(.unknown, .deadlineExceeded)))
    }

    private func finish(_ client: Int, _ outcome: CallLog.Outcome) {
        guard let pending = clients[client].pending else { return }
        trace.record("return", member: 0, at: now, "client \(client) call \(pending.call + 1): \(outcome)")
        trace.add(UInt64(pending.call))
        calls.end(pending.call, outcome, at: now)
        clients[client].highestIndex = max(clients[client].highestIndex, outcome.index ?? 0)
        for operation in pending.operations {
            let input = history.operations[Int(operation) - 1]
            history.return(operation, registerOutcome(outcome, of: input, pending.question), at: now.nanoseconds)
        }
        clients[client].pending = nil
        clients[client].attempt += 1
        switch outcome {
        case .replied, .value, .page:
            counters.acknowledged += 1
            if UInt64(counters.acknowledged) == scenario.operations { queue.schedule(.stormEnds, at: now) }
            if clients[client].isCallSinceCalm { clients[client].answersSinceCalm += 1 }
        case .failed:
            counters.refused += 1
        case .unknown:
            counters.unknown += 1
            judge { try LivenessCheck.checkUnknown(pending.call, hasFaults: !scenario.faults.isEmpty, at: now) }
        }
        let pause = clients[client].random.below(scenario.thinking.nanoseconds)
        let next = WorldEvent.act(client: client, attempt: clients[client].attempt)
        queue.schedule(next, at: now + TimeSpan(nanoseconds: 1_000 + pause))
    }

    /// What an outcome means for one of the registers that the question was about.
    private func registerOutcome(
        _ outcome: CallLog.Outcome,
        of operation: RecordedHistory.Operation,
        _ question: CallLog.Question
    ) -> RecordedHistory.Outcome {
        switch outcome {
        case .replied(let reply):
            let isComparison = if case .compareAndSet = operation.input { true } else { false }
            switch reply.outcome {
            case .applied:
                return .answered(isComparison ? .compared(true) : .done, index: reply.revision)
            case .conditionFailed where isComparison:
                return .answered(.compared(false), index: reply.revision)
            default:
                // It was refused for what it says, and has changed nothing.
                return .failed
            }
        case .value(let entry, let index):
            return .answered(.value(entry?.value), index: index)
        case .page(let page, let index, _):
            guard case .scan(let scan, _) = question, isCovered(operation.key, by: page, scan) else { return .failed }
            return .answered(.value(page.pairs.first { $0.key == operation.key }?.value), index: index)
        case .failed:
            return .failed
        case .unknown:
            return operation.input == .read ? .failed : .unknown
        }
    }

    /// Whether a page tells of a key: not of one behind its end.
    private func isCovered(_ key: Bytes, by page: ScanPage, _ scan: CallLog.Scan) -> Bool {
        guard page.continuation != nil || page.pairs.count >= scan.limit, let last = page.pairs.last else {
            return page.continuation == nil
        }
        return scan.order == .ascending ? key <= last.key : key >= last.key
    }
}
