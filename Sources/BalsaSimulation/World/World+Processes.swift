import Balsa
import BalsaKeyValue
import BalsaLSM
import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

extension World {
    /// Starts a process where none runs.
    func start(_ id: MemberID) {
        let member = member(id)
        guard member.process == nil, !member.isOut, !isCalm || isInCore(id) else { return }
        member.starts += 1
        let drift = RandomSource.mix(scenario.seed ^ id) % (2 * scenario.clockDrift + 1)
        let process = SimulatedProcess(
            number: member.starts,
            files: member.disk.mount(MemberDiskHook(world: self, member: member)),
            startedAt: now,
            clockRate: 1000 + drift - scenario.clockDrift
        )
        member.process = process
        trace.record("start", member: id, at: now, "number \(member.starts)")
        effects.removeAll(keepingCapacity: true)
        let image = keepsImages(of: member) ? member.disk.snapshot() : nil
        do throws(ReplicaError) {
            let setup = setup(of: member)
            let instance = try Member.open(
                setup,
                fileSystem: process.files,
                provider: provider(of: member, seed: setup.seed),
                at: process.clock(at: now),
                into: &effects
            )
            process.instance = instance
            openedWithExchangedFiles(member)
            if let image { keep(image, of: member, instance) }
            member.opened =
                keepsImages(of: member)
                ? instance.replica?.fileClaims.map {
                    (member.starts, member.disk.snapshot(), $0)
                } : nil
            // It may have died between the two, that it was and that it said so.
            if let cluster = instance.cluster, !member.wasEstablished { established(member, process, cluster) }
            afterStep(member, process)
            endRepeatedly(member, process)
        } catch {
            opening(member, process, failedWith: error)
        }
    }

    /// Ends a process that is one of many that are started and ended: at once, before anybody has heard of it, or in one of
    /// its next file calls, with which it notes an opening or writes its log.
    private func endRepeatedly(_ member: SimulatedMember, _ process: SimulatedProcess) {
        guard member.restartsLeft > 0, member.process === process else { return }
        member.restartsLeft -= 1
        let luck = RandomSource.mix(member.restartSalt ^ member.restartsLeft)
        guard luck % 4 == 0 else {
            return end(member, losesPower: luck % 2 == 0, salt: luck, downFor: .milliseconds(1))
        }
        member.trap = CrashTrap(
            callsLeft: luck / 4 % 16,
            losesPower: luck / 64 % 2 == 0,
            downFor: .milliseconds(1),
            salt: luck
        )
    }

    func provider(of member: SimulatedMember, seed: UInt64) -> KeyValueProvider {
        KeyValueProvider(
            options: scenario.keyValueOptions(bugs, of: member.name),
            proposal: scenario.proposal(of: member.name),
            seed: RandomSource.mix(seed)
        )
    }

    func setup(of member: SimulatedMember) -> MemberSetup {
        let seed = RandomSource.mix(scenario.seed ^ member.id << 32 ^ member.starts)
        var setup = MemberSetup(
            directory: "balsa",
            member: member.name,
            list: scenario.memberIDs.map { MemberAddress(member: $0, address: "member-\($0):7001") },
            seed: seed,
            identitySeed: UniqueID(
                high: RandomSource.mix(seed ^ 0x6964_656e),
                low: RandomSource.mix(seed ^ 0x7469_7479)
            )
        )
        setup.options = scenario.replicaOptions(bugs)
        return setup
    }

    /// Listens to the replica of a process, once there is one.
    private func listen(to member: SimulatedMember, _ process: SimulatedProcess) {
        guard !process.isListenedTo, let replica = process.replica else { return }
        process.isListenedTo = true
        listen(to: replica, of: member.id)
        counters.tornTails += replica.metrics.recovery.tornTails
        let raft = replica.raft
        judge {
            try judges.started(
                member.id,
                raft.currentStanding,
                commitIndex: raft.commitIndex,
                isWhole: member.directory == .whole,
                at: now
            )
        }
        judge { try checkState(of: member) }
    }

    /// A process that cannot open its replica has died in a file call, or met a failing disk and is started again; nothing
    /// but an exchange of files makes what is on a disk a reason.
    private func opening(_ member: SimulatedMember, _ process: SimulatedProcess, failedWith error: ReplicaError) {
        if !process.files.isAlive {
            counters.crashesInRecovery += 1
            processDied(member)
        } else if !refusedForExchangedFiles(member, error) {
            trace.record("open-failed", member: member.id, at: now, error.description)
            judge { try judges.processes.cannotOpen(member.id, error, at: now) }
            end(member, losesPower: false, salt: 0, downFor: .milliseconds(200))
        }
    }

    private func listen(to replica: Replica, of id: MemberID) {
        replica.onApply = { [unowned self, unowned replica] batch, results in
            judge { try judges.applied(batch, results, by: id, in: replica.raft.term, at: now) }
        }
        replica.onInstall = { [unowned self, unowned replica] in
            let isBehind = replica.raft.log.lastIndex < replica.machine.durable.position.index
            judges.digests.installed(id, asItWas: !isBehind && !replica.raft.isUnreadable)
            judge { try checkState(of: member(id)) }
        }
        replica.onStage = { [unowned self] batch in
            judge { try judges.staged(batch, by: id, at: now) }
        }
    }

    /// Ends the process of a member; another one is started after a while.
    func end(_ member: SimulatedMember, losesPower: Bool, salt: UInt64, downFor: TimeSpan) {
        guard let process = member.process else { return }
        trace.record("end", member: member.id, at: now, losesPower ? "power" : "process")
        if process.writesUnderWay > 0 { counters.crashesInLogWrite += 1 }
        if !member.wasEstablished { counters.crashesInFirstBoot += 1 }
        if let replica = process.replica { countReplica(replica) }
        process.files.kill()
        disconnect(member, process)
        member.process = nil
        member.linearizableReads = []
        member.trap = nil
        member.pausedUntil = .zero
        member.held = []
        if losesPower { member.disk.powerLoss(salt: salt) } else { member.disk.processCrash() }
        judges.ended(member.id)
        loseClients(of: member.id)
        queue.schedule(.start(member.id), at: now + downFor)
    }

    /// A process has died in a file call; its trap says the rest.
    func processDied(_ member: SimulatedMember) {
        let trap = member.trap
        end(
            member,
            losesPower: trap?.losesPower ?? false,
            salt: trap?.salt ?? 0,
            downFor: trap?.downFor ?? .milliseconds(100)
        )
    }

    /// Counts in what kind of step a process dies.
    func countCrash(of member: SimulatedMember) {
        guard let process = member.process, let replica = process.replica else { return }
        let engine = (replica.machine as? KeyValueStateMachine)?.machine.engine
        switch process.isWorking ? engine?.currentWork : nil {
        case .flush: counters.crashesInFlush += 1
        case .compaction: counters.crashesInCompaction += 1
        case .manifest: counters.crashesInManifest += 1
        case .removal: counters.crashesInRemoval += 1
        case nil: break
        }
        switch replica.phase {
        case .receiving: counters.crashesInReceiving += 1
        case .installing: counters.crashesInInstall += 1
        case .stepping: break
        }
    }

    private func countReplica(_ replica: Replica) {
        counters.entriesTruncated += replica.metrics.entriesTruncated
        counters.entriesDropped += Int(clamping: replica.metrics.entriesDropped)
        counters.checkpointsSent += replica.metrics.checkpointsSent
        counters.checkpointsInstalled += replica.metrics.checkpointsInstalled
        counters.chunksRepeated += replica.metrics.chunksRepeated
        counters.commandsForwarded += replica.metrics.commandsForwarded
        counters.statesDiverged += replica.metrics.divergencesFound
        counters.statesRebuilt += replica.metrics.statesRebuilt
        counters.quarantines += replica.metrics.damagedTablesFound
        counters.entriesUnreadable += replica.metrics.unreadableEntries
        counters.segmentsRecycled += Int(clamping: replica.logMetrics.segmentsRecycled)
        guard let machine = (replica.machine as? KeyValueStateMachine)?.machine else { return }
        counters.add(machine.metrics)
    }

    /// Holds the state of a member against the reference state.
    func checkState(of member: SimulatedMember) throws {
        guard let replica = member.process?.replica, replica.failure == nil,
            let machine = (replica.machine as? KeyValueStateMachine)?.machine
        else { return }
        let damaged = damagedTables(of: member.id)
        try StateCheck(ledger: judges.requests, damaged: damaged).check(member.id, machine, at: now)
        try judges.processes.engine(member.id, machine.engine.checkInvariants(), at: now)
    }

    /// Adds what the processes that still run have counted.
    func countRunning() {
        for member in members { if let replica = member.process?.replica { countReplica(replica) } }
    }

    /// Handles an event of a process, unless the process has ended or stands still.
    func handle(_ event: WorldEvent, of id: MemberID, start: UInt64) {
        let member = member(id)
        guard let process = member.process, process.number == start, let instance = process.instance else { return }
        guard member.pausedUntil <= now else {
            member.held.append(event)
            return
        }
        switch event {
        case .wake(_, _, let number):
            // A moment asked for later replaces it.
            guard number == process.wakes else { return }
            trace.record("wake", member: id, at: now, "")
            step(.timer, member, process, instance)
        case .write(_, _, let write):
            performWrite(write, member, process, instance)
        case .synced(_, _, let write, let sync):
            finishSync(write, sync, member, process, instance)
        case .task(_, _, let task):
            performTask(task, member, process, instance)
        case .work(_, _, let work):
            performWork(work, member, process, instance)
        default:
            preconditionFailure("only a process' own events are handled here")
        }
    }

    /// Gives a replica an input and carries out what follows.
    func step(_ input: ReplicaInput, _ member: SimulatedMember, _ process: SimulatedProcess, _ instance: Member) {
        effects.removeAll(keepingCapacity: true)
        instance.step(input, at: process.clock(at: now), into: &effects)
        afterStep(member, process)
    }

    func afterStep(_ member: SimulatedMember, _ process: SimulatedProcess) {
        guard process.files.isAlive else {
            // Whatever it wanted done, it has died.
            processDied(member)
            return
        }
        guard let instance = process.instance else { return }
        listen(to: member, process)
        if let replica = process.replica {
            let view = Judges.StepView(
                brokenInvariant: replica.brokenInvariant(),
                commitIndex: replica.commitIndex,
                appliedIndex: replica.appliedIndex,
                digest: replica.failure == nil ? replica.machine.digest : nil
            )
            judge { try judges.stepped(member.id, view, at: now) }
            noteConfirmation(of: member, replica.raft)
        }
        for effect in effects { carryOut(effect, member, process) }
        if instance.failure?.code == .refused, member.process === process {
            leave(member)
        } else if instance.failure != nil, member.process === process {
            // As an operator, or a supervisor, would.
            counters.reopened += 1
            end(member, losesPower: false, salt: 0, downFor: .milliseconds(300))
        }
        checkSettled()
    }

    func carryOut(_ effect: ReplicaEffect, _ member: SimulatedMember, _ process: SimulatedProcess) {
        switch effect {
        case .send(let to, let pieces, let path):
            send(joined(pieces), from: member, process, to: to, path)
        case .write(let write):
            process.writesUnderWay += 1
            if !write.isVote { judges.writes(member.id, number: write.write.number, commit: write.commit) }
            let delay = duration(upTo: scenario.writeTime, member)
            queue.schedule(.write(member.id, start: process.number, write), at: now + delay)
        case .run(let task):
            let delay = duration(upTo: scenario.syncTime, member)
            queue.schedule(.task(member.id, start: process.number, task), at: now + delay)
        case .work(let work):
            let delay = duration(upTo: scenario.syncTime, member)
            queue.schedule(.work(member.id, start: process.number, work), at: now + delay)
        case .reply(let request, let reply):
            receive(reply, to: request, of: StoreID(member.id))
        case .wake(let moment):
            process.wakes += 1
            if let at = process.worldTime(of: moment) {
                let event = WorldEvent.wake(member.id, start: process.number, number: process.wakes)
                queue.schedule(event, at: max(at, now))
            }
        case .standing(let standing):
            trace.record("standing", member: member.id, at: now, "\(standing.role) of term \(standing.term)")
            let log = process.replica?.raft.log
            judge { try judges.standing(standing, of: member.id, log: log, &counters, at: now) }
            if standing.role == .leader { tookOffice(member.id) }
        case .report(let anomaly):
            trace.record("report", member: member.id, at: now, "\(anomaly)")
            let isDamaged = !damagedTables(of: member.id).isEmpty
            judge { try judges.reported(anomaly, by: member.id, isDamaged: isDamaged, at: now) }
        case .established(let cluster):
            established(member, process, cluster)
        case .firstBootWaits(let sentence):
            trace.record("first-boot", member: member.id, at: now, sentence)
            judge { try judges.identity.waits(member.id, sentence, at: now) }
        case .retrying(let reason):
            trace.record("retrying", member: member.id, at: now, reason)
        case .damagedCopy(let sentence):
            trace.record("damaged-copy", member: member.id, at: now, sentence)
        case .checkpointRefused(let peer, let sentence):
            trace.record("checkpoint-refused", member: member.id, at: now, "of member \(peer): \(sentence)")
        case .optionsDiffer(let differences):
            let text = differences.map(\.description).joined(separator: "; ")
            trace.record("options-differ", member: member.id, at: now, text)
            counters.proposalsDiffering += 1
        case .undecodable(let error):
            judge { try judges.processes.cannotDecode(member.id, "\(error)", at: now) }
        case .failed(let error):
            trace.record("failed", member: member.id, at: now, error.description)
            judge { try judges.processes.stopped(member.id, error, at: now) }
        }
    }

    private func joined(_ pieces: [Bytes]) -> Bytes {
        guard pieces.count != 1 else { return pieces[0] }
        let slab = Slab.make(capacity: pieces.reduce(0) { $0 + $1.count })
        for piece in pieces { piece.withUnsafeBytes { slab.append($0) } }
        return Bytes(slab: slab, offset: 0, count: slab.count)
    }

    func describe(_ frame: Bytes) -> String {
        guard let decoded = try? PeerFrame(decoding: frame, options: scenario.replicaOptions([]).wire) else {
            return "\(frame.count) bytes"
        }
        switch decoded.content {
        case .message(let body, _): return "term \(decoded.term) \(body)"
        case .checkpointChunk(let chunk):
            return "term \(decoded.term) chunk of \(chunk.position): \(chunk.bytes.count) bytes at \(chunk.offset)"
        case .checkpointChunkResponse(let response): return "term \(decoded.term) \(response)"
        case .forward(let forwarded): return "term \(decoded.term) forwards \(forwarded.number)"
        case .forwardResponse(let response): return "term \(decoded.term) \(response)"
        case .firstBoot(let message): return "\(message)"
        }
    }

    /// A process that stood still goes on: with everything that has happened to it since, in order.
    func resume(_ id: MemberID) {
        let member = member(id)
        guard member.pausedUntil <= now else { return }
        judges.processes.resumed(id, at: now)
        let held = member.held
        member.held = []
        for event in held { queue.schedule(event, at: now) }
    }
}
