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
}

extension FieldWriter {
    /// Writes all fields of a message.
    mutating func body(_ body: Message.Body) throws(DecodingError) {
        switch body {
        case .preVoteRequest(let request), .voteRequest(let request):
            try position(request.last, "vote last position")
            try uint64(request.campaign, "vote campaign")
        case .preVoteResponse(let response), .voteResponse(let response):
            try uint8(response.isGranted ? 1 : 0, "vote granted")
            try uint64(response.campaign, "vote campaign")
        case .append(let append):
            try position(append.previous, "append previous position")
            try number(append.commit, "append commit index")
            try position(append.entries?.last ?? .zero, "append last position")
        case .appendResponse(let response):
            try answer(response)
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
        }
    }

    private mutating func answer(_ response: AppendResponse) throws(DecodingError) {
        switch response {
        case .accepted(let index):
            try uint8(BodyCode.accepted, "append answer")
            try number(index, "append accepted index")
        case .rejected(let previous, let hint):
            try uint8(BodyCode.rejected, "append answer")
            try number(previous, "append rejected index")
            try position(hint, "append hint")
        case .stale:
            try uint8(BodyCode.stale, "append answer")
        }
    }

    private mutating func read(_ read: ReadID) throws(DecodingError) {
        try uint64(read.member, "read member")
        try uint64(read.nonce, "read nonce")
        try uint64(read.number, "read number")
    }
}
