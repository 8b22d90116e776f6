/// The reads that a leader has promised an answer, oldest first (dissertation, 6.4).
///
/// A read is answered with the commit index of the moment when it was asked for, once a quorum has shown, by answering a
/// heartbeat sent *after* that moment, that the leader had not been replaced by then. Reads that arrive while a round of
/// heartbeats is under way wait together for the next one.
struct ReadQueue: Sendable {
    struct Read: Sendable {
        let id: ReadID
        /// Who asked: this member or a follower.
        let requester: MemberID
        /// The commit index when it was asked for; unknown until the leader has committed in its own term.
        var index: LogIndex
        /// The round that confirms it; 0 where that has not begun.
        var round: UInt64 = 0
    }

    /// Those that came before the leader had committed in its own term. Until then its commit index may be older than
    /// writes that were acknowledged.
    private var early: [Read] = []
    private var waiting: [Read] = []

    var count: Int { early.count + waiting.count }

    /// Whether some wait for a round that has not begun, and none for one that has.
    var needsRound: Bool { waiting.first.map { $0.round == 0 } ?? false }

    /// Adds a read that is to be answered with `index`, or that has to wait until that is known.
    mutating func add(_ id: ReadID, from requester: MemberID, index: LogIndex?) {
        if let index {
            waiting.append(Read(id: id, requester: requester, index: index))
        } else {
            early.append(Read(id: id, requester: requester, index: 0))
        }
    }

    /// Gives the early ones their index. Their round is still to come.
    mutating func admitEarly(index: LogIndex) {
        for var read in early {
            read.index = index
            waiting.append(read)
        }
        early.removeAll()
    }

    /// Notes that a round begins: it confirms all that wait without one.
    mutating func roundBegins(_ round: UInt64) {
        for slot in waiting.indices.reversed() {
            guard waiting[slot].round == 0 else { break }
            waiting[slot].round = round
        }
    }

    /// Removes and returns those that a quorum has confirmed by answering `round` or a later one.
    mutating func confirmed(through round: UInt64) -> ArraySlice<Read> {
        let count = waiting.firstIndex { $0.round == 0 || $0.round > round } ?? waiting.count
        let reads = waiting[..<count]
        if count > 0 { waiting.removeFirst(count) }
        return reads
    }

    /// Removes and returns all of them.
    mutating func takeAll() -> [Read] {
        let all = early + waiting
        early.removeAll()
        waiting.removeAll()
        return all
    }
}
