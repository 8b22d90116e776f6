import BalsaPlatform

/// What distinguishes a frame.
package struct FrameFlags: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The first frame of a segment. Its *durable through* is also where the log before this segment ends.
    static let opening = FrameFlags(rawValue: 1)
    /// A frame without entries and changes, written when everything before it was durable.
    static let seal = FrameFlags(rawValue: 2)
    /// The last frame of a segment: it names the segment in which the log goes on.
    static let continuation = FrameFlags(rawValue: 4)
    /// The combinations that are written. An opening frame is no seal: recovery writes a seal once more in its place, and
    /// what an opening frame says may be nowhere else.
    static let combinations: [FrameFlags] = [[], .opening, .seal, .continuation]
}

/// The first 56 bytes of a frame, the unit that is written at once. `Docs/LogFormat.md` has the layout.
///
/// The header has its own checksum, so that the length in it is believed only after that has been verified, and it
/// holds the body's. It names its own place, and its checksum begins with the salt of the segment, so that what an
/// earlier use of a recycled file left behind is told apart.
package struct FrameHeader: Equatable, Sendable {
    /// What distinguishes the frame.
    package var flags: FrameFlags
    /// Where the frame begins.
    package var place: LogPlace
    /// Up to where everything was known to be durable when the frame was built.
    package var durableThrough: LogPlace
    /// The length of the body, in bytes.
    package var bodyByteCount: UInt32
    /// The number of records in the body.
    package var recordCount: UInt32
    /// The checksum of the body, a ``BodyChecksum``.
    package var bodyChecksum: UInt32

    /// `BFRM`.
    static let magic: UInt32 = 0x4d52_4642
    /// The length of the encoded header, in bytes.
    static let encodedByteCount = 56

    /// Writes the encoded header into the first 56 bytes of `target`.
    ///
    /// - Parameter seed: with what its checksum begins, ``SegmentHeader/frameSeed``.
    func encode(into target: UnsafeMutableRawBufferPointer, seed: UInt32) {
        target.storeBytes(of: FrameHeader.magic.littleEndian, toByteOffset: 0, as: UInt32.self)
        target.storeBytes(of: flags.rawValue.littleEndian, toByteOffset: 4, as: UInt32.self)
        target.storeBytes(of: place.segment.littleEndian, toByteOffset: 8, as: UInt64.self)
        target.storeBytes(of: place.offset.littleEndian, toByteOffset: 16, as: UInt64.self)
        target.storeBytes(of: durableThrough.segment.littleEndian, toByteOffset: 24, as: UInt64.self)
        target.storeBytes(of: durableThrough.offset.littleEndian, toByteOffset: 32, as: UInt64.self)
        target.storeBytes(of: bodyByteCount.littleEndian, toByteOffset: 40, as: UInt32.self)
        target.storeBytes(of: recordCount.littleEndian, toByteOffset: 44, as: UInt32.self)
        target.storeBytes(of: bodyChecksum.littleEndian, toByteOffset: 48, as: UInt32.self)
        let checksum = CRC32C.extend(seed, with: UnsafeRawBufferPointer(rebasing: target[0..<52]))
        target.storeBytes(of: checksum.littleEndian, toByteOffset: 52, as: UInt32.self)
    }

    /// The header at `offset` of `raw`, or nil where no header with a matching checksum lies there.
    package init?(decoding raw: UnsafeRawBufferPointer, at offset: Int = 0, seed: UInt32) {
        guard offset >= 0, raw.count - offset >= FrameHeader.encodedByteCount else { return nil }
        func number(_ place: Int) -> UInt64 {
            UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset + place, as: UInt64.self))
        }
        func half(_ place: Int) -> UInt32 {
            UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: offset + place, as: UInt32.self))
        }
        guard half(0) == FrameHeader.magic else { return nil }
        let checked = UnsafeRawBufferPointer(rebasing: raw[offset..<offset + 52])
        guard CRC32C.extend(seed, with: checked) == half(52) else { return nil }
        self.init(
            flags: FrameFlags(rawValue: half(4)),
            place: LogPlace(segment: number(8), offset: number(16)),
            durableThrough: LogPlace(segment: number(24), offset: number(32)),
            bodyByteCount: half(40),
            recordCount: half(44),
            bodyChecksum: half(48)
        )
    }

    init(
        flags: FrameFlags,
        place: LogPlace,
        durableThrough: LogPlace,
        bodyByteCount: UInt32,
        recordCount: UInt32,
        bodyChecksum: UInt32
    ) {
        self.flags = flags
        self.place = place
        self.durableThrough = durableThrough
        self.bodyByteCount = bodyByteCount
        self.recordCount = recordCount
        self.bodyChecksum = bodyChecksum
    }

    /// The length of header and body, in bytes.
    var usedByteCount: UInt64 { UInt64(FrameHeader.encodedByteCount) + UInt64(bodyByteCount) }

    /// Where the next frame begins.
    func end(sectorBytes: UInt32) -> UInt64 {
        place.offset + usedByteCount.roundedUp(to: UInt64(sectorBytes))
    }
}

extension UInt64 {
    /// The smallest multiple of `unit` that is not smaller.
    ///
    /// - Precondition: it can be represented, which holds for sums of a file offset and a 32-bit length.
    func roundedUp(to unit: UInt64) -> UInt64 { (self + unit - 1) / unit * unit }
}
