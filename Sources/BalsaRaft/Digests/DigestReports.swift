/// What the members report of their states: a leader's table, a row for each of the last 64 indexes.
///
/// While other members are down, the leader fills the table alone. The rows that say whether its state is that of the
/// majority, and whether the members are in dispute, stay until newer ones say so.
///
/// A digest is a sum over everything that a state contains, and a checkpoint carries it along. A member whose state was
/// received from a peer therefore has the digest of that peer, right or wrong, and is no second witness of it. It
/// becomes one at the first index above the checkpoint at which its digest is known to be that of the others: what it
/// has applied since, it has applied itself.
struct DigestReports: Sendable {
    /// What a member says of its state.
    struct Report: Sendable {
        let member: MemberID
        let value: UInt64
        /// The index of the checkpoint that the state was received with, if the members' states were not known to be
        /// equal since; else 0.
        let received: LogIndex
        /// Whether it was known that the member has another state than the others when a row was dropped that may show
        /// why.
        fileprivate(set) var isOutvoted = false
    }

    /// The digests of one index.
    struct Row: Sendable {
        let index: LogIndex
        fileprivate(set) var reports: [Report] = []
        /// The digest that all voters had, or so many witnesses that they are a majority; nil where none is known.
        var agreed: UInt64?
        /// Whether it was reported that no majority is known.
        var isUndecided = false

        func value(of member: MemberID) -> UInt64? { report(of: member)?.value }

        func report(of member: MemberID) -> Report? { reports.first { $0.member == member } }

        /// The digest that a majority of the voters has; nil where none has reported so.
        func majority(of configuration: Configuration) -> UInt64? {
            majority(of: configuration) { _ in true }
        }

        /// The digest that a majority of the voters has, of which only those count for whom `counts` says so.
        fileprivate func majority(of configuration: Configuration, _ counts: (Report) -> Bool) -> UInt64? {
            reports.first { one in
                configuration.result { voter in report(of: voter).map { $0.value == one.value && counts($0) } } == .won
            }?.value
        }

        /// Whether members have reported different digests.
        var isDisputed: Bool { reports.contains { $0.value != reports[0].value } }

        /// Whether every member that has reported this index has reported `later` as well.
        func isOutlived(by later: Row) -> Bool { reports.allSatisfy { later.value(of: $0.member) != nil } }

        /// Whether every voter has reported.
        func isComplete(_ configuration: Configuration) -> Bool {
            configuration.members.allSatisfy { value(of: $0) != nil }
        }
    }

    /// By ascending index.
    private var rows: [Row] = []

    /// How many rows there are.
    var count: Int { rows.count }

    /// The highest index of which there is a row; nil where there is none.
    var newestIndex: LogIndex? { rows.last?.index }

    /// Notes a digest. Returns the number of the row of its index; nil where that is older than what is kept, or where
    /// nothing is new.
    ///
    /// - Parameter received: the index of the checkpoint that the state was received with; 0 where it is a witness.
    mutating func note(
        _ digest: StateDigest,
        of member: MemberID,
        received: LogIndex = 0,
        _ configuration: Configuration
    ) -> Int? {
        var slot = rows.count
        while slot > 0, rows[slot - 1].index > digest.index { slot -= 1 }
        if slot == 0 || rows[slot - 1].index < digest.index {
            if rows.count == DigestHistory.capacity {
                guard let oldest = oldestToDrop(configuration), oldest < slot else { return nil }
                drop(oldest, configuration)
                slot -= 1
            }
            rows.insert(Row(index: digest.index), at: slot)
        } else {
            slot -= 1
        }
        guard rows[slot].value(of: member) != digest.value else { return nil }
        rows[slot].reports.removeAll { $0.member == member }
        rows[slot].reports.append(Report(member: member, value: digest.value, received: received))
        return slot
    }

    /// The oldest row that decides nothing.
    private func oldestToDrop(_ configuration: Configuration) -> Int? {
        let (comparison, verdict) = (newestComparison(configuration), newestVerdict)
        return rows.indices.first { $0 != comparison && $0 != verdict }
    }

    /// Drops a row. What it shows of members that are witnesses holds on for the row that decides.
    private mutating func drop(_ slot: Int, _ configuration: Configuration) {
        if let verdict = newestVerdict, let majority = rows[verdict].majority(of: configuration) {
            for (number, report) in rows[verdict].reports.enumerated() where report.value != majority {
                rows[verdict].reports[number].isOutvoted = isOutvoted(report, by: majority, in: verdict, configuration)
            }
        }
        rows.remove(at: slot)
    }

    /// Forgets what a member has reported: it was of a state that is being replaced, and decides nothing any more.
    mutating func forget(_ member: MemberID) {
        for slot in rows.indices { rows[slot].reports.removeAll { $0.member == member } }
        rows.removeAll { $0.reports.isEmpty }
    }

    /// Notes whether the members agree at the index of a row: all of them, or a majority of witnesses. Returns the
    /// digest that they have.
    mutating func noteAgreement(_ slot: Int, _ configuration: Configuration) -> UInt64? {
        if rows[slot].agreed == nil {
            let row = rows[slot]
            rows[slot].agreed =
                row.isComplete(configuration) && !row.isDisputed
                ? row.reports.first?.value : row.majority(of: configuration) { isWitness($0, in: slot) }
        }
        return rows[slot].agreed
    }

    /// Whether it is known that a member has another state than the others: so many witnesses have the digest of the
    /// majority that they are one.
    func isOutvoted(_ outlier: Report, by majority: UInt64, in slot: Int, _ configuration: Configuration) -> Bool {
        guard !outlier.isOutvoted, rows[slot].agreed != majority else { return true }
        return configuration.result { voter in
            rows[slot].report(of: voter).map { $0.value == majority && isWitness($0, in: slot, against: outlier) }
        } == .won
    }

    /// Whether nobody knows which members are right at the index of a row.
    func isUndecided(_ slot: Int, _ configuration: Configuration) -> Bool {
        guard let majority = rows[slot].majority(of: configuration) else { return true }
        return rows[slot].reports.contains {
            $0.value != majority && !isOutvoted($0, by: majority, in: slot, configuration)
        }
    }

    /// Whether the members differ, and nobody knows which of them are right: not at the index at which they differ, and
    /// at no later one.
    func isInDispute(_ configuration: Configuration) -> Bool { dispute(configuration) != nil }

    /// Whether those for whom `canReport` says so have all reported where the members differ, or since: another
    /// comparison would say nothing new. Also false where they do not differ.
    func isExhausted(_ configuration: Configuration, _ canReport: (MemberID) -> Bool) -> Bool {
        guard let slot = dispute(configuration) else { return false }
        return configuration.members.allSatisfy { voter in
            rows[slot...].contains { $0.value(of: voter) != nil } || !canReport(voter)
        }
    }

    /// The newest row in which members differ and nobody knows which of them are right; nil where there is none, or a
    /// later one says who is.
    private func dispute(_ configuration: Configuration) -> Int? {
        guard let slot = newestVerdict, rows[slot].isDisputed, isUndecided(slot, configuration) else { return nil }
        return slot
    }

    /// The newest row at which the members agree or differ: it says whether they are in dispute.
    private var newestVerdict: Int? { rows.lastIndex { $0.isDisputed || $0.agreed != nil } }

    /// The newest row at which a majority has the same digest, or members differ: it says whose state is that of the
    /// majority.
    private func newestComparison(_ configuration: Configuration) -> Int? {
        rows.lastIndex { $0.isDisputed || $0.majority(of: configuration) != nil }
    }

    /// Whether a member has the digest of the majority at the newest index at which there is one, and the members agree
    /// wherever they have reported since.
    func isConfirmed(_ member: MemberID, _ configuration: Configuration) -> Bool {
        guard let slot = newestComparison(configuration) else { return false }
        guard let majority = rows[slot].majority(of: configuration) else { return false }
        return rows[slot].value(of: member) == majority
    }

    /// Whether a member has computed its state itself since an index at which that was the state of the others, or of
    /// the outlier.
    private func isWitness(_ report: Report, in slot: Int, against outlier: Report? = nil) -> Bool {
        guard report.received > 0 else { return true }
        return rows[..<slot].contains { row in
            // Of the state that the member has now, and not of one before.
            guard row.index >= report.received, let own = row.report(of: report.member),
                own.received == report.received
            else { return false }
            if own.value == row.agreed { return true }
            guard let outlier, let other = row.report(of: outlier.member) else { return false }
            return own.value == other.value && other.received == outlier.received
        }
    }

    subscript(_ slot: Int) -> Row {
        get { rows[slot] }
        set { rows[slot] = newValue }
    }
}
