import BalsaRaft
import BalsaWire

/// Decides with whom this member talks: a value, asked for every handshake.
///
/// Beyond the configuration it remembers of every peer the latest life that introduced itself, and the one before. From
/// those it tells a disk that was set back from a disk that was copied:
///
/// - Each opening of a directory counts its boot counter up, durably. A peer that comes with a lower one than before runs on
///   a disk that was set back, and may have forgotten a vote.
/// - Each life has a random nonce. Two nonces for one counter, or a life that comes back after a later one, mean that two
///   processes run on copies of one disk, and might both vote.
///
/// None of this is secret, and none of it protects from an attacker: it finds the mistakes of operators.
public struct HandshakePolicy: Equatable, Sendable {
    /// A peer, as far as this member knows it.
    public struct Peer: Equatable, Sendable {
        /// The member.
        public let member: MemberID
        /// The disk that the configuration names; nil while none has been noted.
        public let incarnation: Incarnation?
        /// The life that introduced itself last.
        public internal(set) var latest: Life?
        /// The life before that one.
        public internal(set) var previous: Life?
        /// Which replicated features its latest life knows.
        public internal(set) var featureLevel: UInt32 = 0

        /// A peer of which nothing has been heard yet.
        ///
        /// - Parameters:
        ///   - member: the member.
        ///   - incarnation: the disk that the configuration names; nil to take any.
        ///   - latest: the life that was noted last, where that was made durable.
        public init(_ member: MemberID, incarnation: Incarnation? = nil, latest: Life? = nil) {
            self.member = member
            self.incarnation = incarnation
            self.latest = latest
        }
    }

    /// One life of a peer: from an opening of its directory to the end of the process.
    public struct Life: Equatable, Sendable {
        /// Its boot counter.
        public let bootCounter: UInt64
        /// Its nonce.
        public let nonce: UInt64

        /// A life.
        public init(bootCounter: UInt64, nonce: UInt64) {
            self.bootCounter = bootCounter
            self.nonce = nonce
        }
    }

    /// Who this member is.
    public var own: MemberIdentity
    /// The versions of the protocol that this release speaks.
    public var protocols: ClosedRange<UInt16>
    /// Which replicated features this release knows.
    public var featureLevel: UInt32
    /// Whether members without a cluster may connect, or be connected to: only while a cluster is being formed.
    public var isForming: Bool
    /// The members of the configuration, by ascending id.
    public private(set) var peers: [Peer]

    /// A policy.
    ///
    /// - Parameters:
    ///   - own: who this member is.
    ///   - protocols: the versions of the protocol that it speaks.
    ///   - featureLevel: which replicated features it knows.
    ///   - isForming: whether the cluster is being formed.
    ///   - peers: the other members, in any order.
    public init(
        own: MemberIdentity,
        protocols: ClosedRange<UInt16> = 1...1,
        featureLevel: UInt32 = 0,
        isForming: Bool = false,
        peers: [Peer]
    ) {
        self.own = own
        self.protocols = protocols
        self.featureLevel = featureLevel
        self.isForming = isForming
        self.peers = peers.sorted { $0.member < $1.member }
    }

    /// Takes over another configuration. What is remembered of a peer stays, unless its disk is another now.
    public mutating func setPeers(_ changed: [Peer]) {
        let known = peers
        peers = changed.map { peer in
            guard let old = known.first(where: { $0.member == peer.member }) else { return peer }
            let isSameDisk = old.incarnation == peer.incarnation || old.incarnation == nil
            return isSameDisk && peer.latest == nil ? old.naming(peer.incarnation) : peer
        }
        peers.sort { $0.member < $1.member }
    }

    /// What this member says on a connection that it makes.
    public func hello(to peer: MemberID, _ path: SendPath) -> Handshake {
        Handshake(hello: path, protocols: protocols, featureLevel: featureLevel, from: own, to: peer)
    }

    /// What this member answers a hello with.
    ///
    /// - Parameters:
    ///   - hello: the hello.
    ///   - reason: why it is refused; nil where it is not.
    public func answer(to hello: Handshake, _ reason: HandshakeRefusal.Reason?) -> Handshake {
        var answer = self.hello(to: hello.from.member, hello.path)
        answer.kind = reason == nil ? .welcome : .refusal
        answer.answeredNonce = hello.from.nonce
        answer.reason = reason
        return answer
    }

    /// Decides about a hello, and remembers whom it accepted.
    ///
    /// - Returns: why it is to be refused; nil where it is accepted.
    public mutating func judge(hello: Handshake) -> HandshakeRefusal.Reason? {
        // An answer where a hello belongs comes from a program that only sends back what it is sent.
        guard hello.kind == .hello else { return .ownAddress }
        guard isCompatible(hello) else { return .protocolRange }
        guard isOfOurCluster(hello.from.cluster) else { return .unknownCluster }
        if hello.from.member == own.member {
            return hello.from == own ? .ownAddress : .duplicateID
        }
        guard hello.to == own.member else { return .notAddressed }
        return note(hello)
    }

    /// Decides about the answer to a hello of this member, and remembers who accepted it.
    ///
    /// - Parameters:
    ///   - answer: the answer.
    ///   - hello: what was said.
    /// - Returns: the refusal, by either side; nil where both accept.
    public mutating func judge(answer: Handshake, to hello: Handshake) -> HandshakeRefusal? {
        guard answer.kind != .hello, answer.answeredNonce == hello.from.nonce, answer.path == hello.path else {
            return HandshakeRefusal(.here, .ownAddress)
        }
        if let reason = answer.reason { return HandshakeRefusal(.peer, reason) }
        guard isCompatible(answer) else { return HandshakeRefusal(.here, .protocolRange) }
        guard isOfOurCluster(answer.from.cluster) else { return HandshakeRefusal(.here, .unknownCluster) }
        guard answer.from.member == hello.to, answer.to == own.member else {
            return HandshakeRefusal(.here, .notAddressed)
        }
        return note(answer).map { HandshakeRefusal(.here, $0) }
    }

    /// Holds a peer's incarnation and life against what is known of it.
    private mutating func note(_ said: Handshake) -> HandshakeRefusal.Reason? {
        guard let place = peers.firstIndex(where: { $0.member == said.from.member }) else { return .unknownMember }
        if let incarnation = peers[place].incarnation, incarnation != said.from.incarnation {
            return .wrongIncarnation
        }
        let life = Life(bootCounter: said.from.bootCounter, nonce: said.from.nonce)
        if let latest = peers[place].latest, latest != life {
            if life == peers[place].previous || life.bootCounter == latest.bootCounter { return .cloned }
            if life.bootCounter < latest.bootCounter { return .rolledBack }
            peers[place].previous = latest
        }
        peers[place].latest = life
        peers[place].featureLevel = said.featureLevel
        return nil
    }

    private func isCompatible(_ said: Handshake) -> Bool { protocols.overlaps(said.protocols) }

    private func isOfOurCluster(_ cluster: ClusterID) -> Bool {
        if cluster == own.cluster, cluster != .none { return true }
        return isForming && (cluster == .none || own.cluster == .none)
    }
}

extension HandshakePolicy.Peer {
    /// The same peer and what is remembered of it, with the disk that the configuration names.
    fileprivate func naming(_ incarnation: Incarnation?) -> HandshakePolicy.Peer {
        var peer = HandshakePolicy.Peer(member, incarnation: incarnation, latest: latest)
        peer.previous = previous
        peer.featureLevel = featureLevel
        return peer
    }
}
