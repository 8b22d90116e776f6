/// Why bytes from disk or network could not be decoded.
public struct DecodingError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What kind of fault it is. More kinds may be added.
    public struct Reason: Equatable, Sendable, CustomStringConvertible {
        /// The kind in words.
        public let description: String

        /// The bytes end before the value does.
        public static let truncated = Reason(description: "truncated")
        /// A number is outside of what its place allows.
        public static let outOfBounds = Reason(description: "out of bounds")
        /// The checksum does not match the bytes.
        public static let checksum = Reason(description: "checksum mismatch")
        /// The first bytes are not those of this format.
        public static let magic = Reason(description: "wrong magic number")
        /// The format is newer than this release.
        public static let version = Reason(description: "unsupported format version")
        /// The parts are right and contradict each other.
        public static let inconsistent = Reason(description: "inconsistent")
    }

    /// The kind of fault.
    public let reason: Reason
    /// What was being decoded, as its format page calls it.
    public let field: StaticString
    /// Where in the decoded bytes, in bytes from their beginning.
    public let offset: Int

    /// A fault of `field` at `offset`.
    public init(_ reason: Reason, _ field: StaticString, at offset: Int) {
        self.reason = reason
        self.field = field
        self.offset = offset
    }

    /// The fault in one line.
    public var description: String { "\(field): \(reason) at byte \(offset)" }

    /// Equal in kind and place; the field is told by both.
    public static func == (left: DecodingError, right: DecodingError) -> Bool {
        left.reason == right.reason && left.offset == right.offset && left.field.description == right.field.description
    }
}

/// A cursor over bytes that came from disk or network.
///
/// Every read checks its bound first and throws ``DecodingError`` instead of trapping, so that no input can take the
/// process down; no length that was read is used before it has been held against what remains. Integers are
/// little-endian and need no alignment.
public struct ByteReader: ~Escapable {
    @usableFromInline let span: RawSpan

    @usableFromInline var position: Int

    /// The number of bytes read so far.
    @inlinable
    public var offset: Int { position }

    /// A reader at the beginning of `span`.
    @_lifetime(copy span)
    @inlinable
    public init(_ span: RawSpan) {
        self.span = span
        self.position = 0
    }

    /// The number of bytes that are left.
    @inlinable
    public var remaining: Int { span.byteCount - offset }

    /// Moves past the next `count` bytes and returns where they begin.
    @usableFromInline
    @_lifetime(self: copy self)
    mutating func take(_ count: Int, _ field: StaticString) throws(DecodingError) -> Int {
        guard count >= 0, count <= remaining else { throw DecodingError(.truncated, field, at: offset) }
        let start = offset
        position += count
        return start
    }

    /// The next little-endian integer.
    @inlinable
    @_lifetime(self: copy self)
    public mutating func read<Number: FixedWidthInteger & BitwiseCopyable>(
        _ type: Number.Type,
        _ field: StaticString
    ) throws(DecodingError) -> Number {
        let start = try take(MemoryLayout<Number>.size, field)
        return Number(littleEndian: unsafe span.unsafeLoadUnaligned(fromByteOffset: start, as: Number.self))
    }

    /// The next byte.
    @inlinable
    @_lifetime(self: copy self)
    public mutating func uint8(_ field: StaticString) throws(DecodingError) -> UInt8 { try read(UInt8.self, field) }

    /// The next two bytes.
    @inlinable
    @_lifetime(self: copy self)
    public mutating func uint16(_ field: StaticString) throws(DecodingError) -> UInt16 { try read(UInt16.self, field) }

    /// The next four bytes.
    @inlinable
    @_lifetime(self: copy self)
    public mutating func uint32(_ field: StaticString) throws(DecodingError) -> UInt32 { try read(UInt32.self, field) }

    /// The next eight bytes.
    @inlinable
    @_lifetime(self: copy self)
    public mutating func uint64(_ field: StaticString) throws(DecodingError) -> UInt64 { try read(UInt64.self, field) }

    /// A copy of the next `count` bytes.
    @_lifetime(self: copy self)
    public mutating func bytes(_ count: Int, _ field: StaticString) throws(DecodingError) -> Bytes {
        let start = try take(count, field)
        return Bytes(copying: span.extracting(start..<start + count))
    }

    /// Moves past the next `count` bytes.
    @_lifetime(self: copy self)
    public mutating func skip(_ count: Int, _ field: StaticString) throws(DecodingError) {
        _ = try take(count, field)
    }

    /// The CRC32C of the bytes `range`, counted from where the reader began.
    ///
    /// - Precondition: the range has been read or lies within what is left.
    public func checksum(of range: Range<Int>) -> UInt32 {
        span.extracting(range).withUnsafeBytes { CRC32C.checksum($0) }
    }

    /// Throws unless every byte has been read.
    public func finish(_ field: StaticString) throws(DecodingError) {
        guard remaining == 0 else { throw DecodingError(.inconsistent, field, at: offset) }
    }
}
