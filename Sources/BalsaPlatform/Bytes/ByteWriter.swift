/// Encodes binary formats front to back into memory that it owns and that can be reused.
///
/// Integers are little-endian. A writer has a limit, in bytes: a write that would pass it throws
/// ``DecodingError`` with the reason *out of bounds* and changes nothing, so that an oversized value is refused before
/// it reaches a disk or a peer.
public struct ByteWriter {
    @usableFromInline var storage: [UInt8]

    /// What has been written so far.
    @inlinable
    public var array: [UInt8] { storage }

    /// How many bytes may be written in all.
    public let limit: Int

    /// An empty writer.
    ///
    /// - Parameters:
    ///   - capacity: how many bytes to reserve memory for.
    ///   - limit: how many bytes may be written in all.
    public init(capacity: Int = 0, limit: Int = .max) {
        precondition(capacity >= 0 && limit >= 0, "neither a capacity nor a limit can be negative")
        self.limit = limit
        storage = []
        storage.reserveCapacity(min(capacity, limit))
    }

    /// The number of bytes written.
    public var count: Int { storage.count }

    /// Forgets what was written and keeps the memory.
    public mutating func removeAll() {
        storage.removeAll(keepingCapacity: true)
    }

    /// Throws where `count` more bytes would pass the limit.
    @inlinable
    func checkRoom(_ count: Int, _ field: StaticString) throws(DecodingError) {
        guard count <= limit - storage.count else { throw DecodingError(.outOfBounds, field, at: storage.count) }
    }

    /// Appends a little-endian integer.
    @inlinable
    public mutating func write<Number: FixedWidthInteger & BitwiseCopyable>(
        _ value: Number,
        _ field: StaticString
    ) throws(DecodingError) {
        try checkRoom(MemoryLayout<Number>.size, field)
        append(value)
    }

    @inlinable
    mutating func append<Number: FixedWidthInteger & BitwiseCopyable>(_ value: Number) {
        Swift.withUnsafeBytes(of: value.littleEndian) { storage.append(contentsOf: $0) }
    }

    /// Appends a byte.
    public mutating func uint8(_ value: UInt8, _ field: StaticString) throws(DecodingError) { try write(value, field) }
    /// Appends two bytes.
    public mutating func uint16(_ value: UInt16, _ field: StaticString) throws(DecodingError) {
        try write(value, field)
    }
    /// Appends four bytes.
    public mutating func uint32(_ value: UInt32, _ field: StaticString) throws(DecodingError) {
        try write(value, field)
    }
    /// Appends eight bytes.
    public mutating func uint64(_ value: UInt64, _ field: StaticString) throws(DecodingError) {
        try write(value, field)
    }

    /// Appends raw bytes.
    public mutating func bytes(_ value: Bytes, _ field: StaticString) throws(DecodingError) {
        try checkRoom(value.count, field)
        value.withUnsafeBytes { storage.append(contentsOf: $0) }
    }

    /// Appends raw bytes.
    public mutating func bytes(_ value: UnsafeRawBufferPointer, _ field: StaticString) throws(DecodingError) {
        try checkRoom(value.count, field)
        storage.append(contentsOf: value)
    }

    /// Appends `count` zero bytes.
    ///
    /// - Precondition: `count` is not negative.
    public mutating func zeros(_ count: Int, _ field: StaticString) throws(DecodingError) {
        precondition(count >= 0, "bytes cannot be taken back")
        try checkRoom(count, field)
        // A repeated element is appended byte by byte where nothing is optimized, and manifests are padded all the
        // time.
        var left = count
        while left > 0 {
            let part = min(left, ByteWriter.zeroPage.count)
            ByteWriter.zeroPage.withUnsafeBytes {
                storage.append(contentsOf: UnsafeRawBufferPointer(rebasing: $0[..<part]))
            }
            left -= part
        }
    }

    private static let zeroPage = [UInt8](repeating: 0, count: 4_096)

    /// Writes a little-endian integer over bytes written before, as a length or checksum known only afterwards is.
    ///
    /// - Precondition: the bytes have been written.
    public mutating func overwrite<Number: FixedWidthInteger & BitwiseCopyable>(_ value: Number, at offset: Int) {
        let bytes = MemoryLayout<Number>.size
        precondition(offset >= 0 && bytes <= storage.count - offset, "nothing was written there yet")
        storage.withUnsafeMutableBytes { $0.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Number.self) }
    }

    /// The CRC32C of the bytes `range` written so far.
    public func checksum(of range: Range<Int>) -> UInt32 {
        storage.withUnsafeBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }
}
