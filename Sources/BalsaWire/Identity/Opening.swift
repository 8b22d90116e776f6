/// One opening of a member's directory, by its number and by the random number that was drawn for it.
public struct Opening: Hashable, Sendable {
    /// How often the directory had been opened, this time included, from 1.
    public var boot: UInt64
    /// The random number of the opening; not 0.
    public var nonce: UInt64

    /// An opening.
    public init(boot: UInt64, nonce: UInt64) {
        self.boot = boot
        self.nonce = nonce
    }
}
