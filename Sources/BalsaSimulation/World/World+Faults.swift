import Balsa
import BalsaKeyValue
import BalsaPlatform
import BalsaRaft

extension World {
    /// Whether a member is healthy after the faults have stopped.
    func isInCore(_ id: MemberID) -> Bool { isEveryoneNeeded || scenario.core & Scenario.bit(id) != 0 }

    /// A fault of the scenario begins.
    func begin(_ index: Int) {
        let fault = scenario.faults[index]
        trace.record("fault", member: fault.member, at: now, fault.description)
        switch fault.kind {
        case .kill, .powerLoss:
            let member = member(fault.member)
            guard member.process != nil else { return }
            counters[fault.kind] += 1
            end(member, losesPower: fault.kind == .powerLoss, salt: fault.salt, downFor: fault.lasts)
        case .killInCall, .powerLossInCall, .powerLossOfLeader, .blackout:
            setTrap(fault)
        case .pause:
            pause(fault)
        case .partition, .oneWay, .dropsIncoming, .dropsOutgoing:
            counters[fault.kind] += 1
            block(fault, by: 1)
            queue.schedule(.faultEnds(index), at: now + fault.lasts)
        case .loss, .duplication, .replay, .reordering:
            network.begin(.init(fault: index, kind: fault.kind, rate: fault.rate, salt: fault.salt))
            queue.schedule(.faultEnds(index), at: now + fault.lasts)
        case .leaderIsolation:
            isolations.append(index)
            queue.schedule(.faultEnds(index), at: now + fault.lasts)
        case .slowDisk:
            counters[fault.kind] += 1
            member(fault.member).slowness.append((index, fault.rate))
            queue.schedule(.faultEnds(index), at: now + fault.lasts)
        case .stalledSync:
            member(fault.member).stalledUntil = now + fault.lasts
        case .failedSync:
            member(fault.member).failsNextSync = true
        case .failedWrite:
            member(fault.member).failsNextWrite = true
        case .failedRead:
            member(fault.member).failsNextRead = true
        case .noSpace:
            member(fault.member).noSpaceUntil = now + fault.lasts
        case .wipe, .rollBack:
            forget(fault)
        case .clone:
            clone(fault)
        case .vanished, .swapped:
            exchangeFiles(fault)
        case .restarts:
            restart(fault)
        case .alteredDigest:
            alterDigest(fault)
        case .damagedTable:
            damageTable(fault)
        }
    }

    /// The digest of a member's state becomes that of another one. What is read stays what it is, so that all other
    /// rules hold.
    private func alterDigest(_ fault: Fault) {
        let member = member(fault.member)
        guard member.directory == .whole, let replica = member.process?.replica, replica.failure == nil,
            let machine = (replica.machine as? KeyValueStateMachine)?.machine
        else { return }
        counters[.alteredDigest] += 1
        machine.falsifyDigest()
        // Where nothing else goes wrong, the first digest that is recorded after it tells, and the next is the last
        // one.
        let isAlone = scenario.faults.allSatisfy { $0.kind == .alteredDigest }
        let bound = machine.applied.index + 2 * Scenario.digestInterval
        judges.digests.altered(member.id, foundBy: isAlone ? bound : nil)
    }

    /// A bit of one of a member's tables changes, whether a process runs there or not.
    ///
    /// The member has to go on: it may refuse to read what the table holds, and nothing else.
    private func damageTable(_ fault: Fault) {
        let member = member(fault.member)
        let files = member.disk.mount()
        let group = "balsa/groups/1"
        var tables: [String] = []
        for state in (try? files.list(group)) ?? [] where state.hasPrefix("state-") {
            let names = (try? files.list("\(group)/\(state)")) ?? []
            tables += names.filter { $0.hasPrefix("table-") }.map { "\(group)/\(state)/\($0)" }
        }
        guard !tables.isEmpty else { return }
        let path = tables[Int(fault.salt % UInt64(tables.count))]
        let luck = RandomSource.mix(fault.salt)
        guard let file = try? files.open(path, .read), let size = try? file.size(), size > 0 else { return }
        file.close()
        // Mostly in its blocks, sometimes in what stands behind them.
        let offset = luck % (luck >> 60 == 0 ? size : max(1, size / 2))
        guard member.disk.corrupt(path, at: offset, mask: 1 << UInt8(luck >> 50 & 7)) else { return }
        // A refused opening of exchanged files keeps what it finds, this damage included.
        member.exchanged?.digest = member.disk.contentDigest
        counters[.damagedTable] += 1
        member.damagedTables.append(path)
        trace.record("damage", member: member.id, at: now, "\(path) at byte \(offset)")
    }

    /// The tables of a member that a fault has damaged. A clone may have copies of them.
    func damagedTables(of id: MemberID) -> [String] {
        let own = member(id)
        return own.name == id ? own.damagedTables : own.damagedTables + member(own.name).damagedTables
    }

    /// A fault of the scenario ends.
    func end(_ index: Int) {
        let fault = scenario.faults[index]
        trace.record("fault-ends", member: fault.member, at: now, fault.kind.rawValue)
        switch fault.kind {
        case .partition, .oneWay, .dropsIncoming, .dropsOutgoing: block(fault, by: -1)
        case .leaderIsolation: isolations.removeAll { $0 == index }
        case .slowDisk: member(fault.member).slowness.removeAll { $0.fault == index }
        default: network.end(fault: index)
        }
    }

    /// The power goes while a member's log is being written: its own, or that of all.
    func powerCut(_ id: MemberID, start: UInt64) {
        let target = member(id)
        guard target.process?.number == start, let trap = target.trap, trap.inLogWrite, !isCalm else { return }
        counters[trap.hitsAll ? .blackout : .powerLossOfLeader] += 1
        for member in trap.hitsAll ? members : [target] {
            let salt = RandomSource.mix(trap.salt ^ member.id)
            let wait = trap.hitsAll ? TimeSpan(nanoseconds: salt % 2_000_000_000) : .zero
            end(member, losesPower: true, salt: salt, downFor: trap.downFor + wait)
        }
    }

    /// A member has become leader. While leaders are isolated it is cut off soon, for `rate` milliseconds: sometimes
    /// before any member has received a message of it, sometimes after the first of its entries was acknowledged.
    func tookOffice(_ id: MemberID) {
        guard let index = isolations.first, !isCalm else { return }
        let fault = scenario.faults[index]
        counters[.leaderIsolation] += 1
        let luck = RandomSource.mix(fault.salt ^ RandomSource.mix(UInt64(counters[.leaderIsolation])))
        let trip = scenario.networkDelay + scenario.networkJitter + scenario.syncTime
        let wait = TimeSpan(nanoseconds: luck.multipliedFullWidth(by: 3 * trip.nanoseconds).high)
        queue.schedule(.cutOff(id, by: 1), at: now + wait)
        queue.schedule(.cutOff(id, by: -1), at: now + wait + .milliseconds(fault.rate))
    }

    /// A member is cut off from the others, or not any more.
    func cutOff(_ id: MemberID, by change: Int) {
        guard !isCalm else { return }
        for other in scenario.memberIDs where other != id {
            network.block(id, other, by: change)
            network.block(other, id, by: change)
        }
    }

    private func setTrap(_ fault: Fault) {
        let isOfLeader = fault.kind == .powerLossOfLeader || fault.kind == .blackout
        let target = isOfLeader ? leader : member(fault.member)
        guard let target, target.trap == nil else { return }
        target.trap = CrashTrap(
            callsLeft: fault.rate,
            inLogWrite: isOfLeader,
            hitsAll: fault.kind == .blackout,
            losesPower: fault.kind != .killInCall,
            downFor: fault.lasts,
            salt: fault.salt
        )
    }

    /// The member that leads the highest term, if any does.
    private var leader: SimulatedMember? {
        let leaders = members.filter { $0.process?.replica?.raft.role == .leader }
        return leaders.max { ($0.process?.replica?.raft.term ?? 0) < ($1.process?.replica?.raft.term ?? 0) }
    }

    private func pause(_ fault: Fault) {
        let member = member(fault.member)
        guard member.process != nil else { return }
        counters[.pause] += 1
        member.pausedUntil = max(member.pausedUntil, now + fault.lasts)
        queue.schedule(.resume(member.id), at: member.pausedUntil)
    }

    private func block(_ fault: Fault, by change: Int) {
        for from in scenario.memberIDs {
            for to in scenario.memberIDs where from != to {
                let isHit =
                    switch fault.kind {
                    case .partition: (fault.set & Scenario.bit(from) == 0) != (fault.set & Scenario.bit(to) == 0)
                    case .oneWay: from == fault.member && to == fault.peer
                    case .dropsIncoming: to == fault.member
                    default: from == fault.member
                    }
                if isHit { network.block(from, to, by: change) }
            }
        }
    }

    /// The faults stop. The core is healthy from now on: its members run, their disks are well, nothing comes between
    /// them. Everything else stays as bad as it is, because a fault that heals by itself hides that nothing else would
    /// have helped: members outside stay down, and links to them blocked.
    func stormEnds() {
        guard !isCalm else { return }
        isCalm = true
        // A first boot is not done by a quorum.
        isEveryoneNeeded = !members.allSatisfy(\.wasEstablished)
        queue.schedule(.settlingEnds, at: now + scenario.settling)
        trace.record("calm", member: 0, at: now, "core \(scenario.memberIDs.filter(isInCore))")
        network.endAll()
        for id in scenario.memberIDs where isInCore(id) {
            let member = member(id)
            member.heal()
            for other in scenario.memberIDs where other != id && isInCore(other) { network.open(id, other) }
            if member.process == nil { start(id) }
            resume(id)
        }
        for member in members where !isInCore(member.id) { member.trap = nil }
        for client in clients.indices { clients[client].answersSinceCalm = 0 }
    }

    /// Ends the run once every client was answered, as often as it has to be, and the members of the surviving quorum
    /// agree. An excuse may hold for a moment only: where one is needed, all the time passes that there is, and it has
    /// to hold in the last moments.
    func checkSettled() {
        guard isCalm, !isDone, violation == nil, clients.allSatisfy({ $0.hasSettled }) else { return }
        let check = liveness
        if check.agreedIndex(excusing: true) != nil { agreedAt = now }
        guard let agreed = check.agreedIndex(excusing: false) else { return }
        isDone = true
        trace.record("settled", member: 0, at: now, "at index \(agreed)")
    }

    /// Everything that was waited for should have happened.
    func settlingEnds() {
        guard !isDone else { return }
        judge { try liveness.check(after: scenario.settling, at: now) }
        isDone = true
    }

    /// What is waited for after the faults have stopped.
    ///
    /// A leader outside of the surviving quorum may go on leading while a quorum follows it. A member that it cannot reach, or
    /// that cannot reach it, then stays behind, as Raft allows.
    var liveness: LivenessCheck {
        let leading = leader?.process?.replica?.raft
        let leader = leader?.id ?? 0
        let rebuilding = leading.map { states(knownTo: leader, $0) }
        var check = LivenessCheck()
        check.agreedAt = agreedAt
        check.waitingClients = clients.filter { !$0.hasSettled }.map(\.number)
        for id in scenario.memberIDs where isInCore(id) {
            let state = member(id).process?.replica.map { replica in
                LivenessCheck.State(
                    role: replica.raft.role,
                    term: replica.raft.term,
                    commitIndex: replica.raft.commitIndex,
                    appliedIndex: replica.raft.appliedIndex,
                    last: replica.raft.log.last,
                    isCutOff: leader != 0 && (network.isBlocked(leader, id) || network.isBlocked(id, leader)),
                    isUndecided: isUndecided(replica.raft, rebuilding, by: leading)
                )
            }
            check.members.append(LivenessCheck.Member(id: id, state: state))
        }
        return check
    }

    /// Whether a member waits for a checkpoint that the leader need not send. A leader whose own state is to be
    /// replaced has to hand over first.
    private func isUndecided(_ raft: Raft, _ rebuilding: LivenessCheck.Rebuilding?, by leading: Raft?) -> Bool {
        guard let rebuilding, let leading, !leading.isDiverged else { return false }
        if raft.isDiverged, !raft.isUnreadable { return rebuilding.excusesDiverged }
        guard raft.isUnreadable || raft.log.lastIndex < leading.log.base.index else { return false }
        return rebuilding.excusesSound
    }

    /// Notes that a leader knows that its state is that of the majority.
    func noteConfirmation(of member: SimulatedMember, _ raft: Raft) {
        guard raft.role == .leader, member.confirmedTerm < raft.term, raft.isConfirmed else { return }
        member.confirmedTerm = raft.term
    }

    /// What a leader knows of the members' states, and what it can find out.
    private func states(knownTo leader: MemberID, _ leading: Raft) -> LivenessCheck.Rebuilding {
        var rebuilding = LivenessCheck.Rebuilding(
            isInDispute: leading.isInDispute,
            isConfirmed: leading.isConfirmed,
            wasConfirmed: self.member(leader).confirmedTerm == leading.term,
            members: scenario.memberIDs.count
        )
        for member in members {
            guard member.directory == .whole, let raft = member.process?.replica?.raft, !raft.isDiverged else {
                continue
            }
            // Outside the core a process may be paused beyond the end.
            guard member.pausedUntil <= now else { continue }
            guard !network.isBlocked(leader, member.id), !network.isBlocked(member.id, leader) else { continue }
            // One whose log ends before the leader's begins has to be sent a checkpoint before it can report.
            guard raft.log.lastIndex >= leading.log.base.index else { continue }
            rebuilding.reporting += 1
            if raft.receivedIndex == 0, judges.digests.isRight(member.id) { rebuilding.witnesses += 1 }
        }
        return rebuilding
    }
}
