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
    /// The latest opening that the log was marked with.
    var mark: Opening?
    var states: [(group: GroupID, state: GroupState)]

    /// The length of the encoded records, in bytes.
    var byteCount: Int { (mark == nil ? 0 : Opening.recordByteCount) + states.count * GroupState.encodedByteCount }
    /// The number of records.
    var recordCount: UInt32 { UInt32(states.count) + (mark == nil ? 0 : 1) }
}

/// Replays the records of frames, in order, onto the groups.
struct LogReplay: Sendable {
    private(set) var groups = GroupTable<ReplayedGroup>()
    private(set) var entries = 0
    /// The latest opening that the log is marked with.
    var mark: Opening?

    /// The mark and the group states at the beginning of an opening frame's body.
    ///
    /// Their headers are verified; the caller has verified the checksum of the body.
    static func head(of body: Bytes) throws(DecodingError) -> OpeningHead {
        let mark = Opening(record: body)
        let start = mark == nil ? 0 : Opening.recordByteCount
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
                guard let found = Opening(record: records.slice(start..<records.count)) else {
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

    /// What an opening frame repeats.
    func encodedStates() -> (bytes: Bytes, records: Int) {
        GroupState.encode(groups.elements.map { ($0.log.group, $0.log.state) }, mark: mark)
    }
}
