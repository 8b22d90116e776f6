import BalsaPlatform
import BalsaRaft

/// What one member of a group sends another: a *wire frame* of any kind, as `Docs/WireFormat.md` describes it.
///
/// Most frames are messages of the core, and ``envelope`` is the core's view of them. The others pass between the
/// replicas without the core: the chunks of a checkpoint, and the commands of callers that asked a member which does not
/// lead; by others members that belong to no cluster yet make one. All have the same header, are held against the same limits and carry the sender's term.
///
/// ```swift
/// let frame = try PeerFrame(decoding: bytes, options: options)
/// switch frame.content {
/// case .message: …                                          // for the core, as `frame.envelope`
/// case .checkpointChunk(let chunk): …
/// ```
public struct PeerFrame: Equatable, Sendable {
    /// The group that the frame is about.
    public var group: GroupID
    /// Who sends it.
    public var from: MemberID
    /// To whom.
    public var to: MemberID
    /// The term that the sender is in.
    public var term: Term
    /// What is said.
    public var content: Content

    /// What a frame says.
    public enum Content: Equatable, Sendable {
        /// A message of the core, with the entries that an append announces.
        case message(Message.Body, entries: EntryBatch?)
        /// A part of a checkpoint.
        case checkpointChunk(CheckpointChunk)
        /// What became of a part of a checkpoint.
        case checkpointChunkResponse(CheckpointChunkResponse)
        /// A command of a caller of the sender, for the leader to put into the log.
        case forward(ForwardedCommand)
        /// A command that was forwarded was not put into the log.
        case forwardResponse(ForwardResponse)
        /// A message of the first boot, before there is a group.
        case firstBoot(FirstBootMessage)
    }

    /// A frame.
    ///
    /// - Parameters:
    ///   - group: the group that the frame is about.
    ///   - from: who sends it.
    ///   - to: to whom.
    ///   - term: the term that the sender is in.
    ///   - content: what is said.
    public init(group: GroupID, from: MemberID, to: MemberID, term: Term, content: Content) {
        self.group = group
        self.from = from
        self.to = to
        self.term = term
        self.content = content
    }

    /// The frame of a message of the core.
    public init(_ envelope: Envelope) {
        let message = envelope.message
        self.init(
            group: envelope.group,
            from: message.from,
            to: message.to,
            term: message.term,
            content: .message(message.body, entries: envelope.entries)
        )
    }

    /// The message of the core with its entries; nil where the frame is not a message of the core.
    public var envelope: Envelope? {
        guard case .message(let body, let entries) = content else { return nil }
        return Envelope(group: group, message: Message(from: from, to: to, term: term, body: body), entries: entries)
    }

    /// Whether the frame goes over the bulk connection, where it may be long and wait without harm; every other frame goes
    /// over the control connection.
    public var isBulk: Bool { kind.isBulk }

    /// The kind as which the frame is encoded.
    var kind: WireFrameKind {
        switch content {
        case .message(let body, _): body.wireKind
        case .checkpointChunk: .checkpointChunk
        case .checkpointChunkResponse: .checkpointChunkResponse
        case .forward: .forward
        case .forwardResponse: .forwardResponse
        case .firstBoot: .firstBoot
        }
    }
}
