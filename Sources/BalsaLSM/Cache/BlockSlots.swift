import CBalsaPlatform

/// Where a table's cached blocks are: a word for each block, with the object's address or 0.
///
/// A reader that is pinned loads a word and uses the object without a lock and without a reference of its own. Only the
/// cache changes words, under its lock; a word that is not 0 holds one reference.
final class BlockSlots: @unchecked Sendable {
    /// How many blocks there are.
    let count: Int
    private let base: UnsafeMutableRawPointer
    /// Whether the table is closed: nothing goes into the cache any more. The cache's lock guards it.
    var isClosed = false

    init(count: Int) {
        self.count = count
        base = .allocate(byteCount: max(8 * count, 8), alignment: 64)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: max(8 * count, 8))
    }

    deinit { base.deallocate() }

    /// The block with this number, if it is cached. It stays valid for as long as the caller is pinned.
    @inline(__always)
    func load(_ number: Int) -> Unmanaged<Block>? {
        let word = balsa_load_acquire_64(base + 8 * number)
        guard let address = UnsafeRawPointer(bitPattern: UInt(word)) else { return nil }
        return Unmanaged.fromOpaque(address)
    }

    /// Publishes a block, or takes it back.
    ///
    /// In one order with the pins of the readers: one that pins after a block was taken back does not find it.
    func store(_ block: Unmanaged<Block>?, at number: Int) {
        balsa_store_64(base + 8 * number, block.map { UInt64(UInt(bitPattern: $0.toOpaque())) } ?? 0)
    }
}
