import BalsaPlatform
import BalsaRaft
import BalsaWire

/// The reading half of recovery: finds the log in the files and changes nothing.
struct LogScan {
    /// A segment's file.
    struct FoundSegment {
        var number: UInt64
        var reader: SegmentReader
        /// The header of the opening frame and the length of its body's states, if it is valid.
        var opening: FrameHeader?
    }

    /// A valid frame that nothing later has confirmed yet.
    struct WaitingFrame {
        var flags: FrameFlags
        var place: LogPlace
        var end: LogPlace
        /// The records without the group states of an opening frame.
        var records: Bytes
        var recordCount: UInt32
        /// Where the records lie.
        var recordsPlace: LogPlace
    }

    let directory: String
    let options: LogOptions
    let owner: FileOwner
    /// All files named as segments, lowest number first.
    var segments: [FoundSegment] = []
    private var numbers: [UInt64] = []
    /// Numbers of segments that were being prepared.
    var preparing: [UInt64] = []
    /// The positions in `segments` of those that hold the log, in its order.
    var chain: [Int] = []
    var report = RecoveryReport()
    private(set) var bytesRead = 0

    /// The groups with the records of all confirmed frames.
    var replay = LogReplay()
    /// The frames that wait, in order.
    var waiting: [WaitingFrame] = []
    /// Up to where records were applied.
    private(set) var appliedThrough = LogPlace.zero
    /// The highest *durable through* of all frames.
    private(set) var confirmed = LogPlace.zero
    /// Where the valid frames end: P.
    private(set) var end = LogPlace.zero
    /// Whether frames of this life lie at or behind the end, which are then torn.
    private(set) var isTorn = false
    /// The segment that the last frame of the walk names, in which the log goes on.
    private(set) var continuation: Continuation?
    /// For each segment of the chain, how many bytes its records have that are written again where a new segment takes
    /// its place. Not counted further than ``LogOptions/foldedBytes``.
    private var foldableBytes: [Int] = []

    private var chainPosition = 0
    private var offset: UInt64 = 0
    /// The position in `segments` that is being searched.
    private var searched = 0

    init(directory: String, options: LogOptions, owner: FileOwner) {
        self.directory = directory
        self.options = options
        self.owner = owner
    }

    // MARK: - Listing

    /// Takes the names in the directory.
    mutating func take(_ names: [String]) throws(LogError) {
        for name in names {
            switch LogFileName(name) {
            case .segment(let number): numbers.append(number)
            case .preparing(let number): preparing.append(number)
            case .foreign: break
            case .malformed:
                throw LogError(
                    .unexpectedFile,
                    path: directory + "/" + name,
                    explanation: "a segment's name is 16 lower-case hexadecimal digits"
                )
            }
        }
        numbers.sort()
    }

    /// Opens the segment at `position` and verifies its header.
    ///
    /// - Returns: whether there is such a segment.
    mutating func readHeader(_ position: Int, _ fileSystem: any FileSystem) throws(LogError) -> Bool {
        guard position < numbers.count else { return false }
        let number = numbers[position]
        let path = LogFileName.segmentPath(directory, number)
        let file = try filed { () throws(FileError) in try fileSystem.open(path, .read) }
        let size = try filed { () throws(FileError) in try file.size() }
        let bytes = try filed { () throws(FileError) in try file.read(SegmentHeader.headerRange.upperBound, at: 0) }
        file.close()
        bytesRead += min(bytes.count, SegmentHeader.headerRange.lowerBound)
        let header: SegmentHeader
        do {
            header = try SegmentHeader(decoding: bytes)
        } catch {
            let reason: LogError.Reason = error.reason == .version ? .unsupportedVersion : .damage
            throw LogError(reason, path: path, offset: UInt64(error.offset), explanation: error.description)
        }
        guard header.number == number else {
            throw LogError.damage(path, at: 16, "the file is named \(number) and holds segment \(header.number)")
        }
        guard header.owner == owner else {
            throw LogError(
                .otherOwner,
                path: path,
                explanation: "the file belongs to another member's directory: put back what belongs together"
            )
        }
        guard size <= header.byteCount else {
            throw LogError.damage(path, at: header.byteCount, "the file is longer than its header says")
        }
        let reader = SegmentReader(
            path: path,
            fileSystem,
            header: header,
            size: size,
            plantedBugs: options.plantedBugs
        )
        segments.append(FoundSegment(number: number, reader: reader, opening: nil))
        return true
    }

    /// Reads the first frame of the segment at `position`.
    ///
    /// - Returns: whether there is such a segment.
    mutating func readOpening(_ position: Int) throws(LogError) -> Bool {
        guard position < segments.count else { return false }
        let start = segments[position].reader.header.firstFrame
        let before = segments[position].reader.bytesRead
        defer { bytesRead += segments[position].reader.bytesRead - before }
        defer { segments[position].reader.close() }
        guard case .frame(let header, _) = try segments[position].reader.frame(at: start) else { return true }
        guard header.flags.contains(.opening), header.durableThrough.segment < segments[position].number else {
            throw damage(position, at: start, "the first frame of a segment is an opening frame")
        }
        segments[position].opening = header
        return true
    }

    /// Finds the segments that hold the log: the last with an opening frame, the one that it names, and so on.
    mutating func findChain() throws(LogError) {
        let last = segments.lastIndex { $0.opening != nil }
        // Segments get their name with their full size. A short one may have lost frames, unless it was cut by recovery,
        // and then it is followed by the segment that says where.
        for short in segments.indices[(last ?? 0)...] where !segments[short].reader.isWhole {
            throw damage(
                short,
                at: segments[short].reader.limit,
                "the file is shorter than its header says, and no later segment says why: put it back, or the later "
                    + "segment that is missing, as it was when the member stopped"
            )
        }
        guard var position = last else {
            // The first segment may be unfinished. Any other follows one that was dropped only when it was durable.
            if let lowest = segments.first, lowest.number > 1 {
                throw damage(
                    0,
                    at: lowest.reader.header.firstFrame,
                    "the opening frame is damaged, or a segment before this one is missing: put it back as it was when "
                        + "the member stopped"
                )
            }
            return
        }
        chain = [position]
        while let opening = segments[position].opening {
            let previous = opening.durableThrough.segment
            guard let found = segments.firstIndex(where: { $0.number == previous }) else {
                // The segments before were dropped, from the front. If an older one is left, this one got lost.
                guard segments.first.map({ $0.number < previous }) != true else {
                    throw damage(
                        position,
                        at: opening.place.offset,
                        "segment \(previous), which comes before, is missing"
                    )
                }
                break
            }
            let start = segments[found].reader.header.firstFrame
            guard segments[found].opening != nil else {
                throw damage(found, at: start, "the opening frame is damaged, and a later segment needs it")
            }
            let end = opening.durableThrough.offset
            guard end > start, end <= segments[found].reader.limit else {
                throw damage(found, at: segments[found].reader.limit, "the file ends before the log in it does")
            }
            chain.insert(found, at: 0)
            position = found
        }
        offset = segments[chain[0]].reader.header.firstFrame
        report.segments = chain.count
    }

    func damage(_ position: Int, at offset: UInt64, _ explanation: String) -> LogError {
        LogError.damage(LogFileName.segmentPath(directory, segments[position].number), at: offset, explanation)
    }

    // MARK: - Walking

    /// Walks to the next frame.
    ///
    /// - Returns: whether the end of the valid frames is reached.
    mutating func walk() throws(LogError) -> Bool {
        guard chainPosition < chain.count else {
            offset = segments.first.map { $0.reader.header.firstFrame } ?? 0
            return true
        }
        let position = chain[chainPosition]
        let isLast = chainPosition + 1 == chain.count
        if !isLast, let next = segments[chain[chainPosition + 1]].opening, offset >= next.durableThrough.offset {
            guard offset == next.durableThrough.offset else {
                throw damage(position, at: offset, "the log does not end where the next segment says")
            }
            segments[position].reader.close()
            chainPosition += 1
            try checkContinuation(in: segments[chain[chainPosition]])
            continuation = nil
            offset = segments[chain[chainPosition]].reader.header.firstFrame
            return false
        }
        let before = segments[position].reader.bytesRead
        defer { bytesRead += segments[position].reader.bytesRead - before }
        guard case .frame(let header, let body) = try segments[position].reader.frame(at: offset) else {
            // Where the next segment says that the log went on, the frame was durable.
            guard isLast else { throw damage(position, at: offset, "a frame is damaged that a later one confirms") }
            end = LogPlace(segment: segments[position].number, offset: offset)
            searched = position
            if let continuation { try checkContinuation(in: segments.first { $0.number == continuation.segment }) }
            return true
        }
        try take(header, body, position)
        report.frames += 1
        offset = header.end(sectorBytes: segments[position].reader.header.sectorBytes)
        return false
    }

    /// Takes the valid frame at `offset`.
    private mutating func take(_ header: FrameHeader, _ body: Bytes, _ position: Int) throws(LogError) {
        let reader = segments[position].reader
        let place = LogPlace(segment: segments[position].number, offset: offset)
        let isFirst = offset == reader.header.firstFrame
        guard header.durableThrough <= place, FrameFlags.combinations.contains(header.flags),
            header.flags.contains(.opening) == isFirst, continuation == nil
        else { throw damage(position, at: offset, "a frame contradicts its place") }
        try confirm(through: header.durableThrough)

        var statesBytes = 0
        var stateCount: UInt32 = 0
        if header.flags.contains(.continuation) {
            guard let next = Continuation(body: body), next.segment > place.segment, header.recordCount == 1 else {
                throw damage(position, at: offset, "the frame names no segment to go on in")
            }
            continuation = next
            statesBytes = body.count
            stateCount = 1
        }
        if isFirst {
            let head: OpeningHead
            do {
                head = try LogReplay.head(of: body)
            } catch {
                throw damage(position, at: offset, error.description)
            }
            if chainPosition == 0 {
                replay.load(head)
                appliedThrough = header.durableThrough
            } else {
                guard waiting.isEmpty, appliedThrough == header.durableThrough, replay.agrees(with: head) else {
                    throw damage(position, at: offset, "the opening frame contradicts the frames before it")
                }
            }
            statesBytes = head.byteCount
            stateCount = head.recordCount
        }
        guard header.recordCount >= stateCount else {
            throw damage(position, at: offset, "a frame holds fewer records than it says")
        }
        countFoldable(body.slice(statesBytes..<body.count))
        let start = offset + UInt64(FrameHeader.encodedByteCount) + UInt64(statesBytes)
        waiting.append(
            WaitingFrame(
                flags: header.flags,
                place: place,
                end: LogPlace(segment: place.segment, offset: header.endIn(reader.header, at: offset)),
                records: body.slice(statesBytes..<body.count),
                recordCount: header.recordCount - stateCount,
                recordsPlace: LogPlace(segment: place.segment, offset: start)
            )
        )
    }

    private mutating func countFoldable(_ records: Bytes) {
        while foldableBytes.count <= chainPosition { foldableBytes.append(0) }
        guard foldableBytes[chainPosition] <= options.foldedBytes else { return }
        foldableBytes[chainPosition] += LogReplay.foldedByteCount(of: records)
    }

    /// The first of the segments at the end of the chain that hold so little together that a new segment takes their
    /// place; nil if the last one holds more. A position in ``chain``.
    var firstFolded: Int? {
        var first: Int?
        var bytes = 0
        for slot in chain.indices.reversed() {
            bytes += slot < foldableBytes.count ? foldableBytes[slot] : 0
            guard bytes <= options.foldedBytes, segments[chain[slot]].opening != nil else { break }
            first = slot
        }
        return first
    }

    /// Throws where the segment that a frame names is not the one that is there. It was durable under its name before
    /// the frame was written.
    private func checkContinuation(in segment: FoundSegment?) throws(LogError) {
        guard let continuation else { return }
        guard let segment else {
            // Nothing says which of the two it is, so the sentence is about the segment that names it.
            throw LogError.damage(
                path,
                at: end.offset,
                "segment \(continuation.segment), in which the log goes on, or the later one that took its place, is "
                    + "missing: put it back as it was when the member stopped, or leave the member stopped"
            )
        }
        // One of a higher number was made by a recovery, when nothing was in this one, or in place of this one.
        guard segment.number == continuation.segment, segment.reader.header.salt != continuation.salt else { return }
        throw LogError.damage(
            LogFileName.segmentPath(directory, continuation.segment),
            at: 40,
            "the file is another one of that number: put it back as it was when the member stopped, or leave the "
                + "member stopped"
        )
    }

    /// Applies the waiting frames that end at or before `place`.
    private mutating func confirm(through place: LogPlace) throws(LogError) {
        confirmed = max(confirmed, place)
        while let frame = waiting.first, frame.end <= place {
            try replay.apply(frame, directory: directory)
            appliedThrough = frame.end
            waiting.removeFirst()
        }
    }

    // MARK: - Looking ahead

    /// Searches the next part of what lies behind the end for frames of this life.
    ///
    /// - Returns: whether everything was searched.
    mutating func lookAhead() throws(LogError) -> Bool {
        guard searched < segments.count else {
            try confirm(through: confirmed)
            guard appliedThrough == confirmed else {
                throw LogError.damage(path, at: confirmed.offset, "no frame ends where later ones say that one does")
            }
            return true
        }
        let position = searched
        let sectorBytes = UInt64(segments[position].reader.header.sectorBytes)
        let before = segments[position].reader.bytesRead
        defer { bytesRead += segments[position].reader.bytesRead - before }
        for _ in 0..<1_024 {
            guard segments[position].reader.mayHoldFrame(at: offset) else {
                segments[position].reader.close()
                searched += 1
                if searched < segments.count { offset = segments[searched].reader.header.firstFrame }
                return false
            }
            if let header = try segments[position].reader.frameHeader(at: offset) {
                isTorn = true
                guard header.durableThrough <= end else { throw damage(confirmedThrough: header.durableThrough) }
                confirmed = max(confirmed, header.durableThrough)
            }
            offset += sectorBytes
        }
        return false
    }

    /// The damage where a frame says that the log was durable through `place`, and the valid frames end before.
    private func damage(confirmedThrough place: LogPlace) -> LogError {
        let explanation = "a frame is damaged that a later one confirms"
        // Of a later segment, the opening frame was durable. Were that valid, the segment would be part of the chain.
        if place.segment > end.segment, let found = segments.firstIndex(where: { $0.number == place.segment }) {
            return damage(found, at: segments[found].reader.header.firstFrame, explanation)
        }
        return LogError.damage(path, at: end.offset, explanation)
    }

    /// The path of the segment in which the valid frames end.
    private var path: String {
        LogFileName.segmentPath(directory, end.segment > 0 ? end.segment : segments.first?.number ?? 1)
    }
}

extension FrameHeader {
    /// Where the frame that lies at `offset` ends in a segment.
    func endIn(_ segment: SegmentHeader, at offset: UInt64) -> UInt64 {
        offset + usedByteCount.roundedUp(to: UInt64(segment.sectorBytes))
    }
}

extension LogReplay {
    /// Applies the records of a frame, at their place or at another.
    mutating func apply(
        _ frame: LogScan.WaitingFrame,
        directory: String,
        movedTo place: LogPlace? = nil
    ) throws(LogError) {
        do {
            try apply(frame.records, count: frame.recordCount, at: place ?? frame.recordsPlace)
        } catch {
            let path = LogFileName.segmentPath(directory, frame.place.segment)
            let offset = frame.recordsPlace.offset + UInt64(error.offset)
            throw LogError.damage(path, at: offset, error.description)
        }
    }
}
