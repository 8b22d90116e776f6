import BalsaPlatform
import BalsaRaft
import BalsaWire

/// The writing half of recovery: makes what was found durable and removes what is not part of it.
struct LogRepair {
    /// What is to be done, one file operation or a few at a time.
    private enum Step {
        case removeUnused
        case rewriteSeal
        case makeSegment
        case writeOpening
        case writeSeal
        case cut
        case removeReplaced
        case done
    }

    private let fileSystem: any FileSystem
    private let scan: LogScan
    private let binding: FileBinding
    private var salts: SaltSource
    private var next = Step.removeUnused
    private var task: LogTask?
    /// The segment in which the log goes on, and where in it.
    private var active: Segment?
    /// The first frame of a new segment.
    private var opening: FrameBuilder?
    /// How many segments of the chain stay before the one in which the log goes on.
    private var keptCount: Int
    /// The groups as the log leaves them.
    private var replay: LogReplay

    /// The latest mark of the log.
    private(set) var foundMark: DirectoryMark?
    /// The mark of this opening. What it says of the other files is set before anything is written.
    var mark: DirectoryMark
    /// What recovery knows of each group.
    private(set) var groups: [RecoveredGroup] = []
    private(set) var report: RecoveryReport
    /// The open log, once all is done.
    private(set) var log: Log?

    /// Plans what to do. Nothing is changed yet, and whatever is wrong with the records is found here.
    init(_ scan: LogScan, _ fileSystem: any FileSystem, _ binding: FileBinding) throws(LogError) {
        self.scan = scan
        self.binding = binding
        salts = SaltSource(seed: binding.seed, plantedBugs: scan.options.plantedBugs)
        self.fileSystem = fileSystem
        mark = DirectoryMark(opening: binding.mark)
        replay = scan.replay
        report = scan.report
        keptCount = scan.chain.count
        let isSealed = scan.waiting.count == 1 && scan.waiting[0].flags.contains(.seal) && !scan.isTorn
        report.wasSealed = isSealed && scan.continuation == nil && hasRoomForMark
        if report.wasSealed {
            keptCount -= 1
            try replay.apply(scan.waiting[0], directory: scan.directory)
            foundMark = replay.mark
        } else {
            try planRewriting()
        }
        report.entries = replay.entries
        for element in replay.groups.elements {
            guard let result = element.result() else {
                throw LogError.damage(
                    LogFileName.segmentPath(scan.directory, scan.chain.first.map { scan.segments[$0].number } ?? 1),
                    at: 0,
                    "the oldest entries of group \(element.log.group) are missing" + LogRepair.suspects(scan)
                )
            }
            groups.append(result)
        }
    }

    /// A segment before the first one may be missing that nothing has dropped. Or the record that dropped the entries
    /// was in a frame that is damaged: where the log ends, or at the head of the segment behind it.
    private static func suspects(_ scan: LogScan) -> String {
        guard let first = scan.chain.first, let last = scan.chain.last else { return "" }
        func path(_ number: UInt64) -> String { LogFileName.segmentPath(scan.directory, number) }
        let previous = scan.segments[first].opening?.durableThrough.segment ?? 0
        let missing = previous > 0 ? ": \(path(previous)) is missing" : ""
        let end = scan.segments[last].number
        let next = scan.segments.map(\.number).filter { $0 > end }.min()
        let numbers = (last == first ? [] : [end]) + (next.map { [$0] } ?? [])
        guard !numbers.isEmpty else { return missing }
        let paths = numbers.map(path).joined(separator: " or ")
        return missing + ", or \(paths) is damaged, where it is said that they were dropped"
    }

    /// The number of the last segment that holds the log; 0 where none does.
    private var lastNumber: UInt64 { scan.chain.last.map { scan.segments[$0].number } ?? 0 }

    /// The number of the new segment. An unused segment may have it, which is removed durably before.
    private var newNumber: UInt64 { max(lastNumber, scan.continuation?.segment ?? 0) + 1 }

    /// Whether a segment comes after the log and nothing needs it: a spare, or what an opening made that ended early.
    ///
    /// The one that a continuation frame names is needed until the new opening frame is durable: without it the next
    /// opening would refuse the log. So is one *within* the chain, since the later frames may not be durable.
    private func isUnused(_ position: Int) -> Bool {
        let number = scan.segments[position].number
        return number > lastNumber && number != scan.continuation?.segment
    }

    /// How long the frame is that marks the log, and how long a seal, in bytes.
    private var markByteCount: UInt64 {
        UInt64(FrameHeader.encodedByteCount + DirectoryMark.recordByteCount)
            .roundedUp(to: UInt64(scan.options.sectorBytes))
    }

    /// Whether the last segment has room for the mark of this opening and a seal.
    private var hasRoomForMark: Bool {
        guard let last = scan.chain.last, let frame = scan.waiting.first else { return false }
        let found = scan.segments[last].reader
        var segment = Segment(header: found.header, path: found.path)
        segment.end = frame.end.offset
        guard segment.sectorBytes == UInt32(scan.options.sectorBytes) else { return false }
        return segment.room >= markByteCount + UInt64(segment.sectorBytes)
    }

    /// Builds the opening frame of the new segment: with the records of all frames that wait, and with those of the
    /// segments whose place it takes.
    private mutating func planRewriting() throws(LogError) {
        let before = replay.entries
        var builder: FrameBuilder
        if let first = scan.firstFolded {
            keptCount = first
            let folded = try FoldedSegments(scan, from: first)
            builder = openingFrame(behind: folded.durableThrough)
            builder.append(folded.states, records: folded.stateCount)
            for frame in scan.waiting { try replay.apply(frame, directory: scan.directory) }
            replay.move(folded.moves(to: builder.nextPlace))
            builder.append(folded.records, records: folded.recordCount)
            let notes = replay.commitNotes()
            builder.append(notes.bytes, records: notes.records)
        } else {
            keptCount = scan.chain.count { scan.segments[$0].number <= scan.confirmed.segment }
            let states = replay.encodedStates()
            builder = openingFrame(behind: scan.confirmed)
            builder.append(states.bytes, records: states.records)
            for frame in scan.waiting {
                try replay.apply(frame, directory: scan.directory, movedTo: builder.nextPlace)
                builder.append(frame.records, records: Int(frame.recordCount))
            }
        }
        foundMark = replay.mark
        opening = builder
        report.entriesRewritten = replay.entries - before
        if scan.isTorn {
            report.tornTails = 1
            let last = scan.chain.last.map { scan.segments[$0].reader.limit } ?? scan.end.offset
            report.bytesCut = last - scan.end.offset
        }
    }

    /// The first frame of the new segment, without records.
    private func openingFrame(behind end: LogPlace) -> FrameBuilder {
        let header = newHeader(byteCount: 0)
        return FrameBuilder(
            place: LogPlace(segment: header.number, offset: header.firstFrame),
            flags: .opening,
            durableThrough: end,
            seed: header.frameSeed
        )
    }

    /// Does the next step.
    ///
    /// - Returns: whether all is done.
    mutating func step(budgetBytes: Int) throws(LogError) -> Bool {
        switch next {
        case .removeUnused:
            try filed { () throws(FileError) in try removeUnused() }
            next = report.wasSealed ? .rewriteSeal : .makeSegment
        case .rewriteSeal:
            try rewriteSeal()
            try writeSeal()
            next = .removeReplaced
        case .makeSegment:
            if try makeSegment(budgetBytes: budgetBytes) { next = .writeOpening }
        case .writeOpening:
            try writeOpening()
            next = .writeSeal
        case .writeSeal:
            try writeSeal()
            next = .cut
        case .cut:
            try filed { () throws(FileError) in try cut() }
            next = .removeReplaced
        case .removeReplaced:
            try filed { () throws(FileError) in try removeReplaced() }
            finish()
            next = .done
        case .done:
            break
        }
        if case .done = next { return true }
        return false
    }

    /// Removes what was being prepared and the unused segments, before a new one is made. Otherwise an unused spare
    /// could take the space that the new segment needs, and openings that end early would leave one file after the
    /// other.
    private mutating func removeUnused() throws(FileError) {
        var paths = scan.preparing.map { LogFileName.preparingPath(scan.directory, $0) }
        for position in scan.segments.indices.reversed() where isUnused(position) {
            paths.append(scan.segments[position].reader.path)
        }
        try remove(paths)
    }

    private mutating func remove(_ paths: [String]) throws(FileError) {
        for path in paths { try fileSystem.remove(path) }
        if !paths.isEmpty { try fileSystem.syncDirectory(scan.directory) }
        report.segmentsRemoved += paths.count
    }

    /// Writes the seal once more, at its place: the page cache may show one that a failed sync never wrote. The bytes
    /// are the same, so that not even a torn write can hurt. Behind it the log is marked, in the same write.
    private mutating func rewriteSeal() throws(LogError) {
        guard let last = scan.chain.last else { preconditionFailure("a sealed log has a segment") }
        let found = scan.segments[last]
        let seal = scan.waiting[0]
        let mark = mark.encodedRecord()
        active = try filed { () throws(FileError) in
            let count = Int(seal.end.offset - seal.place.offset)
            let file = try fileSystem.open(found.reader.path, .readWrite)
            let bytes = try file.read(count, at: seal.place.offset)
            var segment = Segment(header: found.reader.header, file: file)
            // The seal is not known to be durable.
            var builder = FrameBuilder(
                place: seal.end,
                flags: [],
                durableThrough: seal.place,
                seed: segment.frameSeed
            )
            builder.append(mark, records: 1)
            let pieces = builder.finish(notes: [], sectorBytes: Int(segment.sectorBytes))
            try file.write(gathering: [bytes] + pieces, at: seal.place.offset)
            try file.sync()
            segment.end = seal.end.offset + UInt64(builder.paddedByteCount)
            return segment
        }
    }

    /// The header of the new segment, whose salt is the first that the opening draws.
    private func newHeader(byteCount: UInt64) -> SegmentHeader {
        var first = salts
        return SegmentHeader(
            number: newNumber,
            byteCount: byteCount,
            sectorBytes: UInt32(scan.options.sectorBytes),
            salt: first.next(),
            owner: binding.owner
        )
    }

    private mutating func writeOpening() throws(LogError) {
        guard var builder = opening else { preconditionFailure("the opening frame was planned") }
        builder.append(mark.encodedRecord(), records: 1)
        let pieces = builder.finish(notes: [], sectorBytes: scan.options.sectorBytes)
        try write(pieces, byteCount: builder.paddedByteCount)
    }

    /// Prepares the new segment.
    private mutating func makeSegment(budgetBytes: Int) throws(LogError) -> Bool {
        if task == nil {
            let sectorBytes = UInt32(scan.options.sectorBytes)
            var header = newHeader(byteCount: UInt64(scan.options.smallestSegmentBytes))
            // Header, opening frame, seal, and what is kept for the frame that ends the segment.
            let byteCount = (opening?.byteCount ?? 0) + DirectoryMark.recordByteCount
            let frame = UInt64(byteCount).roundedUp(to: UInt64(sectorBytes))
            let reserved = Continuation.reservedBytes(sectorBytes: sectorBytes)
            header.byteCount = max(header.byteCount, header.firstFrame + frame + UInt64(sectorBytes) + reserved)
            task = LogTask(.create, header: header, fileSystem: fileSystem, directory: scan.directory)
        }
        guard let task else { return false }
        let isDone = try filed { () throws(FileError) in try task.step(budgetBytes: budgetBytes) }
        active = task.segment
        return isDone
    }

    /// Writes a frame at the end of the new segment.
    private mutating func write(_ pieces: [Bytes], byteCount: Int) throws(LogError) {
        guard var segment = active, let file = segment.file else {
            preconditionFailure("the segment has been prepared")
        }
        try filed { () throws(FileError) in
            try file.write(gathering: pieces, at: segment.end)
            try file.sync()
        }
        segment.end += UInt64(byteCount)
        active = segment
    }

    /// Seals the new segment, so that what was just rewritten is not in the blind spot.
    private mutating func writeSeal() throws(LogError) {
        guard let segment = active else { preconditionFailure("the segment has been prepared") }
        let place = segment.nextPlace
        var builder = FrameBuilder(
            place: place,
            flags: .seal,
            durableThrough: place,
            seed: segment.frameSeed
        )
        let pieces = builder.finish(notes: [], sectorBytes: Int(segment.sectorBytes))
        try write(pieces, byteCount: builder.paddedByteCount)
    }

    /// The positions of the segments that stay before the one in which the log goes on.
    private var kept: ArraySlice<Int> { scan.chain.prefix(keptCount) }

    /// Cuts what lies behind the confirmed end, now that the new segment says that it is not part of the log.
    private func cut() throws(FileError) {
        guard let last = kept.last, last == scan.chain.last else { return }
        let found = scan.segments[last].reader
        guard scan.confirmed.offset < found.limit else { return }
        let file = try fileSystem.open(found.path, .readWrite)
        defer { file.close() }
        try file.setSize(scan.confirmed.offset)
        try file.sync()
    }

    /// Removes the segments that the new one has replaced, and those that an earlier recovery left.
    private mutating func removeReplaced() throws(FileError) {
        var paths: [String] = []
        for position in scan.segments.indices.reversed() where !kept.contains(position) && !isUnused(position) {
            if report.wasSealed && position == scan.chain.last { continue }
            paths.append(scan.segments[position].reader.path)
        }
        try remove(paths)
    }

    private mutating func finish() {
        guard let active else { preconditionFailure("the log has a segment") }
        // The new segment has the first one.
        if !report.wasSealed { _ = salts.next() }
        var segments: [Segment] = []
        for (slot, position) in scan.chain.enumerated() where kept.contains(position) {
            let found = scan.segments[position]
            var segment = Segment(header: found.reader.header, path: found.reader.path)
            let isLast = slot + 1 == scan.chain.count
            let next = isLast ? nil : scan.segments[scan.chain[slot + 1]].opening
            segment.end = next?.durableThrough.offset ?? scan.confirmed.offset
            // The last one was just cut.
            segment.isWhole = !isLast && found.reader.isWhole
            segments.append(segment)
        }
        segments.append(active)
        var groups = GroupTable<GroupLog>()
        for element in replay.groups.elements {
            var group = element.log
            group.written = group.state
            _ = groups.slot(of: group.group, inserting: group)
        }
        log = Log(
            options: scan.options,
            fileSystem: fileSystem,
            directory: scan.directory,
            owner: binding.owner,
            mark: mark,
            salts: salts,
            groups: groups,
            segments: segments,
            durableThrough: LogPlace(segment: active.number, offset: active.end)
        )
        log?.metrics.tornTails = UInt64(report.tornTails)
        // A log that is opened again and again without a write would otherwise keep all segments that hold marks only.
        log?.findDeadSegments()
    }
}
