import BalsaPlatform
import BalsaRaft

extension Scenario {
    /// Draws a scenario from a seed.
    ///
    /// Each run gets its own mix of faults (swarm testing, Groce et al., ISSTA 2012): a kind that is left out of a run
    /// lets the others go deeper. Limits are drawn small, so that borders are met often.
    ///
    /// - Parameters:
    ///   - seed: determines everything.
    ///   - members: how many members, 1 to 7.
    ///   - duration: how long clients and faults go on.
    public init(seed: UInt64, members: UInt64, duration: TimeSpan) {
        precondition(members >= 1 && members <= 7, "a group has 1 to 7 members")
        self.init(seed: seed)
        self.members = members
        self.duration = duration
        var root = RandomSource(seed: RandomSource.mix(seed ^ 0x5ce2_a710))
        // A source for each part, so that a further draw in one does not shift the others.
        var world = root.fork()
        var limits = root.fork()
        var faults = root.fork()
        var state = root.fork()
        drawWorld(&world)
        drawLimits(&limits)
        drawStateLimits(&state)
        drawFaults(&faults)
        var identity = root.fork()
        drawIdentityFaults(&identity)
        drawAlteredDigest()
        var options = root.fork()
        drawOptions(&options)
        drawDamage()
    }

    /// Whether members propose different replicated options, and how often these change.
    private mutating func drawOptions(_ random: inout RandomSource) {
        proposals = random.chance(2, in: 3) ? 1 + random.next() >> 17 : 0
        optionChanges = UInt64(random.pick([0, 5, 20]))
    }

    private mutating func drawWorld(_ random: inout RandomSource) {
        clients = UInt64(random.draw(4...8))
        keys = UInt64(random.draw(1...8))
        thinking = .milliseconds(UInt64(random.pick([10, 30, 60, 100])))
        valueBytes = UInt64(random.pick([8, 32, 128, 600]))
        networkDelay = .microseconds(UInt64(random.draw(50...3000)))
        networkJitter = .microseconds(UInt64(random.pick([100, 1000, 5000, 20000])))
        writeTime = .microseconds(UInt64(random.draw(5...500)))
        syncTime = .microseconds(UInt64(random.pick([100, 1000, 5000, 20000])))
        garbageInTornSectors = random.chance(1, in: 3) ? 1 : 0
        clockDrift = UInt64(random.pick([0, 0, 10, 50]))
        var others = memberIDs
        while others.count > Int(members / 2 + 1), random.chance(3, in: 4) {
            others.remove(at: Int(random.below(UInt64(others.count))))
        }
        core = others.reduce(0) { $0 | Scenario.bit($1) }
    }

    private mutating func drawLimits(_ random: inout RandomSource) {
        sectorBytes = UInt64(random.pick([512, 512, 1024, 4096]))
        smallestSegmentBytes = sectorBytes * UInt64(random.pick([8, 16, 32]))
        largestSegmentBytes = smallestSegmentBytes * UInt64(random.pick([1, 2, 4]))
        maxFrameBytes = max(4096, sectorBytes * UInt64(random.pick([2, 4, 8])))
        maxWritesInFlight = UInt64(random.draw(1...4))
        sealStateAfterBytes = smallestSegmentBytes * UInt64(random.draw(2...12))
        logBoundBytes = sealStateAfterBytes * UInt64(random.draw(2...6))
        logCacheBytes = UInt64(random.pick([0, 2048, 65536]))
        entriesKept = UInt64(random.pick([0, 1, 10, 100]))
        maxAppendBytes = UInt64(random.pick([100, 700, 4096]))
        maxInflightMessages = UInt64(random.pick([1, 2, 8, 64]))
        maxInflightBytes = UInt64(random.pick([200, 2000, 65536]))
    }

    /// The limits of the state: so small that memtables are flushed, tables compacted and manifests rewritten all the time.
    private mutating func drawStateLimits(_ random: inout RandomSource) {
        applyPageBytes = UInt64(random.pick([64, 500, 4096, 65536]))
        chunkBytes = UInt64(random.pick([512, 2048, 8192]))
        workBudgetBytes = UInt64(random.pick([256, 2048, 16384]))
        memtableBytes = UInt64(random.pick([512, 2048, 8192]))
        blockBytes = UInt64(random.pick([128, 256, 1024]))
        tableBytes = UInt64(random.pick([512, 2048, 8192]))
        levelZeroTables = UInt64(random.draw(1...4))
        levelBaseBytes = UInt64(random.pick([1024, 4096, 16384]))
        levelRatio = UInt64(random.draw(2...4))
        filterBits = UInt64(random.pick([0, 4, 10]))
        cacheBytes = UInt64(random.pick([0, 1024, 65536]))
        manifestBytes = UInt64(random.pick([4096, 16384, 131_072]))
        maxSessions = UInt64(random.pick([8, 8, 100, 100]))
        sessionIdle = .seconds(UInt64(random.pick([5, 3600, 3600])))
        retainedRevisions = UInt64(random.pick([0, 5, 50, 500]))
    }

    private mutating func drawFaults(_ random: inout RandomSource) {
        let kinds = Fault.Kind.allCases.filter { !$0.isRare && random.chance(1, in: 2) }
        for kind in kinds {
            // A mean time between faults of a kind that brings one to about ten of them into a run of a minute.
            // While leaders are isolated, few calls are answered, so this is rarer.
            let means: [UInt64] = kind == .leaderIsolation ? [15, 30] : [5, 10, 20, 40]
            let mean = random.pick(means) * 1_000_000_000
            var at = 500_000_000 + random.below(mean)
            while at < duration.nanoseconds {
                faults.append(draw(kind, at: TimeSpan(nanoseconds: at), &random))
                at += mean / 4 + random.below(mean * 3 / 2)
            }
        }
        drawIsolatedLeaders(kinds, &random)
        drawLastBlow(&random)
        sortFaults()
    }

    /// By time, and for equal times in the order in which they were drawn: a total order.
    private mutating func sortFaults() {
        let order = faults.indices.sorted { (faults[$0].at.nanoseconds, $0) < (faults[$1].at.nanoseconds, $1) }
        faults = order.map { faults[$0] }
    }

    /// Sometimes no leader lasts for the whole run.
    private mutating func drawIsolatedLeaders(_ kinds: [Fault.Kind], _ random: inout RandomSource) {
        guard kinds.contains(.leaderIsolation), random.chance(1, in: 3), duration > .seconds(3) else { return }
        isolateLeaders(salt: random.next() >> 16, milliseconds: UInt64(random.pick([200, 400, 700])))
    }

    /// Sometimes the state of one member is not that of the others any more. From a source of its own, so that nothing
    /// else is drawn differently.
    private mutating func drawAlteredDigest() {
        var random = RandomSource(seed: RandomSource.mix(seed ^ 0x6469_6765_7374))
        guard members > 2, duration > .seconds(2), random.chance(1, in: 3) else { return }
        alterDigest(of: random.pick(memberIDs), at: 1_000_000_000 + random.below(duration.nanoseconds / 2))
    }

    /// Sometimes tables of a member outside of the core are damaged. From a source of its own, so that nothing else is
    /// drawn differently.
    private mutating func drawDamage() {
        var random = RandomSource(seed: RandomSource.mix(seed ^ 0x6461_6d61_6765))
        let outside = memberIDs.filter { core & Scenario.bit($0) == 0 }
        guard duration > .seconds(2), random.chance(1, in: 2), let victim = outside.first else { return }
        damageTables(of: victim, times: random.draw(1...6), &random)
    }

    private mutating func damageTables(of member: MemberID, times: Int, _ random: inout RandomSource) {
        for _ in 0..<times {
            let at = TimeSpan(nanoseconds: 1_000_000_000 + random.below(duration.nanoseconds - 1_000_000_000))
            var fault = Fault(at: at, kind: .damagedTable)
            fault.member = member
            fault.salt = random.next() >> 16
            faults.append(fault)
        }
        sortFaults()
    }

    /// Damages tables of one member again and again, in place of all faults, and keeps nothing of them in memory.
    mutating func damageOneMember() {
        faults = []
        let victim = 1 + seed % members
        core = memberIDs.filter { $0 != victim }.reduce(0) { $0 | Scenario.bit($1) }
        cacheBytes = 0
        var random = RandomSource(seed: RandomSource.mix(seed ^ 0x6461_6d61_6765))
        damageTables(of: victim, times: 20, &random)
    }

    /// Alters the digest of a member's state at a moment, in nanoseconds.
    private mutating func alterDigest(of member: MemberID, at nanoseconds: UInt64) {
        var fault = Fault(at: TimeSpan(nanoseconds: nanoseconds), kind: .alteredDigest)
        fault.member = member
        faults.append(fault)
        sortFaults()
    }

    /// Alters the digest of one member's state after a second, in place of all faults.
    mutating func alterOneDigest() {
        faults = []
        core = memberIDs.reduce(0) { $0 | Scenario.bit($1) }
        alterDigest(of: 1 + seed % members, at: 1_000_000_000)
    }

    /// Isolates each leader a moment after its election, for the whole run, and lets entries travel one by one: what is
    /// committed by such a leader is decided by its last message.
    mutating func isolateLeaders(salt: UInt64 = 0, milliseconds: UInt64 = 400) {
        maxAppendBytes = 100
        faults.removeAll { $0.kind == .leaderIsolation }
        var fault = Fault(at: .seconds(1), kind: .leaderIsolation)
        fault.salt = salt
        fault.lasts = duration
        fault.rate = milliseconds
        faults.append(fault)
    }

    /// Has a member outside of the core drop what reaches it, from the second second to the end, in place of all
    /// faults.
    mutating func dropIncoming(of member: MemberID) {
        core = memberIDs.filter { $0 != member }.reduce(0) { $0 | Scenario.bit($1) }
        var fault = Fault(at: .seconds(2), kind: .dropsIncoming)
        fault.member = member
        fault.lasts = min(.seconds(60) + duration, .seconds(3600))
        faults = [fault]
    }

    /// Makes segments of the log small, and drops them as soon as their entries are in the state, so that they are used
    /// again.
    mutating func recycleSegments() {
        sectorBytes = 512
        smallestSegmentBytes = 4096
        largestSegmentBytes = 4096
        spareSegments = 0
        maxFrameBytes = 4096
        sealStateAfterBytes = 4096
        logBoundBytes = 16_384
        entriesKept = 0
    }

    /// Makes memtables and tables small and retains few revisions, so that compactions drop what was there a moment
    /// ago.
    mutating func compactOften() {
        keys = min(keys, 3)
        thinking = .milliseconds(10)
        memtableBytes = 512
        tableBytes = 512
        levelZeroTables = 1
        levelBaseBytes = 1024
        retainedRevisions = 5
    }

    /// Puts faults into the first boot in place of all others.
    mutating func disturbFirstBoot() {
        var random = RandomSource(seed: RandomSource.mix(seed ^ 0x6669_7273_7400))
        faults = []
        drawFirstBootFaults(12, &random)
        sortFaults()
    }

    /// What goes wrong in the first boot, which is over long before the other faults begin; and, rarely, a directory that
    /// forgets: of one member at most, which no quorum of the core needs, or of a copy that is started beside a member.
    private mutating func drawIdentityFaults(_ random: inout RandomSource) {
        guard members > 1, duration > .seconds(1) else { return }
        drawFirstBootFaults(random.pick([0, 1, 2, 4, 8]), &random)
        let outside = memberIDs.filter { core & Scenario.bit($0) == 0 }
        if random.chance(1, in: 3), let victim = outside.last {
            drawForgetting(random.chance(1, in: 2) ? .wipe : .rollBack, of: victim, &random)
        } else if random.chance(1, in: 4) {
            // Nothing happens to the member itself, so that it may be any.
            drawForgetting(.clone, of: random.pick(memberIDs), &random)
        } else if random.chance(1, in: 3) {
            drawForgetting(.restarts, of: random.pick(memberIDs), &random)
        }
        drawExchangedFiles()
        sortFaults()
    }

    /// Sometimes files of a member outside of the core vanish or are exchanged, where no directory forgets as a whole.
    ///
    /// It is drawn from numbers of its own, so that scenarios without this fault are what they were without it.
    private mutating func drawExchangedFiles() {
        var random = RandomSource(seed: RandomSource.mix(seed ^ 0x6578_6368_616e))
        let outside = memberIDs.filter { core & Scenario.bit($0) == 0 }
        guard random.chance(3, in: 4), let victim = outside.last, !faults.contains(where: \.kind.isRare) else { return }
        drawForgetting(random.chance(1, in: 2) ? .vanished : .swapped, of: victim, &random)
    }

    /// Lets the log and the group of a member vanish in the middle of the run, and nothing else go wrong that a
    /// directory could forget.
    mutating func loseFiles() { hitFiles(.vanished, World.bits(of: ["log", "groups"])) }

    /// Exchanges the vote or the log of a member with a copy made during its latest opening, likewise: the vote where
    /// the seed is odd. That seldom hits, since a log with entries of later terms gives it away. The first opening is
    /// that of the first boot, so that the member is killed before; and elections come often.
    mutating func setFilesBack() {
        hitFiles(.swapped, World.bits(of: [seed % 2 == 1 ? "groups/1/VOTE" : "log"]) | World.ofLatestOpening)
        isolateLeaders()
        var kill = Fault(at: TimeSpan(nanoseconds: duration.nanoseconds / 4), kind: .kill)
        kill.member = members
        kill.lasts = .milliseconds(100)
        faults.append(kill)
        sortFaults()
    }

    private mutating func hitFiles(_ kind: Fault.Kind, _ set: UInt64) {
        faults.removeAll { $0.kind.isRare }
        core = memberIDs.dropLast().reduce(0) { $0 | Scenario.bit($1) }
        var fault = Fault(at: TimeSpan(nanoseconds: duration.nanoseconds / 2), kind: kind)
        fault.member = members
        fault.lasts = .milliseconds(100)
        fault.set = set
        fault.salt = RandomSource.mix(seed) >> 16
        faults.append(fault)
        sortFaults()
    }

    private mutating func drawFirstBootFaults(_ count: Int, _ random: inout RandomSource) {
        let kinds: [Fault.Kind] = [
            .kill, .powerLoss, .killInCall, .powerLossInCall, .powerLossInCall, .loss, .duplication, .replay,
            .reordering, .pause, .failedSync, .failedWrite,
        ]
        for _ in 0..<count {
            let at = TimeSpan.microseconds(UInt64(random.draw(0...80_000)))
            var fault = draw(random.pick(kinds), at: at, &random)
            // Sometimes longer than an election takes: who waits for the others must not run in one.
            fault.lasts = .milliseconds(UInt64(random.pick([1, 20, 100, 300, 3000])))
            if fault.kind == .killInCall || fault.kind == .powerLossInCall { fault.rate %= 16 }
            faults.append(fault)
        }
    }

    private mutating func drawForgetting(_ kind: Fault.Kind, of victim: MemberID, _ random: inout RandomSource) {
        let span = duration.nanoseconds - 1_000_000_000
        let at = TimeSpan(nanoseconds: 1_000_000_000 + random.below(span))
        var fault = draw(kind, at: at, &random)
        fault.member = victim
        fault.lasts = .milliseconds(UInt64(random.pick([1, 100, 1000])))
        if kind == .restarts {
            fault.peer = 1 + victim % members
            fault.rate = UInt64(random.draw(9...20))
        }
        faults.append(fault)
    }

    /// Often something is still wrong when the storm ends, and stays so: outside of the core it is not mended.
    private mutating func drawLastBlow(_ random: inout RandomSource) {
        guard random.chance(2, in: 3), duration > .seconds(3) else { return }
        let kinds: [Fault.Kind] = [
            .dropsIncoming, .dropsIncoming, .oneWay, .dropsOutgoing, .partition, .pause, .powerLoss,
        ]
        let before = TimeSpan.milliseconds(UInt64(random.draw(50...2500)))
        let at = TimeSpan(nanoseconds: duration.nanoseconds - before.nanoseconds)
        var fault = draw(random.pick(kinds), at: at, &random)
        fault.lasts = .seconds(60)
        let outside = memberIDs.filter { core & Scenario.bit($0) == 0 }
        if fault.member != 0, let victim = outside.first { fault.member = victim }
        if fault.peer == fault.member { fault.peer = 1 + fault.member % members }
        faults.append(fault)
    }

    private func draw(_ kind: Fault.Kind, at: TimeSpan, _ random: inout RandomSource) -> Fault {
        var fault = Fault(at: at, kind: kind)
        fault.salt = random.next() >> 16
        fault.member = UInt64(random.draw(1...Int(members)))
        fault.lasts = .milliseconds(UInt64(random.pick([50, 200, 500, 1000, 3000, 8000])))
        switch kind {
        case .kill, .powerLoss, .powerLossOfLeader, .blackout:
            fault.lasts = .milliseconds(UInt64(random.pick([1, 20, 100, 400, 1000, 5000])))
        case .killInCall, .powerLossInCall:
            fault.lasts = .milliseconds(UInt64(random.pick([1, 20, 100, 400, 1000, 5000])))
            fault.rate = UInt64(random.draw(1...60))
        case .partition:
            fault.member = 0
            fault.set = 2 * (1 + random.below((1 << members) - 1))
        case .oneWay:
            fault.peer = 1 + (fault.member + random.below(max(members - 1, 1))) % members
        case .loss:
            fault.member = 0
            fault.rate = UInt64(random.pick([20, 100, 300]))
        case .duplication, .replay, .reordering:
            fault.member = 0
            fault.rate = UInt64(random.pick([20, 100, 300, 1000]))
        case .leaderIsolation:
            fault.member = 0
            fault.lasts = .milliseconds(UInt64(random.pick([4000, 8000, 12000])))
            fault.rate = UInt64(random.pick([400, 600, 900]))
        case .slowDisk:
            fault.rate = UInt64(random.pick([3, 10, 100]))
        case .pause, .dropsIncoming, .dropsOutgoing, .stalledSync, .failedSync, .failedWrite, .failedRead, .noSpace,
            .wipe, .rollBack,
            .clone, .vanished, .swapped, .restarts, .alteredDigest, .damagedTable:
            break
        }
        return fault
    }
}
