import BalsaPlatform
import BalsaRaft

/// The callers that wait for a command, from their request to its reply.
///
/// A command is either in the log of this member, which leads, and is known by its place; or it was passed on to the leader
/// and is known by its name, by which this member finds it again when it applies it. Every request that is accepted is
/// answered exactly once, whatever happens: applied, refused, superseded, overtaken, expired, closed or failed.
struct RequestTable {
    private struct Command {
        var id: RequestID
        var index: LogIndex
        var term: Term
        var deadline: Instant
        var byteCount: Int
    }

    private struct Forwarded {
        var id: RequestID
        var identity: CommandIdentity
        var deadline: Instant
        var byteCount: Int
    }

    /// What a request counts beside its bytes, so that empty ones are bounded as well.
    static let overheadBytes = 64

    /// Commands in the log, by index; of those with the same index, older terms first.
    private var commands: [Command] = []
    /// Commands that were passed on, by the number under which that was done.
    private var forwarded = LookupTable<UInt64, Forwarded>()
    private var numberByIdentity = LookupTable<CommandIdentity, UInt64>()
    /// The numbers of those, oldest first; some may be answered already.
    private var forwardOrder: [UInt64] = []
    private var lastNumber: UInt64

    /// An empty table.
    ///
    /// - Parameter origin: where the numbers begin under which commands are passed on: a random number of this life of the
    ///   replica, so that an answer to another life is none to this one.
    init(origin: UInt64) { lastNumber = origin >> 1 }

    /// The highest term of an entry that was applied: no command of an earlier one waits.
    private var passedTerm: Term = 0
    private(set) var waitingBytes = 0
    private(set) var nextExpiry = Instant.never

    /// Whether any command that was passed on waits.
    var hasForwarded: Bool { !forwarded.isEmpty }

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

    /// Notes a command that is passed on to the leader, and returns the number under which that is done; nil where a command
    /// of that name is waited for already.
    mutating func forward(_ id: RequestID, _ identity: CommandIdentity, deadline: Instant, byteCount: Int) -> UInt64? {
        guard !numberByIdentity.contains(identity) else { return nil }
        lastNumber += 1
        let bytes = byteCount + RequestTable.overheadBytes
        forwarded.insert(
            Forwarded(id: id, identity: identity, deadline: deadline, byteCount: bytes),
            for: lastNumber
        )
        numberByIdentity.insert(lastNumber, for: identity)
        // Those that are answered are taken out now and then, so that the list is in proportion to what waits.
        if forwardOrder.count > 2 * forwarded.count + 64 { forwardOrder.removeAll { !forwarded.contains($0) } }
        forwardOrder.append(lastNumber)
        waitingBytes += bytes
        nextExpiry = min(nextExpiry, deadline)
        return lastNumber
    }

    private mutating func removeForwarded(_ number: UInt64) -> RequestID? {
        guard let command = forwarded.remove(number) else { return nil }
        numberByIdentity.remove(command.identity)
        waitingBytes -= command.byteCount
        return command.id
    }

    /// Answers the one that waits for the command of a name, which was applied.
    mutating func applied(
        _ identity: CommandIdentity,
        at index: LogIndex,
        result: Bytes,
        _ effects: inout [ReplicaEffect]
    ) {
        guard let number = numberByIdentity[identity], let id = removeForwarded(number) else { return }
        effects.append(.reply(id, .success(result, index: index)))
    }

    /// Answers the one whose command was passed on under `number` and refused.
    mutating func refused(_ number: UInt64, _ error: RequestError, _ effects: inout [ReplicaEffect]) {
        guard let id = removeForwarded(number) else { return }
        effects.append(.reply(id, .failure(error)))
    }

    /// Answers those whose commands were passed on to somebody who does not lead any more, or cannot be reached. The callers
    /// send them again; a copy that was taken all the same does no harm.
    mutating func leaderChanged(to leader: MemberID, _ effects: inout [ReplicaEffect]) {
        let error = RequestError(.unknown, .notLeader, leader: leader)
        for number in forwardOrder {
            if let id = removeForwarded(number) { effects.append(.reply(id, .failure(error))) }
        }
        forwardOrder.removeAll(keepingCapacity: true)
    }

    /// Answers those that wait for the entry of `position`, which was applied: with `result`, or that another entry has
    /// taken the command's place.
    mutating func applied(_ position: LogPosition, result: Bytes, _ effects: inout [ReplicaEffect]) {
        resolve(through: position.index, &effects) { command in
            command.index == position.index && command.term == position.term
                ? .success(result, index: position.index)
                : .failure(RequestError(.notApplied, .superseded))
        }
    }

    /// Answers those that can never be applied, since the entry of `position` was, and none of those through it is
    /// theirs: those at or before its index, and those behind it of an earlier term. Terms do not fall along a log, so
    /// that what is committed behind `position` is of its term or a later one. Without the second kind, the commands of
    /// a leader that was deposed would wait until somebody writes something else.
    mutating func passed(_ position: LogPosition, _ effects: inout [ReplicaEffect]) {
        resolve(through: position.index, &effects) { _ in .failure(RequestError(.notApplied, .superseded)) }
        guard position.term > passedTerm else { return }
        passedTerm = position.term
        guard commands.contains(where: { $0.term < position.term }) else { return }
        for command in commands where command.term < position.term {
            waitingBytes -= command.byteCount
            effects.append(.reply(command.id, .failure(RequestError(.notApplied, .superseded))))
        }
        commands.removeAll { $0.term < position.term }
    }

    /// Answers those that wait for an entry that a checkpoint covers, and those whose command was passed on: it may be
    /// covered as well. What became of them is not known here.
    mutating func overtaken(through index: LogIndex, _ effects: inout [ReplicaEffect]) {
        let error = RequestError(.unknown, .overtakenByCheckpoint)
        resolve(through: index, &effects) { _ in .failure(error) }
        for number in forwardOrder {
            if let id = removeForwarded(number) { effects.append(.reply(id, .failure(error))) }
        }
        forwardOrder.removeAll()
    }

    private mutating func resolve(
        through index: LogIndex,
        _ effects: inout [ReplicaEffect],
        _ reply: (Command) -> Reply
    ) {
        guard let first = commands.first, first.index <= index else { return }
        let count = commands.firstIndex { $0.index > index } ?? commands.count
        for command in commands[..<count] {
            waitingBytes -= command.byteCount
            effects.append(.reply(command.id, reply(command)))
        }
        commands.removeFirst(count)
    }

    /// Answers those whose deadline has passed. Their commands may still be applied.
    mutating func expire(at now: Instant, granularity: TimeSpan, _ effects: inout [ReplicaEffect]) {
        guard now >= nextExpiry else { return }
        let error = RequestError(.unknown, .deadlineExceeded)
        var next = Instant.never
        for command in commands {
            if command.deadline <= now {
                waitingBytes -= command.byteCount
                effects.append(.reply(command.id, .failure(error)))
            } else {
                next = min(next, command.deadline)
            }
        }
        commands.removeAll { $0.deadline <= now }
        forwardOrder.removeAll { !forwarded.contains($0) }
        for number in forwardOrder {
            guard let deadline = forwarded[number]?.deadline else { continue }
            if deadline > now {
                next = min(next, deadline)
            } else if let id = removeForwarded(number) {
                effects.append(.reply(id, .failure(error)))
            }
        }
        // Not at every single deadline: a sweep looks at all that wait.
        nextExpiry = next == .never ? .never : max(next, now + granularity)
    }

    /// Answers all of them.
    mutating func failAll(_ reason: RequestError.Reason, _ effects: inout [ReplicaEffect]) {
        let error = RequestError(.unknown, reason)
        for command in commands { effects.append(.reply(command.id, .failure(error))) }
        for number in forwardOrder {
            if let id = removeForwarded(number) { effects.append(.reply(id, .failure(error))) }
        }
        let (number, term) = (lastNumber, passedTerm)
        self = RequestTable(origin: 0)
        (lastNumber, passedTerm) = (number, term)
    }
}
