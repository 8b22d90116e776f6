/// The name of a session: the index of the log entry that opened it.
///
/// Indexes are never reused, so a late copy of a request of a session that has ended can never run in a later one.
public struct SessionID: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The index of the entry that opened the session; 0 for no session.
    public let rawValue: UInt64

    /// The session that the entry of that index opened.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// No session: the command is executed as often as it stands in the log.
    public static let none = SessionID(rawValue: 0)

    /// The index, as text.
    public var description: String { self == .none ? "no session" : "session \(rawValue)" }
}

/// What tells a request from every other one. A retry has the identity of the first attempt.
public struct RequestIdentity: Hashable, Sendable, CustomStringConvertible {
    /// The session, or none.
    public var session: SessionID
    /// Counts the requests of a session from 1. Without a session it is a random number, by which whoever waits finds the
    /// reply.
    public var number: UInt64

    /// An identity.
    public init(session: SessionID, number: UInt64) {
        self.session = session
        self.number = number
    }

    /// Session and number, as text.
    public var description: String { "request \(number) of \(session)" }
}
