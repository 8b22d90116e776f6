import BalsaPlatform
import BalsaRaft

/// The callers that wait for a state that they may read.
///
/// A linearizable read needs an index from the leader. Callers share the question for it: whoever comes while as many
/// questions are on their way as may be, waits for the next one, which all of those waiting share. A question whose answer
/// does not come is asked again under another name, so that a lost message costs time and not the read.
struct ReadTable {
    private struct Read {
        var id: RequestID
        var deadline: Instant
        /// The index that must be applied, once it is known.
        var index: LogIndex = 0
    }

    private struct Round {
        var read: ReadID
        var reads: [Read]
        var askAgainAt: Instant
    }

    /// Those that wait for a question to be asked.
    private var unasked: [Read] = []
    /// The questions that are on their way.
    private var rounds: [Round] = []
    /// Those that wait for their index to be applied, by index.
    private var indexed: [Read] = []

    private(set) var nextExpiry = Instant.never

    /// How many wait.
    var count: Int { unasked.count + indexed.count + rounds.reduce(0) { $0 + $1.reads.count } }

    /// Notes a linearizable read.
    mutating func add(_ id: RequestID, deadline: Instant) {
        unasked.append(Read(id: id, deadline: deadline))
        nextExpiry = min(nextExpiry, deadline)
    }

    /// Notes a read of a state that has applied `index`.
    mutating func add(_ id: RequestID, atLeast index: LogIndex, deadline: Instant) {
        insert(Read(id: id, deadline: deadline, index: index))
        nextExpiry = min(nextExpiry, deadline)
    }

    private mutating func insert(_ read: Read) {
        var place = indexed.count
        while place > 0, indexed[place - 1].index > read.index { place -= 1 }
        indexed.insert(read, at: place)
    }

    /// Whether a question should be asked: somebody waits for one, and not too many are on their way.
    func shouldAsk(limit: Int) -> Bool { !unasked.isEmpty && rounds.count < limit }

    /// Notes that the question `read` is asked for all who wait for one.
    mutating func ask(_ read: ReadID, askAgainAt: Instant) {
        rounds.append(Round(read: read, reads: unasked, askAgainAt: askAgainAt))
        unasked = []
        nextExpiry = min(nextExpiry, askAgainAt)
    }

    /// Notes the answer to a question.
    mutating func ready(_ read: ReadID, index: LogIndex) {
        guard let slot = rounds.firstIndex(where: { $0.read == read }) else { return }
        for var waiting in rounds.remove(at: slot).reads {
            waiting.index = index
            insert(waiting)
        }
    }

    /// Answers those whose question was refused.
    mutating func refused(_ read: ReadID, _ error: RequestError, _ effects: inout [ReplicaEffect]) {
        guard let slot = rounds.firstIndex(where: { $0.read == read }) else { return }
        for waiting in rounds.remove(at: slot).reads { effects.append(.reply(waiting.id, .failure(error))) }
    }

    /// Answers those whose index is applied.
    mutating func applied(_ index: LogIndex, _ effects: inout [ReplicaEffect]) {
        guard let first = indexed.first, first.index <= index else { return }
        let count = indexed.firstIndex { $0.index > index } ?? indexed.count
        for read in indexed[..<count] { effects.append(.reply(read.id, .readable(index))) }
        indexed.removeFirst(count)
    }

    /// Answers those whose deadline has passed, and takes questions without an answer for lost.
    mutating func expire(at now: Instant, granularity: TimeSpan, _ effects: inout [ReplicaEffect]) {
        guard now >= nextExpiry else { return }
        for slot in rounds.indices.reversed() where rounds[slot].askAgainAt <= now {
            unasked = rounds.remove(at: slot).reads + unasked
        }
        expire(&unasked, at: now, &effects)
        expire(&indexed, at: now, &effects)
        for slot in rounds.indices { expire(&rounds[slot].reads, at: now, &effects) }
        var next = Instant.never
        for read in unasked { next = min(next, read.deadline) }
        for read in indexed { next = min(next, read.deadline) }
        for round in rounds {
            next = min(next, round.askAgainAt)
            for read in round.reads { next = min(next, read.deadline) }
        }
        nextExpiry = next == .never ? .never : max(next, now + granularity)
    }

    private func expire(_ reads: inout [Read], at now: Instant, _ effects: inout [ReplicaEffect]) {
        for read in reads where read.deadline <= now {
            effects.append(.reply(read.id, .failure(RequestError(.notApplied, .deadlineExceeded))))
        }
        reads.removeAll { $0.deadline <= now }
    }

    /// Answers all of them.
    mutating func failAll(_ reason: RequestError.Reason, _ effects: inout [ReplicaEffect]) {
        let error = RequestError(.notApplied, reason)
        for read in unasked { effects.append(.reply(read.id, .failure(error))) }
        for read in indexed { effects.append(.reply(read.id, .failure(error))) }
        for round in rounds { for read in round.reads { effects.append(.reply(read.id, .failure(error))) } }
        self = ReadTable()
    }
}
