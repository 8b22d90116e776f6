import BalsaPlatform
import BalsaRaft

/// A segment that has left the log and whose file is still to be removed or recycled.
struct CondemnedSegment: Equatable, Sendable {
    var number: UInt64
    /// The size of the file if it may be recycled, in bytes; 0 if it may only be removed.
    var recyclableByteCount: UInt64
}

extension Log {
    /// The next piece of work on the log's files; nil when there is none, or when one is under way.
    ///
    /// A segment for which a frame waits comes first, then dead ones are removed, then spares are made. A dead segment
    /// that is long enough becomes the next spare.
    public func nextTask() -> LogTask? {
        guard task == nil, failure == nil else { return nil }
        task = makeTask()
        return task
    }

    /// Whether a frame waits for a segment that a task has to make.
    public var awaitsSegment: Bool {
        let tooSmall = spares.first.map { $0.byteCount < neededSegmentBytes } ?? true
        return neededSegmentBytes > 0 && tooSmall
    }

    private func makeTask() -> LogTask? {
        let isWaiting = awaitsSegment
        let wantsSegment = isWaiting || spares.count < options.sparesWanted
        let size = max(UInt64(nextSegmentBytes), neededSegmentBytes.roundedUp(to: UInt64(options.sectorBytes)))
        // A spare that is too small is replaced under its number, by renaming the larger one over it.
        let replaced = isWaiting ? spares.first?.number : nil
        let number = replaced ?? (spares.last ?? segments[segments.count - 1]).number + 1

        if wantsSegment, let dead = condemned.first, !taskFailedLast, isLongEnough(dead, size) {
            return makeTask(.recycle(dead.number), number, dead.recyclableByteCount)
        }
        let removable = condemned.dropLast(keepsDead(size) ? 1 : 0)
        if !isWaiting, !removable.isEmpty {
            return makeTask(.remove(removable.map { $0.number }), number, size)
        }
        guard wantsSegment else { return nil }
        return makeTask(.create, number, size)
    }

    /// Whether the newest dead segment waits to be used again: it becomes the next spare, which then needs neither
    /// space nor zeros. So a log that grows slowly writes zeros once, and one on a full disk can go on.
    ///
    /// Those before it are removed first, so that nothing is missing between it and the log.
    private func keepsDead(_ size: UInt64) -> Bool {
        guard !taskFailedLast, let newest = condemned.last else { return false }
        return isLongEnough(newest, size)
    }

    /// Whether a dead segment can be the next one, where a new one would have `size` bytes: with a quarter of that. A
    /// log whose segments die does not grow, so its next one need not be longer than its others, and zeros cost more
    /// than a few more segments.
    private func isLongEnough(_ dead: CondemnedSegment, _ size: UInt64) -> Bool {
        dead.recyclableByteCount >= max(size / 4, neededSegmentBytes, UInt64(options.smallestSegmentBytes))
    }

    private func makeTask(_ work: LogTask.Work, _ number: UInt64, _ size: UInt64) -> LogTask {
        let header = SegmentHeader(
            number: number,
            byteCount: size,
            sectorBytes: UInt32(options.sectorBytes),
            salt: salts.next(),
            owner: owner
        )
        return LogTask(work, header: header, fileSystem: fileSystem, directory: directory)
    }

    /// Tells that a task has done all its steps.
    ///
    /// - Precondition: it is the task under way.
    public func taskFinished(_ task: LogTask) {
        precondition(self.task === task, "one task is under way at a time")
        self.task = nil
        taskFailedLast = false
        switch task.work {
        case .create:
            metrics.segmentsCreated += 1
            metrics.bytesPrepared += task.header.byteCount
            nextSegmentBytes = min(2 * nextSegmentBytes, options.largestSegmentBytes)
        case .recycle(let dead):
            condemned.removeAll { $0.number == dead }
            metrics.segmentsRecycled += 1
            metrics.bytesPrepared += task.header.firstFrame
        case .remove(let numbers):
            condemned.removeAll { numbers.contains($0.number) }
            metrics.segmentsRemoved += UInt64(numbers.count)
        }
        guard let segment = task.segment else { return }
        for old in spares where old.number == segment.number { old.file?.close() }
        spares.removeAll { $0.number == segment.number }
        spares.insert(segment, at: spares.firstIndex { $0.number > segment.number } ?? spares.count)
    }

    /// Tells that a task has failed. Nothing is lost: ``nextTask()`` offers another one, on a new file; a shorter one, where a segment
    /// could not be made.
    ///
    /// The exception is a failed sync of the directory. After it nobody can say which names are durable, and to remove
    /// more segments could leave a hole between those that stay; so the log is over, as after a failed write.
    ///
    /// - Precondition: it is the task under way.
    public func taskFailed(_ task: LogTask, _ error: FileError) {
        precondition(self.task === task, "one task is under way at a time")
        self.task = nil
        // The dead segment may have lost its name, so that it is not tried to be recycled again but removed.
        taskFailedLast = true
        // Mostly there was no space for it. A shorter one may fit.
        if case .create = task.work {
            let half = UInt64(nextSegmentBytes / 2).roundedUp(to: UInt64(options.sectorBytes))
            nextSegmentBytes = max(Int(half), options.smallestSegmentBytes)
        }
        if case .recycle(let dead) = task.work {
            for position in condemned.indices where condemned[position].number == dead {
                condemned[position].recyclableByteCount = 0
            }
        }
        if error.operation == .syncDirectory { failure = failure ?? error }
    }

    /// Takes the segments out of the log, from the front, that hold no entry of any group any more.
    ///
    /// That has to be durable: the records by which the entries died, and the opening frame of the segment that becomes
    /// the first, which repeats the state of every group.
    func findDeadSegments() {
        guard searchIsDue, durableMark >= lastDeathMark else { return }
        let floor = oldestLiveSegment()
        let first = segments[0].number
        while segments.count > 1, segments[0].number < floor, segments[1].number <= durableThrough.segment {
            let dead = segments.removeFirst()
            dead.file?.close()
            openForReading.removeAll { $0 == dead.number }
            let fits = dead.isWhole && dead.sectorBytes == UInt32(options.sectorBytes)
            let isUsual = dead.byteCount <= UInt64(options.largestSegmentBytes)
            condemned.append(
                CondemnedSegment(number: dead.number, recyclableByteCount: fits && isUsual ? dead.byteCount : 0)
            )
        }
        searchIsDue = segments.count > 1 && segments[0].number < floor
        // The descriptors of those that left are free at this moment.
        if segments[0].number != first { openOneForReading() }
    }
}
