import BalsaPlatform
import BalsaRaft
import BalsaWire

/// The writing half of recovery: makes what was found durable and removes what is not part of it.
struct LogRepair {
    /// What is to be done, one file operation or a few at a time.
    private enum Step {
        case removeUnused
        case rewriteSeal
        case prepare
        case writeOpening
        case writeSeal
        case cut
        case removeReplaced
        case done
    }

    private let fileSystem: any FileSystem
    private let scan: LogScan
    private var next = Step.removeUnused
    private var task: LogTask?
    /// The segment in which the log goes on, and where in it.
    private var active: Segment?
    /// The first frame of a new segment.
    private var opening: [Bytes] = []
    private var openingByteCount = 0
    /// The groups as the log leaves them.
    private var replay: LogReplay

    /// What recovery knows of each group.
    private(set) var groups: [RecoveredGroup] = []
    private(set) var report: RecoveryReport
    /// The open log, once all is done.
    private(set) var log: Log?

    /// Plans what to do. Nothing is changed yet, and whatever is wrong with the records is found here.
    init(_ scan: LogScan, _ fileSystem: any FileSystem) throws(LogError) {
        self.scan = scan
        self.fileSystem = fileSystem
        replay = scan.replay
        report = scan.report
        report.wasSealed = scan.waiting.count == 1 && scan.waiting[0].flags.contains(.seal) && !scan.isTorn
        if report.wasSealed {
            try replay.apply(scan.waiting[0], directory: scan.directory)
        } else {
            try planRewriting()
        }
        report.entries = replay.entries
        for element in replay.groups.elements {
            guard let result = element.result() else {
                throw LogError.damage(
                    LogFileName.segmentPath(scan.directory, scan.chain.first.map { scan.segments[$0].number } ?? 1),
                    at: 0,
                    "the oldest entries of group \(element.log.group) are missing"
                )
            }
            groups.append(result)
        }
    }

    /// The number of the new segment: it follows all that stay.
    private var newNumber: UInt64 { (scan.chain.last.map { scan.segments[$0].number } ?? 0) + 1 }

    /// Builds the opening frame of the new segment, with the records of all frames that wait.
    private mutating func planRewriting() throws(LogError) {
        let states = replay.encodedStates()
        let before = replay.entries
        let place = LogPlace(segment: newNumber, offset: UInt64(scan.options.sectorBytes))
        var builder = FrameBuilder(
            place: place,
            flags: .opening,
            durableThrough: scan.confirmed
        )
        builder.append(states.bytes, records: states.records)
        for frame in scan.waiting {
            try replay.apply(frame, directory: scan.directory, movedTo: builder.nextPlace)
            builder.append(frame.records, records: Int(frame.recordCount))
        }
        opening = builder.finish(notes: [], sectorBytes: scan.options.sectorBytes)
        openingByteCount = builder.paddedByteCount
        report.entriesRewritten = replay.entries - before
        if scan.isTorn {
            report.tornTails = 1
            let last = scan.chain.last.map { scan.segments[$0].reader.limit } ?? scan.end.offset
            report.bytesCut = last - scan.end.offset
        }
    }

    /// Does the next step.
    ///
    /// - Returns: whether all is done.
    mutating func step(budgetBytes: Int) throws(LogError) -> Bool {
        switch next {
        case .removeUnused:
            try filed { () throws(FileError) in try removeUnused() }
            next = report.wasSealed ? .rewriteSeal : .prepare
        case .rewriteSeal:
            try rewriteSeal()
            next = .removeReplaced
        case .prepare:
            if try prepare(budgetBytes: budgetBytes) { next = .writeOpening }
        case .writeOpening:
            try write(opening, byteCount: openingByteCount)
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

    /// Removes what was being prepared and the segments behind the log, which hold no valid frame or only torn ones.
    ///
    /// Their numbers are used again, so that they must be gone durably before.
    private mutating func removeUnused() throws(FileError) {
        let last = scan.chain.last.map { $0 + 1 } ?? 0
        var paths = scan.preparing.map { LogFileName.preparingPath(scan.directory, $0) }
        for segment in scan.segments[last...].reversed() {
            segment.reader.file.close()
            paths.append(segment.reader.file.path)
        }
        try remove(paths)
    }

    private mutating func remove(_ paths: [String]) throws(FileError) {
        for path in paths { try fileSystem.remove(path) }
        if !paths.isEmpty { try fileSystem.syncDirectory(scan.directory) }
        report.segmentsRemoved += paths.count
    }

    /// Writes the seal once more, at its place: the page cache may show one that a failed sync never wrote.
    ///
    /// The bytes are the same, so that not even a torn write can hurt.
    private mutating func rewriteSeal() throws(LogError) {
        guard let last = scan.chain.last else { preconditionFailure("a sealed log has a segment") }
        let found = scan.segments[last]
        let seal = scan.waiting[0]
        active = try filed { () throws(FileError) in
            let count = Int(seal.end.offset - seal.place.offset)
            let bytes = try found.reader.file.read(count, at: seal.place.offset)
            found.reader.file.close()
            let file = try fileSystem.open(found.reader.file.path, .readWrite)
            try file.write(bytes, at: seal.place.offset)
            try file.sync()
            var segment = Segment(header: found.reader.header, file: file)
            segment.end = seal.end.offset
            return segment
        }
    }

    /// Prepares the new segment.
    private mutating func prepare(budgetBytes: Int) throws(LogError) -> Bool {
        let sectorBytes = UInt64(scan.options.sectorBytes)
        if task == nil {
            // Header, opening frame and seal.
            let needed = 2 * sectorBytes + UInt64(openingByteCount)
            let header = SegmentHeader(
                number: newNumber,
                byteCount: max(UInt64(scan.options.smallestSegmentBytes), needed),
                sectorBytes: UInt32(sectorBytes)
            )
            task = LogTask(.create, header: header, fileSystem: fileSystem, directory: scan.directory)
        }
        guard let task else { return false }
        let isDone = try filed { () throws(FileError) in try task.step(budgetBytes: budgetBytes) }
        active = task.segment
        return isDone
    }

    /// Writes a frame at the end of the new segment.
    private mutating func write(_ pieces: [Bytes], byteCount: Int) throws(LogError) {
        guard var segment = active else { preconditionFailure("the segment has been prepared") }
        try filed { () throws(FileError) in
            try segment.file.write(gathering: pieces, at: segment.end)
            try segment.file.sync()
        }
        segment.end += UInt64(byteCount)
        active = segment
    }

    /// Seals the new segment, so that what was just rewritten is not in the blind spot.
    private mutating func writeSeal() throws(LogError) {
        guard let segment = active else { preconditionFailure("the segment has been prepared") }
        let place = LogPlace(segment: segment.number, offset: segment.end)
        var builder = FrameBuilder(place: place, flags: .seal, durableThrough: place)
        let pieces = builder.finish(notes: [], sectorBytes: Int(segment.sectorBytes))
        try write(pieces, byteCount: builder.paddedByteCount)
    }

    /// The positions of the segments that stay before the one in which the log goes on.
    private var kept: ArraySlice<Int> {
        report.wasSealed
            ? scan.chain.dropLast() : scan.chain.filter { scan.segments[$0].number <= scan.confirmed.segment }[...]
    }

    /// Cuts what lies behind the confirmed end, now that the new segment says that it is not part of the log.
    private func cut() throws(FileError) {
        guard let last = kept.last, last == scan.chain.last else { return }
        let found = scan.segments[last].reader
        guard scan.confirmed.offset < found.limit else { return }
        let file = try fileSystem.open(found.file.path, .readWrite)
        defer { file.close() }
        try file.setSize(scan.confirmed.offset)
        try file.sync()
    }

    /// Removes the segments that the new one has replaced, and those that an earlier recovery left.
    private mutating func removeReplaced() throws(FileError) {
        guard let last = scan.chain.last else { return }
        var paths: [String] = []
        for position in (0...last).reversed() where !kept.contains(position) {
            let file = scan.segments[position].reader.file
            if report.wasSealed && position == last { continue }
            file.close()
            paths.append(file.path)
        }
        try remove(paths)
    }

    private mutating func finish() {
        guard let active else { preconditionFailure("the log has a segment") }
        var segments: [Segment] = []
        for (slot, position) in scan.chain.enumerated() where kept.contains(position) {
            let found = scan.segments[position]
            var segment = Segment(header: found.reader.header, file: found.reader.file)
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
            groups: groups,
            segments: segments,
            durableThrough: LogPlace(segment: active.number, offset: active.end)
        )
        log?.metrics.tornTails = UInt64(report.tornTails)
    }
}
