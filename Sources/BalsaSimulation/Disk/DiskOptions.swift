/// What kind of disk is simulated.
public struct DiskOptions: Sendable, Equatable {
    /// How many bytes the files may have together.
    public var capacityBytes: UInt64 = 1 << 40

    /// The unit in which the device writes: of a write that was not synced, a power loss keeps any subset of its sectors.
    /// In bytes.
    public var sectorBytes: Int = 512

    /// How many sectors one power loss tears at most, each into a new beginning and an old rest.
    public var tornSectorsLimit: Int = 2

    /// Whether a torn sector holds garbage instead, all of it, whichever part of it was being written.
    public var tornSectorsHoldGarbage: Bool = false

    /// How many bytes of one file may wait to be synced; beyond that the oldest are written back, as a kernel does.
    public var dirtyBytesLimit: Int = 64 << 20

    /// The default options.
    public init() {}
}
