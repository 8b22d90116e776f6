import BalsaWire

/// What the transport itself says and decides in a handshake: a value.
///
/// Who is a member, in which of its lives and of which cluster, is not decided here: that is what the receiver is asked,
/// by ``TransportReceiver/judge(_:)``.
struct HandshakeTerms: Equatable, Sendable {
    /// The versions of the protocol that this release speaks.
    var protocols = WireAgreement.spokenVersions
    /// Which replicated features this release knows.
    var featureLevel = WireAgreement.ownFeatureLevel

    /// What this member and a peer that is not refused agree on.
    ///
    /// - Parameter handshake: the peer's hello, or its welcome.
    /// - Returns: nil where there is no version that both speak.
    func agreement(with handshake: Handshake) -> WireAgreement? {
        guard protocols.overlaps(handshake.protocols) else { return nil }
        return WireAgreement(
            version: min(protocols.upperBound, handshake.protocols.upperBound),
            featureLevel: handshake.featureLevel
        )
    }

    /// What a member says on a connection that it makes.
    func hello(_ introduction: Introduction, _ path: SendPath) -> Handshake {
        Handshake(hello: path, protocols: protocols, featureLevel: featureLevel, introduction)
    }

    /// What a member answers a hello with.
    ///
    /// - Parameters:
    ///   - hello: the hello.
    ///   - introduction: how the member introduces itself to who said it.
    ///   - reason: why it is refused; nil where it is not.
    func answer(to hello: Handshake, _ introduction: Introduction, _ reason: HandshakeRefusal.Reason?) -> Handshake {
        var answer = self.hello(introduction, hello.path)
        answer.kind = reason == nil ? .welcome : .refusal
        answer.answeredNonce = hello.introduction.nonce
        answer.refusalCode = reason?.code ?? 0
        return answer
    }

    /// Why a hello is refused whoever says it; nil where that depends on who does.
    ///
    /// - Parameters:
    ///   - hello: what was said.
    ///   - own: how this member introduces itself.
    func refusal(of hello: Handshake, own: Introduction) -> HandshakeRefusal.Reason? {
        // An answer where a hello belongs comes from a program that only sends back what it is sent.
        guard hello.kind == .hello else { return .ownAddress }
        guard protocols.overlaps(hello.protocols) else { return .protocolRange }
        let said = hello.introduction
        let isOwn = said.from == own.from && said.incarnation == own.incarnation && said.nonces == own.nonces
        return isOwn ? .ownAddress : nil
    }

    /// Why an answer ends the connection whoever gives it, or that it is a refusal; nil where that depends on who gives it.
    ///
    /// - Parameters:
    ///   - answer: the answer.
    ///   - hello: what was said.
    func refusal(of answer: Handshake, to hello: Handshake) -> HandshakeRefusal? {
        guard answer.kind != .hello, answer.answeredNonce == hello.introduction.nonce, answer.path == hello.path else {
            return HandshakeRefusal(.here, .ownAddress)
        }
        if answer.refusalCode != 0 { return HandshakeRefusal(.peer, HandshakeRefusal.Reason(of: answer, to: hello)) }
        guard protocols.overlaps(answer.protocols) else { return HandshakeRefusal(.here, .protocolRange) }
        // Whoever answers should have refused: it is not the one that was meant.
        guard answer.introduction.from == hello.introduction.to else {
            let answerer = answer.introduction
            let mistake = IdentityRefusal(
                .notAddressed,
                of: hello.introduction,
                by: answerer.from,
                in: answerer.cluster
            )
            return HandshakeRefusal(.here, .identity(mistake))
        }
        return nil
    }
}
