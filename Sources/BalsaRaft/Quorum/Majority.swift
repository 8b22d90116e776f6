/// The outcome of a vote, as far as the votes known decide it.
public enum VoteResult: Sendable {
    /// Neither more yes nor more no votes are known than could still be outvoted.
    case pending
    /// A quorum said yes.
    case won
    /// So many said no that no quorum can say yes any more.
    case lost
}

/// The majorities of a set of voters.
///
/// The empty set is the neutral half of a joint quorum: it agrees to everything.
struct Majority: Equatable, Sendable {
    /// The voters, ascending and without repetition.
    let voters: [MemberID]

    init(_ voters: [MemberID]) {
        self.voters = voters
    }

    /// The smallest number of voters that is more than half of them.
    var size: Int { voters.count / 2 + 1 }

    /// The largest value that a majority has reached, where `value` tells what each voter has reached.
    ///
    /// Of an index that is the commit index; of a moment it is how recently a majority was heard. The empty set has
    /// reached everything.
    func reached(_ value: (MemberID) -> UInt64) -> UInt64 {
        guard !voters.isEmpty else { return .max }
        return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: voters.count) { values in
            // Insertion sort, descending: there are at most a handful. The value at rank `size` is reached by that many.
            for (count, voter) in voters.enumerated() {
                let new = value(voter)
                var place = count
                while place > 0, values[place - 1] < new {
                    values.initializeElement(at: place, to: values[place - 1])
                    place -= 1
                }
                values.initializeElement(at: place, to: new)
            }
            return values[size - 1]
        }
    }

    /// What the votes known so far decide; `vote` is nil for a voter that has not answered.
    func result(_ vote: (MemberID) -> Bool?) -> VoteResult {
        guard !voters.isEmpty else { return .won }
        var yes = 0
        var missing = 0
        for voter in voters {
            switch vote(voter) {
            case true?: yes += 1
            case false?: break
            case nil: missing += 1
            }
        }
        if yes >= size { return .won }
        return yes + missing >= size ? .pending : .lost
    }
}
