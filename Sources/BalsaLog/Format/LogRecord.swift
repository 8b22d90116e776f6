import BalsaPlatform
import BalsaRaft
import BalsaWire

// The records that occur only inside the log. Each has the header of an entry, so that a body is walked in one way; what
// the fields mean differs by kind and is told here and in `Docs/LogFormat.md`.
extension EntryKind {
    /// The group keeps its entries through `index`, of `term`, and drops what is behind.
    package static let truncation = EntryKind(rawValue: 128)
    /// The group's entries through `index`, of `term`, are dropped: the new base.
    package static let prefixRemoval = EntryKind(rawValue: 129)
    /// The group drops all entries and goes on behind `index` and `term`; `stamp` is the stamp there.
    package static let baseReset = EntryKind(rawValue: 130)
    /// The group's entries through `index` are known to be committed.
    package static let commitNote = EntryKind(rawValue: 131)
    /// Only in opening frames: the state of a group where the log before the segment ends. `index` and `term` are those of the
    /// last entry, `stamp` its stamp; the payload is base index, base term and commit index.
    package static let groupState = EntryKind(rawValue: 132)
}

/// What the log knows of a group besides its entries.
struct GroupState: Equatable, Sendable {
    /// The position before the first entry that is kept.
    var base = LogPosition.zero
    /// The position of the last entry, or the base.
    var last = LogPosition.zero
    /// The highest commit index that was noted.
    var commit: LogIndex = 0
    /// The highest stamp of all entries.
    var stamp: UInt64 = 0

    /// The length of an encoded state with its header, in bytes.
    static let encodedByteCount = EntryHeader.encodedByteCount + payloadByteCount
    private static let payloadByteCount = 24

    /// Writes the record into the first bytes of `target`.
    private func encode(group: GroupID, into target: UnsafeMutableRawBufferPointer) {
        let start = EntryHeader.encodedByteCount
        target.storeBytes(of: base.index.littleEndian, toByteOffset: start, as: UInt64.self)
        target.storeBytes(of: base.term.littleEndian, toByteOffset: start + 8, as: UInt64.self)
        target.storeBytes(of: commit.littleEndian, toByteOffset: start + 16, as: UInt64.self)
        let payload = UnsafeRawBufferPointer(rebasing: target[start..<start + GroupState.payloadByteCount])
        let header = EntryHeader(
            group: group,
            index: last.index,
            term: last.term,
            previousTerm: 0,
            stamp: stamp,
            kind: .groupState,
            payloadByteCount: UInt32(GroupState.payloadByteCount),
            payloadChecksum: CRC32C.checksum(payload)
        )
        header.encode(into: target)
    }

    init() {}

    /// What an opening frame begins with: the mark of the latest opening, and the states by the numbers of their
    /// groups, without those that hold nothing yet.
    ///
    /// - Returns: the records and their number.
    static func encode(
        _ states: [(group: GroupID, state: GroupState)],
        mark: DirectoryMark?
    ) -> (bytes: Bytes, records: Int) {
        let told = states.filter { $0.state != GroupState() }
        let head = mark?.encodedRecord() ?? Bytes()
        let slab = Slab.filled(capacity: head.count + encodedByteCount * told.count) { target in
            head.withUnsafeBytes { target.copyMemory(from: $0) }
            for (position, element) in told.enumerated() {
                let start = head.count + position * encodedByteCount
                let part = UnsafeMutableRawBufferPointer(rebasing: target[start..<start + encodedByteCount])
                element.state.encode(group: element.group, into: part)
            }
            return target.count
        }
        return (Bytes(slab: slab, offset: 0, count: slab.count), told.count + (mark == nil ? 0 : 1))
    }

    /// The state that a record of that header and payload holds, or nil where it holds none.
    init?(header: EntryHeader, payload: UnsafeRawBufferPointer) {
        guard payload.count == GroupState.payloadByteCount else { return nil }
        func number(_ place: Int) -> UInt64 {
            UInt64(littleEndian: payload.loadUnaligned(fromByteOffset: place, as: UInt64.self))
        }
        last = header.position
        base = LogPosition(term: number(8), index: number(0))
        commit = number(16)
        stamp = header.stamp
        guard base.index <= last.index, base.term <= last.term, commit <= largestNumber else { return nil }
    }
}

/// A change of a group other than an append, as it is staged and written.
struct ControlRecord: Equatable, Sendable {
    var kind: EntryKind
    var group: GroupID
    var position: LogPosition
    var stamp: UInt64 = 0

    /// The encoded record.
    func encoded() -> Bytes {
        let slab = Slab.filled(capacity: EntryHeader.encodedByteCount) { target in
            encode(into: target)
            return EntryHeader.encodedByteCount
        }
        return Bytes(slab: slab, offset: 0, count: slab.count)
    }

    /// Writes the record into the first bytes of `target`.
    func encode(into target: UnsafeMutableRawBufferPointer) {
        let header = EntryHeader(
            group: group,
            index: position.index,
            term: position.term,
            previousTerm: 0,
            stamp: stamp,
            kind: kind,
            payloadChecksum: 0
        )
        header.encode(into: target)
    }
}
