import Balsa
import BalsaPlatform
import BalsaRaft
import BalsaWire

/// A frame on its way, and with what the connection began that carries it.
struct SimulatedFrame {
    let introduction: Introduction
    /// Which machine sent it, and which of its processes.
    let machine: MemberID
    let start: UInt64
    let bytes: Bytes

    var from: MemberID { introduction.from }
    var to: MemberID { introduction.to }
}

/// A connection to a process, and what the process has decided about it.
struct SimulatedConnection {
    let introduction: Introduction
    let verdict: PeerVerdict

    /// Whether a frame that was sent under this introduction travels over the connection: by the same process, before or after
    /// it belonged to a cluster. What it remembers of the other end may have changed since the connection began.
    func carries(_ other: Introduction) -> Bool {
        introduction.from == other.from && introduction.to == other.to && introduction.cluster == other.cluster
            && introduction.incarnation == other.incarnation && introduction.nonces == other.nonces
    }
}

/// What passes between members. Every frame is carried by a connection that the sending process began by introducing itself,
/// which the receiver answered in the same way, and is listened to as both have decided about that; what was sent before a process ended may arrive later, over the
/// connection of that time.
extension World {
    func send(
        _ frame: Bytes,
        from member: SimulatedMember,
        _ process: SimulatedProcess,
        to: MemberID,
        _ path: SendPath
    ) {
        guard let instance = process.instance else { return }
        trace.record("send", member: member.id, at: now, "to \(to): \(describe(frame))")
        trace.add(frame)
        // What a member says that nobody may listen to is checked where somebody listens.
        if member.directory == .whole { judge { try judges.sent(frame, at: now) } }
        if instance.cluster == nil {
            let content = (try? PeerFrame(decoding: frame, options: scenario.replicaOptions([]).wire))?.content
            judge { try judges.identity.speaksBeforeItBelongs(content, by: member.id, describe(frame), at: now) }
        }
        let arrivals = network.route(from: member.id, to: to, path, at: now) { counters[$0] += 1 }
        let sent = SimulatedFrame(
            introduction: instance.introduction(to: to),
            machine: member.id,
            start: process.number,
            bytes: frame
        )
        for arrival in arrivals { queue.schedule(.deliver(sent), at: arrival) }
    }

    func deliver(_ frame: SimulatedFrame, _ event: WorldEvent) {
        let member = member(frame.to)
        guard let process = member.process, process.instance != nil else { return }
        guard member.pausedUntil <= now else {
            member.held.append(event)
            return
        }
        trace.record("receive", member: frame.to, at: now, "from \(frame.from): \(describe(frame.bytes))")
        trace.add(frame.bytes)
        guard let verdict = verdict(about: frame, member, process), let instance = process.instance else {
            return
        }
        switch verdict {
        case .accept:
            judge { try checkIsHeard(frame, by: member) }
            step(.received(frame.bytes), member, process, instance)
        case .firstBootOnly:
            step(.receivedFirstBoot(frame.bytes), member, process, instance)
        case .refuse(let refusal):
            refuse(frame.introduction.nonce, of: self.member(frame.machine), by: member, refusal)
        }
    }

    /// What a process has decided about a connection, or decides now; nil where none comes into being.
    ///
    /// Both ends decide: whoever begins introduces itself, whoever answers does so as well. A process that has ended meanwhile
    /// begins nothing, and what it has sent is lost unless the connection was there already.
    private func verdict(
        about frame: SimulatedFrame,
        _ member: SimulatedMember,
        _ process: SimulatedProcess
    ) -> PeerVerdict? {
        if let known = process.connections.last(where: { $0.carries(frame.introduction) }) { return known.verdict }
        let sender = self.member(frame.machine)
        guard let other = sender.process, other.number == frame.start else { return nil }
        // What the sender says when the connection begins, which may be later than when it wanted to send the frame.
        var introduction = frame.introduction
        if let current = other.instance?.introduction(to: frame.to), current.cluster == introduction.cluster {
            introduction = current
        }
        guard let verdict = decide(introduction, member, process) else { return nil }
        if case .refuse = verdict { return verdict }
        if case .accept(isNew: true) = verdict { sender.remembered[Int(member.id)] = introduction.boot }
        guard let answer = process.instance?.introduction(to: sender.name),
            let opposite = decide(answer, sender, other)
        else { return nil }
        switch opposite {
        case .refuse(let refusal):
            refuse(answer.nonce, of: member, by: sender, refusal)
            return nil
        case .accept(let isNew):
            if isNew { member.remembered[Int(sender.id)] = answer.boot }
            agree(member, process, sender, other)
            process.connections.append(SimulatedConnection(introduction: introduction, verdict: verdict))
            return verdict
        case .firstBootOnly:
            agree(member, process, sender, other)
            process.connections.append(SimulatedConnection(introduction: introduction, verdict: opposite))
            return opposite
        }
    }

    /// Both ends of a connection know what they agree on: the version and the features of this release.
    private func agree(
        _ member: SimulatedMember,
        _ process: SimulatedProcess,
        _ sender: SimulatedMember,
        _ other: SimulatedProcess
    ) {
        let agreement = WireAgreement(
            version: WireAgreement.spokenVersions.upperBound,
            featureLevel: WireAgreement.ownFeatureLevel
        )
        process.instance?.agreed(agreement, with: sender.name)
        other.instance?.agreed(agreement, with: member.name)
    }

    /// What a process decides about a peer; nil where it dies of it.
    private func decide(
        _ introduction: Introduction,
        _ member: SimulatedMember,
        _ process: SimulatedProcess
    ) -> PeerVerdict? {
        effects.removeAll(keepingCapacity: true)
        guard let verdict = process.instance?.connect(introduction, into: &effects) else { return nil }
        guard process.files.isAlive, process.instance?.failure == nil else {
            afterStep(member, process)
            return nil
        }
        for effect in effects { carryOut(effect, member, process) }
        return verdict
    }

    /// A member is told that a peer has nothing to do with it, unless the message is lost.
    private func refuse(
        _ nonce: UInt64,
        of member: SimulatedMember,
        by peer: SimulatedMember,
        _ refusal: IdentityRefusal
    ) {
        trace.record("refuse", member: peer.id, at: now, "\(member.id): \(refusal)")
        if refusal.reason == .unproven { counters.openingsAskedFor += 1 }
        if peer.directory == .whole, refusal.stopsMember || refusal.reason == .forgotten {
            judge { try judges.identity.refused(member.party, at: now) }
        }
        counters.framesRefused += 1
        let told = network.route(from: peer.id, to: member.id, .control, at: now) { counters[$0] += 1 }
        for arrival in told { queue.schedule(.refusal(to: member.id, nonce: nonce, refusal), at: arrival) }
    }

    /// A process is told that it is not listened to, if it still is the one that is meant.
    func refused(_ id: MemberID, _ nonce: UInt64, _ refusal: IdentityRefusal) {
        let member = member(id)
        guard let process = member.process, let instance = process.instance,
            instance.introduction(to: id).nonce == nonce
        else { return }
        step(.refused(refusal), member, process, instance)
    }

    /// A process has ended: its connections are gone.
    func disconnect(_ member: SimulatedMember, _ process: SimulatedProcess) {
        guard let nonce = process.instance?.introduction(to: member.id).nonce else { return }
        for other in members where other.id != member.id {
            other.process?.instance?.disconnected(member.name, nonce: nonce)
        }
    }

    /// A member belongs to a cluster: to the same one as all others.
    func established(_ member: SimulatedMember, _ process: SimulatedProcess, _ cluster: ClusterIdentity) {
        trace.record("established", member: member.id, at: now, "\(cluster.id)")
        // What was decided about connections was decided by somebody who belonged to nothing.
        process.connections = []
        if member.directory == .whole {
            member.wasEstablished = true
            judge { try judges.identity.established(cluster, by: member.id, at: now) }
        }
        counters.firstBoots += 1
    }

    /// A member takes a message, which was perhaps sent before the sender's directory forgot something.
    private func checkIsHeard(_ frame: SimulatedFrame, by receiver: SimulatedMember) throws {
        let sender = member(frame.machine)
        var party = sender.party
        if frame.start < sender.directorySince { party.directory = .whole }
        try judges.identity.listens(receiver.party, to: party, describe(frame.bytes), at: now)
    }

    /// A member was refused and stays down, as its operator's attention it needs.
    func leave(_ member: SimulatedMember) {
        trace.record("refused", member: member.id, at: now, "\(member.directory)")
        if member.directory == .rolledBack, member.restartsLeft > 0 {
            // As a supervisor would. However often it is opened, it stays what it is.
            member.restartsLeft -= 1
            return end(member, losesPower: false, salt: 0, downFor: .milliseconds(1))
        }
        counters.membersRefused += 1
        judge { try judges.identity.refused(member.party, at: now) }
        member.isOut = true
        end(member, losesPower: false, salt: 0, downFor: .zero)
    }

    // MARK: Directories that forget

    /// Whether a later fault may need an earlier image of the directory.
    func keepsImages(of member: SimulatedMember) -> Bool {
        member.wasEstablished && member.directory == .whole
            && scenario.faults.contains { [.rollBack, .clone, .swapped].contains($0.kind) && $0.member == member.id }
    }

    /// Keeps the directory as it was before an opening.
    func keep(_ image: DiskImage, of member: SimulatedMember, _ instance: Member) {
        member.images.append((instance.introduction(to: member.id).boot - 1, image))
        if member.images.count > 4 { member.images.removeFirst() }
    }

    /// A member's disk is emptied or set back while it is down.
    ///
    /// Only outside of the core, so that a quorum stays whole; only once everybody belongs to the cluster, since a first boot
    /// that loses a directory waits for its operator; and it is set back only to before an opening that each of the others
    /// remembers: what no counter can find is for the operator to know.
    func forget(_ fault: Fault) {
        let member = member(fault.member)
        guard !isInCore(member.id), members.allSatisfy({ $0.wasEstablished && $0.directory == .whole }) else { return }
        var disk = SimulatedDisk(options: member.disk.state.options)
        if fault.kind == .rollBack {
            guard let image = earlierImage(of: member) else { return }
            disk = SimulatedDisk(image)
        }
        counters[fault.kind] += 1
        end(member, losesPower: false, salt: fault.salt, downFor: fault.lasts)
        disk.processCrash()
        member.disk = disk
        member.directory = fault.kind == .wipe ? .wiped : .rolledBack
        member.directorySince = member.starts + 1
        if fault.kind == .rollBack { repeatStarts(of: member, RandomSource.mix(fault.salt) % 20, salt: fault.salt) }
    }

    /// A member is started and ended many times while a peer is down, and is whole: both accept each other afterwards.
    func restart(_ fault: Fault) {
        let member = member(fault.member)
        guard members.allSatisfy({ $0.wasEstablished && $0.directory == .whole }), member.process != nil else { return }
        counters[.restarts] += 1
        if fault.peer != 0, fault.peer != fault.member {
            end(self.member(fault.peer), losesPower: false, salt: fault.salt, downFor: fault.lasts)
        }
        repeatStarts(of: member, fault.rate, salt: fault.salt)
        end(member, losesPower: false, salt: fault.salt, downFor: .milliseconds(1))
    }

    private func repeatStarts(of member: SimulatedMember, _ count: UInt64, salt: UInt64) {
        member.restartsLeft = count
        member.restartSalt = salt
    }

    /// A member's directory as it was before an opening that each of the others remembers.
    func earlierImage(of member: SimulatedMember) -> DiskImage? {
        let known = scenario.memberIDs.filter { $0 != member.id }.map { member.remembered[Int($0)] }.min() ?? 0
        return member.images.last { $0.boot < known }?.image
    }

    /// Another machine is started on a copy of a member's disk, as that member, which goes on beside it.
    ///
    /// The copy reaches everybody, and nobody calls it: its address is another one. Each of the others has to refuse it, and
    /// nobody the member.
    func clone(_ fault: Fault) {
        let member = member(fault.member)
        guard members.allSatisfy({ $0.wasEstablished && $0.directory == .whole }),
            let image = earlierImage(of: member)
        else { return }
        counters[.clone] += 1
        let disk = SimulatedDisk(image)
        disk.processCrash()
        let copy = SimulatedMember(id: scenario.members + 1, as: member.id, of: scenario.members, disk: disk)
        copy.wasEstablished = true
        copy.directory = .cloned
        copy.directorySince = 1
        members.append(copy)
        judges.digests.copied(copy.id, of: member.id)
        queue.schedule(.start(copy.id), at: now + fault.lasts)
    }
}
