import BalsaRaft

/// Why a member is not listened to, or does not take part, with a sentence that says what to do.
///
/// It is made by whoever refuses, and once more by whoever is refused, from the reason's code and from what the two have said
/// of themselves: so both operators read the same sentence, and none travels.
public struct IdentityRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kinds of reason. More may be added; a reason of a newer release is shown by its number.
    public struct Reason: RawRepresentable, Equatable, Sendable, CustomStringConvertible {
        /// The kind as a handshake has it; not 0.
        public let rawValue: UInt16

        /// The kind of this number.
        public init(rawValue: UInt16) { self.rawValue = rawValue }

        /// The two ends belong to different clusters.
        public static let otherCluster = Reason(rawValue: 1)
        /// The cluster has no member of that id.
        public static let unknownMember = Reason(rawValue: 2)
        /// Somebody else was to be reached.
        public static let notAddressed = Reason(rawValue: 3)
        /// Two members were started under one id.
        public static let duplicateID = Reason(rawValue: 4)
        /// The directory was emptied: it has another incarnation than the cluster knows.
        public static let wiped = Reason(rawValue: 5)
        /// The directory was set back to an earlier image.
        public static let rolledBack = Reason(rawValue: 6)
        /// The directory was copied, and both copies are up.
        public static let cloned = Reason(rawValue: 7)
        /// What was said at the beginning of a connection is nothing that a member says.
        public static let malformed = Reason(rawValue: 8)
        /// The member that was to be reached has failed, or has no room to note that it was.
        public static let unavailable = Reason(rawValue: 9)

        /// The kind in words.
        public var description: String {
            switch self {
            case .otherCluster: "other cluster"
            case .unknownMember: "unknown member"
            case .notAddressed: "not addressed to this member"
            case .duplicateID: "duplicate id"
            case .wiped: "wiped"
            case .rolledBack: "rolled back"
            case .cloned: "cloned"
            case .malformed: "malformed introduction"
            case .unavailable: "unavailable"
            default: "reason \(rawValue)"
            }
        }
    }

    /// The kind of reason.
    public let reason: Reason
    /// Who is refused.
    public let member: MemberID
    /// Who refuses; 0 where the member itself has found out.
    public let refuser: MemberID
    /// Whom the refused member meant to reach; 0 where the member itself has found out.
    public let meant: MemberID
    /// The cluster that the refused member says it belongs to.
    private let memberCluster: UniqueID
    /// The cluster of who refuses; ``UniqueID/none`` before it belongs to any.
    public let cluster: UniqueID

    /// That who introduces itself so is not listened to.
    ///
    /// - Parameters:
    ///   - reason: the kind of reason.
    ///   - introduction: how the refused member has introduced itself.
    ///   - refuser: who refuses.
    ///   - cluster: the cluster of who refuses; ``UniqueID/none`` before it belongs to any.
    public init(_ reason: Reason, of introduction: Introduction, by refuser: MemberID, in cluster: UniqueID) {
        self.reason = reason
        member = introduction.from
        self.refuser = refuser
        meant = introduction.to
        memberCluster = introduction.cluster
        self.cluster = cluster
    }

    /// That a member finds that it has no place in a cluster of which it was told.
    package init(_ reason: Reason, of member: MemberID, in cluster: UniqueID) {
        self.reason = reason
        self.member = member
        refuser = 0
        meant = 0
        memberCluster = .none
        self.cluster = cluster
    }

    /// Whether whoever is refused must not go on at all: its directory has forgotten promises, or is not the only one that
    /// makes them. All else may be a wrong address, and concerns this connection alone.
    public var stopsMember: Bool {
        switch reason {
        case .wiped, .rolledBack, .cloned, .duplicateID: true
        default: false
        }
    }

    /// What is wrong and what to do, in sentences.
    public var description: String {
        switch reason {
        case .otherCluster:
            "member \(member) belongs to the cluster \(memberCluster), and member \(refuser) to the cluster \(cluster): "
                + "correct the address by which one of them looks for the other, or start it on the directory of its own "
                + "cluster"
        case .unknownMember:
            "the cluster \(cluster) has no member \(member): correct its id, or add it by a change of membership"
        case .notAddressed:
            "member \(member) meant to reach member \(meant) and reached member \(refuser): correct the address that it "
                + "has for member \(meant)"
        case .duplicateID:
            "member \(member) was started twice, on two directories: stop the one that is not the cluster's, and start it "
                + "on an empty directory under an id that was never used"
        case .wiped:
            "the directory of member \(member) is not the one with which it joined the cluster \(cluster), and its votes "
                + "are lost with that: put its own directory back as it was last, or replace the member by a new one under "
                + "an id that was never used"
        case .rolledBack:
            "the directory of member \(member) was set back to an earlier state, and what it promised since is lost: put "
                + "the latest directory back, or replace the member by a new one under an id that was never used"
        case .cloned:
            "member \(member) is up twice, on copies of one directory: stop both, keep the one that ran before the copy "
                + "was made, and remove the other"
        case .malformed:
            "what member \(member) said to introduce itself is none of a member: check that it is of a release that fits"
        case .unavailable:
            "member \(refuser) has failed or has no room on its disk: see what it says, and open it again if it has failed"
        default:
            "member \(refuser) does not listen to member \(member) for a reason that this release does not know "
                + "(\(reason.rawValue)): see what member \(refuser) says"
        }
    }
}
