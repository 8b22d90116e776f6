import BalsaPlatform

/// Where the parts of an encoded command lie.
///
/// Apply reads a command where it is, in the bytes of its entry: the layout is numbers and ranges, and decoding it neither
/// copies nor allocates.
struct CommandLayout {
    static let version: UInt8 = 1
    /// The bytes before the operation: version, kind, session, number, lowest outstanding number.
    static let headerByteCount = 26

    var kind: CommandKind
    var identity: RequestIdentity
    var lowestOutstanding: UInt64
    /// The key; the lower bound of a range.
    var key = 0..<0
    /// The value to be put or appended; the upper bound of a range, empty for none; the encoded options.
    var value = 0..<0
    var condition = ConditionKind.absent
    /// The value that is expected.
    var expectedValue = 0..<0
    /// The revision that is expected.
    var expectedRevision: UInt64 = 0
    var change = ChangeKind.put
    /// What a counter is to be increased by.
    var amount: Int64 = 0

    /// The layout of the command that `bytes` are.
    init(of bytes: UnsafeRawBufferPointer) throws(CommandError) {
        do throws(LayoutError) {
            var reader = ByteReader(bytes.bytes)
            self = try CommandLayout(from: &reader)
        } catch {
            switch error {
            case .malformed(let error): throw .malformed(error)
            case .unknown: throw .unknown(version: bytes[0], kind: bytes.count > 1 ? bytes[1] : 0)
            }
        }
    }

    /// The identity of the command that `bytes` are; nil where they are too short or of another version. The header of a
    /// version is the same for all kinds, so that requests of a kind that this release does not know have one, too.
    static func identity(of bytes: UnsafeRawBufferPointer) -> RequestIdentity? {
        guard bytes.count >= headerByteCount, bytes[0] == version else { return nil }
        let session = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt64.self))
        let number = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 10, as: UInt64.self))
        return RequestIdentity(session: SessionID(rawValue: session), number: number)
    }

    private enum LayoutError: Error {
        case unknown
        case malformed(BalsaPlatform.DecodingError)
    }

    private init(from reader: inout ByteReader) throws(LayoutError) {
        let version = try CommandLayout.uint8(&reader, "version")
        guard version <= CommandLayout.version else { throw .unknown }
        // No release writes 0: it is damage, and no upgrade helps.
        guard version > 0 else { throw .malformed(DecodingError(.outOfBounds, "version", at: 0)) }
        guard let kind = CommandKind(rawValue: try CommandLayout.uint8(&reader, "kind")) else { throw .unknown }
        self.kind = kind
        let session = SessionID(rawValue: try CommandLayout.uint64(&reader, "session"))
        identity = RequestIdentity(session: session, number: try CommandLayout.uint64(&reader, "number"))
        lowestOutstanding = try CommandLayout.uint64(&reader, "lowest outstanding number")
        switch kind {
        case .openSession, .closeSession:
            break
        case .put, .append, .deleteRange:
            key = try CommandLayout.part(&reader, "key")
            value = try CommandLayout.part(&reader, "value")
        case .delete:
            key = try CommandLayout.part(&reader, "key")
        case .compareAndSet:
            key = try CommandLayout.part(&reader, "key")
            try readComparison(from: &reader)
        case .add:
            key = try CommandLayout.part(&reader, "key")
            amount = Int64(bitPattern: try CommandLayout.uint64(&reader, "amount"))
        case .changeOptions:
            expectedRevision = try CommandLayout.uint64(&reader, "expected revision")
            value = try CommandLayout.options(&reader)
        }
        do { try reader.finish("command") } catch { throw .malformed(error) }
    }

    private mutating func readComparison(from reader: inout ByteReader) throws(LayoutError) {
        guard let condition = ConditionKind(rawValue: try CommandLayout.uint8(&reader, "condition")) else {
            throw .unknown
        }
        self.condition = condition
        switch condition {
        case .absent: break
        case .revision: expectedRevision = try CommandLayout.uint64(&reader, "expected revision")
        case .value: expectedValue = try CommandLayout.part(&reader, "expected value")
        }
        guard let change = ChangeKind(rawValue: try CommandLayout.uint8(&reader, "change")) else { throw .unknown }
        self.change = change
        if change == .put { value = try CommandLayout.part(&reader, "value") }
    }

    /// The range of encoded options. Those of a newer release are unknown like a newer command.
    private static func options(_ reader: inout ByteReader) throws(LayoutError) -> Range<Int> {
        let start = reader.offset
        do {
            _ = try ReplicatedOptions(decoding: &reader)
        } catch {
            throw error.reason == .version ? .unknown : .malformed(error)
        }
        return start..<reader.offset
    }

    private static func uint8(_ reader: inout ByteReader, _ field: StaticString) throws(LayoutError) -> UInt8 {
        do { return try reader.uint8(field) } catch { throw .malformed(error) }
    }

    private static func uint64(_ reader: inout ByteReader, _ field: StaticString) throws(LayoutError) -> UInt64 {
        do { return try reader.uint64(field) } catch { throw .malformed(error) }
    }

    /// The range of the next part, which stands behind its length in four bytes.
    private static func part(_ reader: inout ByteReader, _ field: StaticString) throws(LayoutError) -> Range<Int> {
        do {
            let count = Int(try reader.uint32(field))
            let start = reader.offset
            try reader.skip(count, field)
            return start..<start + count
        } catch {
            throw .malformed(error)
        }
    }
}
