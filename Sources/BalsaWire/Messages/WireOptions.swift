/// The limits of what crosses the network. All are in bytes.
///
/// What is longer is refused before it is sent, and before memory is taken for it. Members check what arrives, and what
/// they pass on of others, against ``formatMaximum``: how long the frames are that each of them makes of its own
/// commands, appends and checkpoints is its own affair.
public struct WireOptions: Equatable, Sendable {
    /// How long a frame may be with its header, whatever its kind; 4 MiB of entries, or of a checkpoint, and room for all
    /// that stands before them. Counts as 1 GiB where it is more.
    public var maxFrameBytes = (4 << 20) + WireOptions.roomForFields

    /// The room for a frame's header and the fields of its body: more than any kind needs. Entries, the bytes of a chunk
    /// or a command fit into a frame that is longer than they are by this.
    public static let roomForFields = 128

    /// The default limits.
    public init() {}

    /// The limits of the format itself: 1 GiB. No frame of any sender may be longer.
    public static let formatMaximum = {
        var options = WireOptions()
        options.maxFrameBytes = 1 << 30
        return options
    }()

    /// How long a frame may be, with its header: short enough for its length to fit into 32 bits with ease.
    var frameLimit: Int { min(maxFrameBytes, 1 << 30) }
}
