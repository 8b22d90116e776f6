import BalsaPlatform
import BalsaRaft
import BalsaWire

// Records of the log itself, of no group. Their payloads are told here and in `Docs/LogFormat.md`.
extension EntryKind {
    /// The opening of the member's directory from which on the records behind it are, and which changes of VOTE and
    /// BOOT were durable: a ``DirectoryMark``. At the head of an opening frame it repeats the one that the log before
    /// the segment ends with.
    package static let openingMark = EntryKind(rawValue: 133)
    /// Only in continuation frames: `index` is the number of the segment in which the log goes on, the payload its
    /// salt.
    package static let continuation = EntryKind(rawValue: 134)
}

/// The segment in which the log goes on, as the one before it names it.
struct Continuation: Equatable, Sendable {
    var segment: UInt64
    var salt: UInt64

    /// The length of the encoded record, in bytes.
    static let encodedByteCount = EntryHeader.encodedByteCount + 8

    /// How many bytes of a segment are kept free for the frame that ends it.
    static func reservedBytes(sectorBytes: UInt32) -> UInt64 {
        UInt64(FrameHeader.encodedByteCount + encodedByteCount).roundedUp(to: UInt64(sectorBytes))
    }

    /// The record.
    func encoded() -> Bytes { LogRecord.encoded(.continuation, index: segment, [salt]) }

    /// The record that is all of `body`; nil where it is none.
    init?(body: Bytes) {
        guard body.count == Continuation.encodedByteCount,
            let record = LogRecord(body, kind: .continuation), (1...largestNumber).contains(record.index)
        else { return nil }
        self.init(segment: record.index, salt: record.numbers[0])
    }

    init(segment: UInt64, salt: UInt64) {
        self.segment = segment
        self.salt = salt
    }
}

/// What the log says of the member's other files: they are at least as new as this, or they are older copies.
///
/// What it names was durable when the record was built. So a crash never leaves a file that is older.
public struct DirectoryMark: Hashable, Sendable {
    /// The latest opening of the directory.
    public var opening: Opening
    /// The sequence of VOTE; 0 for none.
    public var voteSequence: UInt64
    /// The revision of BOOT; 0 for none.
    public var bootRevision: UInt64

    /// A mark.
    public init(opening: Opening, voteSequence: UInt64 = 0, bootRevision: UInt64 = 0) {
        self.opening = opening
        self.voteSequence = voteSequence
        self.bootRevision = bootRevision
    }

    /// The length of the encoded record, in bytes.
    static let recordByteCount = EntryHeader.encodedByteCount + 32

    /// The record that marks the log.
    func encodedRecord() -> Bytes {
        LogRecord.encoded(.openingMark, index: 0, [opening.boot, opening.nonce, voteSequence, bootRevision])
    }

    /// The mark that a record of that kind at the beginning of `body` holds; nil where it is none.
    init?(record body: Bytes) {
        guard body.count >= DirectoryMark.recordByteCount,
            let record = LogRecord(body.slice(0..<DirectoryMark.recordByteCount), kind: .openingMark),
            record.index == 0, (1...largestNumber).contains(record.numbers[0]), record.numbers[1] != 0,
            record.numbers[2] <= largestNumber, record.numbers[3] <= largestNumber
        else { return nil }
        self.init(
            opening: Opening(boot: record.numbers[0], nonce: record.numbers[1]),
            voteSequence: record.numbers[2],
            bootRevision: record.numbers[3]
        )
    }
}

/// A record of no group: an index and a few numbers.
private struct LogRecord {
    var index: UInt64
    var numbers: [UInt64]

    static func encoded(_ kind: EntryKind, index: UInt64, _ numbers: [UInt64]) -> Bytes {
        let start = EntryHeader.encodedByteCount
        let slab = Slab.filled(capacity: start + 8 * numbers.count) { target in
            for (place, number) in numbers.enumerated() {
                target.storeBytes(of: number.littleEndian, toByteOffset: start + 8 * place, as: UInt64.self)
            }
            let payload = UnsafeRawBufferPointer(rebasing: target[start..<start + 8 * numbers.count])
            let header = EntryHeader(
                group: 0,
                index: index,
                term: 0,
                previousTerm: 0,
                stamp: 0,
                kind: kind,
                payloadByteCount: UInt32(payload.count),
                payloadChecksum: CRC32C.checksum(payload)
            )
            header.encode(into: target)
            return target.count
        }
        return Bytes(slab: slab, offset: 0, count: slab.count)
    }

    /// The record that is all of `bytes`; nil where it is none of that kind.
    init?(_ bytes: Bytes, kind: EntryKind) {
        let start = EntryHeader.encodedByteCount
        let read = bytes.withUnsafeBytes { raw -> (UInt64, [UInt64])? in
            let header: EntryHeader
            do throws(DecodingError) { header = try EntryHeader(decoding: raw) } catch { return nil }
            guard header.kind == kind, header.group == 0, Int(header.payloadByteCount) == raw.count - start else {
                return nil
            }
            let numbers = stride(from: start, to: raw.count, by: 8).map {
                UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: $0, as: UInt64.self))
            }
            return (header.index, numbers)
        }
        // Nothing else in the record may differ from what is written.
        guard let read, LogRecord.encoded(kind, index: read.0, read.1) == bytes else { return nil }
        (index, numbers) = read
    }
}
