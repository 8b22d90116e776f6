import BalsaPlatform
import BalsaRaft

// The bodies of the kinds that carry nothing but fields, and the fields that several kinds have. A term or an index is
// held against its bound here, where it enters, so that nothing behind has to doubt that it can be counted on.

extension Message.Body {
    /// Decodes the fields of a kind that carries nothing but fields.
    init(decoding reader: inout ByteReader, kind: WireFrameKind) throws(DecodingError) {
        switch kind {
        case .preVoteRequest:
            self = .preVoteRequest(try VoteRequest(decoding: &reader, flags: 0))
        case .preVoteResponse:
            self = .preVoteResponse(try VoteResponse(decoding: &reader))
        case .voteRequest:
            self = .voteRequest(try VoteRequest(decoding: &reader, flags: VoteRequest.transferFlag))
        case .voteResponse:
            self = .voteResponse(try VoteResponse(decoding: &reader))
        case .appendResponse:
            self = .appendResponse(try AppendResponse(decoding: &reader))
        case .heartbeat:
            self = .heartbeat(try Heartbeat(decoding: &reader))
        case .heartbeatResponse:
            self = .heartbeatResponse(try HeartbeatResponse(decoding: &reader))
        case .readRequest:
            self = .readRequest(try ReadID(decoding: &reader))
        case .readResponse:
            let read = try ReadID(decoding: &reader)
            self = .readResponse(read, try ReadAnswer(decoding: &reader))
        case .snapshot:
            self = .snapshot(SnapshotOffer(position: try LogPosition(decoding: &reader, "snapshot position")))
        case .timeoutNow:
            let last = try LogPosition(decoding: &reader, "timeout last position")
            guard last.index > 0 else {
                throw DecodingError(.outOfBounds, "timeout last position index", at: reader.offset - 8)
            }
            self = .timeoutNow(last)
        case .checkpointRequest:
            self = .checkpointRequest(try CheckpointRequest(decoding: &reader))
        case .notice:
            self = .notice(try LeaderNotice(decoding: &reader))
        default:
            throw DecodingError(.outOfBounds, "frame kind", at: 6)
        }
    }
}

extension ByteReader {
    /// The next eight bytes, a term or an index.
    mutating func boundedNumber(_ field: StaticString) throws(DecodingError) -> UInt64 {
        let start = offset
        let number = try uint64(field)
        guard number <= largestNumber else { throw DecodingError(.outOfBounds, field, at: start) }
        return number
    }
}

extension LogPosition {
    /// Decodes a term and an index.
    init(decoding reader: inout ByteReader, _ field: StaticString) throws(DecodingError) {
        let term = try reader.boundedNumber(field)
        self.init(term: term, index: try reader.boundedNumber(field))
    }
}

extension VoteRequest {
    /// - Parameter known: the flags that the kind may have.
    fileprivate init(decoding reader: inout ByteReader, flags known: UInt8) throws(DecodingError) {
        let last = try LogPosition(decoding: &reader, "vote last position")
        let campaign = try reader.uint64("vote campaign")
        let start = reader.offset
        let flags = try reader.uint8("vote flags")
        guard flags & ~known == 0 else { throw DecodingError(.outOfBounds, "vote flags", at: start) }
        self.init(last: last, campaign: campaign, flags: flags)
    }
}

extension VoteResponse {
    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        let start = reader.offset
        let granted = try reader.uint8("vote granted")
        guard granted <= 1 else { throw DecodingError(.outOfBounds, "vote granted", at: start) }
        self.init(isGranted: granted == 1, campaign: try reader.uint64("vote campaign"))
    }
}

extension AppendResponse {
    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        let start = reader.offset
        let code = try reader.uint8("append answer")
        guard (BodyCode.accepted...BodyCode.stale).contains(code) else {
            throw DecodingError(.outOfBounds, "append answer", at: start)
        }
        let round = try reader.uint64("append round")
        let sentAt = Instant(nanoseconds: try reader.uint64("append time"))
        let syncTime = TimeSpan(nanoseconds: try reader.uint64("append sync time"))
        let digestAt = reader.offset
        let digest = try StateDigest(decoding: &reader)
        guard digest.index > 0 || digest.value == 0 else {
            throw DecodingError(.inconsistent, "digest", at: digestAt + 8)
        }
        let receivedIndex = try reader.boundedNumber("received index")
        switch code {
        case BodyCode.accepted:
            self = .accepted(through: try reader.boundedNumber("append accepted index"))
        case BodyCode.rejected:
            let previous = try reader.boundedNumber("append rejected index")
            self = .rejected(previous: previous, hint: try LogPosition(decoding: &reader, "append hint"))
        default:
            self = .stale
        }
        self.round = round
        self.sentAt = sentAt
        self.syncTime = syncTime
        self.digest = digest.index == 0 ? nil : digest
        self.receivedIndex = receivedIndex
    }
}

extension StateDigest {
    /// Decodes an index, 0 for no digest, and the digest.
    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        let index = try reader.boundedNumber("digest index")
        self.init(index: index, value: try reader.uint64("digest"))
    }
}

extension CheckpointRequest {
    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        let start = reader.offset
        guard let reason = Reason(rawValue: try reader.uint8("checkpoint request reason")) else {
            throw DecodingError(.outOfBounds, "checkpoint request reason", at: start)
        }
        self.init(reason, atLeast: try reader.boundedNumber("checkpoint request index"))
    }
}

extension LeaderNotice {
    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        let start = reader.offset
        let notice = try reader.uint8("notice")
        switch notice {
        case BodyCode.entriesLost:
            let position = try LogPosition(decoding: &reader, "notice position")
            guard position.index > 0 else {
                throw DecodingError(.outOfBounds, "notice position index", at: reader.offset - 8)
            }
            self = .acknowledgedEntriesLost(through: position)
        case BodyCode.diverged, BodyCode.agreed:
            let digestAt = reader.offset
            let digest = try StateDigest(decoding: &reader)
            guard digest.index > 0 else { throw DecodingError(.outOfBounds, "digest index", at: digestAt) }
            self = notice == BodyCode.agreed ? .agreed(digest) : .diverged(digest)
        default:
            throw DecodingError(.outOfBounds, "notice", at: start)
        }
    }
}

extension Heartbeat {
    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        let round = try reader.uint64("heartbeat round")
        let sentAt = Instant(nanoseconds: try reader.uint64("heartbeat time"))
        self.init(round: round, sentAt: sentAt, commit: try reader.boundedNumber("heartbeat commit index"))
    }
}

extension HeartbeatResponse {
    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        let round = try reader.uint64("heartbeat round")
        self.init(round: round, sentAt: Instant(nanoseconds: try reader.uint64("heartbeat time")))
    }
}

extension ReadID {
    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        let member = try reader.uint64("read member")
        let nonce = try reader.uint64("read nonce")
        self.init(member: member, nonce: nonce, number: try reader.uint64("read number"))
    }
}

extension ReadAnswer {
    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        let start = reader.offset
        switch try reader.uint8("read answer") {
        case BodyCode.readIndex:
            self = .index(try reader.boundedNumber("read index"))
        case BodyCode.readRefused:
            self = .refused
        default:
            throw DecodingError(.outOfBounds, "read answer", at: start)
        }
    }
}
