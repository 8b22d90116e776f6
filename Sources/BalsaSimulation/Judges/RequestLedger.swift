import BalsaKeyValue
import BalsaPlatform
import BalsaRaft

/// What became of every command of the log, as the judges saw it: what the first member that applied it replied, and what
/// follows for the state.
///
/// A request of a session is executed once. Every copy of it in the log is either the one that is executed, or gets the
/// reply of that one, or is told that nobody knows any more; never is it executed again.
struct RequestLedger {
    /// The state that follows from what was executed.
    private(set) var state = ReferenceState()
    private let limits: KeyValueLimits
    private struct Answered {
        var identity: RequestIdentity
        var reply: CommandReply
    }

    /// What was replied at each index, and to whom; nil for an entry that is no command. From index 1.
    private var replies: [Answered?] = []
    /// Where each request was executed, and what was replied.
    private var executed = LookupTable<RequestIdentity, CommandReply>()
    /// How many copies of a request got the reply of the first.
    private(set) var repeated = 0
    /// How many requests were told that their session has ended.
    private(set) var expired = 0

    init(limits: KeyValueLimits) { self.limits = limits }

    /// The highest index that was noted.
    var lastIndex: LogIndex { UInt64(replies.count) }

    /// Notes an entry that is no command.
    mutating func skip() { replies.append(nil) }

    /// The reply to the request of an identity where it was executed; of several executions, which only commands outside
    /// of sessions have, that of the last.
    func reply(to identity: RequestIdentity) -> CommandReply? { executed[identity] }

    /// Whether a request was executed and answered so.
    func hasReplied(_ reply: CommandReply, to identity: RequestIdentity) -> Bool {
        guard reply.revision >= 1, reply.revision <= lastIndex, let answered = replies[Int(reply.revision) - 1] else {
            return false
        }
        return answered.identity == identity && answered.reply == reply
    }

    /// Notes the command at the next index and the first reply to it. Returns a sentence where that cannot be right.
    mutating func note(_ command: Command, _ reply: CommandReply) -> (Invariant, String)? {
        let index = lastIndex + 1
        let name = command.identity
        replies.append(Answered(identity: name, reply: reply))
        switch reply.outcome {
        case .sessionExpired:
            expired += 1
            return nil
        case .requestTooOld, .windowExceeded:
            return nil
        default:
            break
        }
        if name.session != .none || command.operation == .openSession, reply.revision != index {
            guard let first = executed[name], first == reply else {
                return (.exactlyOnce, "\(name) at index \(index) got \(reply), which no copy of it was answered before")
            }
            repeated += 1
            return nil
        }
        if command.operation != .openSession, name.session != .none, let first = executed[name] {
            return (.exactlyOnce, "\(name) was executed at index \(first.revision) and again at \(index)")
        }
        let expected =
            limits.refusal(of: command).map { CommandReply($0, revision: index) }
            ?? state.execute(command.operation, at: index, limits)
        executed.insert(reply, for: name)
        guard reply == expected else {
            return (.certificate, "the command at index \(index) was answered \(reply), and should be \(expected)")
        }
        return nil
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
