/// How large each level should be.
///
/// The sizes follow from that of the largest level, as in RocksDB's dynamic levels: each level above it is `levelRatio` times
/// smaller, up to the first one that would be no larger than `levelBaseBytes`. That one is the *base level*, into which the
/// first level is merged; the levels between them are empty. The last level then holds nearly everything, and the levels above
/// it about a ninth of that, whatever the size.
struct LevelTargets: Equatable {
    /// The level that tables of the first level are merged into.
    let baseLevel: Int
    /// The target size of each level, in bytes; 0 for the first and for those that should be empty.
    let byteCounts: [UInt64]

    /// The targets of levels of these sizes, of which compactions fill the first `levelCount`.
    init(sizes: [UInt64], levelCount: Int, options: EngineOptions) {
        let lastLevel = levelCount - 1
        let firstFilled = (1..<sizes.count).first { sizes[$0] > 0 } ?? lastLevel
        let largest = sizes.dropFirst().max() ?? 0
        let ratio = options.levelRatio
        var size = largest
        for _ in min(firstFilled, lastLevel)..<lastLevel { size /= ratio }
        var base = min(firstFilled, lastLevel)
        while base > 1, size > options.levelBaseBytes {
            base -= 1
            size /= ratio
        }
        baseLevel = max(base, 1)
        var target = max(min(size, options.levelBaseBytes), options.levelBaseBytes / ratio, 1)
        byteCounts = (0..<max(levelCount, sizes.count)).map { level in
            guard level >= max(base, 1) else { return 0 }
            if level > max(base, 1) {
                let (next, overflow) = target.multipliedReportingOverflow(by: ratio)
                target = overflow ? .max : next
            }
            return max(target, options.levelBaseBytes)
        }
    }
}
