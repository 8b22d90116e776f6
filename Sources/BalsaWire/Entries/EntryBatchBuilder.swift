import BalsaPlatform
import BalsaRaft

extension EntryBatch {
    /// Makes entries: the leader's side, where a command is encoded once for every log and every peer.
    ///
    /// Headers and payloads are laid into one slab, so that an entry costs one copy of its payload and no allocation.
    ///
    /// ```swift
    /// var builder = EntryBatch.Builder(group: 1, previous: log.last(1), capacityBytes: 4_096)
    /// builder.append(term: 7, stamp: now, kind: .command, payload: command, payloadChecksum: checksum)
    /// let batch = builder.finish()
    /// ```
    public struct Builder {
        private let group: GroupID
        private var slab: Slab
        private var starts: [UInt32] = []
        /// The position of the last entry that was appended, or the one that the first will follow.
        public private(set) var last: LogPosition

        /// An empty builder.
        ///
        /// - Parameters:
        ///   - group: the group of the entries.
        ///   - previous: the position that the first entry follows.
        ///   - capacityBytes: how many bytes of entries to reserve memory for; more can be appended.
        public init(group: GroupID, previous: LogPosition, capacityBytes: Int) {
            self.group = group
            last = previous
            slab = Slab.make(capacity: max(capacityBytes, EntryHeader.encodedByteCount))
        }

        /// Whether nothing has been appended.
        public var isEmpty: Bool { starts.isEmpty }

        /// The number of entries appended.
        public var count: Int { starts.count }

        /// The length of the entries appended, in bytes.
        public var byteCount: Int { slab.count }

        /// Appends an entry behind the last.
        ///
        /// - Parameters:
        ///   - term: the leader's term.
        ///   - stamp: the leader's logical time, in nanoseconds.
        ///   - kind: what the entry is for.
        ///   - flags: for the kind's own use.
        ///   - payload: the encoded command or configuration.
        ///   - payloadChecksum: the payload's CRC32C, where the caller's thread has computed it already.
        /// - Precondition: the term is not lower than that of the entry before, the kind is one of entries, and all
        ///   entries together are not longer than ``EntryBatch/maxByteCount``.
        public mutating func append(
            term: Term,
            stamp: UInt64,
            kind: EntryKind,
            flags: UInt8 = 0,
            payload: Bytes = Bytes(),
            payloadChecksum: UInt32? = nil
        ) {
            precondition(term >= 1 && term >= last.term && term <= largestNumber, "the term of an entry never falls")
            precondition(kind.isEntry, "records of the log's own are not entries")
            precondition(last.index < largestNumber, "the log has come to its end")
            let header = EntryHeader(
                group: group,
                index: last.index + 1,
                term: term,
                previousTerm: last.term,
                stamp: stamp,
                kind: kind,
                flags: flags,
                payloadByteCount: UInt32(payload.count),
                payloadChecksum: payloadChecksum ?? CRC32C.checksum(payload)
            )
            makeRoom(header.entryByteCount)
            starts.append(UInt32(slab.count))
            withUnsafeTemporaryAllocation(byteCount: EntryHeader.encodedByteCount, alignment: 8) { target in
                header.encode(into: target)
                slab.append(UnsafeRawBufferPointer(target))
            }
            payload.withUnsafeBytes { slab.append($0) }
            last = header.position
        }

        /// The batch of all entries appended. The builder must not be used afterwards.
        ///
        /// - Precondition: something was appended.
        public consuming func finish() -> EntryBatch {
            precondition(!starts.isEmpty, "a batch holds at least one entry")
            starts.append(UInt32(slab.count))
            let bytes = Bytes(slab: slab, offset: 0, count: slab.count)
            return EntryBatch(verified: bytes, starts: starts, window: 0..<starts.count - 1)
        }

        /// Moves to a larger slab when `count` more bytes do not fit.
        private mutating func makeRoom(_ count: Int) {
            let needed = slab.count + count
            precondition(needed <= EntryBatch.maxByteCount, "a batch is at most 1 GiB long")
            guard needed > slab.capacity else { return }
            let larger = Slab.make(capacity: max(needed, 2 * slab.capacity))
            slab.withUnsafeBytes { larger.append($0) }
            slab = larger
        }
    }
}
