import BalsaPlatform

/// The file of a write-ahead log that is being written.
///
/// Records are gathered in memory and written by one call. What follows a sync begins on a new sector, so that a torn
/// write can never touch a sector that holds acknowledged bytes; what is not synced in between lies densely.
final class WriteAheadLogFile {
    /// Up to where records go, and what the next one has to name.
    private struct End {
        var offset: UInt64
        var checksum: UInt32
        var sequence: SequenceNumber
    }

    let directory: String
    let number: UInt64
    private let engineID: UInt64
    private let sectorBytes: UInt32
    private let fileSystem: any FileSystem
    private let seed: UInt32
    /// The file, for syncs on other threads.
    let file: any File

    private var buffer: [UInt8] = []
    private var staged: End
    private var written: End
    /// Where the next record begins, if that is behind the end of what was written.
    private var nextOffset: UInt64
    /// How many bytes of what was written are nothing but the way to the next sector.
    private(set) var paddingByteCount: UInt64 = 0
    /// The beginning of what is staged.
    private var stagedStart: UInt64 = 0
    /// Up to where the file is durable.
    private(set) var durableThrough: UInt64
    /// Up to where the file itself says that it is durable.
    private var stated: UInt64
    /// What that will be when what is staged has been written.
    private var statedWithStaged: UInt64

    /// Creates the file `wal-<number>.preparing`, which becomes part of the log by ``publish(after:base:)``.
    init(
        creating number: UInt64,
        in directory: String,
        engineID: UInt64,
        sectorBytes: UInt32,
        baseSequence: SequenceNumber,
        fileSystem: any FileSystem
    ) throws(FileError) {
        self.directory = directory
        self.number = number
        self.engineID = engineID
        self.sectorBytes = sectorBytes
        self.fileSystem = fileSystem
        seed = WriteAheadLogRecord.checksumSeed(engineID: engineID, number: number)
        file = try fileSystem.open(WriteAheadLogFileName.preparing(number).path(in: directory), .create)
        let start = UInt64(sectorBytes)
        written = End(offset: start, checksum: 0, sequence: baseSequence)
        staged = written
        nextOffset = start
        durableThrough = start
        stated = start
        statedWithStaged = start
    }

    /// The end of what was written, in bytes from the file's beginning.
    var end: UInt64 { written.offset }
    /// The number of the last batch that was written, in this file or before it.
    var lastSequence: SequenceNumber { written.sequence }
    /// The number of the last batch that was staged or written.
    var stagedSequence: SequenceNumber { hasStaged ? staged.sequence : written.sequence }
    /// Whether anything was written behind the header.
    var hasRecords: Bool { written.offset > UInt64(sectorBytes) }
    /// Whether bytes are staged.
    var hasStaged: Bool { !buffer.isEmpty }
    /// How many bytes are staged.
    var stagedByteCount: Int { buffer.count }
    /// Whether durable records exist of which the file does not say that they are.
    var needsSeal: Bool { durableThrough > stated }

    /// Publishes the file under its name: writes the header, makes file and name durable. What was written before is
    /// part of the log from then on, all or nothing.
    ///
    /// - Returns: what failed in a way that leaves unknown whether the file has its name; nil if all went well.
    /// - Throws: what failed before that. The file has no name then.
    func publish(after predecessor: WriteAheadLogPlace, base: SequenceNumber) throws(FileError) -> FileError? {
        let header = WriteAheadLogHeader(
            sectorBytes: sectorBytes,
            number: number,
            engineID: engineID,
            predecessor: predecessor,
            baseSequence: base,
            durableThrough: written.offset
        )
        try file.write(header.encoded(), at: 0)
        try file.sync()
        do throws(FileError) {
            let source = WriteAheadLogFileName.preparing(number).path(in: directory)
            try fileSystem.rename(source, to: WriteAheadLogFileName.file(number).path(in: directory))
            try fileSystem.syncDirectory(directory)
        } catch {
            return error
        }
        durableThrough = written.offset
        stated = written.offset
        nextOffset = written.offset.roundedUp(toSector: sectorBytes)
        return nil
    }

    // MARK: Writing

    /// Puts a record behind the last one.
    func stage(_ kind: WriteAheadLogRecord.Kind, _ body: UnsafeRawBufferPointer, sequence: SequenceNumber) {
        if buffer.isEmpty {
            stagedStart = nextOffset
            staged = written
            staged.offset = nextOffset
        }
        var record = WriteAheadLogRecord(
            kind: kind,
            sequence: sequence,
            bodyByteCount: UInt32(body.count),
            durableThrough: durableThrough,
            previousChecksum: staged.checksum,
            bodyChecksum: CRC32C.checksum(body)
        )
        let place = buffer.count
        buffer.append(contentsOf: repeatElement(0, count: WriteAheadLogRecord.encodedByteCount))
        buffer.withUnsafeMutableBytes { raw in
            let target = UnsafeMutableRawBufferPointer(rebasing: raw[place...])
            record.encode(into: target, seed: seed, offset: staged.offset)
        }
        buffer.append(contentsOf: body)
        staged = End(offset: staged.offset + record.byteCount, checksum: record.checksum, sequence: sequence)
        // A seal holds nothing that would have to be confirmed in turn.
        statedWithStaged = kind == .seal ? staged.offset : durableThrough
    }

    /// Writes what is staged, by one call. If that fails, nothing of it counts.
    ///
    /// What a failed write left behind is cut off: a sync may begin before the next write, which is then made further
    /// back, and the remains would stand in between as a record.
    ///
    /// - Returns: what failed in a way that leaves remains; nil if all went well.
    /// - Throws: what failed without any remains.
    func write() throws(FileError) -> FileError? {
        guard hasStaged else { return nil }
        let result = buffer.withUnsafeBytes { raw in
            Result { () throws(FileError) in try file.write(raw, at: stagedStart) }
        }
        buffer.removeAll(keepingCapacity: true)
        if case .failure(let error) = result {
            do throws(FileError) {
                try file.setSize(written.offset)
            } catch {
                return error
            }
            throw error
        }
        paddingByteCount += stagedStart - written.offset
        written = staged
        nextOffset = staged.offset
        // The buffer of a long batch is not kept for ever.
        if buffer.capacity > WriteAheadLogFile.keptBufferBytes { buffer = [] }
        stated = max(stated, statedWithStaged)
        return nil
    }

    private static let keptBufferBytes = 1 << 20

    // MARK: Syncing

    /// Notes that everything written so far is about to be synced: what is written from here on begins on a new sector.
    func beginSync() {
        precondition(!hasStaged, "what is staged is written before a sync begins")
        nextOffset = written.offset.roundedUp(toSector: sectorBytes)
    }

    /// Notes that everything before `offset` is durable.
    func finishSync(through offset: UInt64) {
        durableThrough = max(durableThrough, offset)
    }
}

extension UInt64 {
    /// The smallest multiple of a sector's size that is not smaller.
    ///
    /// - Precondition: it can be represented, which holds for places in a file.
    func roundedUp(toSector bytes: UInt32) -> UInt64 {
        let unit = UInt64(bytes)
        return (self + unit - 1) / unit * unit
    }
}
