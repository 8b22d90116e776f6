/// What a wire frame says. `Docs/WireFormat.md` has the body of every kind.
///
/// Kinds that this release does not know pass through ``FrameDecoder``, so that they do no harm to the frames behind
/// them, and are refused where their body would be decoded.
struct WireFrameKind: RawRepresentable, Equatable, Sendable {
    /// The kind as it is encoded.
    let rawValue: UInt8

    static let preVoteRequest = WireFrameKind(rawValue: 1)
    static let preVoteResponse = WireFrameKind(rawValue: 2)
    static let voteRequest = WireFrameKind(rawValue: 3)
    static let voteResponse = WireFrameKind(rawValue: 4)
    static let append = WireFrameKind(rawValue: 5)
    static let appendResponse = WireFrameKind(rawValue: 6)
    static let heartbeat = WireFrameKind(rawValue: 7)
    static let heartbeatResponse = WireFrameKind(rawValue: 8)
    static let readRequest = WireFrameKind(rawValue: 9)
    static let readResponse = WireFrameKind(rawValue: 10)
    static let snapshot = WireFrameKind(rawValue: 11)
    static let timeoutNow = WireFrameKind(rawValue: 12)

    // These frames are none of the core's messages: they pass between the replicas themselves.
    static let checkpointChunk = WireFrameKind(rawValue: 13)
    static let checkpointChunkResponse = WireFrameKind(rawValue: 14)
    static let forward = WireFrameKind(rawValue: 15)
    static let forwardResponse = WireFrameKind(rawValue: 16)
    static let firstBoot = WireFrameKind(rawValue: 17)

    // Messages of the core again.
    static let checkpointRequest = WireFrameKind(rawValue: 18)
    static let notice = WireFrameKind(rawValue: 19)

    /// Whether frames of this kind go over the bulk connection, so that they never stand before a heartbeat.
    var isBulk: Bool { self == .checkpointChunk }
}
