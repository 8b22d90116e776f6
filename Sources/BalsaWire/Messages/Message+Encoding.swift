import BalsaPlatform
import BalsaRaft

extension Message.Body {
    /// The kind of frame that carries the message.
    var wireKind: WireFrameKind {
        switch self {
        case .preVoteRequest: .preVoteRequest
        case .preVoteResponse: .preVoteResponse
        case .voteRequest: .voteRequest
        case .voteResponse: .voteResponse
        case .append: .append
        case .appendResponse: .appendResponse
        case .heartbeat: .heartbeat
        case .heartbeatResponse: .heartbeatResponse
        case .readRequest: .readRequest
        case .readResponse: .readResponse
        case .snapshot: .snapshot
        case .timeoutNow: .timeoutNow
        case .checkpointRequest: .checkpointRequest
        case .notice: .notice
        }
    }
}

/// The numbers by which a body tells its cases apart. None is 0, which a body that was never written would be.
enum BodyCode {
    static let accepted: UInt8 = 1
    static let rejected: UInt8 = 2
    static let stale: UInt8 = 3
    static let readIndex: UInt8 = 1
    static let readRefused: UInt8 = 2
    static let entriesLost: UInt8 = 1
    static let diverged: UInt8 = 2
    static let agreed: UInt8 = 3
}

extension FieldWriter {
    /// Writes all fields of a message.
    mutating func body(_ body: Message.Body) throws(DecodingError) {
        switch body {
        case .preVoteRequest(let request):
            try voteRequest(request, flags: 0)
        case .voteRequest(let request):
            try voteRequest(request, flags: VoteRequest.transferFlag)
        case .preVoteResponse(let response), .voteResponse(let response):
            try uint8(response.isGranted ? 1 : 0, "vote granted")
            try uint64(response.campaign, "vote campaign")
        case .append(let append):
            try position(append.previous, "append previous position")
            try number(append.commit, "append commit index")
            try position(append.entries?.last ?? .zero, "append last position")
            try uint64(append.round, "append round")
            try uint64(append.sentAt.nanoseconds, "append time")
        case .appendResponse(let response):
            try self.response(response)
        case .heartbeat(let heartbeat):
            try uint64(heartbeat.round, "heartbeat round")
            try uint64(heartbeat.sentAt.nanoseconds, "heartbeat time")
            try number(heartbeat.commit, "heartbeat commit index")
        case .heartbeatResponse(let response):
            try uint64(response.round, "heartbeat round")
            try uint64(response.sentAt.nanoseconds, "heartbeat time")
        case .readRequest(let read):
            try self.read(read)
        case .readResponse(let read, let answer):
            try self.read(read)
            switch answer {
            case .index(let index):
                try uint8(BodyCode.readIndex, "read answer")
                try number(index, "read index")
            case .refused:
                try uint8(BodyCode.readRefused, "read answer")
            }
        case .snapshot(let offer):
            try position(offer.position, "snapshot position")
        case .timeoutNow(let last):
            guard last.index > 0 else {
                let offset = WireFrameHeader.encodedByteCount + writer.count + 8
                throw DecodingError(.outOfBounds, "timeout last position index", at: offset)
            }
            try position(last, "timeout last position")
        case .checkpointRequest(let request):
            try uint8(request.reason.rawValue, "checkpoint request reason")
            try number(request.index, "checkpoint request index")
        case .notice(let notice):
            try self.notice(notice)
        }
    }

    /// Writes a request for a vote, of a kind that may have these flags.
    private mutating func voteRequest(_ request: VoteRequest, flags known: UInt8) throws(DecodingError) {
        try position(request.last, "vote last position")
        try uint64(request.campaign, "vote campaign")
        guard request.flags & ~known == 0 else {
            throw DecodingError(.outOfBounds, "vote flags", at: WireFrameHeader.encodedByteCount + writer.count)
        }
        try uint8(request.flags, "vote flags")
    }

    private mutating func response(_ response: AppendResponse) throws(DecodingError) {
        switch response.answer {
        case .accepted: try uint8(BodyCode.accepted, "append answer")
        case .rejected: try uint8(BodyCode.rejected, "append answer")
        case .stale: try uint8(BodyCode.stale, "append answer")
        }
        try uint64(response.round, "append round")
        try uint64(response.sentAt.nanoseconds, "append time")
        try uint64(response.syncTime.nanoseconds, "append sync time")
        if let digest = response.digest {
            try self.digest(digest)
        } else {
            try number(0, "digest index")
            try uint64(0, "digest")
        }
        try number(response.receivedIndex, "received index")
        switch response.answer {
        case .accepted(let index):
            try number(index, "append accepted index")
        case .rejected(let previous, let hint):
            try number(previous, "append rejected index")
            try position(hint, "append hint")
        case .stale:
            break
        }
    }

    /// Writes a digest, which is that of an entry: 0 stands for none.
    private mutating func digest(_ digest: StateDigest) throws(DecodingError) {
        guard digest.index > 0 else {
            throw DecodingError(.outOfBounds, "digest index", at: WireFrameHeader.encodedByteCount + writer.count)
        }
        try number(digest.index, "digest index")
        try uint64(digest.value, "digest")
    }

    private mutating func notice(_ notice: LeaderNotice) throws(DecodingError) {
        switch notice {
        case .acknowledgedEntriesLost(let position):
            try uint8(BodyCode.entriesLost, "notice")
            guard position.index > 0 else {
                let offset = WireFrameHeader.encodedByteCount + writer.count + 8
                throw DecodingError(.outOfBounds, "notice position index", at: offset)
            }
            try self.position(position, "notice position")
        case .diverged(let digest):
            try uint8(BodyCode.diverged, "notice")
            try self.digest(digest)
        case .agreed(let digest):
            try uint8(BodyCode.agreed, "notice")
            try self.digest(digest)
        }
    }

    private mutating func read(_ read: ReadID) throws(DecodingError) {
        try uint64(read.member, "read member")
        try uint64(read.nonce, "read nonce")
        try uint64(read.number, "read number")
    }
}
