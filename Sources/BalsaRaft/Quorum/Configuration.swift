/// Who the members of a group are and what counts as a quorum of them.
///
/// Usually the quorums are the majorities of ``voters``. While a change of membership is under way the configuration is
/// *joint*: a quorum then needs a majority of the new voters and a majority of the ``outgoing`` ones (Raft, section 6).
/// Every decision of the core is computed over this value, so that none of them knows the difference.
public struct Configuration: Equatable, Sendable {
    /// The most voters that a group may have.
    public static let maxVoters = 7

    private let incoming: Majority
    private let leaving: Majority

    /// A configuration of majorities.
    ///
    /// - Parameter voters: 1 to ``maxVoters`` member ids in any order, none of them 0 or repeated.
    /// - Throws: ``ConfigurationError`` where they are not.
    public init(voters: [MemberID]) throws(ConfigurationError) {
        try self.init(incoming: voters, outgoing: [])
        guard !voters.isEmpty else { throw ConfigurationError("a group needs at least one voter") }
    }

    /// A joint configuration; either half may be empty.
    package init(incoming: [MemberID], outgoing: [MemberID]) throws(ConfigurationError) {
        self.incoming = Majority(try Configuration.checked(incoming))
        self.leaving = Majority(try Configuration.checked(outgoing))
    }

    private static func checked(_ voters: [MemberID]) throws(ConfigurationError) -> [MemberID] {
        let sorted = voters.sorted()
        guard sorted.count <= maxVoters else {
            throw ConfigurationError("a group has at most \(maxVoters) voters, not \(sorted.count)")
        }
        guard sorted.first != 0 else { throw ConfigurationError("0 is not a member id") }
        for (left, right) in zip(sorted, sorted.dropFirst()) where left == right {
            throw ConfigurationError("member \(left) is listed twice")
        }
        return sorted
    }

    /// The voters, of the new half where the configuration is joint; ascending.
    public var voters: [MemberID] { incoming.voters }

    /// The voters that were, while a change is under way; else empty. Ascending.
    public var outgoing: [MemberID] { leaving.voters }

    /// Whether a change is under way.
    public var isJoint: Bool { !leaving.voters.isEmpty }

    /// All voters of both halves, ascending, each once.
    public var members: [MemberID] {
        guard isJoint else { return incoming.voters }
        return (incoming.voters + leaving.voters.filter { !incoming.voters.contains($0) }).sorted()
    }

    /// Whether `member` is a voter of either half.
    public func contains(_ member: MemberID) -> Bool {
        incoming.voters.contains(member) || leaving.voters.contains(member)
    }

    /// Whether `member` is a quorum alone.
    func isSoleVoter(_ member: MemberID) -> Bool { !isJoint && incoming.voters == [member] }

    /// The largest value that a quorum has reached, where `value` tells what each member has reached.
    package func reached(_ value: (MemberID) -> UInt64) -> UInt64 {
        min(incoming.reached(value), leaving.reached(value))
    }

    /// What the votes known so far decide; `vote` is nil for a member that has not answered.
    package func result(_ vote: (MemberID) -> Bool?) -> VoteResult {
        switch (incoming.result(vote), leaving.result(vote)) {
        case (.won, .won): .won
        case (.lost, _), (_, .lost): .lost
        default: .pending
        }
    }
}

/// Why a list of members is not a configuration.
public struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The reason in a sentence.
    public let description: String

    init(_ description: String) { self.description = description }
}
