import BalsaPlatform
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
        /// The refuser remembers an older opening than the introduction shows. For now only: the next introduction shows it.
        public static let unproven = Reason(rawValue: 10)
        /// The refuser remembers an opening of which the directory has no record any more.
        public static let forgotten = Reason(rawValue: 11)

        /// Whether it depends on which opening the refuser remembers.
        var isAboutOpenings: Bool {
            switch self {
            case .rolledBack, .cloned, .unproven, .forgotten: true
            default: false
            }
        }

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
            case .unproven: "opening not shown yet"
            case .forgotten: "opening without a record"
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
    /// The latest opening of the refused member's directory that the refuser has listened to, where the reason is about
    /// openings; else 0.
    public let opening: UInt64
    /// Whether the introduction showed that opening with the number that the refused member has for it.
    private let isShown: Bool

    /// That who introduces itself so is not listened to.
    ///
    /// - Parameters:
    ///   - reason: the kind of reason.
    ///   - introduction: how the refused member has introduced itself.
    ///   - refuser: who refuses.
    ///   - cluster: the cluster of who refuses; ``UniqueID/none`` before it belongs to any.
    ///   - opening: the latest opening of the refused member's directory that the refuser has listened to; 0 for none.
    public init(
        _ reason: Reason,
        of introduction: Introduction,
        by refuser: MemberID,
        in cluster: UniqueID,
        remembering opening: UInt64 = 0
    ) {
        self.reason = reason
        member = introduction.from
        self.refuser = refuser
        meant = introduction.to
        memberCluster = introduction.cluster
        self.cluster = cluster
        self.opening = reason.isAboutOpenings ? opening : 0
        isShown = introduction.proof.map { $0.boot == opening } ?? false
    }

    /// That a member finds that it has no place in a cluster of which it was told.
    package init(_ reason: Reason, of member: MemberID, in cluster: UniqueID) {
        self.reason = reason
        self.member = member
        refuser = 0
        meant = 0
        memberCluster = .none
        self.cluster = cluster
        opening = 0
        isShown = false
    }

    /// Whether the refused member must stop: its directory has forgotten promises, or is not the only one that makes them.
    /// All other reasons may come from a wrong address, and concern this connection alone.
    public var stopsMember: Bool {
        switch reason {
        case .wiped, .rolledBack, .cloned, .duplicateID: true
        default: false
        }
    }

    /// Whether it only asks the refused member to show an opening, which its next introduction does: nobody has to hear
    /// of it. That is not so if the opening was shown already, or if another member or another cluster asks.
    public var isPassing: Bool {
        reason == .unproven && !isShown && refuser == meant && cluster == memberCluster
    }

    /// What else may be wrong with a member that belongs to no cluster yet: an address may lead to another cluster that
    /// has a member of its id.
    private var adviceForNewMember: String {
        guard memberCluster == .none, meant != 0 else { return "" }
        return "; if member \(member) is a new one, correct the address that it has for member \(meant)"
    }

    /// What is wrong and what to do, in sentences.
    public var description: String {
        switch reason {
        case .otherCluster:
            "member \(member) belongs to the cluster \(memberCluster), and member \(refuser) to the cluster \(cluster): "
                + "correct the address by which one of them looks for the other, or start it on the directory of its own "
                + "cluster"
        case .unknownMember:
            "the cluster \(cluster) has no member \(member): correct its id or its address; a member cannot be added yet"
        case .notAddressed:
            "member \(member) meant to reach member \(meant) and reached member \(refuser): correct the address that it "
                + "has for member \(meant)"
        case .duplicateID:
            "member \(member) was started twice, on two directories: stop the process whose directory is not the one with "
                + "which the member joined the cluster, and never start it again; the other one goes on as member \(member)"
                + adviceForNewMember
        case .wiped:
            "the directory of member \(member) is not the one with which it joined the cluster \(cluster), and its votes "
                + "are lost with that: put its own directory back as it was last; if that is lost, the others go on without "
                + "the member, which cannot be replaced yet" + adviceForNewMember
        case .rolledBack:
            "the directory of member \(member) was set back to before its opening \(opening), which member \(refuser) has "
                + "listened to, and what it promised since is lost: put the latest directory back; if that is lost, or is "
                + "refused as well because some member has listened to this one, the others go on without the member, "
                + "which cannot be replaced yet"
        case .cloned:
            "member \(member) is up twice, on copies of one directory: stop the one that has failed with this message, and "
                + "never start it again; the other one goes on as member \(member), and has lost what the first promised "
                + "after the copy was made; if both have failed, the others go on without the member, which cannot be "
                + "replaced yet"
        case .malformed:
            "what member \(member) said to introduce itself is not what a member says: check that it is of a release "
                + "that fits"
        case .unavailable:
            "member \(refuser) has failed or has no space on its disk: see what it says, and open it again if it has failed"
        case .unproven where !isPassing:
            "member \(refuser) of the cluster \(cluster) asks for opening \(opening) of the directory of member \(member), "
                + "which has shown it or does not belong there: correct the address that member \(member) has for member "
                + "\(meant); if it is right, check that both are of releases that fit"
        case .unproven:
            "member \(refuser) remembers opening \(opening) of the directory of member \(member), and has not been shown it "
                + "yet: nothing is to be done, since member \(member) shows it when it connects again"
        case .forgotten:
            "member \(refuser) remembers opening \(opening) of the directory of member \(member), which has no record of it, "
                + "so that nobody can say whether the directory was set back: put the latest directory back; if this is "
                + "the latest, the two go on without each other, and the rest of the cluster with both"
        default:
            "member \(refuser) does not listen to member \(member) for a reason that this release does not know "
                + "(\(reason.rawValue)): see what member \(refuser) says"
        }
    }
}
