import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

extension Replica {
    /// Takes a command from a caller.
    func submit(_ id: RequestID, _ command: Bytes, deadline: Instant, _ effects: inout [ReplicaEffect]) {
        guard command.count <= options.maxCommandBytes else {
            effects.append(.reply(id, .failure(RequestError(.notApplied, .tooLarge))))
            return
        }
        guard hasRoom(for: command.count, id, &effects) else { return }
        proposed = [command]
        submitted = Submission(id: id, deadline: deadline, byteCount: command.count)
        let byteCount = UInt32(EntryHeader.encodedByteCount + command.count)
        tell(.propose(Proposal(id: id.number, byteCounts: [byteCount])))
    }

    /// Takes a query from a caller.
    func ask(_ id: RequestID, _ query: Bytes, deadline: Instant, _ effects: inout [ReplicaEffect]) {
        guard hasRoom(for: query.count, id, &effects) else { return }
        lastRead.number += 1
        requests.add(id, query: query, read: lastRead, deadline: deadline)
        tell(.read(lastRead))
    }

    private func hasRoom(for byteCount: Int, _ id: RequestID, _ effects: inout [ReplicaEffect]) -> Bool {
        guard requests.waitingBytes + byteCount <= options.maxWaitingBytes else {
            effects.append(.reply(id, .failure(RequestError(.notApplied, .busy))))
            return false
        }
        return true
    }

    /// Tells a caller what the core says.
    func respond(_ response: Response, _ effects: inout [ReplicaEffect]) {
        switch response {
        case .proposed(_, let first, let term):
            guard let submission = submitted else { preconditionFailure("the core answers what it is asked") }
            requests.add(
                submission.id,
                at: LogPosition(term: term, index: first),
                deadline: submission.deadline,
                byteCount: submission.byteCount
            )
            submitted = nil
        case .proposalRefused(let id, let refusal):
            submitted = nil
            effects.append(.reply(RequestID(id), .failure(error(for: refusal))))
        case .readReady(let read, let index):
            requests.ready(read, index: index)
        case .readRefused(let read, let refusal):
            requests.refused(read, error(for: refusal), &effects)
        case .refused:
            // No operator's request is made yet.
            break
        }
    }

    private func error(for refusal: Refusal) -> RequestError {
        switch refusal {
        case .notLeader(let leader): RequestError(.notApplied, .notLeader, leader: leader)
        case .overloaded: RequestError(.notApplied, .busy)
        case .closed: RequestError(.notApplied, .closed)
        case .failed, .notSupported: RequestError(.notApplied, .failed)
        }
    }

    /// Applies the entries behind those that are applied, through `position`, and answers their callers.
    func apply(through position: LogPosition, _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        var next = raft.appliedIndex + 1
        while next <= position.index {
            let batch = try page(from: next, through: position.index)
            var replies = effects
            effects.removeAll()
            do {
                try machine.apply(batch) { index, result in
                    let header = batch.header(at: index)
                    requests.applied(header.position, result: result, &replies)
                    metrics.commandsApplied += 1
                }
            } catch {
                effects = replies
                throw ReplicaError(.stateMachine, error.description)
            }
            requests.passed(batch.lastIndex, &replies)
            effects = replies
            appliedStamp = batch.header(at: batch.lastIndex).stamp
            onApply?(batch)
            next = batch.lastIndex + 1
        }
        tell(.applied(through: position.index))
    }

    /// The entries from `first` on, a page of them: after a restart all of the log may be waiting.
    private func page(from first: LogIndex, through last: LogIndex) throws(ReplicaError) -> EntryBatch {
        do throws(LogError) {
            return try log.entries(Replica.group, from: first, through: last, maxBytes: 1 << 20)
        } catch {
            throw ReplicaError(error)
        }
    }

    /// Answers the queries whose index is applied.
    func answerReads(_ effects: inout [ReplicaEffect]) {
        while let (id, query) = requests.takeAnswerable(at: raft.appliedIndex) {
            do {
                effects.append(.reply(id, .success(try machine.answer(query), index: raft.appliedIndex)))
            } catch {
                effects.append(.reply(id, .failure(RequestError(.notApplied, .invalidQuery))))
            }
        }
    }
}

/// A command between its caller and the core's answer.
struct Submission {
    var id: RequestID
    var deadline: Instant
    var byteCount: Int
}
