/// A disk as a value: what it holds at one moment, from which any number of disks can be made.
///
/// Copies share their bytes until one of them is changed, so that an image costs little however much it holds.
public struct DiskImage: Sendable {
    private(set) var state: DiskState

    /// An image of `state`, in which nothing is open.
    init(_ state: DiskState) {
        self.state = state
        self.state.closeAllFiles()
    }

    /// An empty disk.
    public init(options: DiskOptions = DiskOptions()) { self.init(DiskState(options: options)) }

    /// A digest of what processes see on such a disk: names, sizes, bytes, and which names are one file.
    public var contentDigest: UInt64 {
        var state = state
        return state.contentDigest()
    }

    /// How many operations are not durable.
    public var pendingOperationCount: Int { state.pendingOperations().count }
}
