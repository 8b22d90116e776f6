import BalsaPlatform
import BalsaRaft

/// The callers that wait, from their request to its reply.
///
/// Every request that is accepted is answered exactly once, whatever happens: applied, refused, superseded, overtaken,
/// expired, closed or failed. What waits is bounded in bytes.
struct RequestTable {
    private struct Command {
        var id: RequestID
        var index: LogIndex
        var term: Term
        var deadline: Instant
        var byteCount: Int
    }

    private struct Query {
        var id: RequestID
        var read: ReadID
        var query: Bytes
        var deadline: Instant
        /// The index that the state must have applied, once it is known.
        var index: LogIndex?
    }

    /// What a request counts beside its bytes, so that empty ones are bounded as well.
    static let overheadBytes = 64

    /// Commands in the log, by index; of those with the same index, older terms first.
    private var commands: [Command] = []
    private var queries: [Query] = []
    private(set) var waitingBytes = 0
    private(set) var nextExpiry = Instant.never

    /// Notes a command that is in the log.
    mutating func add(_ id: RequestID, at position: LogPosition, deadline: Instant, byteCount: Int) {
        // Nearly always the last; not so after a new leader has cut the log off and this member leads again.
        var place = commands.count
        while place > 0, commands[place - 1].index > position.index { place -= 1 }
        let command = Command(
            id: id,
            index: position.index,
            term: position.term,
            deadline: deadline,
            byteCount: byteCount + RequestTable.overheadBytes
        )
        commands.insert(command, at: place)
        waitingBytes += byteCount + RequestTable.overheadBytes
        nextExpiry = min(nextExpiry, deadline)
    }

    /// Notes a query that waits for its index.
    mutating func add(_ id: RequestID, query: Bytes, read: ReadID, deadline: Instant) {
        queries.append(Query(id: id, read: read, query: query, deadline: deadline))
        waitingBytes += query.count + RequestTable.overheadBytes
        nextExpiry = min(nextExpiry, deadline)
    }

    /// Answers those that wait for the entry of `position`, which was applied: with `result`, or that another entry has
    /// taken the command's place.
    mutating func applied(_ position: LogPosition, result: Bytes, _ effects: inout [ReplicaEffect]) {
        resolve(through: position.index) { command in
            command.index == position.index && command.term == position.term
                ? .success(result, index: position.index)
                : .failure(RequestError(.notApplied, .superseded))
        } tell: {
            effects.append(.reply($0, $1))
        }
    }

    /// Answers those that wait for an entry at or before `index`, all of which were applied and none of which is theirs.
    mutating func passed(_ index: LogIndex, _ effects: inout [ReplicaEffect]) {
        resolve(through: index) { _ in
            .failure(RequestError(.notApplied, .superseded))
        } tell: {
            effects.append(.reply($0, $1))
        }
    }

    /// Answers those that wait for an entry that a checkpoint covers. What became of it is not known here.
    mutating func overtaken(through index: LogIndex, _ effects: inout [ReplicaEffect]) {
        resolve(through: index) { _ in
            .failure(RequestError(.unknown, .overtakenByCheckpoint))
        } tell: {
            effects.append(.reply($0, $1))
        }
    }

    private mutating func resolve(
        through index: LogIndex,
        _ reply: (Command) -> Reply,
        tell: (RequestID, Reply) -> Void
    ) {
        guard let first = commands.first, first.index <= index else { return }
        let count = commands.firstIndex { $0.index > index } ?? commands.count
        for command in commands[..<count] {
            waitingBytes -= command.byteCount
            tell(command.id, reply(command))
        }
        commands.removeFirst(count)
    }

    /// Notes the index at which a query may be answered.
    mutating func ready(_ read: ReadID, index: LogIndex) {
        if let slot = queries.firstIndex(where: { $0.read == read }), queries[slot].index == nil {
            queries[slot].index = index
        }
    }

    /// Answers a query that was refused.
    mutating func refused(_ read: ReadID, _ error: RequestError, _ effects: inout [ReplicaEffect]) {
        guard let slot = queries.firstIndex(where: { $0.read == read }) else { return }
        let query = queries.remove(at: slot)
        waitingBytes -= query.query.count + RequestTable.overheadBytes
        effects.append(.reply(query.id, .failure(error)))
    }

    /// Removes and returns a query that a state which has applied `index` may answer.
    mutating func takeAnswerable(at index: LogIndex) -> (id: RequestID, query: Bytes)? {
        guard let slot = queries.firstIndex(where: { $0.index.map { $0 <= index } ?? false }) else { return nil }
        let query = queries.remove(at: slot)
        waitingBytes -= query.query.count + RequestTable.overheadBytes
        return (query.id, query.query)
    }

    /// Answers those whose deadline has passed. A command that is in the log may still be applied; a query has no effect.
    mutating func expire(at now: Instant, granularity: TimeSpan, _ effects: inout [ReplicaEffect]) {
        guard now >= nextExpiry else { return }
        var next = Instant.never
        for command in commands where command.deadline <= now {
            waitingBytes -= command.byteCount
            effects.append(.reply(command.id, .failure(RequestError(.unknown, .deadlineExceeded))))
        }
        commands.removeAll { $0.deadline <= now }
        for query in queries where query.deadline <= now {
            waitingBytes -= query.query.count + RequestTable.overheadBytes
            effects.append(.reply(query.id, .failure(RequestError(.notApplied, .deadlineExceeded))))
        }
        queries.removeAll { $0.deadline <= now }
        for command in commands { next = min(next, command.deadline) }
        for query in queries { next = min(next, query.deadline) }
        // Not at every single deadline: a sweep looks at all that wait.
        nextExpiry = next == .never ? .never : max(next, now + granularity)
    }

    /// Answers all of them.
    mutating func failAll(_ reason: RequestError.Reason, _ effects: inout [ReplicaEffect]) {
        for command in commands {
            effects.append(.reply(command.id, .failure(RequestError(.unknown, reason))))
        }
        for query in queries {
            effects.append(.reply(query.id, .failure(RequestError(.notApplied, reason))))
        }
        self = RequestTable()
    }
}
