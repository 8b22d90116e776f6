/// The newest digests that a member has recorded of its own state, oldest first, at most 64.
struct DigestHistory: Sendable {
    /// How many digests are kept.
    static let capacity = 64

    private var list: [StateDigest] = []

    /// The digest of the highest index.
    var newest: StateDigest? { list.last }

    /// All digests, by ascending index.
    var all: [StateDigest] { list }

    /// Adds a digest of a higher index than all before it; others are ignored.
    mutating func add(_ digest: StateDigest) {
        if let last = list.last, last.index >= digest.index { return }
        if list.count == DigestHistory.capacity { list.removeFirst() }
        list.append(digest)
    }

    /// The digest of the state at `index`; nil where none was recorded or it is too old.
    func value(at index: LogIndex) -> UInt64? { list.last { $0.index == index }?.value }

    /// Forgets all of them: they were those of another state.
    mutating func removeAll() { list.removeAll(keepingCapacity: true) }
}

/// What the members report of their states: a leader's table, a row for each of the last 64 indexes.
struct DigestReports: Sendable {
    /// The digests of one index.
    struct Row: Sendable {
        let index: LogIndex
        fileprivate(set) var values: [(member: MemberID, value: UInt64)] = []
        /// Whether it was reported that no majority is known.
        var isUndecided = false

        func value(of member: MemberID) -> UInt64? { values.first { $0.member == member }?.value }

        /// The digest that a majority of the voters has; nil where none has reported so.
        func majority(of configuration: Configuration) -> UInt64? {
            values.first { one in
                configuration.result { voter in value(of: voter).map { $0 == one.value } } == .won
            }?.value
        }

        /// Whether members have reported different digests.
        var isDisputed: Bool { values.contains { $0.value != values[0].value } }

        /// Whether every member that has reported this index has reported `later` as well.
        func isOutlived(by later: Row) -> Bool { values.allSatisfy { later.value(of: $0.member) != nil } }

        /// Whether every voter has reported.
        func isComplete(_ configuration: Configuration) -> Bool {
            configuration.members.allSatisfy { value(of: $0) != nil }
        }
    }

    /// By ascending index.
    private var rows: [Row] = []

    /// How many rows there are.
    var count: Int { rows.count }

    /// Notes a digest. Returns the number of the row of its index; nil where that is older than what is kept, or where
    /// nothing is new.
    mutating func note(_ digest: StateDigest, of member: MemberID) -> Int? {
        var slot = rows.count
        while slot > 0, rows[slot - 1].index > digest.index { slot -= 1 }
        if slot == 0 || rows[slot - 1].index < digest.index {
            if rows.count == DigestHistory.capacity {
                guard slot > 0 else { return nil }
                rows.removeFirst()
                slot -= 1
            }
            rows.insert(Row(index: digest.index), at: slot)
        } else {
            slot -= 1
        }
        guard rows[slot].value(of: member) != digest.value else { return nil }
        rows[slot].values.removeAll { $0.member == member }
        rows[slot].values.append((member, digest.value))
        return slot
    }

    /// Forgets what a member has reported: it was of a state that is being replaced, and decides nothing any more.
    mutating func forget(_ member: MemberID) {
        for slot in rows.indices { rows[slot].values.removeAll { $0.member == member } }
        rows.removeAll { $0.values.isEmpty }
    }

    subscript(_ slot: Int) -> Row {
        get { rows[slot] }
        set { rows[slot] = newValue }
    }
}

/// That this member's state is to be replaced by a checkpoint.
struct Divergence: Sendable {
    /// Why.
    let cause: CheckpointRequest.Reason
    /// Until when the member leads at most, if it does.
    let leadsUntil: Instant
    /// When a checkpoint may be asked for again.
    var nextRequest: Instant
    /// How many election timeouts have passed without a leader.
    var timeouts: UInt64 = 0
}
