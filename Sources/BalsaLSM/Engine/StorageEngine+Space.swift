import BalsaPlatform

/// What a compaction is begun with, or why none is.
enum CompactionChoice {
    case begin(CompactionPlan)
    /// There is no space.
    case refuse(EngineError)
}

/// What flushes and compactions may take of the space that the file system has.
///
/// The log must find space, and so must the next flush, which lets the log be dropped. So a compaction begins only if
/// space for a flush is left beside what it writes. That reserve is given up where it serves nobody: while a flush has
/// no space anyway, and while writers wait for the first level, since no flush comes before they write on.
///
/// The next compaction may be one of a deep level, and as long as ten tables. Where there is no space for it, shorter
/// ones go first: of the first level if writers wait for that, for what is dead, or of another level above its target.
///
/// The file system may say that there is more space than there is: it does not count a quota, and some do not count at
/// all. So after a compaction that failed for want of space, all that seem to fit take turns until one succeeds.
extension StorageEngine {
    /// What a flush or a compaction writes besides its tables: an edit of the manifest, in sectors. In bytes.
    private static let spaceBesideTables: UInt64 = 16 << 10
    /// The longest table that space is kept for before there is such a memtable, in bytes. An option that allows for
    /// more than the disk has must not hold all compactions back.
    private static let mostReservedBytes = 64 << 20

    /// How much space the file system has; nil where that is not known: then the attempt will tell.
    private var availableBytes: UInt64? {
        do throws(FileError) { return try fileSystem.availableBytes(at: directory) } catch { return nil }
    }

    /// How long a table may be that a flush writes next, in bytes. The last batch of a memtable may make it longer than
    /// the option says.
    private var longestFlush: UInt64 {
        let view = retainedView()
        let longest = view.sealed.reduce(view.memtable.byteCount) { max($0, $1.byteCount) }
        return UInt64(max(min(options.memtableBytes, StorageEngine.mostReservedBytes), longest))
    }

    private func noSpace(for work: String, _ needed: UInt64, _ available: UInt64) -> EngineError {
        EngineError(
            .file,
            "\(directory): \(work) needs \(needed) bytes, and \(available) are available",
            cause: FileError(.write, directory, .noSpace)
        )
    }

    /// Why the flush of `seal` should not begin: the file system has no space for its table; nil if it has.
    func missingSpace(for seal: SealedMemtable) -> EngineError? {
        guard let memtable = seal.memtable, worker.flush == nil, let available = availableBytes else { return nil }
        // The nodes of the tree take more than index, filter and trailers of the table do.
        let needed = UInt64(memtable.byteCount) + StorageEngine.spaceBesideTables
        return available < needed ? noSpace(for: "a flush", needed, available) : nil
    }

    /// Which compaction to begin: `plan`, or another one where there is no space for it.
    ///
    /// - Parameters:
    ///   - plan: the next compaction in `version`.
    ///   - isFlushWaiting: whether a flush has no space, or fails.
    func choice(for plan: CompactionPlan, in version: Version, isFlushWaiting: Bool) -> CompactionChoice {
        guard plan.spaceNeeded > 0 else { return .begin(plan) }
        if !isFlushWaiting, let resting = worker.next?.refusals.restingError {
            worker.next?.refusals.passCall()
            return .refuse(resting)
        }
        let all = availableBytes ?? .max
        let reserve = longestFlush
        let available = all - min(StorageEngine.spaceBesideTables, all)
        let space = CompactionSpace(
            available: available,
            spare: available - min(reserve, available),
            isWriterWaiting: version.levels[0].count >= options.levelZeroTablesToSlow,
            isFlushWaiting: isFlushWaiting
        )
        let backoff = worker.compactionBackoff
        if !backoff.hasLackedSpace, plan.spaceNeeded <= space.spare { return .begin(plan) }
        if let chosen = alternatives(in: version).choice(besides: plan, in: space, after: backoff) {
            return .begin(chosen)
        }
        let besides = reserve + StorageEngine.spaceBesideTables
        let (needed, overflow) = plan.spaceNeeded.addingReportingOverflow(besides)
        let missing = noSpace(for: "a compaction, which leaves space for a flush,", overflow ? .max : needed, all)
        worker.next?.refusals.failed(missing)
        return .refuse(missing)
    }

    /// What can be compacted in place of the compaction that was found last. It is looked for once.
    private func alternatives(in version: Version) -> CompactionAlternatives {
        guard let next = worker.next, next.version === version else {
            preconditionFailure("the next compaction is looked for before another one is")
        }
        if let known = next.alternatives { return known }
        let policy = CompactionPolicy(version, options, protected: next.protected, damaged: next.damaged)
        let found = policy.alternatives(after: worker.compactionCursors)
        worker.next?.alternatives = found
        worker.looksForCompactions += 1
        return found
    }
}

/// What space there is for compactions, in bytes, and who waits for some.
private struct CompactionSpace {
    /// What the file system has, without what is always left for the manifest and for others.
    let available: UInt64
    /// How much of it is not reserved for a flush.
    let spare: UInt64
    /// Whether writers wait for the first level.
    let isWriterWaiting: Bool
    let isFlushWaiting: Bool
}

extension CompactionAlternatives {
    /// Which compaction begins where there is no space for the next one, or one has failed for want of space; nil for
    /// none.
    ///
    /// - Parameters:
    ///   - plan: the next compaction.
    ///   - space: what space there seems to be.
    ///   - backoff: how the last compactions went.
    fileprivate func choice(
        besides plan: CompactionPlan,
        in space: CompactionSpace,
        after backoff: WorkBackoff
    ) -> CompactionPlan? {
        let fitting = fitting(besides: plan, in: space, mayBeLess: backoff.hasLackedSpace)
        if let first = fitting.first {
            return backoff.hasLackedSpace ? fitting[backoff.failuresInARow % fitting.count] : first
        }
        // None fits, as far as can be told before it is known what is dropped. What may help those who wait is
        // attempted, in turns: an attempt that fails leaves nothing. If nobody waits, the last bytes are left to
        // others.
        var attempts: [CompactionPlan?] = space.isFlushWaiting ? [plan] : []
        if space.isWriterWaiting { attempts += [leastMerge, firstLevel] }
        if space.isWriterWaiting || space.isFlushWaiting { attempts.append(reclaiming) }
        let possible = attempts.compactMap { $0 }
        return possible.isEmpty ? nil : possible[backoff.failuresInARow % possible.count]
    }

    /// The compactions that seem to fit, the best one first.
    ///
    /// - Parameter mayBeLess: whether there may be less space than it seems, so that the shortest merge counts, too.
    private func fitting(
        besides plan: CompactionPlan,
        in space: CompactionSpace,
        mayBeLess: Bool
    ) -> [CompactionPlan] {
        let (available, spare) = (space.available, space.spare)
        var found = [plan].filter { $0.spaceNeeded <= spare }
        func add(_ plans: [CompactionPlan?], above least: UInt64? = nil, upTo most: UInt64) {
            for case let plan? in plans where plan.spaceNeeded <= most && least.map({ plan.spaceNeeded > $0 }) ?? true {
                found.append(plan)
            }
        }
        if space.isWriterWaiting {
            add([firstLevel, mayBeLess ? leastMerge : merge(within: available)], upTo: available)
        }
        add([reclaiming], upTo: available)
        if !space.isWriterWaiting { add([firstLevel, merge(within: spare)], upTo: spare) }
        add(shortest, upTo: spare)
        if space.isWriterWaiting || space.isFlushWaiting {
            add([plan, space.isWriterWaiting ? nil : firstLevel] + shortest, above: spare, upTo: available)
        }
        return found
    }
}
