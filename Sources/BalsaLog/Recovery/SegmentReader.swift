import BalsaPlatform

/// Reads frames of a segment through a window, so that small frames cost one system call together.
///
/// The file is open only between the first read and ``close()``: a log may have more segments than a process may have
/// descriptors.
struct SegmentReader {
    /// What lies where a frame may begin.
    enum Found {
        /// A valid frame.
        case frame(FrameHeader, body: Bytes)
        /// No valid frame. The header is there if that alone is valid: then a frame was begun here and not finished, or
        /// has been damaged since.
        case bad(FrameHeader?)
    }

    let path: String
    let header: SegmentHeader
    /// Where reading ends: the size of the file.
    let limit: UInt64
    private let fileSystem: any FileSystem
    private let plantedBugs: LogPlantedBugs
    private let frameSeed: UInt32
    private var openFile: (any File)?
    private var window = Bytes()
    private var windowStart: UInt64 = 0
    /// How many bytes were read from the file.
    private(set) var bytesRead = 0

    private static let windowBytes: UInt64 = 256 << 10

    init(
        path: String,
        _ fileSystem: any FileSystem,
        header: SegmentHeader,
        size: UInt64,
        plantedBugs: LogPlantedBugs
    ) {
        self.path = path
        self.fileSystem = fileSystem
        self.header = header
        limit = size
        self.plantedBugs = plantedBugs
        frameSeed = header.frameSeed
    }

    /// Gives back the descriptor and the window. The next read opens the file again.
    mutating func close() {
        openFile?.close()
        openFile = nil
        window = Bytes()
        windowStart = 0
    }

    private mutating func opened() throws(FileError) -> any File {
        if let openFile { return openFile }
        let file = try fileSystem.open(path, .read)
        openFile = file
        return file
    }

    /// Whether the file has the size that its header says.
    var isWhole: Bool { limit == header.byteCount }

    /// Whether a frame may begin at `offset`.
    func mayHoldFrame(at offset: UInt64) -> Bool {
        offset < limit && limit - offset >= UInt64(FrameHeader.encodedByteCount)
    }

    /// The frame at `offset`.
    ///
    /// The header is verified before its length is believed, and the length is held against the file before anything of
    /// it is read.
    mutating func frame(at offset: UInt64) throws(LogError) -> Found {
        guard let header = try frameHeader(at: offset) else { return .bad(nil) }
        guard header.usedByteCount <= limit - offset else { return .bad(header) }
        let body = try bytes(at: offset + UInt64(FrameHeader.encodedByteCount), count: UInt64(header.bodyByteCount))
        guard BodyChecksum.checksum(body) == header.bodyChecksum else { return .bad(header) }
        return .frame(header, body: body)
    }

    /// The header at `offset`, if its own checksum holds and it belongs there.
    mutating func frameHeader(at offset: UInt64) throws(LogError) -> FrameHeader? {
        guard mayHoldFrame(at: offset) else { return nil }
        let raw = try bytes(at: offset, count: UInt64(FrameHeader.encodedByteCount))
        guard let found = raw.withUnsafeBytes({ FrameHeader(decoding: $0, seed: frameSeed) }) else { return nil }
        return belongs(found, at: offset) ? found : nil
    }

    /// Whether a frame was written at `offset` in the present life of the file. What an earlier life left names another
    /// segment.
    private func belongs(_ frame: FrameHeader, at offset: UInt64) -> Bool {
        let isOfThisLife = frame.place.segment == header.number || plantedBugs.contains(.staleFramesAccepted)
        return isOfThisLife && frame.place.offset == offset
    }

    /// The bytes at `offset`, which lie before the limit.
    mutating func bytes(at offset: UInt64, count: UInt64) throws(LogError) -> Bytes {
        if offset < windowStart || offset + count > windowStart + UInt64(window.count) {
            let wanted = Int(min(max(count, SegmentReader.windowBytes), limit - offset))
            let file: any File
            do { file = try opened() } catch { throw LogError(error) }
            window = try filed { () throws(FileError) in try file.read(wanted, at: offset) }
            windowStart = offset
            bytesRead += window.count
            guard UInt64(window.count) >= count else {
                throw LogError.damage(path, at: offset + UInt64(window.count), "the file ends too early")
            }
        }
        let start = Int(offset - windowStart)
        return window.slice(start..<start + Int(count))
    }
}
