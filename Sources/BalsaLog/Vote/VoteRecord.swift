import BalsaPlatform
import BalsaRaft

/// One of the two copies in a vote file. `Docs/VoteFormat.md` has the layout.
package struct VoteRecord: Equatable, Sendable {
    /// The group.
    package var group: GroupID
    /// Counts the changes: of two valid copies the one with the higher sequence is the newer.
    package var sequence: UInt64
    /// What is remembered.
    package var state: HardState

    /// `BALSAVOT`.
    static let magic: UInt64 = 0x544f_5641_534c_4142
    /// The version of the format that this release writes, and the newest that it reads.
    static let version: UInt32 = 1
    /// The length of the encoded record, in bytes.
    static let encodedByteCount = 52

    /// The encoded record.
    package func encoded() -> Bytes {
        let slab = Slab.filled(capacity: VoteRecord.encodedByteCount) { target in
            target.storeBytes(of: VoteRecord.magic.littleEndian, toByteOffset: 0, as: UInt64.self)
            target.storeBytes(of: VoteRecord.version.littleEndian, toByteOffset: 8, as: UInt32.self)
            target.storeBytes(of: 0, toByteOffset: 12, as: UInt32.self)
            target.storeBytes(of: group.littleEndian, toByteOffset: 16, as: UInt64.self)
            target.storeBytes(of: sequence.littleEndian, toByteOffset: 24, as: UInt64.self)
            target.storeBytes(of: state.term.littleEndian, toByteOffset: 32, as: UInt64.self)
            target.storeBytes(of: state.vote.littleEndian, toByteOffset: 40, as: UInt64.self)
            let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: target[0..<48]))
            target.storeBytes(of: checksum.littleEndian, toByteOffset: 48, as: UInt32.self)
            return target.count
        }
        return Bytes(slab: slab, offset: 0, count: slab.count)
    }

    /// Decodes the record at the beginning of `bytes`.
    ///
    /// The version is looked at before the checksum, because a newer format may have it elsewhere.
    package init(decoding bytes: Bytes) throws(DecodingError) {
        self = try bytes.withReader { reader throws(DecodingError) in
            guard try reader.uint64("vote magic") == VoteRecord.magic else {
                throw DecodingError(.magic, "vote magic", at: 0)
            }
            let version = try reader.uint32("vote version")
            guard version <= VoteRecord.version else { throw DecodingError(.version, "vote version", at: 8) }
            guard version > 0 else { throw DecodingError(.outOfBounds, "vote version", at: 8) }
            let reserved = try reader.uint32("vote reserved bytes")
            let group = try reader.uint64("vote group")
            let sequence = try reader.uint64("vote sequence")
            let term = try reader.uint64("vote term")
            let vote = try reader.uint64("vote member")
            let stored = try reader.uint32("vote checksum")
            guard reader.checksum(of: 0..<48) == stored else { throw DecodingError(.checksum, "vote checksum", at: 48) }
            guard reserved == 0 else { throw DecodingError(.outOfBounds, "vote reserved bytes", at: 12) }
            guard term <= largestNumber else { throw DecodingError(.outOfBounds, "vote term", at: 32) }
            guard sequence <= largestNumber else { throw DecodingError(.outOfBounds, "vote sequence", at: 24) }
            return VoteRecord(group: group, sequence: sequence, state: HardState(term: term, vote: vote))
        }
    }

    package init(group: GroupID, sequence: UInt64, state: HardState) {
        self.group = group
        self.sequence = sequence
        self.state = state
    }
}
