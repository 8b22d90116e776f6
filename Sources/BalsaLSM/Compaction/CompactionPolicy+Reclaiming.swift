import BalsaPlatform

/// Which table to rewrite for the space that it holds.
///
/// A table knows how many of its bytes are dead and from which retention mark on they can be dropped. What its
/// tombstones delete in older tables is estimated, and an entry for each deletion is added. A table is worth its
/// rewriting if that is a quarter of what is read for it.
///
/// A table over nothing is rewritten where it is, which drops all that is dead in it. Any other one is merged with the
/// level below, so that its tombstones come to what they delete. Both ends: nothing dead that can be dropped is left in
/// the result, or the result lies a level deeper.
///
/// Compactions drop nothing between the bounds of a damaged table. A table that overlaps these bounds is passed over:
/// its copy could be the same table again, and the next plan the copy of that, without end.
///
/// Tables of the first level are looked at together with all that they overlap, for a newer one deletes what is in an
/// older one. What a put overwrites in another table is not known before both are merged.
///
/// A table that is not worth it is not looked at again before a table with a key in common has come or gone. So an edit
/// costs the looks at its neighbours, and a test for each other table.
extension CompactionPolicy {
    /// The compaction that frees space; nil if none is worth it yet.
    func reclaiming() -> CompactionPlan? {
        guard version.deadSequence <= protected else { return nil }
        if let plan = reclaimingFirstLevel() { return plan }
        for level in 1..<max(1, version.levelCount) {
            for table in version.levels[level] where !table.isNotWorthwhile && isDue(table) {
                if let plan = reclaiming(table, of: level) { return plan }
                table.isNotWorthwhile = true
            }
        }
        return nil
    }

    /// Whether everything dead in the table, and all that its tombstones delete, can be dropped.
    func isDue(_ table: TableHandle) -> Bool {
        table.metadata.deadSequence > 0 && table.metadata.deadSequence <= protected
    }

    /// A table of the first level goes down with all others that it overlaps.
    private func reclaimingFirstLevel() -> CompactionPlan? {
        for table in version.levels.first ?? [] where !table.isNotWorthwhile && isDue(table) {
            let inputs = firstLevelInputs(with: table)
            if let range = KeyRange.covering(inputs), canDrop(in: range),
                let plan = plan(0, inputs: inputs, outputLevel: targets.baseLevel)
            {
                let gain = gainOfFirstLevel(inputs)
                if gain > 0, plan.isMove || isWorthwhile(gain, plan) { return plan }
            }
            // Others of them may be due later, and then give a reason of their own.
            for input in inputs where isDue(input) { input.isNotWorthwhile = true }
        }
        return nil
    }

    private func reclaiming(_ table: TableHandle, of level: Int) -> CompactionPlan? {
        // A damaged table overlaps itself.
        guard canDrop(in: KeyRange(of: table.metadata)) else { return nil }
        let gain = gain(of: table, level: level)
        guard gain > 0 else { return nil }
        let isOverNothing = !hasAnythingBelow(table, level)
        guard !isOverNothing, level + 1 < options.levels else {
            // What lies below the last level of the options, from an opening with more, is found by compactions of
            // these.
            guard isOverNothing else { return nil }
            let plan = CompactionPlan(
                level: level,
                inputs: [table],
                outputLevel: level,
                overlapping: [],
                below: [],
                maxOverlapBytes: .max,
                isMove: false
            )
            return isWorthwhile(gain, plan) ? plan : nil
        }
        guard let plan = plan(level, inputs: [table], outputLevel: level + 1) else { return nil }
        return plan.isMove || isWorthwhile(gain, plan) ? plan : nil
    }

    private func isWorthwhile(_ gain: UInt64, _ plan: CompactionPlan) -> Bool { gain >= plan.inputByteCount / 4 }

    // MARK: The gain

    /// About how many bytes tables of the first level keep from being freed, in themselves and below.
    ///
    /// - Parameter tables: tables and all that overlap them, the newest first.
    private func gainOfFirstLevel(_ tables: [TableHandle]) -> UInt64 {
        var gain: UInt64 = 0
        var newer = Deletions()
        for table in tables {
            var deleted = deletedBytes(in: table, by: newer)
            if isDue(table) {
                deleted += deadBytes(of: table, level: 0)
                newer.add(table)
            }
            gain += min(deleted, table.metadata.byteCount)
        }
        return gain + deletedBytesBelow(0, by: newer)
    }

    /// About how many bytes a table below the first level keeps from being freed.
    private func gain(of table: TableHandle, level: Int) -> UInt64 {
        var deletions = Deletions()
        deletions.add(table)
        return min(deadBytes(of: table, level: level), table.metadata.byteCount)
            + deletedBytesBelow(level, by: deletions)
    }

    private func deadBytes(of table: TableHandle, level: Int) -> UInt64 {
        // A table of nothing but tombstones is all dead.
        if table.metadata.entryCount == 0, !hasAnythingBelow(table, level) { return table.metadata.byteCount }
        return table.metadata.deadBytes
    }

    private func hasAnythingBelow(_ table: TableHandle, _ level: Int) -> Bool {
        (level + 1..<max(version.levelCount, level + 1)).contains {
            !version.indices(of: $0, overlapping: KeyRange(of: table.metadata)).isEmpty
        }
    }

    /// What tables delete in older ones. A range that several of them delete is there once: it is freed once.
    private struct Deletions {
        /// The bounds of each table that deletes single keys, and how many.
        private(set) var keys: [(range: KeyRange, count: UInt64)] = []
        /// The bounds of all.
        private(set) var range: KeyRange?
        /// Which ranges they delete, ascending; no two overlap.
        private(set) var runs: [TombstoneList.Run] = []

        mutating func add(_ table: TableHandle) {
            let bounds = KeyRange(of: table.metadata)
            if table.metadata.deletionCount > 0 { keys.append((bounds, table.metadata.deletionCount)) }
            range?.formUnion(bounds)
            range = range ?? bounds
            let new = table.table.tombstones.runs
            runs = runs.isEmpty ? new : TombstoneList.Run.joined(runs + new)
        }
    }

    /// About how many bytes of an older table of the first level are deleted.
    private func deletedBytes(in table: TableHandle, by deletions: Deletions) -> UInt64 {
        let metadata = table.metadata
        var bytes = deletions.runs.reduce(0) { $0 + table.table.byteCount(in: $1) }
        if metadata.entryCount > 0 {
            let bounds = KeyRange(of: metadata)
            let count = deletions.keys.reduce(0) { $0 + ($1.range.overlaps(bounds) ? $1.count : 0) }
            bytes += min(count, metadata.entryCount) * (metadata.byteCount / metadata.entryCount)
        }
        return min(bytes, metadata.byteCount)
    }

    private func deletedBytesBelow(_ level: Int, by deletions: Deletions) -> UInt64 {
        (level + 1..<max(version.levelCount, level + 1)).reduce(0) { $0 + deletedBytes(of: $1, by: deletions) }
    }

    /// How much of a table's deleted bytes counts: none where they alone do not make it worth its rewriting. Else a few
    /// deletions everywhere would have everything rewritten.
    private func worthwhilePart(of level: Int, _ part: (index: Int, bytes: UInt64)) -> UInt64 {
        guard part.index >= 0 else { return 0 }
        let size = version.levels[level][part.index].metadata.byteCount
        return part.bytes >= size / 4 ? min(part.bytes, size) : 0
    }

    /// About how many bytes of a level below are deleted.
    ///
    /// Complexity: O(log n) for each range.
    private func deletedBytes(of level: Int, by deletions: Deletions) -> UInt64 {
        guard let range = deletions.range else { return 0 }
        let all = version.sum(of: level, version.indices(of: level, overlapping: range))
        guard all.byteCount > 0 else { return 0 }
        var bytes: UInt64 = 0
        var part = (index: -1, bytes: UInt64(0))
        for run in deletions.runs {
            let indices = version.indices(of: level, overlapping: KeyRange(of: run))
            guard let first = indices.first, let last = indices.last else { continue }
            bytes += version.sum(of: level, indices).byteCount
            // Of those at its ends a part may be outside of the range.
            for index in first == last ? [first] : [first, last] {
                let table = version.levels[level][index]
                bytes -= table.metadata.byteCount
                if part.index != index {
                    bytes += worthwhilePart(of: level, part)
                    part = (index, 0)
                }
                part.bytes += table.table.byteCount(in: run)
            }
        }
        bytes += worthwhilePart(of: level, part)
        for keys in deletions.keys {
            let sum = version.sum(of: level, version.indices(of: level, overlapping: keys.range))
            if sum.entryCount > 0 { bytes += min(keys.count, sum.entryCount) * (sum.byteCount / sum.entryCount) }
        }
        return min(bytes, all.byteCount)
    }
}

extension Version {
    /// Has the next look for space to be freed look at what an edit concerns.
    ///
    /// - Parameter changed: the bounds of tables that came or went.
    func forgetLooks(at changed: [KeyRange]) {
        for range in changed {
            for level in 1..<max(1, levelCount) {
                for index in indices(of: level, overlapping: range) {
                    levels[level][index].isNotWorthwhile = false
                    levels[level][index].deletesNoTable = false
                }
            }
        }
        // Tables of the first level are looked at together.
        guard let first = levels.first, let all = KeyRange.covering(first) else { return }
        guard changed.contains(where: { $0.overlaps(all) }) else { return }
        for table in first {
            table.isNotWorthwhile = false
            table.deletesNoTable = false
        }
    }
}

extension Table {
    /// About how many bytes of the table lie in `run`; none if that may be all in one block. Reads nothing.
    func byteCount(in run: TombstoneList.Run) -> UInt64 {
        let range = KeyRange(of: metadata)
        let size = metadata.byteCount
        guard KeyRange(of: run).overlaps(range) else { return 0 }
        let start = run.start <= range.smallest ? 0 : offset(of: run.start)
        let end = range.isBefore(run.end) ? size : offset(of: run.end)
        return end > start ? end - start : 0
    }

    /// About where in the file entries of `key` are, which lies within the bounds: by the index, if that is in memory,
    /// and else as if the keys were evenly spread between the bounds.
    private func offset(of key: Bytes) -> UInt64 {
        let known = cache.epochs.withPin {
            residentBody?._withUnsafeGuaranteedRef { body -> UInt64 in
                let number = key.withUnsafeBytes { body.index.find($0, .seek(largestSequenceNumber)) }
                return number < body.index.count ? body.index.place(number).offset : metadata.byteCount
            }
        }
        if let known { return known }
        let share = KeyOrder.share(of: key, between: metadata.smallest, and: metadata.largest)
        return min(UInt64(Double(metadata.byteCount) * share), metadata.byteCount)
    }
}

extension KeyOrder {
    /// Where `key` lies between two others, from 0 to 1, as far as eight bytes behind their common beginning tell.
    /// Where these are all digits, or all letters and digits, the keys between them count as such, too.
    static func share(of key: Bytes, between low: Bytes, and high: Bytes) -> Double {
        let common = low.withUnsafeBytes { low in high.withUnsafeBytes { KeyBytes.commonPrefix(low, $0, from: 0) } }
        func head(_ key: Bytes) -> [UInt8] { key.withUnsafeBytes { Array($0.dropFirst(common).prefix(8)) } }
        let ends = head(low) + head(high)
        let isDigits = ends.allSatisfy { (0x30...0x39).contains($0) }
        let isText = ends.allSatisfy { rankInText($0).truncatingRemainder(dividingBy: 1) == 0 }
        func place(_ key: Bytes) -> Double {
            var (place, unit) = (0.0, 1.0)
            for byte in head(key) {
                if isDigits {
                    unit /= 10
                    place += unit * min(max(Double(byte) - 0x30, 0), 9)
                } else if isText {
                    unit /= 62
                    place += unit * rankInText(byte)
                } else {
                    unit /= 256
                    place += unit * Double(byte)
                }
            }
            return place
        }
        let (from, to) = (place(low), place(high))
        guard from < to else { return 0 }
        return min(max((place(key) - from) / (to - from), 0), 1)
    }

    /// How many digits and letters come before a byte; a half more if it is none.
    private static func rankInText(_ byte: UInt8) -> Double {
        switch byte {
        case 0x30...0x39: Double(byte - 0x30)
        case 0x41...0x5a: Double(byte - 0x41) + 10
        case 0x61...0x7a: Double(byte - 0x61) + 36
        case ..<0x30: 0.5
        case ..<0x41: 9.5
        case ..<0x61: 35.5
        default: 61.5
        }
    }
}
