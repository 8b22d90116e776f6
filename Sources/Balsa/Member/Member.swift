import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

/// A member of a cluster, from an empty directory on: its identity, its first boot and, once it belongs to a cluster, its
/// replica. Both shells drive it.
///
/// It takes the inputs of a replica and gives its effects, one step at a time, as ``Replica`` does. Until it is established
/// it answers every request with *starting up*, and nothing but messages of the first boot leaves it: no replica exists
/// that could vote. Then the replica is opened, in the same step, on the configuration of the cluster's table.
///
/// With whom it talks is asked at both ends of each connection, by ``connect(_:into:)``, before any frame is sent or given
/// to it.
public final class Member {
    /// Which member this is.
    public let member: MemberID
    /// The replica, once there is one.
    public private(set) var replica: Replica?
    /// Why the member has failed, if it has.
    public var failure: ReplicaError? { ownFailure ?? replica?.failure }

    private let setup: MemberSetup
    private let fileSystem: any FileSystem
    private let provider: any StateMachineProvider
    private let lock: any FileLock
    private var store: IdentityStore
    /// Until the member is established.
    private var firstBoot: FirstBoot?
    private var firstBootDeadline = Instant.never
    /// From then on.
    private var peers: PeerIdentity?
    private var ownFailure: ReplicaError?
    /// Until the member is established: the peers that cannot be reached, since whoever answers in their place does not listen
    /// to it.
    private var misaddressed: [MemberID] = []
    /// What was agreed on with the peers, also before there is a replica.
    private(set) var agreements = WireAgreements()
    private var isClosed = false
    private var now: Instant

    private init(
        _ setup: MemberSetup,
        _ fileSystem: any FileSystem,
        _ provider: any StateMachineProvider,
        _ lock: any FileLock,
        _ store: IdentityStore,
        at now: Instant
    ) {
        member = setup.member
        self.setup = setup
        self.fileSystem = fileSystem
        self.provider = provider
        self.lock = lock
        self.store = store
        self.now = now
    }

    /// Opens a member's directory and begins: with the first boot, or with the replica of a member that is established. That the
    /// directory was opened once more is durable when it returns.
    ///
    /// - Parameters:
    ///   - setup: what it is opened with.
    ///   - fileSystem: the files.
    ///   - provider: opens the state machine.
    ///   - now: the present moment.
    ///   - effects: what the shell has to do first.
    /// - Throws: ``ReplicaError``: *invalid* also for a list of other members than those of the cluster that the
    ///   directory belongs to. A directory that is refused for what it holds or for the setup holds every byte that it
    ///   held, but for files `LOCK`, which name the process that opened it; and the opening is not counted. In one that
    ///   no opening has marked, what a first opening makes may have been made.
    public static func open(
        _ setup: MemberSetup,
        fileSystem: any FileSystem,
        provider: any StateMachineProvider,
        at now: Instant,
        into effects: inout [ReplicaEffect]
    ) throws(ReplicaError) -> Member {
        try validate(setup, provider)
        // The log and everything else of the member can have the descriptors of the engine's tables.
        let fileSystem = DescriptorSavingFileSystem.over(fileSystem)
        let lock = try Replica.lockDirectory(setup.directory, of: setup.member, in: fileSystem)
        do throws(ReplicaError) {
            var ids = UniqueIDSource(seed: setup.identitySeed)
            let store = try IdentityStore(opening: setup.directory, in: fileSystem, member: setup.member, ids: &ids)
            let member = Member(setup, fileSystem, provider, lock, store, at: now)
            effects += store.mended.map { .damagedCopy($0) }
            do throws(ReplicaError) {
                if let cluster = store.identity.established {
                    try setup.validate(against: cluster)
                    try member.join(cluster, &effects)
                } else {
                    // First, since BOOT has to be there when IDENTITY says more than *prepared*.
                    try member.store.count()
                    try member.begin(ids, &effects)
                }
                return member
            } catch {
                member.replica?.close()
                throw error
            }
        } catch {
            lock.release()
            throw error
        }
    }

    /// Throws where no member can be opened with this setup, whatever its directory holds. Nothing is read or written.
    static func validate(_ setup: MemberSetup, _ provider: any StateMachineProvider) throws(ReplicaError) {
        try setup.validate()
        try setup.options.validate()
        do throws(StateMachineError) { try provider.validate() } catch { throw ReplicaError(.invalid, error) }
    }

    /// The cluster that the member belongs to; nil before it belongs to any.
    public var cluster: ClusterIdentity? { store.identity.established }

    /// With what the member begins a connection to a peer. It is another one once the member is established: connections
    /// from before then have to be made anew.
    public func introduction(to peer: MemberID) -> Introduction {
        store.introduction(to: peer, remembered: peers?.remembered(peer) ?? 0, wanted: peers?.wanted(by: peer))
    }

    /// Gives up files and locks, as ``Replica/close()`` does.
    public func close() {
        replica?.close()
        lock.release()
    }

    // MARK: Peers

    /// Decides about a peer by its introduction, with which it began a connection or answered one. When it returns *accept*,
    /// the opening of the peer is remembered durably. Where there is no room for that, nothing has happened: the peer is told
    /// that the member is unavailable, and comes again.
    ///
    /// Both ends decide before either sends a frame. It is not enough that nobody listens to a member whose directory was
    /// set back: a leader that knew how far its log went would tell it that more is committed than what the two have in common.
    ///
    /// Frames of a connection that is accepted are given as ``ReplicaInput/received(_:)``, those of one for the first boot as
    /// ``ReplicaInput/receivedFirstBoot(_:)``. A refusal is to be told to the peer. When a new opening is accepted, the
    /// connections of the opening before are to be ended: its process is gone, or one of the two runs on a copy.
    public func connect(_ introduction: Introduction, into effects: inout [ReplicaEffect]) -> PeerVerdict {
        let unavailable = IdentityRefusal(.unavailable, of: introduction, by: member, in: cluster?.id ?? .none)
        guard failure == nil else { return .refuse(unavailable) }
        guard peers != nil else { return PeerIdentity.verdict(of: introduction, before: member) }
        let before = peers
        guard let verdict = peers?.connect(introduction) else { return .refuse(unavailable) }
        guard case .accept(let isNew) = verdict else { return verdict }
        let isKnown = store.boot.opening(introduction.remembered).map { opening in
            peers?.note(opening, isKnownTo: introduction.from) ?? false
        }
        guard isNew || isKnown == true, let remembered = peers?.peers else { return verdict }
        do throws(ReplicaError) {
            try store.note(remembered)
            replica?.noted(bootRevision: store.boot.revision, into: &effects)
            return verdict
        } catch {
            // What the peer remembers is needed only once the record of openings is full: the next connection notes it.
            if !isNew, let file = error.file, isPassing(file) {
                peers?.restoreKnown(of: introduction.from, from: store.boot.peers)
                return verdict
            }
            // It counts as neither heard nor remembered, and a peer that was connected before still is.
            peers = before
            if let file = error.file, isPassing(file) {
                effects.append(.retrying("member \(introduction.from) is not listened to yet: \(file)"))
            } else {
                fail(error, &effects)
            }
            return .refuse(unavailable)
        }
    }

    /// Whether a failed note of a peer says nothing about the disk but that there is no room, or about the process but that it
    /// has too many files open. The file that was being written is thrown away and made anew. Anything else may mean that what
    /// is on the disk is not what was written, and nobody may go on upon that; so may a directory's sync for whatever reason the
    /// device gives, which may be told once only.
    private func isPassing(_ error: FileError) -> Bool {
        switch error.number {
        case .tooManyOpenFiles, .tooManyOpenFilesInSystem: true
        case .noSpace, .quotaExceeded: error.operation != .syncDirectory
        default: false
        }
    }

    /// This member and a peer have introduced themselves to each other, and agree on this. May be called at any time
    /// outside of a step; nothing follows from it. Before the first boot is over anybody may introduce itself: only the
    /// members of the setup's list are noted.
    public func agreed(_ agreement: WireAgreement, with peer: MemberID) {
        let isMember =
            replica?.raft.configuration.contains(peer) ?? setup.list.contains { $0.member == peer }
        guard isMember else { return }
        agreements.note(agreement, with: peer)
        replica?.agreed(agreement, with: peer)
    }

    /// Notes that a peer listens to this member.
    public func welcomed(by peer: MemberID) { misaddressed.removeAll { $0 == peer } }

    /// Notes that the last connection of an opening of a peer has ended.
    public func disconnected(_ peer: MemberID, nonce: UInt64) { peers?.disconnected(peer, nonce: nonce) }

    /// A peer does not listen to this member.
    ///
    /// Of a member that belongs to a cluster, only that cluster's members know whether the directory is to blame, and
    /// one of them that does is enough. A process that was started under a wrong id, or to which a wrong address leads,
    /// does not stop it. Anything else comes from addresses, which may be wrong for a while and then right.
    ///
    /// A member that belongs to no cluster yet cannot tell a wrong address from a directory that was emptied: another
    /// cluster that has a member of its id calls it wiped, too. It fails, whatever the reasons, once those that do not
    /// refuse it are no majority.
    ///
    /// Whoever carries out the connections reports every refusal and tries again.
    private func refused(_ refusal: IdentityRefusal, _ effects: inout [ReplicaEffect]) {
        guard refusal.reason != .unavailable else { return }
        if refusal.reason == .unproven, refusal.cluster == cluster?.id {
            // Who answers in the place of the member that was meant may ask for anything.
            if refusal.refuser == refusal.meant { peers?.remembers(refusal.refuser, refusal.opening) }
            return
        }
        if let cluster {
            guard refusal.stopsMember, refusal.cluster == cluster.id else { return }
        } else {
            let voters = setup.list.map(\.member)
            guard voters.contains(refusal.meant) else { return }
            if !misaddressed.contains(refusal.meant) { misaddressed.append(refusal.meant) }
            guard voters.count - misaddressed.count <= voters.count / 2 else { return }
        }
        fail(ReplicaError(.refused, refusal.description), &effects)
    }

    // MARK: Steps

    /// Takes one input and appends what follows from it to `effects`.
    public func step(_ input: ReplicaInput, at moment: Instant, into effects: inout [ReplicaEffect]) {
        now = max(now, moment)
        guard ownFailure == nil else {
            refuse(input, .failed, &effects)
            return
        }
        if case .refused(let refusal) = input {
            refused(refusal, &effects)
            return
        }
        guard firstBoot != nil else {
            replica?.step(input, at: now, into: &effects)
            return
        }
        do throws(ReplicaError) {
            try stepFirstBoot(input, &effects)
        } catch {
            fail(error, &effects)
        }
    }

    private func stepFirstBoot(_ input: ReplicaInput, _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        switch input {
        case .received(let frame), .receivedFirstBoot(let frame):
            try receive(frame, &effects)
        case .timer:
            if now >= firstBootDeadline { try advance(.timer, &effects) }
        case .close:
            isClosed = true
            firstBootDeadline = .never
        default:
            break
        }
        if firstBoot != nil, let replica {
            // Only with a planted error is there one already.
            replica.step(input, at: now, into: &effects)
        } else if replica == nil {
            refuse(input, isClosed ? .closed : .startingUp, &effects)
        }
    }

    private func receive(_ frame: Bytes, _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        let decoded: PeerFrame
        do throws(DecodingError) {
            decoded = try PeerFrame(decoding: frame, options: .formatMaximum)
        } catch {
            effects.append(.undecodable(error))
            return
        }
        // What else a peer may say is for a replica, which does not exist yet; it will be said again.
        guard case .firstBoot(let message) = decoded.content, !isClosed else { return }
        try advance(.received(message, from: decoded.from), &effects)
    }

    private func refuse(_ input: ReplicaInput, _ reason: RequestError.Reason, _ effects: inout [ReplicaEffect]) {
        let refusal = Reply.failure(RequestError(.notApplied, reason))
        switch input {
        case .submit(let submissions):
            for submission in submissions { effects.append(.reply(submission.id, refusal)) }
        case .read(let id, _, _):
            effects.append(.reply(id, refusal))
        default:
            break
        }
    }

    private func fail(_ error: ReplicaError, _ effects: inout [ReplicaEffect]) {
        guard failure == nil else { return }
        if let replica {
            replica.fail(error, &effects)
        } else {
            ownFailure = error
            effects.append(.failed(error))
        }
    }

    // MARK: The first boot

    private func begin(_ ids: UniqueIDSource, _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        var machine = FirstBoot(
            identity: store.identity,
            list: setup.list,
            sayAgainAfter: setup.options.firstBootSaysAgainAfter,
            ids: ids,
            isIncarnationIgnored: setup.options.plantedBugs.contains(.wipedMemberAccepted)
        )
        var wanted: [FirstBoot.Effect] = []
        machine.start(at: now, into: &wanted)
        firstBoot = machine
        try carryOut(wanted, &effects)
    }

    private func advance(_ input: FirstBoot.Input, _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        var wanted: [FirstBoot.Effect] = []
        firstBoot?.step(input, at: now, into: &wanted)
        try carryOut(wanted, &effects)
    }

    private func carryOut(_ wanted: [FirstBoot.Effect], _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        for effect in wanted {
            switch effect {
            case .persist(let identity):
                // Once in a directory's life, so that it may hold up the step.
                try store.write(identity)
                if let cluster = identity.cluster, setup.options.plantedBugs.contains(.firstBootVotesEarly) {
                    if replica == nil { try openReplica(cluster, &effects) }
                }
                try advance(.persisted, &effects)
            case .send(let message, let peer):
                try send(message, to: peer, &effects)
            case .wake(let moment):
                guard firstBoot != nil, !isClosed else { continue }
                firstBootDeadline = moment
                effects.append(.wake(at: moment))
            case .established(let cluster):
                firstBoot = nil
                effects.append(.established(cluster))
                try join(cluster, &effects)
            case .refused(let refusal):
                throw ReplicaError(.refused, refusal.description)
            case .report(let problem):
                effects.append(.firstBootWaits(problem.description))
            }
        }
    }

    private func send(
        _ message: FirstBootMessage,
        to peer: MemberID,
        _ effects: inout [ReplicaEffect]
    ) throws(ReplicaError) {
        let frame = PeerFrame(group: Replica.group, from: member, to: peer, term: 0, content: .firstBoot(message))
        do throws(DecodingError) {
            let version = agreements[peer].version
            effects.append(.send(to: peer, try frame.encoded(options: .formatMaximum, version: version), .control))
        } catch {
            throw ReplicaError(.invalid, "a message of the first boot cannot be sent: \(error)")
        }
    }

    /// Becomes a member that takes part.
    private func join(_ cluster: ClusterIdentity, _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        peers = PeerIdentity(
            member: member,
            cluster: cluster,
            peers: store.boot.peers,
            isIncarnationIgnored: setup.options.plantedBugs.contains(.wipedMemberAccepted)
        )
        if replica == nil { try openReplica(cluster, &effects) }
    }

    private func openReplica(_ cluster: ClusterIdentity, _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        let configuration = try setup.configuration(of: cluster)
        replica = try Replica.open(
            directory: setup.directory,
            lock: lock,
            fileSystem: fileSystem,
            member: member,
            configuration: configuration,
            identity: cluster,
            binding: binding(to: cluster),
            provider: provider,
            options: setup.options,
            seed: setup.seed,
            at: now,
            into: &effects
        )
        // Before anything is said.
        try store.noteMarks()
        for (peer, agreement) in agreements.all { replica?.agreed(agreement, with: peer) }
    }

    private func binding(to cluster: ClusterIdentity) -> ReplicaBinding {
        ReplicaBinding(
            files: FileBinding(
                owner: FileOwner(cluster: cluster.id, incarnation: store.identity.incarnation),
                mark: store.opening,
                seed: RandomSource.mix(setup.identitySeed.high ^ ~setup.identitySeed.low)
            ),
            boot: store.boot,
            path: setup.directory + "/BOOT",
            isMarkIgnored: setup.options.plantedBugs.contains(.marksNotCompared),
            areChangesIgnored: setup.options.plantedBugs.contains(.changesNotCompared),
            count: { [self] () throws(ReplicaError) -> UInt64 in try store.count() }
        )
    }
}
