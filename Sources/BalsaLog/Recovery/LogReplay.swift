import BalsaPlatform
import BalsaRaft
import BalsaWire

/// A group as the frames replayed so far leave it.
struct ReplayedGroup: Sendable {
    var log: GroupLog
    /// The entries whose bytes were seen, from `firstSeen` to the last.
    var entries: [EntryMetadata] = []
    var firstSeen: LogIndex = 1
    /// Entries through this index are not in the files, because the segments before have been dropped. In the end they
    /// must not be needed.
    var missingThrough: LogIndex = 0

    init(group: GroupID) { log = GroupLog(group: group) }

    /// Begins with the state that the opening frame of the first segment tells.
    mutating func load(_ state: GroupState) {
        log.state = state
        entries = []
        firstSeen = state.last.index + 1
        missingThrough = state.last.index > state.base.index ? state.last.index : 0
        if state.last.index > state.base.index { log.terms.append(state.last) }
    }

    mutating func append(_ header: EntryHeader, place: LogPlace) {
        log.state.append(header)
        log.terms.append(header.position)
        log.runs.append(index: header.index, byteCount: header.entryByteCount, place: place)
        entries.append(
            EntryMetadata(
                term: header.term,
                kind: header.kind.rawValue,
                byteCount: UInt32(header.entryByteCount)
            )
        )
    }

    /// Applies a record other than an entry.
    ///
    /// - Returns: whether it fits.
    mutating func apply(_ record: ControlRecord) -> Bool {
        let index = record.position.index
        if record.kind == .truncation || record.kind == .prefixRemoval {
            guard index >= log.state.base.index, index <= log.state.last.index else { return false }
            guard log.term(at: index).map({ $0 == record.position.term }) ?? true else { return false }
        }
        log.state.apply(record)
        switch record.kind {
        case .truncation:
            log.terms.truncate(after: index)
            log.runs.truncate(after: index)
            missingThrough = min(missingThrough, index)
            if index + 1 < firstSeen {
                entries = []
                firstSeen = index + 1
            } else {
                entries.removeLast(entries.count - Int(index + 1 - firstSeen))
            }
        case .prefixRemoval:
            log.terms.compact(through: index)
            log.runs.compact(through: index)
        case .baseReset:
            log.terms.removeAll()
            log.runs.removeAll()
            entries = []
            firstSeen = index + 1
            missingThrough = 0
        default:
            break
        }
        return true
    }

    /// The result; nil where entries behind the base are missing.
    func result() -> RecoveredGroup? {
        let state = log.state
        guard missingThrough <= state.base.index else { return nil }
        let dropped = state.base.index + 1 > firstSeen ? Int(state.base.index + 1 - firstSeen) : 0
        guard dropped <= entries.count else { return nil }
        return RecoveredGroup(
            group: log.group,
            base: state.base,
            last: state.last,
            commit: max(state.base.index, min(state.commit, state.last.index)),
            lastStamp: state.stamp,
            entries: Array(entries.dropFirst(dropped))
        )
    }
}

/// What an opening frame begins with: how the log before its segment ends.
struct OpeningHead {
    /// The mark that the log had.
    var mark: DirectoryMark?
    var states: [(group: GroupID, state: GroupState)]

    /// The length of the encoded records, in bytes.
    var byteCount: Int { markByteCount + states.count * GroupState.encodedByteCount }
    private var markByteCount: Int { mark == nil ? 0 : DirectoryMark.recordByteCount }
    /// The number of records.
    var recordCount: UInt32 { UInt32(states.count) + (mark == nil ? 0 : 1) }
}

/// Replays the records of frames, in order, onto the groups.
struct LogReplay: Sendable {
    private(set) var groups = GroupTable<ReplayedGroup>()
    private(set) var entries = 0
    /// The latest mark of the log.
    var mark: DirectoryMark?

    /// The mark and the group states at the beginning of an opening frame's body.
    ///
    /// Their headers are verified; the caller has verified the checksum of the body.
    static func head(of body: Bytes) throws(DecodingError) -> OpeningHead {
        let mark = DirectoryMark(record: body)
        let start = mark == nil ? 0 : DirectoryMark.recordByteCount
        let states = try body.withUnsafeBytes { raw throws(DecodingError) in
            var states: [(group: GroupID, state: GroupState)] = []
            var offset = start
            while offset < raw.count {
                let header = try EntryHeader(decoding: raw, at: offset)
                guard header.kind == .groupState else { break }
                let start = offset + EntryHeader.encodedByteCount
                guard Int(header.payloadByteCount) <= raw.count - start else {
                    throw DecodingError(.truncated, "group state", at: start)
                }
                let payload = UnsafeRawBufferPointer(rebasing: raw[start..<start + Int(header.payloadByteCount)])
                guard let state = GroupState(header: header, payload: payload),
                    states.last.map({ $0.group < header.group }) ?? true
                else { throw DecodingError(.inconsistent, "group state", at: offset) }
                states.append((header.group, state))
                offset = start + payload.count
            }
            return states
        }
        return OpeningHead(mark: mark, states: states)
    }

    /// Begins with what the first segment tells.
    mutating func load(_ head: OpeningHead) {
        mark = head.mark
        for (group, state) in head.states {
            let slot = groups.slot(of: group, inserting: ReplayedGroup(group: group))
            groups.elements[slot].load(state)
        }
    }

    /// Whether the log is marked, and the groups are in the states, as an opening frame repeats it.
    func agrees(with head: OpeningHead) -> Bool {
        let states = head.states
        guard mark == head.mark else { return false }
        let own = groups.elements.filter { $0.log.state != GroupState() }
        guard own.count == states.count else { return false }
        for (element, told) in zip(own, states)
        where element.log.group != told.group || element.log.state != told.state {
            return false
        }
        return true
    }

    /// Applies `count` records that lie, or will lie, at `place`.
    mutating func apply(_ records: Bytes, count: UInt32, at place: LogPlace) throws(DecodingError) {
        // Decoded outside of the closure: it may not change what it captures while it throws its own type.
        var offset = 0
        var applied: UInt32 = 0
        while offset < records.count {
            let start = offset
            let header = try records.withUnsafeBytes { raw throws(DecodingError) in
                try EntryHeader(decoding: raw, at: start)
            }
            guard header.entryByteCount <= records.count - start else {
                throw DecodingError(.truncated, "record", at: start)
            }
            if header.kind == .openingMark {
                guard let found = DirectoryMark(record: records.slice(start..<records.count)) else {
                    throw DecodingError(.inconsistent, "opening mark", at: start)
                }
                mark = found
                offset += header.entryByteCount
                applied &+= 1
                continue
            }
            let recordPlace = LogPlace(segment: place.segment, offset: place.offset + UInt64(start))
            try apply(header, at: start, recordPlace)
            offset += header.entryByteCount
            applied &+= 1
        }
        guard applied == count else { throw DecodingError(.inconsistent, "frame record count", at: offset) }
    }

    private mutating func apply(_ header: EntryHeader, at offset: Int, _ place: LogPlace) throws(DecodingError) {
        let slot = groups.slot(of: header.group, inserting: ReplayedGroup(group: header.group))
        if header.kind.isEntry {
            try header.check(follows: groups.elements[slot].log.state.last, in: header.group, at: offset)
            groups.elements[slot].append(header, place: place)
            entries += 1
            return
        }
        let controls: [EntryKind] = [.truncation, .prefixRemoval, .baseReset, .commitNote]
        guard controls.contains(header.kind), header.payloadByteCount == 0 else {
            throw DecodingError(.outOfBounds, "record kind", at: offset + 48)
        }
        let record = ControlRecord(
            kind: header.kind,
            group: header.group,
            position: header.position,
            stamp: header.stamp
        )
        guard groups.elements[slot].apply(record) else { throw DecodingError(.inconsistent, "record", at: offset) }
    }

    /// Whether a record is written again where a new segment takes the place of the one that holds it. Marks and commit
    /// notes are not: the new segment says what they leave.
    private static func isFolded(_ kind: EntryKind) -> Bool { kind != .openingMark && kind != .commitNote }

    /// How many bytes of `records` are written again. A record that cannot be decoded counts with all behind it: it is
    /// found when it is applied.
    static func foldedByteCount(of records: Bytes) -> Int {
        records.withUnsafeBytes { raw in
            var count = 0
            var offset = 0
            while offset < raw.count {
                do throws(DecodingError) {
                    let header = try EntryHeader(decoding: raw, at: offset)
                    if isFolded(header.kind) { count += header.entryByteCount }
                    offset += header.entryByteCount
                } catch {
                    return count + raw.count - offset
                }
            }
            return count
        }
    }

    /// Calls `body` with each record of `records` that is written again, and where it begins in them.
    static func visitFolded(
        _ records: Bytes,
        _ body: (_ offset: Int, _ record: UnsafeRawBufferPointer) -> Void
    ) throws(DecodingError) {
        try records.withUnsafeBytes { raw throws(DecodingError) in
            var offset = 0
            while offset < raw.count {
                let header = try EntryHeader(decoding: raw, at: offset)
                guard header.entryByteCount <= raw.count - offset else {
                    throw DecodingError(.truncated, "record", at: offset)
                }
                let end = offset + header.entryByteCount
                if isFolded(header.kind) { body(offset, UnsafeRawBufferPointer(rebasing: raw[offset..<end])) }
                offset = end
            }
        }
    }

    /// The commit indexes, as notes.
    func commitNotes() -> (bytes: Bytes, records: Int) {
        let notes = groups.elements.filter { $0.log.state.commit > 0 }.map {
            ControlRecord(
                kind: .commitNote,
                group: $0.log.group,
                position: LogPosition(term: 0, index: $0.log.state.commit)
            ).encoded()
        }
        let slab = Slab.make(capacity: notes.reduce(0) { $0 + $1.count })
        for note in notes { note.withUnsafeBytes { slab.append($0) } }
        return (Bytes(slab: slab, offset: 0, count: slab.count), notes.count)
    }

    /// Notes that entries lie elsewhere now.
    ///
    /// - Parameter moves: where each one was and is, in the order of the log.
    mutating func move(_ moves: [(from: LogPlace, to: LogPlace)]) {
        guard !moves.isEmpty else { return }
        for slot in groups.elements.indices { groups.elements[slot].log.runs.move(moves) }
    }

    /// What an opening frame repeats.
    func encodedStates() -> (bytes: Bytes, records: Int) {
        GroupState.encode(groups.elements.map { ($0.log.group, $0.log.state) }, mark: mark)
    }
}
