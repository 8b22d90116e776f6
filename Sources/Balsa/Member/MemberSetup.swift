import BalsaPlatform
import BalsaRaft
import BalsaWire

/// A member as the list of peers names it.
public struct MemberAddress: Hashable, Sendable {
    /// The member.
    public var member: MemberID
    /// Where the others reach it; may be empty for the only one.
    public var address: String

    /// A member and its address.
    public init(member: MemberID, address: String) {
        self.member = member
        self.address = address
    }
}

/// What a member is opened with.
public struct MemberSetup: Sendable {
    /// The directory, which is created where it does not exist. Nothing else may be in it.
    public var directory: String
    /// Which member this is.
    public var member: MemberID
    /// All members, this one included, and where the others reach them. Whom the first boot found stays: another list of members
    /// is refused from then on, as addresses may change and members cannot yet.
    public var list: [MemberAddress]
    /// The limits of the replica.
    public var options = ReplicaOptions()
    /// A random number for elections and names of requests, different for each member and each opening.
    public var seed: UInt64
    /// 128 random bits, different for each member and each opening, of which incarnation, cluster id and nonce are made.
    public var identitySeed: UniqueID

    /// What a member is opened with.
    public init(
        directory: String,
        member: MemberID,
        list: [MemberAddress],
        seed: UInt64,
        identitySeed: UniqueID
    ) {
        self.directory = directory
        self.member = member
        self.list = list
        self.seed = seed
        self.identitySeed = identitySeed
    }

    /// Throws a sentence about a list that is not that of the cluster.
    func validate(against cluster: ClusterIdentity) throws(ReplicaError) {
        // First: no list that this release takes has as many members.
        _ = try configuration(of: cluster)
        let listed = list.map(\.member).sorted()
        guard listed != cluster.table.members else { return }
        throw ReplicaError(
            .invalid,
            "\(directory) belongs to a cluster of the members \(cluster.table.members), and \(listed) are listed: open it with the "
                + "list that it was first opened with, or take an empty directory for another cluster"
        )
    }

    /// The members of a cluster as the configuration with which they begin.
    ///
    /// - Throws: ``ReplicaError``, *upgrade required* for more members than this release serves: a table has room for
    ///   them.
    func configuration(of cluster: ClusterIdentity) throws(ReplicaError) -> Configuration {
        let members = cluster.table.members
        guard members.count <= Configuration.maxVoters else {
            throw ReplicaError(
                .upgradeRequired,
                "\(directory)/IDENTITY: the cluster has \(members.count) members, and this release serves at most "
                    + "\(Configuration.maxVoters): start the member with the release that the others run"
            )
        }
        do throws(ConfigurationError) { return try Configuration(voters: members) } catch {
            throw ReplicaError(.damaged, "\(directory)/IDENTITY: \(error.description)")
        }
    }

    /// Throws a sentence about a list that is none.
    func validate() throws(ReplicaError) {
        do throws(ConfigurationError) { _ = try Configuration(voters: list.map(\.member)) } catch {
            throw ReplicaError(.invalid, error.description)
        }
        guard list.contains(where: { $0.member == member }) else {
            throw ReplicaError(.invalid, "the list of members has no member \(member), which this is")
        }
        if let long = list.first(where: { $0.address.utf8.count > MemberTable.maxAddressBytes }) {
            throw ReplicaError(
                .invalid,
                "the address of member \(long.member) has \(long.address.utf8.count) bytes; an address has at most "
                    + "\(MemberTable.maxAddressBytes)"
            )
        }
    }
}
