import BalsaPlatform
import BalsaRaft
import BalsaWire

// Records of the log itself, of no group. Their payloads are told here and in `Docs/LogFormat.md`.
extension EntryKind {
    /// The opening of the member's directory from which on the records behind it are. The payload is its counter and
    /// its nonce. At the head of an opening frame it repeats the one that the log before the segment ends with.
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

extension Opening {
    /// The length of the encoded record, in bytes.
    static let recordByteCount = EntryHeader.encodedByteCount + 16

    /// The record that marks the log with this opening.
    func encodedRecord() -> Bytes { LogRecord.encoded(.openingMark, index: 0, [boot, nonce]) }

    /// The opening that a record of that kind at the beginning of `body` names; nil where it is none.
    init?(record body: Bytes) {
        guard body.count >= Opening.recordByteCount,
            let record = LogRecord(body.slice(0..<Opening.recordByteCount), kind: .openingMark),
            record.index == 0, (1...largestNumber).contains(record.numbers[0]), record.numbers[1] != 0
        else { return nil }
        self.init(boot: record.numbers[0], nonce: record.numbers[1])
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
