import BalsaRaft

/// Why a member is not listened to, or does not take part, with a sentence that says what to do.
public struct IdentityRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kinds of reason. More may be added.
    public struct Reason: Equatable, Sendable, CustomStringConvertible {
        /// The kind in words.
        public let description: String

        private init(_ description: String) { self.description = description }

        /// The two ends belong to different clusters.
        public static let otherCluster = Reason("other cluster")
        /// The cluster has no member of that id.
        public static let unknownMember = Reason("unknown member")
        /// Somebody else was to be reached.
        public static let notAddressed = Reason("not addressed to this member")
        /// Two members were started under one id.
        public static let duplicateID = Reason("duplicate id")
        /// The directory was emptied: it has another incarnation than the cluster knows.
        public static let wiped = Reason("wiped")
        /// The directory was set back to an earlier image.
        public static let rolledBack = Reason("rolled back")
        /// The directory was copied, and both copies are up.
        public static let cloned = Reason("cloned")
        /// What was said at the beginning of a connection is nothing that a member says.
        public static let malformed = Reason("malformed introduction")
        /// The member that was to be reached has failed.
        public static let unavailable = Reason("unavailable")
    }

    /// The kind of reason.
    public let reason: Reason
    /// What is wrong and what to do, in sentences.
    public let description: String

    package init(_ reason: Reason, _ description: String) {
        self.reason = reason
        self.description = description
    }

    /// Whether whoever is refused must not go on at all: its directory has forgotten promises, or is not the only one that
    /// makes them. All else may be a wrong address, and concerns this connection alone.
    public var stopsMember: Bool { reason == .wiped || reason == .rolledBack || reason == .cloned }
}

extension IdentityRefusal {
    package static func otherCluster(_ peer: MemberID, _ theirs: UniqueID, _ ours: UniqueID) -> IdentityRefusal {
        IdentityRefusal(
            .otherCluster,
            "member \(peer) belongs to the cluster \(theirs), this one to \(ours): correct the address of one of them"
        )
    }

    package static func unknownMember(_ peer: MemberID, _ cluster: UniqueID) -> IdentityRefusal {
        IdentityRefusal(
            .unknownMember,
            "the cluster \(cluster) has no member \(peer): correct its id, or add it by a change of membership"
        )
    }

    package static func notAddressed(_ meant: MemberID, _ peer: MemberID, _ own: MemberID) -> IdentityRefusal {
        IdentityRefusal(
            .notAddressed,
            "member \(peer) meant to reach member \(meant) and reached member \(own): correct the address that it has "
                + "for member \(meant)"
        )
    }

    package static func duplicateID(_ member: MemberID) -> IdentityRefusal {
        IdentityRefusal(
            .duplicateID,
            "somebody else was started as member \(member), which this one is: stop it and give it an id that was never used"
        )
    }

    package static func wiped(_ member: MemberID, _ cluster: UniqueID) -> IdentityRefusal {
        IdentityRefusal(
            .wiped,
            "the directory of member \(member) is not the one with which it joined the cluster \(cluster), and its votes "
                + "are lost with that: put its own directory back as it was last, or replace the member by a new one under "
                + "an id that was never used"
        )
    }

    package static func rolledBack(_ member: MemberID) -> IdentityRefusal {
        IdentityRefusal(
            .rolledBack,
            "the directory of member \(member) was set back to an earlier state, and what it promised since is lost: put "
                + "the latest directory back, or replace the member by a new one under an id that was never used"
        )
    }

    package static func cloned(_ member: MemberID) -> IdentityRefusal {
        IdentityRefusal(
            .cloned,
            "member \(member) is up twice, on copies of one directory: stop both, keep the one that ran before the copy was "
                + "made, and remove the other"
        )
    }

    package static func unavailable(_ member: MemberID) -> IdentityRefusal {
        IdentityRefusal(.unavailable, "member \(member) has failed: see why, and open it again")
    }

    package static func malformed(_ peer: MemberID) -> IdentityRefusal {
        IdentityRefusal(
            .malformed,
            "what member \(peer) said to introduce itself is none of a member: check that it is of a release that fits"
        )
    }
}
