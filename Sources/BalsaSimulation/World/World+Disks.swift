import Balsa
import BalsaLog
import BalsaPlatform
import BalsaRaft

/// Stands between the processes of a member and its disk.
final class MemberDiskHook: DiskHook {
    private unowned let world: World
    private unowned let member: SimulatedMember

    init(world: World, member: SimulatedMember) {
        self.world = world
        self.member = member
    }

    func answer(_ call: DiskCall) -> DiskAnswer { world.answer(call, of: member) }
}

extension World {
    /// A number that decides something about a member's disk: a function of the scenario and of how many were decided before.
    private func chance(_ member: SimulatedMember) -> UInt64 {
        member.decisions += 1
        return RandomSource.mix(scenario.seed ^ RandomSource.mix(member.id << 56 ^ member.decisions))
    }

    /// How long something takes on a member's disk, at most `limit` where the disk is well.
    func duration(upTo limit: TimeSpan, _ member: SimulatedMember) -> TimeSpan {
        let time = chance(member).multipliedFullWidth(by: limit.nanoseconds + 1).high
        return TimeSpan(nanoseconds: 1000 + time * member.slowFactor)
    }

    /// What becomes of a file call: what the faults in force say.
    func answer(_ call: DiskCall, of member: SimulatedMember) -> DiskAnswer {
        trace.add(call, member: member.id, at: now)
        if call.isChange, var trap = member.trap, !trap.inLogWrite {
            if trap.callsLeft == 0 { return spring(trap, call, member) }
            trap.callsLeft -= 1
            member.trap = trap
        }
        switch call.operation {
        case .sync where member.failsNextSync, .syncDirectory where member.failsNextSync:
            member.failsNextSync = false
            counters[.failedSync] += 1
            return .fail(.inputOutput)
        case .write where member.failsNextWrite:
            member.failsNextWrite = false
            counters[.failedWrite] += 1
            return .fail(.inputOutput)
        case .read where member.failsNextRead && call.mayWait:
            member.failsNextRead = false
            counters[.failedRead] += 1
            return .fail(.inputOutput)
        case .write where member.noSpaceUntil > now:
            counters[.noSpace] += 1
            return call.count > 1 && chance(member) % 2 == 0 ? .partial(call.count / 2) : .fail(.noSpace)
        case .read where !call.mayWait:
            return chance(member) % 2 == 0 ? .wouldWait : .proceed
        default:
            return .proceed
        }
    }

    /// The process dies in this call: before it, behind it, or in the middle of a write.
    private func spring(_ trap: CrashTrap, _ call: DiskCall, _ member: SimulatedMember) -> DiskAnswer {
        counters[trap.losesPower ? .powerLossInCall : .killInCall] += 1
        countCrash(of: member)
        switch trap.salt % 3 {
        case 0: return .crashBefore
        case 1 where call.operation == .write && call.count > 1: return .crashDuring(trap.salt >> 8 % call.count)
        default: return .crashAfter
        }
    }

    /// The bytes of a write are handed to the system, and the device begins to make them durable.
    func performWrite(_ write: ReplicaWrite, _ member: SimulatedMember, _ process: SimulatedProcess, _ instance: Member)
    {
        trace.record("write", member: member.id, at: now, write.isVote ? "vote" : "log")
        do {
            try write.write.write()
            let sync = try process.files.beginSync(write.write.file)
            let delay = duration(upTo: scenario.syncTime, member)
            queue.schedule(.synced(member.id, start: process.number, write, sync), at: now + delay)
            if let trap = member.trap, trap.inLogWrite, !write.isVote {
                let moment = TimeSpan(nanoseconds: trap.salt % (delay.nanoseconds + 1))
                queue.schedule(.powerCut(member.id, start: process.number), at: now + moment)
            }
        } catch {
            writeFailed(write, error, member, process, instance)
        }
    }

    /// The device has finished, unless it is stalled.
    func finishSync(
        _ write: ReplicaWrite,
        _ sync: SyncInFlight,
        _ member: SimulatedMember,
        _ process: SimulatedProcess,
        _ instance: Member
    ) {
        if member.stalledUntil > now {
            counters[.stalledSync] += 1
            // Looks again soon, since the stall may be healed before it would have ended.
            let again = min(member.stalledUntil, now + .milliseconds(50))
            queue.schedule(.synced(member.id, start: process.number, write, sync), at: again)
            return
        }
        trace.record("synced", member: member.id, at: now, write.isVote ? "vote" : "log")
        do {
            try process.files.endSync(sync)
        } catch {
            writeFailed(write, error, member, process, instance)
            return
        }
        process.writesUnderWay -= 1
        if !write.isVote { judges.durable(member.id, number: write.write.number) }
        step(.written(write), member, process, instance)
    }

    private func writeFailed(
        _ write: ReplicaWrite,
        _ error: FileError,
        _ member: SimulatedMember,
        _ process: SimulatedProcess,
        _ instance: Member
    ) {
        guard process.files.isAlive else {
            processDied(member)
            return
        }
        process.writesUnderWay -= 1
        step(.writeFailed(write, error), member, process, instance)
    }

    /// A background task makes a step.
    func performTask(_ task: LogTask, _ member: SimulatedMember, _ process: SimulatedProcess, _ instance: Member) {
        trace.record("task", member: member.id, at: now, task.summary)
        do {
            if try task.step(budgetBytes: Int(scenario.smallestSegmentBytes)) {
                step(.taskFinished(task), member, process, instance)
            } else {
                let delay = duration(upTo: scenario.syncTime, member)
                queue.schedule(.task(member.id, start: process.number, task), at: now + delay)
            }
        } catch {
            guard process.files.isAlive else {
                processDied(member)
                return
            }
            step(.taskFailed(task, error), member, process, instance)
        }
    }

    /// A step of the state machine's background work is done.
    func performWork(_ work: StateWork, _ member: SimulatedMember, _ process: SimulatedProcess, _ instance: Member) {
        trace.record("work", member: member.id, at: now, "")
        do throws(StateMachineError) {
            process.isWorking = true
            defer { process.isWorking = false }
            try work.step()
        } catch {
            guard process.files.isAlive else {
                processDied(member)
                return
            }
            step(.workFailed(work, error), member, process, instance)
            return
        }
        step(.worked(work), member, process, instance)
    }
}
