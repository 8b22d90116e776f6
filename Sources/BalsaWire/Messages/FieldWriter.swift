import BalsaPlatform
import BalsaRaft

/// Writes the fields of bodies. Errors give places within the whole frame.
///
/// ``version`` is the one that the two members agreed on: what a field looks like in an older version is decided where
/// it is written.
struct FieldWriter {
    /// The version of the format in which the fields are written. There is one so far.
    let version: UInt16
    private(set) var writer = ByteWriter(capacity: WireOptions.roomForFields, limit: WireOptions.roomForFields)

    init(version: UInt16) { self.version = version }

    /// Writes a byte.
    mutating func uint8(_ value: UInt8, _ field: StaticString) throws(DecodingError) { try writer.uint8(value, field) }

    /// Writes four bytes.
    mutating func uint32(_ value: UInt32, _ field: StaticString) throws(DecodingError) {
        try writer.uint32(value, field)
    }

    /// Writes eight bytes that may have any value.
    mutating func uint64(_ value: UInt64, _ field: StaticString) throws(DecodingError) {
        try writer.uint64(value, field)
    }

    /// Writes a term, an index or a length, unless it is one that no receiver accepts.
    mutating func number(_ number: UInt64, _ field: StaticString) throws(DecodingError) {
        guard number <= largestNumber else {
            throw DecodingError(.outOfBounds, field, at: WireFrameHeader.encodedByteCount + writer.count)
        }
        try writer.uint64(number, field)
    }

    /// Writes a term and an index.
    mutating func position(_ position: LogPosition, _ field: StaticString) throws(DecodingError) {
        try number(position.term, field)
        try number(position.index, field)
    }
}
