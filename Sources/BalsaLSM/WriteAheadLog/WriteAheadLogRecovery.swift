import BalsaPlatform

/// What was found when a write-ahead log was opened.
public struct WriteAheadLogReport: Equatable, Sendable {
    /// How many files held batches that had to be replayed.
    public var files = 0
    /// How many batches were replayed.
    public var batches = 0
    /// How many of them were written anew, because nothing said that they were durable.
    public var rewrittenBatches = 0
    /// How many bytes behind the last valid record were a torn tail.
    public var tornBytes: UInt64 = 0
    /// The number of the last batch that is durable, in the log or before it.
    public var lastSequence: SequenceNumber = 0
}

/// Finds the batches in the files of a write-ahead log after a crash, and changes nothing.
///
/// The files are a chain, followed backwards from the last one as far as there are batches that no table holds. In all
/// but the last every record must be valid up to the end that the next file names. In the last the log ends at the first
/// place without a valid record; if anything behind it says that the place was durable, it is damage and refused.
struct WriteAheadLogRecovery {
    let directory: String
    let engineID: UInt64
    let flushedThrough: SequenceNumber
    let fileSystem: any FileSystem

    /// The files with what has to be replayed, oldest first.
    private(set) var chain: [WriteAheadLogReader] = []
    /// The names of all files, lowest number first.
    private(set) var files: [WriteAheadLogFileName] = []
    private(set) var report = WriteAheadLogReport()

    /// Where the records of the last file end that are known to be durable. Those behind it may be gone after the next
    /// power loss, since a failed sync leaves pages in memory that never reach the disk.
    private var confirmed = WriteAheadLogReader.Position(offset: 0, checksum: 0, sequence: 0)
    /// Whether batches of the last file are known to be durable.
    private var lastHasConfirmedBatches = false

    init(
        directory: String,
        engineID: UInt64,
        flushedThrough: SequenceNumber,
        fileSystem: any FileSystem
    ) {
        self.directory = directory
        self.engineID = engineID
        self.flushedThrough = flushedThrough
        self.fileSystem = fileSystem
    }

    /// Finds the files that are needed, and verifies their headers.
    mutating func findFiles() throws(EngineError) {
        let names: [String]
        do throws(FileError) {
            names = try fileSystem.list(directory)
        } catch {
            throw EngineError(error)
        }
        files = names.compactMap { WriteAheadLogFileName($0) }.sorted { $0.number < $1.number }
        guard highestNumber < ManifestState.maxFileNumber else {
            throw EngineError(
                .damaged,
                "\(directory) holds a file of the log with the number \(highestNumber): none is left"
            )
        }
        let last = files.last { if case .file = $0 { true } else { false } }
        if var number = last?.number {
            while true {
                let reader = try WriteAheadLogReader(
                    number: number,
                    in: directory,
                    engineID: engineID,
                    fileSystem: fileSystem
                )
                chain.insert(reader, at: 0)
                guard reader.header.baseSequence > flushedThrough else { break }
                number = reader.header.predecessor.number
                guard files.contains(.file(number)) else {
                    throw EngineError(
                        .damaged,
                        "\(directory): wal-\(number) is missing, which wal-\(reader.header.number) continues"
                    )
                }
            }
        }
    }

    /// The highest number in any name; 0 where there is no file.
    var highestNumber: UInt64 { files.last?.number ?? 0 }

    /// Calls `body` with each batch that no table holds, in order.
    mutating func replay(
        _ body: (SequenceNumber, UnsafeRawBufferPointer) throws(EngineError) -> Void
    ) throws(EngineError) {
        report.files = chain.count
        report.lastSequence = flushedThrough
        for index in chain.indices {
            let reader = chain[index]
            var position = reader.start
            if index + 1 < chain.count {
                let next = chain[index + 1].header
                while position.offset < next.predecessor.offset {
                    guard try replayNext(reader, &position, body) else {
                        throw reader.damage(at: position.offset, "a record is damaged that a later file confirms")
                    }
                }
                guard position.offset == next.predecessor.offset, position.sequence == next.baseSequence else {
                    throw reader.damage(at: position.offset, "the log does not end where a later file says")
                }
            } else {
                var stated = reader.header.durableThrough
                while try replayNext(reader, &position, body, &stated) {}
                try end(reader, position, stated)
            }
            report.lastSequence = max(report.lastSequence, position.sequence)
        }
    }

    private mutating func replayNext(
        _ reader: WriteAheadLogReader,
        _ position: inout WriteAheadLogReader.Position,
        _ body: (SequenceNumber, UnsafeRawBufferPointer) throws(EngineError) -> Void
    ) throws(EngineError) -> Bool {
        var stated: UInt64 = 0
        return try replayNext(reader, &position, body, &stated)
    }

    private mutating func replayNext(
        _ reader: WriteAheadLogReader,
        _ position: inout WriteAheadLogReader.Position,
        _ body: (SequenceNumber, UnsafeRawBufferPointer) throws(EngineError) -> Void,
        _ stated: inout UInt64
    ) throws(EngineError) -> Bool {
        let flushed = flushedThrough
        var batches = 0
        var highest = stated
        let isRead = try reader.next(&position) { record, raw throws(EngineError) in
            highest = max(highest, record.durableThrough)
            guard record.kind == .batch, record.sequence > flushed else { return }
            try body(record.sequence, raw)
            batches += 1
        }
        stated = highest
        report.batches += batches
        return isRead
    }

    /// Judges what lies behind the last valid record, and finds the end of what is known to be durable.
    private mutating func end(
        _ reader: WriteAheadLogReader,
        _ position: WriteAheadLogReader.Position,
        _ statedBefore: UInt64
    ) throws(EngineError) {
        let stated = max(statedBefore, try reader.highestStatement(from: position.offset))
        guard stated <= position.offset else {
            throw reader.damage(at: position.offset, "a record is damaged that a later one confirms")
        }
        report.tornBytes = reader.byteCount - min(position.offset, reader.byteCount)
        confirmed = reader.start
        while confirmed.offset < stated {
            var isBatch = false
            let isRead = try reader.next(&confirmed) { record, _ in isBatch = record.kind == .batch }
            guard isRead else { break }
            if isBatch { lastHasConfirmedBatches = true }
        }
        guard confirmed.offset == stated else {
            throw reader.damage(at: stated, "no record ends where later ones say that one does")
        }
    }

    // MARK: Going on

    /// A file whose batches are still needed.
    struct NeededFile {
        let number: UInt64
        let lastSequence: SequenceNumber
    }

    /// What a new file continues: the files that are still needed, oldest first, where the last of them ends, and the
    /// number of its last batch there.
    var continuation: (kept: [NeededFile], predecessor: WriteAheadLogPlace, base: SequenceNumber) {
        guard let last = chain.last, report.lastSequence > flushedThrough else { return ([], .none, flushedThrough) }
        var predecessor = WriteAheadLogPlace(number: last.header.number, offset: confirmed.offset)
        var base = confirmed.sequence
        var needed = chain[...]
        if !lastHasConfirmedBatches {
            // Its batches, if there are any, will be in the new file, which thus takes its place in the chain.
            predecessor = last.header.predecessor
            base = last.header.baseSequence
            needed = needed.dropLast()
        }
        var kept: [NeededFile] = []
        for (index, reader) in needed.enumerated() {
            let end = index + 1 < needed.count ? needed[index + 1].header.baseSequence : base
            kept.append(NeededFile(number: reader.header.number, lastSequence: end))
        }
        return (kept, predecessor, base)
    }

    /// Calls `body` with each batch that has to be written anew, in order.
    mutating func forEachUnconfirmed(
        _ body: (SequenceNumber, UnsafeRawBufferPointer) throws(EngineError) -> Void
    ) throws(EngineError) {
        guard let reader = chain.last else { return }
        let flushed = flushedThrough
        var position = confirmed
        var batches = 0
        while true {
            let isRead = try reader.next(&position) { record, raw throws(EngineError) in
                guard record.kind == .batch, record.sequence > flushed else { return }
                try body(record.sequence, raw)
                batches += 1
            }
            guard isRead else { break }
        }
        report.rewrittenBatches = batches
    }
}
