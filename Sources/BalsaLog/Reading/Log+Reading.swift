import BalsaPlatform
import BalsaRaft
import BalsaWire

extension Log {
    /// Reads entries of a group, durable or not.
    ///
    /// Recent ones come from memory. Others come from a file and are verified: checksums of headers and payloads, indexes
    /// without a gap, and each previous term against the entry before, the first one's against what the log knows.
    ///
    /// - Parameters:
    ///   - group: the group.
    ///   - first: the index of the first entry.
    ///   - last: the index of the last entry at most.
    ///   - maxBytes: how many bytes at most; but at least one entry is returned.
    /// - Returns: the entries from `first` on: perhaps fewer than asked for, and at least one.
    /// - Throws: ``LogError`` with *no such entries* when the log does not hold `first` to `last`, with *damaged* when
    ///   the file does not hold what was written, and with *file* when reading failed.
    public func entries(
        _ group: GroupID,
        from first: LogIndex,
        through last: LogIndex,
        maxBytes: Int
    ) throws(LogError) -> EntryBatch {
        guard let slot = groups.slot(of: group), first <= last, first > groups.elements[slot].state.base.index,
            last <= groups.elements[slot].state.last.index
        else {
            throw LogError(.noSuchEntries, path: "", explanation: "group \(group) does not hold \(first) to \(last)")
        }
        if let recent = groups.elements[slot].recent.firstIndex, first >= recent {
            metrics.readsFromMemory += 1
            return groups.elements[slot].recent.entries(from: first, through: last, maxBytes: maxBytes)
        }
        metrics.readsFromFile += 1
        let end = min(last, (groups.elements[slot].recent.firstIndex ?? .max) - 1)
        return try readEntries(slot, from: first, through: end, maxBytes: maxBytes)
    }

    /// Reads entries from the files.
    private func readEntries(
        _ slot: Int,
        from first: LogIndex,
        through last: LogIndex,
        maxBytes: Int
    ) throws(LogError) -> EntryBatch {
        let runs = groups.elements[slot].runs.runs
        guard let start = groups.elements[slot].runs.run(holding: first) else {
            preconditionFailure("an entry that is not in memory has been written")
        }
        // Runs are read whole, because nothing tells where in a run an entry begins.
        var end = start + 1
        var byteCount = runs[start].byteCount
        while end < runs.count, runs[end].first <= last, byteCount + runs[end].byteCount <= maxBytes {
            byteCount += runs[end].byteCount
            end += 1
        }
        let slab = try Slab.filled(capacity: byteCount) { target throws(LogError) in
            var filled = 0
            for run in runs[start..<end] { filled += try read(run, into: target, at: filled) }
            return filled
        }
        let bytes = Bytes(slab: slab, offset: 0, count: slab.count)
        let found = try decode(bytes, runs[start], group: groups.elements[slot].group)
        guard found.firstIndex == runs[start].first, found.lastIndex >= first else {
            throw anotherHistory(runs[start])
        }
        // Only what was asked for is held against what the log knows: a run may go on with entries whose truncation is
        // staged and has no frame yet.
        let batch = found.slice(from: first, through: min(last, found.lastIndex)).prefix(maxBytes: maxBytes)
        let group = groups.elements[slot]
        guard group.term(at: batch.lastIndex) == batch.last.term,
            group.term(at: batch.previous.index).map({ $0 == batch.previous.term }) ?? true
        else { throw anotherHistory(runs[start]) }
        return batch
    }

    private func anotherHistory(_ run: EntryRun) -> LogError {
        LogError.damage(path(run.place.segment), at: run.place.offset, "the entries are of another history")
    }

    /// Reads the entries of a run that count into `target` at `start`.
    ///
    /// - Returns: their length, in bytes.
    private func read(
        _ run: EntryRun,
        into target: UnsafeMutableRawBufferPointer,
        at start: Int
    ) throws(LogError) -> Int {
        guard let slot = segments.firstIndex(where: { $0.number == run.place.segment }) else {
            preconditionFailure("a run lies in a segment of the log")
        }
        let file = try filed { () throws(FileError) in try self.file(ofSegmentAt: slot) }
        let part = UnsafeMutableRawBufferPointer(rebasing: target[start..<start + run.byteCount])
        let count = try filed { () throws(FileError) in try file.read(into: part, at: run.place.offset) }
        guard count == run.byteCount else {
            throw LogError.damage(file.path, at: run.place.offset + UInt64(count), "the file ends too early")
        }
        // Entries that were truncated may lie behind those that count.
        var offset = 0
        for _ in run.first...run.last {
            do {
                offset += try EntryHeader(decoding: UnsafeRawBufferPointer(part), at: offset).entryByteCount
            } catch {
                throw LogError.damage(file.path, at: run.place.offset + UInt64(offset), error.description)
            }
            guard offset <= run.byteCount else {
                throw LogError.damage(file.path, at: run.place.offset, "an entry is longer than it was")
            }
        }
        return offset
    }

    /// Verifies what was read of runs that begin with `run`.
    private func decode(_ bytes: Bytes, _ run: EntryRun, group: GroupID) throws(LogError) -> EntryBatch {
        do {
            return try EntryBatch(decoding: bytes, group: group, entriesBytesLimit: .max)
        } catch {
            throw LogError.damage(path(run.place.segment), at: run.place.offset, error.description)
        }
    }

    /// The file of a segment, which is opened where it is closed. Of those that are only read a few stay open.
    private func file(ofSegmentAt slot: Int) throws(FileError) -> any File {
        let number = segments[slot].number
        if let file = segments[slot].file {
            // The one that was read last is the last to be closed.
            if let position = openForReading.firstIndex(of: number) {
                openForReading.append(openForReading.remove(at: position))
            }
            return file
        }
        while openForReading.count >= Log.openForReadingLimit { closeOneForReading() }
        while true {
            do throws(FileError) {
                let file = try fileSystem.open(segments[slot].path, .read)
                segments[slot].file = file
                openForReading.append(number)
                return file
            } catch {
                guard error.isOutOfDescriptors, !openForReading.isEmpty else { throw error }
                closeOneForReading()
            }
        }
    }

    /// Counts a segment whose file is open among those that are only read.
    func keepForReading(_ slot: Int) {
        openForReading.append(segments[slot].number)
        while openForReading.count > Log.openForReadingLimit { closeOneForReading() }
    }

    /// Opens the newest segment that is only read, if there is one and nothing keeps it from being opened: where the
    /// process has no descriptors left later, one that is open can be given for one that has to be read.
    func openOneForReading() {
        guard segments.count > 1, openForReading.isEmpty else { return }
        do throws(FileError) {
            _ = try file(ofSegmentAt: segments.count - 2)
        } catch {
            // What is wrong with it is told when it is read.
        }
    }

    private func closeOneForReading() {
        let number = openForReading.removeFirst()
        guard let slot = segments.firstIndex(where: { $0.number == number }) else { return }
        segments[slot].file?.close()
        segments[slot].file = nil
    }

    /// How many segments stay open that are only read.
    private static let openForReadingLimit = 4
}
