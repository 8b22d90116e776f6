/// The limits of what crosses the network. All are in bytes.
///
/// They hold for both directions: what is longer is refused before it is sent, and before memory is taken for it.
/// Members that are to understand each other need the same limits.
public struct WireOptions: Equatable, Sendable {
    /// How long a frame may be with its header, unless it carries a checkpoint; 4 MiB of entries and room for all that
    /// stands before them. Counts as 1 GiB where it is more.
    public var maxFrameBytes = (4 << 20) + WireOptions.roomForFields
    /// How long a checkpoint may be that one frame carries; 64 MiB. Counts as 1 GiB where it is more.
    public var maxCheckpointBytes = 64 << 20

    /// The room for a frame's header and the fields of its body: more than any kind needs.
    public static let roomForFields = 128

    /// The default limits.
    public init() {}

    /// What stands before the checkpoint in its frame: the header, a term and an index.
    private static let checkpointOffset = WireFrameHeader.encodedByteCount + 16

    /// How long a frame of a kind may be, with its header.
    func limit(of kind: WireFrameKind) -> Int {
        let largest = 1 << 30
        guard kind == .snapshot else { return min(maxFrameBytes, largest) }
        return WireOptions.checkpointOffset + min(max(maxCheckpointBytes, 0), largest)
    }
}
