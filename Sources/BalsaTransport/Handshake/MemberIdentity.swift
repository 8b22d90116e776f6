import BalsaRaft

/// The random name that a cluster was given when it was formed.
public struct ClusterID: Hashable, Sendable, CustomStringConvertible {
    /// The 128 bits.
    public let rawValue: UInt128

    /// The cluster of this name.
    public init(rawValue: UInt128) { self.rawValue = rawValue }

    /// That of a member that is not part of a cluster yet.
    public static let none = ClusterID(rawValue: 0)

    /// The name in hexadecimal digits.
    public var description: String { String(rawValue, radix: 16) }
}

/// The random name of a member's disk: a member whose disk was lost has another one.
public struct Incarnation: Hashable, Sendable, CustomStringConvertible {
    /// The 128 bits.
    public let rawValue: UInt128

    /// The incarnation of this name.
    public init(rawValue: UInt128) { self.rawValue = rawValue }

    /// The name in hexadecimal digits.
    public var description: String { String(rawValue, radix: 16) }
}

/// Who a member is: of which cluster, on which disk, in which of its lives.
public struct MemberIdentity: Equatable, Sendable {
    /// The cluster.
    public var cluster: ClusterID
    /// The member; not 0.
    public var member: MemberID
    /// The disk.
    public var incarnation: Incarnation
    /// How often the directory has been opened: durable, and counted up before anything is sent.
    public var bootCounter: UInt64
    /// A random number of this life. Two lives with the same counter and different numbers run on copies of one disk.
    public var nonce: UInt64

    /// An identity.
    public init(
        cluster: ClusterID,
        member: MemberID,
        incarnation: Incarnation,
        bootCounter: UInt64,
        nonce: UInt64
    ) {
        self.cluster = cluster
        self.member = member
        self.incarnation = incarnation
        self.bootCounter = bootCounter
        self.nonce = nonce
    }
}
