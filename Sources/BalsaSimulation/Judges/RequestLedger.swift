import BalsaKeyValue
import BalsaPlatform
import BalsaRaft

/// What became of every command of the log: what the first member that applied it replied, and what had to be replied.
///
/// ``ReferenceSessions`` says whether a command is executed, gets the reply of an earlier copy, or is refused and why.
/// ``ReferenceState`` executes it and says with which result. The first reply must be exactly that, and the reply of
/// every further member must be the first. Whatever the models say, no request of a session is executed at two indexes.
struct RequestLedger {
    /// The state that follows from what was executed.
    private(set) var state = ReferenceState()
    private var sessions: ReferenceSessions
    /// The options in force behind the last entry.
    private(set) var options: ReplicatedOptionsEntry
    /// Options that were in force, until a change replaced them.
    private struct Former {
        var options: ReplicatedOptions
        var replacedAt: TimeSpan
    }

    /// All options that are not in force any more.
    private var history: [Former] = []
    /// The moment of what is noted, by which it is known how long options have been replaced. It never falls.
    var now = TimeSpan.zero
    private struct Answered {
        var identity: RequestIdentity
        var reply: CommandReply
    }

    /// What was replied at each index, and to which request; nil for an entry that is no command. From index 1.
    private var replies: [Answered?] = []
    /// The logical time of each index. From index 1; it never falls.
    private var stamps: [UInt64] = []
    /// The reply to each request that was executed.
    private var executed = LookupTable<RequestIdentity, CommandReply>()
    /// How many copies of a request got the reply of the first.
    private(set) var repeated = 0
    /// How many requests were told that their session has ended.
    private(set) var expired = 0
    /// How many late copies were told that the client has the reply.
    private(set) var tooOld = 0
    /// How many requests were told that their number is too high.
    private(set) var beyondWindow = 0
    /// How many changes of the options took effect.
    private(set) var optionsChanged = 0
    /// How many changes of the options expected another revision.
    private(set) var optionConflicts = 0

    /// The highest mark that each index may have. From index 1; it never falls.
    private var marks: [UInt64] = []

    /// - Parameter options: those in force before the first entry, which in a run no command meets.
    init(options: ReplicatedOptions = ReplicatedOptions()) {
        self.options = ReplicatedOptionsEntry(options: options, revision: 0)
        sessions = ReferenceSessions(options: options)
    }

    /// The highest index that was noted.
    var lastIndex: LogIndex { UInt64(replies.count) }

    /// Notes that the next entry is no command.
    mutating func skip(stamp: UInt64) {
        advance(stamp)
        replies.append(nil)
    }

    /// Notes that the next entry is the first, which puts options in force.
    mutating func found(_ options: ReplicatedOptions, stamp: UInt64) {
        skip(stamp: stamp)
        change(options)
    }

    private mutating func advance(_ stamp: UInt64) {
        stamps.append(max(stamp, stamps.last ?? 0))
        marks.append(max(marks.last ?? 0, mark))
        sessions.advance(to: stamp)
    }

    private mutating func change(_ changed: ReplicatedOptions) {
        if lastIndex > 1 { history.append(Former(options: options.options, replacedAt: now)) }
        options = ReplicatedOptionsEntry(options: changed, revision: lastIndex)
        sessions.change(changed)
    }

    /// The highest revision below which a member that has applied through `applied` may refuse reads: what lay further
    /// back than the retained revisions or the retained time at some entry, under the options in force before it.
    func highestRetentionMark(at applied: LogIndex) -> UInt64 {
        guard applied >= 1, applied <= lastIndex else { return 0 }
        return marks[Int(applied) - 1]
    }

    /// What lies too far back at the last of ``stamps``, under the present options.
    private var mark: UInt64 {
        let (applied, options) = (stamps.count, options.options)
        let retained = options.retainedRevisions
        let byCount = UInt64(applied) > retained ? UInt64(applied) - retained : 0
        let stamp = stamps[applied - 1]
        guard stamp >= options.retainedNanoseconds else { return byCount }
        // How many indexes are older than the retained time.
        var (low, high) = (0, applied)
        while low < high {
            let middle = (low + high) / 2
            if stamps[middle] <= stamp - options.retainedNanoseconds { low = middle + 1 } else { high = middle }
        }
        return max(byCount, UInt64(low))
    }

    /// The reply to the request of an identity where it was executed; of several executions, which only commands outside
    /// of sessions have, that of the last.
    func reply(to identity: RequestIdentity) -> CommandReply? { executed[identity] }

    /// Whether some copy of a request was answered so, by the entry that the reply names.
    func hasReplied(_ reply: CommandReply, to identity: RequestIdentity) -> Bool {
        guard reply.revision >= 1, reply.revision <= lastIndex, let answered = replies[Int(reply.revision) - 1] else {
            return false
        }
        return answered.identity == identity && answered.reply == reply
    }

    /// Whether a leader may refuse the command before it enters the log, because of what the command itself says: by
    /// options that were in force while the call was under way, or shortly before. A leader that was paused, or that
    /// others have replaced and that does not know yet, decides by those of that moment.
    ///
    /// - Parameter calledAt: when the call began.
    func isRefused(_ command: Command, calledAt: TimeSpan) -> Bool {
        func isRefused(_ options: ReplicatedOptions) -> Bool {
            ReferenceState.refusal(of: command.operation, options, entersLog: true) != nil
        }
        return isRefused(options.options)
            || history.contains { former in
                former.replacedAt + RequestLedger.longestIgnorance >= calledAt && isRefused(former.options)
            }
    }

    /// How long a member may believe that it leads when it does not: the longest pause of a process, and an election
    /// timeout by a slow clock.
    private static let longestIgnorance = TimeSpan.seconds(7)

    /// Notes the command at the next index and the first reply to it. Returns the invariant and a sentence where that
    /// reply is wrong.
    mutating func note(_ command: Command, _ reply: CommandReply, stamp: UInt64) -> (Invariant, String)? {
        let index = lastIndex + 1
        let name = command.identity
        advance(stamp)
        replies.append(Answered(identity: name, reply: reply))
        let isRefused = RequestLedger.refusals.contains(reply.outcome)
        if name.session != .none, reply.revision == index, !isRefused, let first = executed[name] {
            return (.exactlyOnce, "\(name) was executed at index \(first.revision) and again at index \(index)")
        }
        switch sessions.admit(command, at: index) {
        case .refused(let outcome):
            count(outcome)
            return RequestLedger.session(name, at: index, got: reply, not: CommandReply(outcome, revision: index))
        case .repeated(let first):
            repeated += 1
            return RequestLedger.session(name, at: index, got: reply, not: first)
        case .execute:
            break
        }
        let expected = state.execute(command.operation, at: index, options)
        if case .changeOptions(let changed, _) = command.operation {
            if expected.outcome == .applied {
                change(changed)
                optionsChanged += 1
            } else if expected.outcome == .conditionFailed {
                optionConflicts += 1
            }
        }
        sessions.store(expected, to: command)
        executed.insert(expected, for: name)
        guard reply.revision == index, !isRefused else {
            return RequestLedger.session(name, at: index, got: reply, not: expected)
        }
        guard reply == expected else {
            return (.certificate, "the command at index \(index) was answered \(reply), and should be \(expected)")
        }
        return nil
    }

    /// The refusals that follow from sessions.
    private static let refusals: [CommandReply.Outcome] = [.sessionExpired, .requestTooOld, .windowExceeded]

    private mutating func count(_ refusal: CommandReply.Outcome) {
        switch refusal {
        case .sessionExpired: expired += 1
        case .requestTooOld: tooOld += 1
        default: beyondWindow += 1
        }
    }

    private static func session(
        _ name: RequestIdentity,
        at index: LogIndex,
        got reply: CommandReply,
        not expected: CommandReply
    ) -> (Invariant, String)? {
        guard reply != expected else { return nil }
        return (.exactlyOnce, "\(name) at index \(index) was answered \(reply), and should be \(expected)")
    }

    /// Holds the reply of a further member against the first. Returns a sentence where they differ.
    func check(_ reply: CommandReply, at index: LogIndex) -> String? {
        guard index <= lastIndex, let first = replies[Int(index) - 1] else {
            return "no member replied to index \(index)"
        }
        return first.reply == reply
            ? nil : "index \(index) was answered \(reply), and \(first.reply) by another member"
    }
}
