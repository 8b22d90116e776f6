import BalsaPlatform
import BalsaRaft
import BalsaWire

/// How members that belong to nothing become a cluster: a value, which takes what arrives and says what to do.
///
/// ```
///                  all say hello              noted by all
///   prepared ─────────────────────▶ noted ─────────────────────▶ established
///       ▲        the lowest proposes  │ ▲     first the lowest,     │
///       └── (a new directory)         └─┘     then whom it tells    └─▶ tells everybody who asks
///                                 a later proposal
/// ```
///
/// Every member says *hello* with its incarnation until it is established. When the lowest has heard all, it proposes a
/// random cluster id with the table of all incarnations, which each notes durably, the lowest itself first. When all have
/// noted, the lowest becomes established, durably, and tells. An established member answers whatever it hears of a first
/// boot with the table. Who finds its own incarnation in that is a member; who finds another one was wiped.
///
/// **Why there is one cluster only.** Nobody becomes established but the lowest, when all have noted, or who is told by
/// somebody who is. So whatever cluster exists, the lowest established it first. Take the first cluster C that the lowest
/// established, in a directory of incarnation P.
///
/// - *The same directory makes no second one.* Established, it takes part in no first boot again. Before, its disk holds
///   one proposal at a time, and it counts only those as having noted that named exactly that proposal, each with the
///   incarnation that stands in its table. A proposal that it replaced can therefore never be established, whatever notes of
///   it are still on other disks or on their way; and what a member has noted decides nothing about what it becomes: the
///   table of the established cluster does. That is why a note may be replaced as long as the lowest is not established,
///   and why it does no harm if an old proposal that comes late replaces a newer one.
/// - *Another directory of the lowest makes no second one*, be it wiped, or another machine started under its id: each of the
///   others had noted C from P, and a note of a proposal from P is only replaced by one from P. To have all notes again,
///   all of the others would have to be wiped as well: then there was nothing left to protect.
///
/// **Why nobody votes too early.** A member that has noted may find itself in another table later. Consensus is therefore
/// opened by established members alone, whose table is final.
///
/// Messages may be lost, come twice, late and in any order: everything is said again until it is answered. What arrives
/// while something is being persisted is dropped like a lost one.
struct FirstBoot: Sendable {
    /// What happens to it.
    enum Input: Equatable, Sendable {
        /// A peer said something.
        case received(FirstBootMessage, from: MemberID)
        /// The moment has come that was asked for.
        case timer
        /// The identity of ``Effect/persist(_:)`` is durable.
        case persisted
    }

    /// What it wants done, in this order.
    enum Effect: Equatable, Sendable {
        /// Make this identity durable. There is never more than one under way.
        case persist(Identity)
        /// Send to a peer.
        case send(FirstBootMessage, to: MemberID)
        /// Give ``Input/timer`` at this moment.
        case wake(at: Instant)
        /// The member belongs to this cluster, durably. The first boot is over.
        case established(ClusterIdentity)
        /// The member cannot belong to the cluster that it found. The first boot is over.
        case refused(IdentityRefusal)
        /// The first boot waits for something that an operator has to do.
        case report(Problem)
    }

    /// What keeps a first boot from coming to its end.
    enum Problem: Equatable, Sendable, CustomStringConvertible {
        /// A member that is not listed takes part.
        case unknownPeer(MemberID)
        /// The lowest member was started with another list of members.
        case otherList([MemberID], listed: [MemberID])
        /// The lowest member has another incarnation than the one whose proposal was noted.
        case otherProposer(MemberID)
        /// Members that say one incarnation: their directories are copies of one.
        case sameIncarnation([MemberID])

        var description: String {
            switch self {
            case .unknownPeer(let member):
                "member \(member) takes part in the first boot and is not listed: start all members with the same list"
            case .otherList(let theirs, let listed):
                "the members \(theirs) are proposed, and \(listed) are listed: start all members with the same list"
            case .otherProposer(let member):
                "two directories make proposals as member \(member): if it was started twice, stop the second one; if "
                    + "that "
                    + "does not help, or its directory was emptied, and no member has joined a cluster, empty the "
                    + "directories of all members"
            case .sameIncarnation(let members):
                "the directories of the members \(members) are copies of one: stop all of these members but one, empty "
                    + "the directories of those that are stopped, and start them again"
            }
        }
    }

    /// A member that is up, in this life of its directory.
    struct Heard: Hashable, Sendable {
        var member: MemberID
        var incarnation: UniqueID
    }

    /// After how long everything is said again.
    private let sayAgainAfter: TimeSpan
    /// All members, this one included, by ascending id.
    private let list: [MemberAddress]
    private var ids: UniqueIDSource
    /// An error that the simulator plants to test its judges.
    private let isIncarnationIgnored: Bool

    /// What is durable.
    private(set) var identity: Identity
    /// What is being made durable.
    private var underWay: Identity?
    /// The incarnations that were heard in this process' life, by the lowest.
    private(set) var heard: [Heard] = []
    /// Who has noted the proposal that is on the disk of the lowest.
    private(set) var noters: [MemberID] = []
    /// Whether it is over.
    private(set) var isOver = false

    /// A first boot that has not begun.
    ///
    /// - Parameters:
    ///   - identity: what is on disk; not established.
    ///   - list: all members, this one included, in any order.
    ///   - sayAgainAfter: after how long everything is said again.
    ///   - ids: where the id of a cluster comes from.
    init(
        identity: Identity,
        list: [MemberAddress],
        sayAgainAfter: TimeSpan,
        ids: UniqueIDSource,
        isIncarnationIgnored: Bool = false
    ) {
        precondition(identity.established == nil, "an established member has no first boot before it")
        precondition(list.contains { $0.member == identity.member }, "a member lists itself")
        self.identity = identity
        self.list = list.sorted { $0.member < $1.member }
        self.sayAgainAfter = sayAgainAfter
        self.ids = ids
        self.isIncarnationIgnored = isIncarnationIgnored
    }

    private var member: MemberID { identity.member }
    /// The member that proposes.
    private var lowest: MemberID { list[0].member }
    private var isLowest: Bool { member == lowest }
    private var others: [MemberID] { list.map(\.member).filter { $0 != member } }

    /// Begins. Called once, before any step.
    mutating func start(at now: Instant, into effects: inout [Effect]) {
        if others.isEmpty { propose(into: &effects) }
        sayAgain(at: now, into: &effects)
    }

    /// Takes one input and appends what follows from it to `effects`.
    mutating func step(_ input: Input, at now: Instant, into effects: inout [Effect]) {
        guard !isOver else { return }
        switch input {
        case .received(let message, let peer):
            if underWay == nil { receive(message, from: peer, into: &effects) }
        case .timer:
            sayAgain(at: now, into: &effects)
        case .persisted:
            persisted(into: &effects)
        }
    }

    /// What an established member answers to a message of somebody else's first boot; nil where there is nothing to say.
    static func answer(to message: FirstBootMessage, of cluster: ClusterIdentity) -> FirstBootMessage? {
        if case .established = message { return nil }
        return .established(cluster)
    }

    // MARK: Speaking

    private func sayAgain(at now: Instant, into effects: inout [Effect]) {
        for peer in others { effects.append(.send(.hello(incarnation: identity.incarnation), to: peer)) }
        if underWay == nil { sendProposal(into: &effects) }
        effects.append(.wake(at: now + sayAgainAfter))
    }

    /// Sends the proposal that is on disk to who has not noted it, as long as it is still that of all members.
    private func sendProposal(into effects: inout [Effect]) {
        guard isLowest, case .noted(let cluster) = identity.state, cluster.table == heardTable else { return }
        for peer in others where !noters.contains(peer) { effects.append(.send(.proposal(cluster), to: peer)) }
    }

    private mutating func persist(_ state: Identity.State, into effects: inout [Effect]) {
        var next = identity
        next.state = state
        underWay = next
        effects.append(.persist(next))
    }

    private mutating func persisted(into effects: inout [Effect]) {
        guard let next = underWay else { preconditionFailure("what is persisted was asked for") }
        identity = next
        underWay = nil
        switch next.state {
        case .prepared:
            preconditionFailure("a directory is prepared before the first boot begins")
        case .noted(let cluster):
            if isLowest {
                noters = [member]
                sendProposal(into: &effects)
            } else {
                effects.append(.send(.noted(cluster: cluster.id, incarnation: identity.incarnation), to: lowest))
            }
        case .established(let cluster):
            isOver = true
            effects.append(.established(cluster))
            // The others would ask. They need not wait for that.
            if isLowest { for peer in others { effects.append(.send(.established(cluster), to: peer)) } }
        }
    }

    // MARK: Listening

    private mutating func receive(_ message: FirstBootMessage, from peer: MemberID, into effects: inout [Effect]) {
        // The table decides, whoever brings it: a member that listed the wrong peers learns so from the right ones.
        if case .established(let cluster) = message {
            join(cluster, into: &effects)
            return
        }
        guard peer != member, list.contains(where: { $0.member == peer }) else {
            effects.append(.report(.unknownPeer(peer)))
            return
        }
        switch message {
        case .hello(let incarnation) where isLowest:
            hear(incarnation, of: peer, into: &effects)
        case .proposal(let cluster) where peer == lowest:
            note(cluster, into: &effects)
        case .noted(let cluster, let incarnation) where isLowest:
            count(peer, incarnation, cluster, into: &effects)
        case .hello, .proposal, .noted, .established:
            break
        }
    }

    /// The lowest hears that a member is up, and proposes when all are.
    private mutating func hear(_ incarnation: UniqueID, of peer: MemberID, into effects: inout [Effect]) {
        heard.removeAll { $0.member == peer }
        heard.append(Heard(member: peer, incarnation: incarnation))
        let same = list.map(\.member).filter { listed in
            listed == member
                ? identity.incarnation == incarnation
                : heard.contains(Heard(member: listed, incarnation: incarnation))
        }
        guard same.count == 1 else {
            effects.append(.report(.sameIncarnation(same)))
            return
        }
        guard let table = heardTable else { return }
        if identity.cluster?.table != table {
            propose(into: &effects)
        } else if noters.isEmpty {
            // What is on disk from before a crash is gone on with: others may have noted it.
            noters = [member]
            sendProposal(into: &effects)
        }
    }

    /// The table of all that are up; nil while some have not been heard of.
    private var heardTable: MemberTable? {
        var rows: [MemberTable.Row] = []
        for listed in list {
            let incarnation =
                listed.member == member
                ? identity.incarnation : heard.first { $0.member == listed.member }?.incarnation
            guard let incarnation else { return nil }
            rows.append(.init(member: listed.member, incarnation: incarnation, address: listed.address))
        }
        do throws(DecodingError) { return try MemberTable(rows) } catch {
            // Two members of one incarnation, which was reported when the second one was heard.
            return nil
        }
    }

    private mutating func propose(into effects: inout [Effect]) {
        guard let table = heardTable else { return }
        noters = []
        let cluster = ClusterIdentity(id: ids.next(), table: table)
        // Nobody else is to be asked: what would be noted is established at once.
        persist(others.isEmpty ? .established(cluster) : .noted(cluster), into: &effects)
    }

    /// A member other than the lowest hears a proposal.
    private mutating func note(_ cluster: ClusterIdentity, into effects: inout [Effect]) {
        guard cluster.table.members == list.map(\.member) else {
            effects.append(.report(.otherList(cluster.table.members, listed: list.map(\.member))))
            return
        }
        // One that was made for this member before it was wiped. The lowest will hear of it.
        guard cluster.table[member]?.incarnation == identity.incarnation else { return }
        if let noted = identity.cluster {
            guard noted != cluster else {
                effects.append(.send(.noted(cluster: cluster.id, incarnation: identity.incarnation), to: lowest))
                return
            }
            guard noted.table[lowest]?.incarnation == cluster.table[lowest]?.incarnation else {
                effects.append(.report(.otherProposer(lowest)))
                return
            }
        }
        persist(.noted(cluster), into: &effects)
    }

    /// The lowest hears that a member has noted.
    private mutating func count(
        _ peer: MemberID,
        _ incarnation: UniqueID,
        _ id: UniqueID,
        into effects: inout [Effect]
    ) {
        guard case .noted(let cluster) = identity.state, cluster.id == id,
            cluster.table[peer]?.incarnation == incarnation
        else { return }
        if noters.isEmpty { noters = [member] }
        if !noters.contains(peer) { noters.append(peer) }
        establishIfNotedByAll(into: &effects)
    }

    private mutating func establishIfNotedByAll(into effects: inout [Effect]) {
        guard case .noted(let cluster) = identity.state, noters.count == list.count else { return }
        persist(.established(cluster), into: &effects)
    }

    /// Any member hears of a cluster that exists.
    private mutating func join(_ cluster: ClusterIdentity, into effects: inout [Effect]) {
        guard let row = (isIncarnationIgnored ? forged(cluster) : cluster).table[member] else {
            isOver = true
            effects.append(.refused(IdentityRefusal(.unknownMember, of: member, in: cluster.id)))
            return
        }
        guard row.incarnation == identity.incarnation else {
            isOver = true
            effects.append(.refused(IdentityRefusal(.wiped, of: member, in: cluster.id)))
            return
        }
        persist(.established(isIncarnationIgnored ? forged(cluster) : cluster), into: &effects)
    }

    /// The planted error: a cluster whose table has this directory in the place of the one that it knows.
    private func forged(_ cluster: ClusterIdentity) -> ClusterIdentity {
        var rows = cluster.table.rows
        for place in rows.indices where rows[place].member == member { rows[place].incarnation = identity.incarnation }
        do throws(DecodingError) { return ClusterIdentity(id: cluster.id, table: try MemberTable(rows)) } catch {
            return cluster
        }
    }
}
