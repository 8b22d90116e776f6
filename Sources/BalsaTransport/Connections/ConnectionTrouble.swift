import BalsaRaft

/// What others do to a member's port that no member does, with how often it has happened since the transport was opened.
///
/// The port is open to whoever reaches it, so that a stranger must not be able to fill an operator's log: of each kind the first
/// is told at once, and then one a second at most. The count says how many there were.
public struct ConnectionTrouble: Equatable, Sendable, CustomStringConvertible {
    /// The kinds. More may be added.
    public struct Kind: Equatable, Sendable, CustomStringConvertible {
        /// The kind in a sentence.
        public let description: String
        /// Its place among the kinds.
        fileprivate let place: Int

        /// What came first was no hello of a member.
        public static let noHello = Kind(description: "what came first was not the hello of a member", place: 0)
        /// No whole hello came in time.
        public static let lateHello = Kind(description: "no whole hello came in time", place: 1)
        /// It had to go for a newer one, or there was no room for it.
        public static let crowdedOut = Kind(description: "too many others were open", place: 2)
        /// Bytes of a member are no frames.
        public static let brokenFrame = Kind(description: "what came behind the hello was not a frame", place: 3)
        /// There was no descriptor or memory for it, or it had to give its own to a newer one.
        public static let noDescriptor = Kind(
            description: "the process has no descriptor or memory left; allow it more open files, or open fewer",
            place: 4
        )

        fileprivate static let all = [noHello, lateHello, crowdedOut, brokenFrame, noDescriptor]
    }

    /// What happened.
    public let kind: Kind
    /// The member that the other side said to be; 0 where it had said nothing.
    public let peer: MemberID
    /// How often this has happened since the transport was opened.
    public let count: UInt64

    /// What happened in a sentence.
    public var description: String {
        if kind == .noDescriptor {
            return "a connection was not accepted, or closed for a newer one: \(kind) (\(count) so far)"
        }
        let whose = peer == 0 ? "a connection of a stranger" : "a connection of member \(peer)"
        return "\(whose) was closed: \(kind) (\(count) so far)"
    }
}

/// Decides which troubles are told.
struct TroubleReports {
    /// How long one kind stays untold behind the last time, in nanoseconds.
    static let pauseNanoseconds: UInt64 = 1_000_000_000

    private var counts: [UInt64] = ConnectionTrouble.Kind.all.map { _ in 0 }
    private var nextReports: [UInt64] = ConnectionTrouble.Kind.all.map { _ in 0 }

    /// Notes that something happened.
    ///
    /// - Returns: what is to be told now; nil where the kind was told a moment ago.
    mutating func note(_ kind: ConnectionTrouble.Kind, of peer: MemberID, at now: UInt64) -> ConnectionTrouble? {
        counts[kind.place] &+= 1
        guard now >= nextReports[kind.place] else { return nil }
        nextReports[kind.place] = now &+ TroubleReports.pauseNanoseconds
        return ConnectionTrouble(kind: kind, peer: peer, count: counts[kind.place])
    }
}
