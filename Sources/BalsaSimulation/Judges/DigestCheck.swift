import BalsaPlatform
import BalsaRaft

/// Holds the digests of all states against each other, and what members find out about them.
///
/// A fault may alter the digest of a state, and a checkpoint may hand it on. Such members are told apart, and all
/// others compared as if nothing had happened: none of them may differ, and none may be found to. A wrong state spreads
/// only to members that need a checkpoint: one that could have kept its own gets none of a leader that may be wrong. So
/// those whose states are wrong, but for members that needed one, are never more than those whose states were altered
/// and not replaced since.
struct DigestCheck {
    /// What is known of one member's state.
    private struct Record {
        /// Whether it may be another state than that of the others, until it turns out to be theirs.
        var mayDiffer = false
        /// Whether it ever was another one, so that somebody may say so, now or later.
        var hasDiffered = false
        /// Whether a fault has altered it, and no checkpoint has replaced it since.
        var isAltered = false
        /// Whether it turned out to be another one, and the member could have kept the one that it had.
        var isWrong = false
        /// Whether the member needed the checkpoint that it has its state from: nobody knew that it was wrong.
        var isExcused = false
    }

    private var records: [Record]
    /// The digest at each index, of members whose states are right.
    private var digests = LookupTable<LogIndex, UInt64>()
    /// The member whose digest was altered, until it is rebuilt, and the highest index that it may apply until then.
    private var alteration: (member: MemberID, foundBy: LogIndex)?

    init(members: Int) { records = Array(repeating: Record(), count: members) }

    /// A fault has altered the digest of a member's state.
    ///
    /// - Parameter index: the highest that the member may apply before that is found; nil where other faults may delay
    ///   it.
    mutating func altered(_ id: MemberID, foundBy index: LogIndex?) {
        records[Int(id)] = Record(mayDiffer: true, hasDiffered: true, isAltered: true, isWrong: true)
        if let index { alteration = (id, index) }
    }

    /// A checkpoint has taken the place of a member's state. It may be that of a member whose state differs.
    ///
    /// - Parameter asItWas: whether the member could have kept its state: its log reaches as far as the checkpoint, and
    ///   its state could be read.
    mutating func installed(_ id: MemberID, asItWas: Bool) {
        if alteration?.member == id { alteration = nil }
        records[Int(id)].isWrong = false
        // It does not make up for the wrong state of another member any more.
        records[Int(id)].isAltered = false
        records[Int(id)].isExcused = !asItWas
        if records.contains(where: \.hasDiffered) { records[Int(id)].mayDiffer = true }
    }

    /// A member was copied: the copy has its state, which may be another one than that of the others, or was once.
    mutating func copied(_ copy: MemberID, of original: MemberID) {
        let record = records[Int(original)]
        records[Int(copy)].mayDiffer = record.mayDiffer || record.hasDiffered
        records[Int(copy)].hasDiffered = record.hasDiffered
        records[Int(copy)].isExcused = true
    }

    /// A member has applied through an index.
    ///
    /// - Parameter digest: that of its state; nil where it has failed.
    mutating func stepped(
        _ id: MemberID,
        applied: LogIndex,
        digest: UInt64?,
        at now: TimeSpan
    ) throws(Violation) {
        if let alteration, alteration.member == id, applied > alteration.foundBy {
            throw Violation(
                .equalStates,
                "member \(id) has another state than the others, and applies \(applied) after \(alteration.foundBy)",
                at: now
            )
        }
        guard let digest, applied > 0 else { return }
        let known = digests[applied]
        if records[Int(id)].mayDiffer {
            guard let known else { return }
            records[Int(id)].mayDiffer = known != digest
            records[Int(id)].isWrong = known != digest && !records[Int(id)].isExcused
            if known != digest { records[Int(id)].hasDiffered = true }
            let (wrong, altered) = (records.count(where: \.isWrong), records.count(where: \.isAltered))
            guard wrong <= altered else {
                throw Violation(
                    .equalStates,
                    "\(wrong) states are wrong and \(altered) are altered: member \(id) could keep its own",
                    at: now
                )
            }
        } else if let known {
            guard known != digest else { return }
            throw Violation(.equalStates, "member \(id) has another state at index \(applied)", at: now)
        } else {
            digests.insert(digest, for: applied)
        }
    }

    /// A member says something of the states of members.
    ///
    /// - Parameter isDamaged: whether a fault has damaged a table of the member, which may be a reason to rebuild it.
    mutating func reported(
        _ anomaly: Anomaly,
        by id: MemberID,
        isDamaged: Bool,
        at now: TimeSpan
    ) throws(Violation) {
        let isRight: Bool
        switch anomaly {
        case .stateDiverged(let member, _, _):
            isRight = Int(member) < records.count && differs(member)
        case .stateRebuilt:
            if isDamaged, alteration?.member == id { alteration = nil }
            isRight = isDamaged || differs(id)
        case .rebuiltInVain:
            isRight = differs(id)
        case .digestsDisagree:
            isRight = records.contains { $0.mayDiffer || $0.hasDiffered }
        default:
            return
        }
        guard !isRight else { return }
        throw Violation(.equalStates, "member \(id) finds states that differ: \(anomaly)", at: now)
    }

    /// Whether a member is known to have the state of the others.
    func isRight(_ id: MemberID) -> Bool { !records[Int(id)].mayDiffer }

    private func differs(_ id: MemberID) -> Bool { records[Int(id)].mayDiffer || records[Int(id)].hasDiffered }
}
