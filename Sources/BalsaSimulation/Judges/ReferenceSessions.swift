import BalsaKeyValue

/// The sessions of a store as `Docs/CommandFormat.md` describes them, in one plain array.
///
/// It decides of every command of the log whether it is executed, answered as before, or refused, and with which of the
/// refusals. The members are held against it, so it shares none of the code by which they decide; commands and replies
/// are decoded by the same code. Each step looks at all sessions.
struct ReferenceSessions {
    /// What must become of a command.
    enum Admission: Equatable {
        /// It is executed. Its reply is then to be passed to ``ReferenceSessions/store(_:to:)``.
        case execute
        /// It is a copy of a request that was executed, and gets that reply.
        case repeated(CommandReply)
        /// It is refused.
        case refused(CommandReply.Outcome)
    }

    private struct Session {
        /// The index of the entry that opened it.
        let name: UInt64
        /// The stamp of the last entry that used it.
        var lastStamp: UInt64
        /// The lowest number whose reply the client still waits for.
        var lowest: UInt64 = 0
        /// The window of the options under which it was opened.
        let window: UInt64
        var replies: [(number: UInt64, reply: CommandReply)] = []
    }

    /// The bytes that a stored reply counts, as `Docs/SystemStateFormat.md` says.
    private static let replyBytes = 26

    private var options: ReplicatedOptions
    /// The logical time. It never falls.
    private var now: UInt64 = 0
    /// The least recently used first.
    private var sessions: [Session] = []

    init(options: ReplicatedOptions) { self.options = options }

    /// Other options are in force. Sessions end whose own replies may not fit any more, then the least recently used,
    /// until all others and their replies fit.
    mutating func change(_ options: ReplicatedOptions) {
        self.options = options
        sessions.removeAll { Int($0.window) * ReferenceSessions.replyBytes > options.maxReplyBytes }
        while sessions.count > options.maxSessions || byteCount > options.maxReplyBytes { sessions.removeFirst() }
    }

    /// The names of the open sessions, the least recently used first.
    var open: [UInt64] { sessions.map(\.name) }

    /// An entry of that stamp is next. It ends the sessions that have rested longer than they may.
    mutating func advance(to stamp: UInt64) {
        now = max(now, stamp)
        sessions.removeAll { now - $0.lastStamp > options.sessionIdleNanoseconds }
    }

    /// Decides what must become of the command of the entry `index`.
    mutating func admit(_ command: Command, at index: UInt64) -> Admission {
        let name = command.identity.session.rawValue
        let number = command.identity.number
        if command.operation == .openSession {
            if sessions.count == options.maxSessions { sessions.removeFirst() }
            sessions.append(Session(name: index, lastStamp: now, window: UInt64(options.sessionWindow)))
            return .execute
        }
        if name == 0, command.operation != .closeSession { return .execute }
        guard let place = sessions.firstIndex(where: { $0.name == name }) else { return .refused(.sessionExpired) }
        var session = sessions.remove(at: place)
        if command.operation == .closeSession { return .execute }

        // The request uses its session, whatever becomes of it.
        session.lastStamp = now
        defer { sessions.append(session) }
        let lowest = command.lowestOutstanding
        if number >= lowest, number - lowest >= session.window { return .refused(.windowExceeded) }
        session.lowest = max(session.lowest, lowest)
        session.replies.removeAll { $0.number < session.lowest }
        if number < session.lowest { return .refused(.requestTooOld) }
        if let known = session.replies.first(where: { $0.number == number }) { return .repeated(known.reply) }
        return .execute
    }

    /// Stores the reply to a command that was executed, and ends the least recently used sessions until the replies of all
    /// fit. The session of the command stays.
    mutating func store(_ reply: CommandReply, to command: Command) {
        guard command.operation != .openSession, command.operation != .closeSession, command.identity.session != .none
        else { return }
        // A change of the options may have ended the session that sent it.
        guard let last = sessions.indices.last, sessions[last].name == command.identity.session.rawValue else { return }
        sessions[last].replies.append((command.identity.number, reply))
        while sessions.count > 1, byteCount > options.maxReplyBytes { sessions.removeFirst() }
    }

    private var byteCount: Int {
        sessions.reduce(0) { $0 + $1.replies.count } * ReferenceSessions.replyBytes
    }
}
