import Balsa
import BalsaKeyValue
import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

/// Watches the members of a run and throws a ``Violation`` at the first thing that must not happen.
///
/// It is given what the members send, persist, stage and apply, and a few values of their public state: never a replica, so
/// that each rule can be tested alone. Nothing tells it which errors are planted.
///
/// Complexity: what is done at an event is proportional to the entries that the event is about; for a command also to the
/// sessions that are open and the values that its key has had. When a member becomes leader, all entries that were applied
/// are held against its log. ``sweep(_:at:)`` looks at all logs.
struct Judges {
    /// What a replica shows behind a step.
    struct StepView {
        /// What the replica says is wrong with itself.
        var brokenInvariant: String?
        var commitIndex: LogIndex
        var appliedIndex: LogIndex
        /// The digest of its state; nil where it has failed.
        var digest: UInt64?
    }

    /// What is known of one member over all its processes.
    private struct Record {
        /// The highest term that it ever spoke in.
        var spokenTerm: Term = 0
        /// The commit index of its process, and the highest one that is certainly on its disk.
        var commit: LogIndex = 0
        var durableCommit: LogIndex = 0
        /// The commit index that each log write under way carries.
        var commitsUnderWay: [(number: UInt64, commit: LogIndex, isDurable: Bool)] = []
        var standing = Standing(role: .follower, term: 0, leader: 0)
    }

    private struct TermAndMember: Hashable {
        var term: Term
        var member: MemberID
    }

    private struct EntryIdentity: Equatable {
        var checksum: UInt32
        var previousTerm: Term
    }

    private(set) var ledger = EntryLedger()
    private var records: [Record]
    private var leaders = LookupTable<Term, MemberID>()
    private var votes = LookupTable<TermAndMember, MemberID>()
    private var identities = LookupTable<LogPosition, EntryIdentity>()

    /// Whether the members' states are equal, as far as their digests say.
    var digests: DigestCheck
    /// What became of every command.
    private(set) var requests: RequestLedger
    /// Who belongs to the cluster.
    var identity = IdentityCheck()
    /// What became of processes and of requests.
    var processes = ProcessCheck()

    /// - Parameter members: how many there are; one machine more may run on a copy of a member's disk.
    init(members: Int) {
        requests = RequestLedger()
        records = Array(repeating: Record(), count: members + 2)
        digests = DigestCheck(members: members + 2)
    }

    // MARK: A member's life

    /// A process has opened its replica.
    ///
    /// - Parameter isWhole: whether its directory is what the member made of it, and has to remember everything.
    mutating func started(
        _ id: MemberID,
        _ standing: Standing,
        commitIndex: LogIndex,
        isWhole: Bool,
        at now: TimeSpan
    ) throws(Violation) {
        let record = records[Int(id)]
        if isWhole, standing.term < record.spokenTerm {
            throw Violation(
                .monotoneTerm,
                "member \(id) came back in term \(standing.term) and had spoken in term \(record.spokenTerm)",
                at: now
            )
        }
        if isWhole, commitIndex < record.durableCommit {
            throw Violation(
                .monotoneCommit,
                "member \(id) came back with commit index \(commitIndex), its disk had \(record.durableCommit)",
                at: now
            )
        }
        records[Int(id)].commit = commitIndex
        records[Int(id)].standing = standing
        records[Int(id)].commitsUnderWay = []
    }

    /// A process has ended.
    mutating func ended(_ id: MemberID) {
        records[Int(id)].commitsUnderWay = []
    }

    /// A replica has made a step.
    mutating func stepped(_ id: MemberID, _ view: StepView, at now: TimeSpan) throws(Violation) {
        if let sentence = view.brokenInvariant {
            throw Violation(.memberState, "member \(id): \(sentence)", at: now)
        }
        let commit = view.commitIndex
        if commit < records[Int(id)].commit {
            throw Violation(.monotoneCommit, "member \(id) went from \(records[Int(id)].commit) to \(commit)", at: now)
        }
        records[Int(id)].commit = commit
        try digests.stepped(id, applied: view.appliedIndex, digest: view.digest, at: now)
    }

    // MARK: What members say

    /// A frame leaves a member.
    mutating func sent(_ frame: Bytes, at now: TimeSpan) throws(Violation) {
        let decoded: PeerFrame
        do {
            decoded = try PeerFrame(decoding: frame, options: WireOptions())
        } catch {
            throw Violation(.memberState, "a member sent a frame that cannot be decoded: \(error)", at: now)
        }
        records[Int(decoded.from)].spokenTerm = max(records[Int(decoded.from)].spokenTerm, decoded.term)
        guard let message = decoded.envelope?.message else { return }
        let member = message.from
        switch message.body {
        case .voteRequest:
            try vote(of: member, for: member, in: message.term, at: now)
        case .voteResponse(let response) where response.isGranted:
            try vote(of: member, for: message.to, in: message.term, at: now)
        default:
            break
        }
    }

    private mutating func vote(
        of member: MemberID,
        for candidate: MemberID,
        in term: Term,
        at now: TimeSpan
    ) throws(Violation) {
        let key = TermAndMember(term: term, member: member)
        if let other = votes[key] {
            guard other != candidate else { return }
            throw Violation(.oneVote, "member \(member) voted in term \(term) for \(other) and \(candidate)", at: now)
        }
        votes.insert(candidate, for: key)
    }

    /// A member's role, term or leader has changed.
    mutating func standing(
        _ standing: Standing,
        of id: MemberID,
        log: LogOutline?,
        _ counters: inout RunCounters,
        at now: TimeSpan
    ) throws(Violation) {
        let before = records[Int(id)].standing
        records[Int(id)].standing = standing
        if before.role == .candidate, standing.role != .leader { counters.electionsLost += 1 }
        guard standing.role == .leader, let log else { return }
        counters.electionsWon += 1
        if let other = leaders[standing.term], other != id {
            throw Violation(.electionSafety, "members \(other) and \(id) lead term \(standing.term)", at: now)
        }
        leaders.insert(id, for: standing.term)
        try checkCompleteness(id, standing.term, log, at: now)
    }

    private func checkCompleteness(
        _ id: MemberID,
        _ leaderTerm: Term,
        _ log: LogOutline,
        at now: TimeSpan
    ) throws(Violation) {
        guard ledger.lastIndex > log.base.index else { return }
        for index in (log.base.index + 1)...ledger.lastIndex {
            let entry = ledger[index]
            // A candidate that stood still may take office in a term that is over. It owes only what was committed before
            // its term; what was first applied in this term or a later one it may never have seen.
            guard entry.appliedTerm < leaderTerm, log.term(at: index) != entry.term else { continue }
            let found = log.term(at: index).map { "one of term \($0)" } ?? "none"
            throw Violation(
                entry.isAcknowledged ? .acknowledgedPresent : .leaderCompleteness,
                "member \(id) leads term \(leaderTerm); at index \(index) was applied an entry of term \(entry.term), "
                    + "its log has \(found)",
                at: now
            )
        }
    }

    /// A member reports what no correct member does.
    ///
    /// - Parameter isDamaged: whether a fault has damaged a table of the member, which may be a reason to rebuild it.
    mutating func reported(
        _ anomaly: Anomaly,
        by id: MemberID,
        isDamaged: Bool = false,
        at now: TimeSpan
    ) throws(Violation) {
        switch anomaly {
        case .secondLeader(let other, let term):
            throw Violation(.electionSafety, "member \(id) sees \(other) lead term \(term) beside another", at: now)
        case .committedEntryContradicted(let index):
            throw Violation(
                .leaderCompleteness,
                "member \(id) was sent another entry for index \(index), which is committed there",
                at: now
            )
        case .unknownPeer, .malformedMessage, .acknowledgedEntriesLost:
            throw Violation(.memberState, "member \(id) was sent what no member sends: \(anomaly)", at: now)
        case .stateDiverged, .stateRebuilt, .rebuiltInVain, .digestsDisagree:
            try digests.reported(anomaly, by: id, isDamaged: isDamaged, at: now)
        case .persistFailed, .persistStalled, .quorumLost:
            break
        }
    }

    // MARK: Logs

    /// A member has entries in its log, durable or not.
    mutating func staged(_ batch: EntryBatch, by id: MemberID, at now: TimeSpan) throws(Violation) {
        for index in batch.firstIndex...batch.lastIndex {
            let header = batch.header(at: index)
            let identity = EntryIdentity(checksum: header.payloadChecksum, previousTerm: header.previousTerm)
            if let known = identities[header.position] {
                if known != identity {
                    throw Violation(
                        .logMatching,
                        "member \(id) has another entry \(header.position) than somebody before",
                        at: now
                    )
                }
            } else {
                identities.insert(identity, for: header.position)
            }
        }
    }

    /// A member writes its log. The write carries that commit index.
    mutating func writes(_ id: MemberID, number: UInt64, commit: LogIndex) {
        records[Int(id)].commitsUnderWay.append((number, commit, isDurable: false))
    }

    /// A write of a log is durable.
    mutating func durable(_ id: MemberID, number: UInt64) {
        guard let slot = records[Int(id)].commitsUnderWay.firstIndex(where: { $0.number == number }) else { return }
        records[Int(id)].commitsUnderWay[slot].isDurable = true
        // A later frame counts only along with all before it.
        let finished = records[Int(id)].commitsUnderWay.prefix { $0.isDurable }
        for write in finished { records[Int(id)].durableCommit = max(records[Int(id)].durableCommit, write.commit) }
        records[Int(id)].commitsUnderWay.removeFirst(finished.count)
    }

    /// A member has applied entries, in its present term, and replied to those that are commands.
    mutating func applied(
        _ batch: EntryBatch,
        _ results: [AppliedCommand],
        by id: MemberID,
        in term: Term,
        at now: TimeSpan
    ) throws(Violation) {
        var rest = results[...]
        for index in batch.firstIndex...batch.lastIndex {
            if let sentence = ledger.apply(batch.header(at: index), payload: batch.payload(at: index), in: term) {
                throw Violation(.stateMachineSafety, "member \(id): \(sentence)", at: now)
            }
            let result = rest.first?.index == index ? rest.removeFirst().result : nil
            try note(batch, at: index, result, by: id, at: now)
        }
        guard let other = rest.first else { return }
        throw Violation(.equalReplies, "member \(id) replied to \(other.index), which it did not apply here", at: now)
    }

    /// A member has applied an entry, and replied if it is a command: the first one as the model does, the others as the first.
    private mutating func note(
        _ batch: EntryBatch,
        at index: LogIndex,
        _ result: Bytes?,
        by id: MemberID,
        at now: TimeSpan
    ) throws(Violation) {
        let header = batch.header(at: index)
        requests.now = now
        guard let result else {
            guard header.kind != .command else {
                throw Violation(.equalReplies, "member \(id) did not reply to the command at \(index)", at: now)
            }
            guard index > requests.lastIndex else { return }
            if header.kind == .configuration, index == 1 {
                try found(batch.payload(at: 1), stamp: header.stamp, by: id, at: now)
            } else {
                requests.skip(stamp: header.stamp)
            }
            return
        }
        guard header.kind == .command else {
            throw Violation(.equalReplies, "member \(id) replied to \(index), which is no command", at: now)
        }
        guard let reply = try? CommandReply(decoding: result),
            let command = try? Command(decoding: batch.payload(at: index))
        else {
            throw Violation(.memberState, "member \(id) replied to \(index) what cannot be decoded", at: now)
        }
        if index <= requests.lastIndex {
            guard let sentence = requests.check(reply, at: index) else { return }
            throw Violation(.equalReplies, "member \(id): \(sentence)", at: now)
        }
        if let (invariant, sentence) = requests.note(command, reply, stamp: header.stamp) {
            throw Violation(invariant, sentence, at: now)
        }
    }

    /// The first entry was applied, which puts the first options in force.
    private mutating func found(
        _ payload: Bytes,
        stamp: UInt64,
        by id: MemberID,
        at now: TimeSpan
    ) throws(Violation) {
        do throws(BalsaPlatform.DecodingError) {
            let founding = try FoundingEntry(decoding: payload)
            requests.found(try ReplicatedOptions(decoding: founding.options), stamp: stamp)
        } catch {
            throw Violation(.memberState, "member \(id) applied an entry 1 that cannot be decoded: \(error)", at: now)
        }
    }

    /// A client was told the result of what was applied at an index.
    mutating func acknowledged(_ index: LogIndex) { ledger.acknowledge(index) }

    // MARK: The whole

    /// Looks at all logs: those of any two members agree up to the last entry that they have in common.
    static func sweep(_ logs: [(id: MemberID, log: LogOutline)], at now: TimeSpan) throws(Violation) {
        for (place, (first, left)) in logs.enumerated() {
            for (second, right) in logs[(place + 1)...] {
                var index = min(left.lastIndex, right.lastIndex)
                let base = max(left.base.index, right.base.index)
                while index > base, left.term(at: index) != right.term(at: index) { index -= 1 }
                while index > base {
                    if left.term(at: index) != right.term(at: index) {
                        throw Violation(
                            .logMatching,
                            "members \(first) and \(second) agree after index \(index) and not at it",
                            at: now
                        )
                    }
                    index -= 1
                }
            }
        }
    }
}
