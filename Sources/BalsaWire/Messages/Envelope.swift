import BalsaRaft

/// A message of the core as it travels: with the group that it is about and the entries that it announces.
///
/// This is the core's view of a wire frame. ``PeerFrame`` is the whole view: of the frames that the core has no part in, too.
///
/// An append's entries travel in the encoding that they have in every log; nothing is encoded again on the way, neither
/// by the leader nor by the follower. One envelope is one *wire frame*, whose layout is in `Docs/WireFormat.md`.
///
/// ```swift
/// let pieces = try envelope.encoded(options: options, version: 1)  // for a gathered write
/// let arrived = try Envelope(decoding: frame, options: options)
/// raft.step(.message(arrived.message, entries: arrived.entryMetadata), at: now, into: &effects)
/// ```
public struct Envelope: Equatable, Sendable {
    /// The group that the message is about.
    public var group: GroupID
    /// What the core says.
    public var message: Message
    /// The entries that an append announces; nil with any other message, and with an append without entries.
    public var entries: EntryBatch?

    /// An envelope.
    ///
    /// - Parameters:
    ///   - group: the group that the message is about.
    ///   - message: what the core says.
    ///   - entries: the entries that an append announces.
    public init(group: GroupID, message: Message, entries: EntryBatch? = nil) {
        self.group = group
        self.message = message
        self.entries = entries
    }

    /// What the core wants to know of the entries: one element for each, in their order.
    ///
    /// - Complexity: linear in the number of entries.
    public var entryMetadata: [EntryMetadata] {
        guard let entries else { return [] }
        return (entries.firstIndex...entries.lastIndex).map { index in
            let header = entries.header(at: index)
            return EntryMetadata(
                term: header.term,
                kind: header.kind.rawValue,
                byteCount: UInt32(entries.encodedByteCount(at: index))
            )
        }
    }
}
