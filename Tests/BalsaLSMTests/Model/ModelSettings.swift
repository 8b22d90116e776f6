import BalsaLSM
import BalsaPlatform
import BalsaSimulation

/// Everything about a run that its client must not notice: the engine's limits, and what the shell around it does when.
struct ModelSettings: CustomStringConvertible {
    /// How an engine's life ends.
    enum Ending: String, CaseIterable {
        case close
        case processCrash
        case powerLoss
    }

    var options = EngineOptions()
    /// After how many of a hundred operations there is a step of background work.
    var workPercent: UInt64
    /// How much each of them is allowed.
    var budgets: [Int]
    var endings: [Ending]
    /// One of so many changing calls of a step fails; 0 for none.
    var faultsOneIn: UInt64
    /// After how many of a hundred operations the disk becomes full, for some operations; 0 for never.
    var fullDiskPercent: UInt64 = 0
    /// After how many of a hundred operations a table counts as damaged; 0 for never.
    var damagePercent: UInt64 = 0

    /// Draws settings: small limits in all combinations, now and then large ones.
    init(seed: UInt64, faultsOneIn: UInt64 = 0) {
        var random = RandomSource(seed: RandomSource.mix(seed))
        options.memtableBytes = random.pick([1, 600, 2_000, 6_000, 20_000, 1 << 20])
        options.maxSealedMemtables = random.draw(0...4)
        options.maxRangeDeletionsPerMemtable = random.pick([1, 3, 1_000])
        options.blockBytes = random.pick([128, 200, 512, 1_024, 4_096, 32 << 10])
        options.tableBytes = random.pick([1, 700, 2_000, 8_000, 1 << 20])
        options.filterBitsPerKey = random.pick([0, 1, 8, 16])
        options.filterBitsPerKeyInLastLevel = random.pick([0, 10])
        options.cacheBytes = random.pick([0, 300, 3_000, 20_000, 1 << 20])
        options.levelZeroTables = random.draw(1...5)
        options.levelZeroTablesToPause = options.levelZeroTables + random.draw(1...6)
        options.levelBaseBytes = random.pick([1, 1_000, 4_000, 20_000, 1 << 20])
        options.levelRatio = random.pick([2, 3, 10])
        options.levels = random.draw(2...7)
        options.manifestBytes = random.pick([1, 300, 2_000, 1 << 20])
        workPercent = random.pick([0, 10, 50, 100])
        budgets = random.pick([[1], [500], [1, 100, 5_000], [1 << 20], [1, 1 << 20]])
        endings = random.pick([[.close], [.processCrash], [.powerLoss], Ending.allCases])
        self.faultsOneIn = faultsOneIn
    }

    var description: String {
        """
        memtable \(options.memtableBytes)/\(options.maxSealedMemtables)/\(options.maxRangeDeletionsPerMemtable), \
        block \(options.blockBytes), table \(options.tableBytes), \
        filter \(options.filterBitsPerKey)/\(options.filterBitsPerKeyInLastLevel), cache \(options.cacheBytes), \
        level 0 \(options.levelZeroTables)/\(options.levelZeroTablesToPause), \
        levels \(options.levels) of \(options.levelBaseBytes) by \(options.levelRatio), \
        manifest \(options.manifestBytes), work \(workPercent) % by \(budgets), ends \(endings.map(\.rawValue)), \
        faults 1 in \(faultsOneIn), full \(fullDiskPercent) %, damage \(damagePercent) %
        """
    }
}

/// Lets some of the changing calls fail that are made during background work.
final class RandomFaults: DiskHook {
    private var random: RandomSource
    private let oneIn: UInt64
    /// Whether calls may fail now.
    var isArmed = false
    /// How many have failed.
    private(set) var count = 0

    init(seed: UInt64, oneIn: UInt64) {
        random = RandomSource(seed: seed)
        self.oneIn = oneIn
    }

    func answer(_ call: DiskCall) -> DiskAnswer {
        guard isArmed, oneIn > 0, call.isChange, random.chance(1, in: oneIn) else { return .proceed }
        count += 1
        switch (call.operation, random.below(3)) {
        case (.write, 0): return .partial(random.below(call.count + 1))
        case (.sync, 0): return .failAfter(.inputOutput)
        case (.sync, _): return .fail(.inputOutput)
        case (_, 1): return .failAfter(.noSpace)
        default: return .fail(.noSpace)
        }
    }
}
