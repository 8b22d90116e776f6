import BalsaPlatform

extension ReplicatedState {
    /// Reads a state back. Everything that the page says of it is checked, and no room is made for what does not fit into
    /// the bytes.
    init(decoding bytes: Bytes) throws(BalsaPlatform.DecodingError) {
        try ReplicatedState.check(bytes)
        self = try bytes.withReader { reader throws(BalsaPlatform.DecodingError) in
            try ReplicatedState(from: &reader)
        }
    }

    /// Checks what must be right before anything else is believed: magic number, version, and the checksum at the end.
    private static func check(_ bytes: Bytes) throws(BalsaPlatform.DecodingError) {
        try bytes.withReader { reader throws(BalsaPlatform.DecodingError) in
            guard try reader.uint32("magic") == magic else { throw DecodingError(.magic, "magic", at: 0) }
            // The version is looked at before the checksum, because a newer format may have it elsewhere.
            let version = try reader.uint16("version")
            guard version <= self.version else { throw DecodingError(.version, "version", at: 4) }
            guard version > 0 else { throw DecodingError(.outOfBounds, "version", at: 4) }
            guard bytes.count >= headerByteCount + 12 else { throw DecodingError(.truncated, "state", at: bytes.count) }
            let end = bytes.count - 4
            try reader.skip(end - reader.offset, "state")
            let checksum = reader.checksum(of: 0..<end)
            guard try reader.uint32("checksum") == checksum else { throw DecodingError(.checksum, "checksum", at: end) }
        }
    }

    private init(from reader: inout ByteReader) throws(BalsaPlatform.DecodingError) {
        try reader.skip(6, "magic and version")
        guard try reader.uint16("reserved") == 0 else { throw DecodingError(.outOfBounds, "reserved", at: 6) }
        let cluster = try reader.uniqueID("cluster")
        let position = KeyValuePosition(
            index: try reader.uint64("index"),
            term: try reader.uint64("term"),
            stamp: try reader.uint64("stamp")
        )
        let digest = MutationDigest(value: try reader.uint64("digest"))
        let mark = try reader.uint64("retention mark")
        let revision = try reader.uint64("options revision")
        guard revision <= position.index else { throw DecodingError(.inconsistent, "options revision", at: 64) }
        let start = reader.offset
        let options = try ReplicatedOptions(decoding: &reader)
        guard options.formatFault == nil else { throw DecodingError(.outOfBounds, "options", at: start) }
        self.init(cluster: cluster, options: options, revision: revision)
        self.position = position
        self.digest = digest
        retention = try ReplicatedState.retention(from: &reader, mark: mark, position: position)
        try readSessions(from: &reader)
        try reader.skip(4, "checksum")
        try reader.finish("state")
    }

    private static func retention(
        from reader: inout ByteReader,
        mark: UInt64,
        position: KeyValuePosition
    ) throws(BalsaPlatform.DecodingError) -> RetentionMark {
        var samples: [RetentionMark.Sample] = []
        for _ in 0..<(try reader.uint32("samples")) {
            let offset = reader.offset
            let sample = RetentionMark.Sample(
                stamp: try reader.uint64("sample stamp"),
                index: try reader.uint64("sample index")
            )
            let isInOrder = samples.last.map { $0.stamp < sample.stamp && $0.index < sample.index } ?? true
            guard isInOrder, sample.stamp <= position.stamp, sample.index <= position.index else {
                throw DecodingError(.inconsistent, "sample", at: offset)
            }
            samples.append(sample)
        }
        guard mark <= position.index else { throw DecodingError(.inconsistent, "retention mark", at: 56) }
        return RetentionMark(index: mark, samples: samples)
    }

    private mutating func readSessions(from reader: inout ByteReader) throws(BalsaPlatform.DecodingError) {
        var last: SessionTable.Session?
        for _ in 0..<(try reader.uint32("sessions")) {
            let offset = reader.offset
            let session = try readSession(from: &reader)
            let isInOrder =
                last.map { $0.lastIndex < session.lastIndex && $0.lastStamp <= session.lastStamp } ?? true
            guard isInOrder, session.id >= 1, session.id <= session.lastIndex, session.lastIndex <= position.index,
                session.lastStamp <= position.stamp, !sessions.contains(session.id)
            else {
                throw DecodingError(.inconsistent, "session", at: offset)
            }
            sessions.insert(session)
            last = session
        }
        guard sessions.count <= options.maxSessions,
            sessions.replyCount <= options.maxReplyBytes / ReplyWindow.replyByteCount
        else {
            throw DecodingError(.inconsistent, "sessions", at: reader.offset)
        }
    }

    private func readSession(
        from reader: inout ByteReader
    ) throws(BalsaPlatform.DecodingError) -> SessionTable.Session {
        var session = SessionTable.Session(
            id: try reader.uint64("session"),
            lastIndex: try reader.uint64("last index"),
            lastStamp: try reader.uint64("last stamp"),
            lowest: try reader.uint64("lowest number"),
            window: UInt64(try reader.uint32("window"))
        )
        // The replies of each session fit into what all may take.
        guard session.window >= 1, session.window <= UInt64(options.maxReplyBytes / ReplyWindow.replyByteCount) else {
            throw DecodingError(.outOfBounds, "window", at: reader.offset - 4)
        }
        var lastNumber: UInt64?
        for _ in 0..<(try reader.uint32("replies")) {
            let offset = reader.offset
            let number = try reader.uint64("number")
            let outcome = CommandReply.Outcome(rawValue: try reader.uint8("outcome"))
            let flags = try reader.uint8("flags")
            let revision = try reader.uint64("revision")
            let value = Int64(bitPattern: try reader.uint64("value"))
            let isInOrder = lastNumber.map { $0 < number } ?? true
            guard isInOrder, number >= session.lowest, number - session.lowest < session.window,
                outcome.isKnown, flags <= 1, flags == 1 || value == 0, revision <= session.lastIndex
            else {
                throw DecodingError(.inconsistent, "reply", at: offset)
            }
            let reply = CommandReply(outcome, revision: revision, number: flags == 1 ? value : nil)
            session.replies.insert(reply, to: number)
            lastNumber = number
        }
        return session
    }
}
