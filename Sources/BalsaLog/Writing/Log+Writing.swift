import BalsaPlatform
import BalsaRaft
import BalsaWire

extension Log {
    /// Whether something is staged that needs a frame.
    public var hasStaged: Bool { !staged.isEmpty || sealIsStaged }

    /// Whether the last batch should be sealed: everything is durable, and nothing after it says so; or the log does
    /// not say yet which changes of VOTE and BOOT are durable.
    ///
    /// The caller stages a seal when this has held for 10 ms. Until then damage to the last frames cannot be told from a
    /// torn write: recovery's blind spot.
    public var needsSeal: Bool {
        failure == nil && (!lastFrameIsSeal || isMarkNew) && !sealIsStaged && staged.isEmpty && inFlight.isEmpty
    }

    /// Whether something is to be written, is being written, or should be sealed.
    public var hasUnwritten: Bool { hasStaged || !inFlight.isEmpty || needsSeal }

    /// Stages a seal. It is given up if something else is staged before it is written.
    public func stageSeal() { sealIsStaged = needsSeal }

    /// The next frame to write: everything that is staged, up to the longest frame.
    ///
    /// - Returns: nil when nothing is staged, when as many writes are under way as may be, when the next segment is not
    ///   ready yet (see ``nextTask()``), and after a failure.
    public func nextWrite() -> DurableWrite? {
        guard failure == nil, hasStaged, inFlight.count < options.maxWritesInFlight else { return nil }
        guard !isContinued else { return beginSegment() }
        if staged.isEmpty {
            guard inFlight.isEmpty else { return nil }
            if segments[segments.count - 1].room >= UInt64(FrameHeader.encodedByteCount + newMarkByteCount) {
                return makeFrame(flags: .seal, states: (Bytes(), 0))
            }
        } else {
            sealIsStaged = false
            let needed =
                FrameHeader.encodedByteCount + newMarkByteCount + (staged.first?.firstRecordByteCount ?? 0)
            if segments[segments.count - 1].room >= UInt64(needed) { return makeFrame(flags: [], states: (Bytes(), 0)) }
        }
        return beginSegment()
    }

    /// How long the mark is that the next frame has to carry; 0 where there is nothing new to say.
    private var newMarkByteCount: Int { isMarkNew ? DirectoryMark.recordByteCount : 0 }

    /// Goes on in the next segment, if it is ready: first a frame of the present one names it, then its opening frame
    /// is written. Without the name nobody could tell that a segment with acknowledged entries is missing, or that
    /// another file of that number is in its place.
    ///
    /// That waits for all writes under way. Hence everything before a segment is durable when its first frame is written,
    /// and *durable through* of an opening frame is where the log before it ends.
    private func beginSegment() -> DurableWrite? {
        // As the frames built so far leave them, without what is staged.
        let states = GroupState.encode(groups.elements.map { ($0.group, $0.written) }, mark: writtenMark)
        let needed =
            FrameHeader.encodedByteCount + states.bytes.count + newMarkByteCount
            + (staged.first?.firstRecordByteCount ?? 0)
        // The one that was named is gone on with, even if what was staged since does not fit: it gets another one then.
        guard let spare = spares.first, isContinued || spare.room >= UInt64(needed) else {
            let header = UInt64(SegmentHeader.headerBytes(sectorBytes: options.sectorBytes))
            neededSegmentBytes =
                header + UInt64(needed).roundedUp(to: UInt64(options.sectorBytes))
                + Continuation.reservedBytes(sectorBytes: UInt32(options.sectorBytes))
            return nil
        }
        guard inFlight.isEmpty else { return nil }
        neededSegmentBytes = 0
        guard isContinued else {
            isContinued = true
            return makeContinuation(Continuation(segment: spare.number, salt: spare.salt))
        }
        isContinued = false
        spares.removeFirst()
        searchIsDue = true
        // All of its frames are durable.
        keepForReading(segments.count - 1)
        segments.append(spare)
        return makeFrame(flags: .opening, states: states)
    }

    /// Builds the frame that names the next segment, in the bytes that were kept for it.
    private func makeContinuation(_ next: Continuation) -> DurableWrite {
        let active = segments.count - 1
        let segment = segments[active]
        let place = segment.nextPlace
        var builder = FrameBuilder(
            place: place,
            flags: .continuation,
            durableThrough: durableThrough,
            seed: segment.frameSeed
        )
        builder.append(next.encoded(), records: 1)
        let pieces = builder.finish(notes: [], sectorBytes: Int(segment.sectorBytes))
        segments[active].end += UInt64(builder.paddedByteCount)
        return hand(out: pieces, builder.paddedByteCount, at: place, completes: 0)
    }

    /// Builds the next frame in the last segment, which has room for its first record, unless the segment was named
    /// before.
    private func makeFrame(flags: FrameFlags, states: (bytes: Bytes, records: Int)) -> DurableWrite {
        let active = segments.count - 1
        let (place, room, seed) = (segments[active].nextPlace, segments[active].room, segments[active].frameSeed)
        let sectorBytes = Int(segments[active].sectorBytes)
        // The one segment without space for it is one that was named before the mark was new.
        let plain = FrameHeader.encodedByteCount + states.bytes.count
        let isMarked = isMarkNew && Int(room) >= plain + DirectoryMark.recordByteCount
        let fixed = plain + (isMarked ? DirectoryMark.recordByteCount : 0)
        let space = Int(min(room, UInt64(max(options.maxFrameBytes, fixed)))) - fixed
        let fits = Int(room) - fixed >= (staged.first?.firstRecordByteCount ?? 0)
        let (parts, complete) = fits ? staged.take(maxBytes: space) : ([], 0)
        var builder = FrameBuilder(
            place: place,
            flags: flags,
            durableThrough: durableThrough,
            seed: seed
        )
        builder.append(states.bytes, records: states.records)
        if isMarked {
            builder.append(directoryMark.encodedRecord(), records: 1)
            writtenMark = directoryMark
        }
        for part in parts { append(part, to: &builder) }
        let left = Int(room) - builder.byteCount
        let notes = takeCommitNotes(maxBytes: min(left, max(0, options.maxFrameBytes - builder.byteCount)))
        let pieces = builder.finish(notes: notes, sectorBytes: sectorBytes)
        segments[active].end += UInt64(builder.paddedByteCount)
        lastFrameIsSeal = flags.contains(.seal)
        sealIsStaged = false
        if lastFrameIsSeal {
            metrics.seals += 1
            sealPlace = place
        }
        return hand(out: pieces, builder.paddedByteCount, at: place, completes: complete)
    }

    /// Notes a frame that is about to be written, and returns the write.
    private func hand(
        out pieces: [Bytes],
        _ byteCount: Int,
        at place: LogPlace,
        completes complete: UInt64
    ) -> DurableWrite {
        let active = segments.count - 1
        precondition(segments[active].end <= segments[active].byteCount, "a frame lies within its segment")
        guard let file = segments[active].file else { preconditionFailure("the segment that is written is open") }
        let number = nextWriteNumber
        nextWriteNumber += 1
        let before = inFlight.last?.mark ?? durableMark
        let frame = FrameInFlight(
            number: number,
            end: segments[active].nextPlace,
            mark: LogMark(number: before.number + complete),
            said: writtenMark
        )
        inFlight.append(frame)
        metrics.frames += 1
        metrics.bytes += UInt64(byteCount)
        return DurableWrite(number: number, file: file, offset: place.offset, pieces: pieces)
    }

    /// Adds an operation to the frame, and to what is known of where entries lie.
    private func append(_ part: StagedOperation, to builder: inout FrameBuilder) {
        switch part {
        case .append(let batch):
            guard let slot = groups.slot(of: batch.group) else {
                preconditionFailure("a group is known when it is staged")
            }
            var place = builder.nextPlace
            for index in batch.firstIndex...batch.lastIndex {
                let byteCount = batch.encodedByteCount(at: index)
                groups.elements[slot].runs.append(index: index, byteCount: byteCount, place: place)
                groups.elements[slot].written.append(batch.header(at: index))
                place.offset += UInt64(byteCount)
            }
            builder.append(batch.bytes, records: batch.count)
        case .control(let record):
            guard let slot = groups.slot(of: record.group) else {
                preconditionFailure("a group is known when it is staged")
            }
            groups.elements[slot].written.apply(record)
            // Staging has trimmed the runs of frames built before it; these are of entries staged before and built after.
            switch record.kind {
            case .truncation: groups.elements[slot].runs.truncate(after: record.position.index)
            case .prefixRemoval: groups.elements[slot].runs.compact(through: record.position.index)
            default: groups.elements[slot].runs.removeAll()
            }
            builder.append(record.encoded(), records: 1)
        }
    }

    /// Takes as many noted commit indexes as fit, oldest first.
    ///
    /// Only the frame that completes everything staged may hold them: an index was noted of the log as it was then, and
    /// in a frame before that it could be taken for a promise of entries that a staged truncation drops.
    private func takeCommitNotes(maxBytes: Int) -> [ControlRecord] {
        guard staged.isEmpty else { return [] }
        let count = min(newCommits.count, max(0, maxBytes) / EntryHeader.encodedByteCount)
        var notes: [ControlRecord] = []
        for group in newCommits.prefix(count) {
            guard let slot = groups.slot(of: group) else { continue }
            groups.elements[slot].commitIsNew = false
            let position = LogPosition(term: 0, index: groups.elements[slot].state.commit)
            let note = ControlRecord(kind: .commitNote, group: group, position: position)
            groups.elements[slot].written.apply(note)
            notes.append(note)
        }
        newCommits.removeFirst(count)
        return notes
    }

    /// Tells that a write was performed, sync included.
    ///
    /// Writes may end in any order. A frame counts as durable when it and all before it have ended.
    ///
    /// - Precondition: the write is under way.
    public func writeFinished(_ number: UInt64) {
        guard failure == nil else { return }
        guard let position = inFlight.firstIndex(where: { $0.number == number && !$0.isFinished }) else {
            preconditionFailure("a write ends once")
        }
        metrics.syncs += 1
        inFlight[position].isFinished = true
        while let frame = inFlight.first, frame.isFinished {
            durableThrough = frame.end
            durableMark = frame.mark
            said = frame.said
            inFlight.removeFirst()
        }
        evict()
        findDeadSegments()
    }

    /// Tells that a write failed. The log is over: it offers no more writes, and nothing more of it becomes durable.
    ///
    /// - Precondition: the write is under way.
    public func writeFailed(_ number: UInt64, _ error: FileError) {
        precondition(failure != nil || inFlight.contains { $0.number == number && !$0.isFinished }, "a write ends once")
        failure = failure ?? error
    }

    /// Forgets the oldest durable batches while there are too many.
    private func evict() {
        while cachedHead < cached.count {
            let batch = cached[cachedHead]
            guard let slot = groups.slot(of: batch.group) else { preconditionFailure("a cached batch has a group") }
            // A batch that was truncated or compacted since has left its group already.
            if groups.elements[slot].recent.firstMark == batch.mark {
                let isFull = cachedBytes > options.cacheBytes || cached.count - cachedHead > Log.cachedBatchLimit
                guard isFull, batch.mark <= durableMark.number else { break }
                cachedBytes -= groups.elements[slot].recent.removeFirst(stagedBy: batch.mark)
            }
            cachedHead += 1
        }
        if cachedHead > cached.count / 2 {
            cached.removeSubrange(0..<cachedHead)
            cachedHead = 0
        }
    }

    /// How many batches are in memory at most, however small they are, besides those that are not durable yet.
    private static let cachedBatchLimit = 65_536
}
