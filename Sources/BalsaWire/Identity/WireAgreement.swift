import BalsaRaft

/// What the two ends of a connection agree on when they introduce themselves.
public struct WireAgreement: Equatable, Sendable {
    /// The version of the wire format in which this member writes to the peer: the highest that both speak.
    public var version: UInt16
    /// Which replicated features the peer knows.
    public var featureLevel: UInt32

    /// The versions of the wire format that this release speaks.
    public static let spokenVersions: ClosedRange<UInt16> = 1...1
    /// Which replicated features this release knows. There is one level so far.
    public static let ownFeatureLevel: UInt32 = 0

    /// What is agreed on with a peer.
    ///
    /// - Parameters:
    ///   - version: the version in which this member writes to it.
    ///   - featureLevel: which replicated features the peer knows.
    public init(version: UInt16, featureLevel: UInt32) {
        self.version = version
        self.featureLevel = featureLevel
    }

    /// What holds for a peer that was never heard: the oldest version and the lowest level that any member has.
    public static let oldest = WireAgreement(version: spokenVersions.lowerBound, featureLevel: 0)
}

/// What a member has agreed on with each of its peers, as of the newest connection.
public struct WireAgreements: Sendable {
    private var list: [(peer: MemberID, agreement: WireAgreement)] = []

    /// No agreements: every peer gets ``WireAgreement/oldest``.
    public init() {}

    /// Takes note of an agreement, which replaces the one before.
    public mutating func note(_ agreement: WireAgreement, with peer: MemberID) {
        list.removeAll { $0.peer == peer }
        list.append((peer, agreement))
    }

    /// What is agreed on with a peer.
    ///
    /// - Complexity: linear in the number of peers.
    public subscript(_ peer: MemberID) -> WireAgreement {
        list.first { $0.peer == peer }?.agreement ?? .oldest
    }

    /// All agreements, in the order in which they were noted.
    public var all: [(peer: MemberID, agreement: WireAgreement)] { list }
}
