import BalsaPlatform

/// A file of a write-ahead log that is being read.
///
/// Nothing that was read is believed before its checksum has been verified, and no more memory is taken than the file
/// has bytes.
final class WriteAheadLogReader {
    /// Between two records.
    struct Position: Equatable {
        /// The end of the record before.
        var offset: UInt64
        /// Its header's checksum; 0 where there is none.
        var checksum: UInt32
        /// The number of the last batch.
        var sequence: SequenceNumber
    }

    /// How many bytes are read at once.
    private static let windowBytes = 256 << 10

    let path: String
    let header: WriteAheadLogHeader
    /// The file's size, in bytes.
    let byteCount: UInt64
    private let file: any File
    private let seed: UInt32
    private var window: Bytes = []
    private var windowStart: UInt64 = 0

    /// Opens a file and verifies its header. A file that has its name has a valid header.
    init(
        number: UInt64,
        in directory: String,
        engineID: UInt64,
        fileSystem: any FileSystem
    ) throws(EngineError) {
        path = WriteAheadLogFileName.file(number).path(in: directory)
        let bytes: Bytes
        do throws(FileError) {
            file = try fileSystem.open(path, .read)
            byteCount = try file.size()
            bytes = try file.read(WriteAheadLogHeader.encodedByteCount, at: 0)
        } catch {
            throw EngineError(error)
        }
        do throws(DecodingError) {
            header = try WriteAheadLogHeader(decoding: bytes)
        } catch {
            throw EngineError(error, in: path)
        }
        seed = WriteAheadLogRecord.checksumSeed(engineID: engineID, number: number)
        guard header.number == number else {
            throw EngineError(.damaged, "\(path): the file holds what was written to wal-\(header.number)")
        }
        guard header.engineID == engineID else {
            throw EngineError(.damaged, "\(path): the file belongs to another engine")
        }
        guard byteCount >= header.durableThrough else { throw damage(at: byteCount, "the file ends too early") }
    }

    /// Before the first record.
    var start: Position { Position(offset: header.start, checksum: 0, sequence: header.baseSequence) }

    func damage(at offset: UInt64, _ explanation: String) -> EngineError {
        EngineError(.damaged, "\(path): byte \(offset): \(explanation)")
    }

    // MARK: Records in their order

    /// Moves `position` behind the next record.
    ///
    /// That begins where the one before ends or, if a sync came in between, on the next sector.
    ///
    /// - Parameter body: gets the record and its body, which is valid during the call.
    /// - Returns: whether there is a valid record.
    func next(
        _ position: inout Position,
        _ body: (WriteAheadLogRecord, UnsafeRawBufferPointer) throws(EngineError) -> Void
    ) throws(EngineError) -> Bool {
        if try next(&position, at: position.offset, body) { return true }
        let sector = position.offset.roundedUp(toSector: header.sectorBytes)
        guard sector != position.offset else { return false }
        return try next(&position, at: sector, body)
    }

    private func next(
        _ position: inout Position,
        at offset: UInt64,
        _ body: (WriteAheadLogRecord, UnsafeRawBufferPointer) throws(EngineError) -> Void
    ) throws(EngineError) -> Bool {
        guard let record = try record(at: offset), record.previousChecksum == position.checksum else { return false }
        let count = Int(record.bodyByteCount)
        let start = offset + UInt64(WriteAheadLogRecord.encodedByteCount)
        guard try load(count, at: start) else { return false }
        let isNext = record.kind == .batch ? record.sequence > position.sequence : record.sequence == position.sequence
        let before = position.offset
        let isRead = try withLoaded(count, at: start) { raw throws(EngineError) -> Bool in
            guard CRC32C.checksum(raw) == record.bodyChecksum else { return false }
            guard isNext, record.durableThrough <= before, record.durableThrough >= header.start else {
                throw damage(at: offset, "a record contradicts those before it")
            }
            try body(record, raw)
            return true
        }
        guard isRead else { return false }
        position = Position(offset: offset + record.byteCount, checksum: record.checksum, sequence: record.sequence)
        return true
    }

    // MARK: Looking ahead

    /// The highest *durable through* of all records whose header lies, valid, at or behind `offset`.
    ///
    /// - Returns: 0 where there is none.
    func highestStatement(from offset: UInt64) throws(EngineError) -> UInt64 {
        var highest: UInt64 = 0
        var offset = offset
        let needed = UInt64(WriteAheadLogRecord.encodedByteCount)
        while byteCount >= needed, offset <= byteCount - needed {
            let count = Int(min(UInt64(WriteAheadLogReader.windowBytes), byteCount - offset))
            guard try load(count, at: offset) else { break }
            let places = count - Int(needed) + 1
            withLoaded(count, at: offset) { raw in
                for place in 0..<places where raw[place] == UInt8(ascii: "B") {
                    let rest = UnsafeRawBufferPointer(rebasing: raw[place...])
                    let record = WriteAheadLogRecord(decoding: rest, seed: seed, offset: offset + UInt64(place))
                    if let record { highest = max(highest, record.durableThrough) }
                }
            }
            offset += UInt64(places)
        }
        return highest
    }

    // MARK: Bytes

    /// The record header at `offset`; nil where there is no valid one.
    private func record(at offset: UInt64) throws(EngineError) -> WriteAheadLogRecord? {
        guard try load(WriteAheadLogRecord.encodedByteCount, at: offset) else { return nil }
        return withLoaded(WriteAheadLogRecord.encodedByteCount, at: offset) { raw in
            WriteAheadLogRecord(decoding: raw, seed: seed, offset: offset)
        }
    }

    /// Brings `count` bytes at `offset` into memory, if the file has them.
    private func load(_ count: Int, at offset: UInt64) throws(EngineError) -> Bool {
        guard offset <= byteCount, UInt64(count) <= byteCount - offset else { return false }
        if offset >= windowStart, offset - windowStart <= UInt64(window.count),
            count <= window.count - Int(offset - windowStart)
        {
            return true
        }
        let wanted = min(UInt64(max(count, WriteAheadLogReader.windowBytes)), byteCount - offset)
        do throws(FileError) {
            window = try file.read(Int(wanted), at: offset)
        } catch {
            throw EngineError(error)
        }
        windowStart = offset
        return window.count >= count
    }

    /// Calls `body` with bytes that have been loaded.
    private func withLoaded<Result, Failure: Error>(
        _ count: Int,
        at offset: UInt64,
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let start = Int(offset - windowStart)
        return try window.withUnsafeBytes { raw throws(Failure) -> Result in
            try body(UnsafeRawBufferPointer(rebasing: raw[start..<start + count]))
        }
    }
}
