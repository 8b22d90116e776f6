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
extension StorageEngine {
    /// What a flush writes besides its table: an edit of the manifest, in sectors. In bytes.
    private static let spaceBesideFlush: UInt64 = 16 << 10
    /// The longest table that space is kept for before there is such a memtable, in bytes. An option that allows for
    /// more than the disk has must not hold all compactions back.
    private static let mostReservedBytes = 64 << 20

    /// How much space the file system has; nil where that is not known: then the attempt will tell.
    private var availableBytes: UInt64? {
        do throws(FileError) { return try fileSystem.availableBytes(at: directory) } catch { return nil }
    }

    /// How much a compaction leaves to the next flush, in bytes.
    private var reservedBytes: UInt64 {
        let view = retainedView()
        let longest = view.sealed.reduce(view.memtable.byteCount) { max($0, $1.byteCount) }
        let table = min(options.memtableBytes, max(StorageEngine.mostReservedBytes, longest))
        return UInt64(table) + StorageEngine.spaceBesideFlush
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
        let needed = UInt64(memtable.byteCount) + StorageEngine.spaceBesideFlush
        return available < needed ? noSpace(for: "a flush", needed, available) : nil
    }

    /// Which compaction to begin: `plan`, or another one where there is no space for it.
    ///
    /// - Parameters:
    ///   - plan: the next compaction in `version`.
    ///   - isFlushWaiting: whether a flush has no space, or fails.
    func choice(for plan: CompactionPlan, in version: Version, isFlushWaiting: Bool) -> CompactionChoice {
        guard plan.spaceNeeded > 0 else { return .begin(plan) }
        if !isFlushWaiting, let resting = worker.next?.refusals.restingError { return .refuse(resting) }
        guard let available = availableBytes else { return .begin(plan) }
        let reserve = reservedBytes
        let spare = available - min(reserve, available)
        guard plan.spaceNeeded > spare else { return .begin(plan) }
        let others = alternatives(in: version)
        let isWriterWaiting = version.levels[0].count >= options.levelZeroTablesToSlow
        if let other = others.choice(
            besides: plan,
            available: available,
            spare: spare,
            isWriterWaiting: isWriterWaiting,
            isFlushWaiting: isFlushWaiting,
            failures: worker.compactionBackoff.failuresInARow
        ) {
            return .begin(other)
        }
        let (needed, overflow) = plan.spaceNeeded.addingReportingOverflow(reserve)
        let work = "a compaction, which leaves space for a flush,"
        let missing = noSpace(for: work, overflow ? .max : needed, available)
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

extension CompactionAlternatives {
    /// Which compaction begins where there is no space for the next one and its reserve; nil for none.
    ///
    /// - Parameters:
    ///   - plan: the next compaction.
    ///   - available: how much space there is, in bytes.
    ///   - spare: how much of it is not reserved.
    ///   - isWriterWaiting: whether writers wait for the first level.
    ///   - isFlushWaiting: whether a flush waits for space.
    ///   - failures: how many compactions have failed in a row.
    fileprivate func choice(
        besides plan: CompactionPlan,
        available: UInt64,
        spare: UInt64,
        isWriterWaiting: Bool,
        isFlushWaiting: Bool,
        failures: Int
    ) -> CompactionPlan? {
        func fitting(_ plans: [CompactionPlan?], in space: UInt64) -> CompactionPlan? {
            plans.lazy.compactMap { $0 }.first { $0.spaceNeeded <= space }
        }
        if isWriterWaiting, let found = fitting([firstLevel, merge(within: available)], in: available) { return found }
        if let found = fitting([reclaiming], in: available) { return found }
        let others = [firstLevel, merge(within: spare)] + shortest
        if let found = fitting(others, in: spare) { return found }
        if isWriterWaiting || isFlushWaiting, let found = fitting([plan] + others, in: available) { return found }
        // None fits, as far as can be told before it is known what is dropped. What may help is attempted, in turns: an
        // attempt that fails leaves nothing.
        var attempts = [reclaiming]
        if isWriterWaiting { attempts = [leastMerge, firstLevel] + attempts }
        if isFlushWaiting { attempts = [plan] + attempts }
        let possible = attempts.compactMap { $0 }
        return possible.isEmpty ? nil : possible[failures % possible.count]
    }
}
