import CBalsaPlatform

/// A block in memory: its bytes as they are in the file, verified, and never changed again.
///
/// The bytes lie in the object's own allocation, so that a reader that has the object's address needs no further load
/// to reach them. Readers that are pinned in the engine's epochs use the object without counting references.
final class Block: ManagedBuffer<Block.Header, UInt64> {
    struct Header {
        /// Whether a reader has found the block since the cache's hand last came by. Set without any lock, by its
        /// address, which is the header's own.
        var isVisited: UInt8
        /// The length of the bytes.
        var byteCount: Int32
        /// The length of the longest key.
        var maxKeyBytes: Int32
        /// The block's place in the queue of the cache; -1 outside of it. The cache's lock guards it.
        var cacheNode: Int32
    }

    /// A block of `byteCount` bytes that are not set to anything yet; whoever makes it fills them.
    static func make(byteCount: Int) -> Block {
        let buffer = Block.create(minimumCapacity: (byteCount + 7) / 8) { _ in
            Header(isVisited: 0, byteCount: Int32(byteCount), maxKeyBytes: 0, cacheNode: -1)
        }
        return unsafeDowncast(buffer, to: Block.self)
    }

    /// A block of the given bytes, if they have a block's shape.
    static func copying(_ bytes: UnsafeRawBufferPointer) -> Block? {
        let block = make(byteCount: bytes.count)
        if let source = bytes.baseAddress { block.base.copyMemory(from: source, byteCount: bytes.count) }
        let copy = UnsafeRawBufferPointer(start: block.base, count: bytes.count)
        guard let maxKeyBytes = BlockView.check(copy) else { return nil }
        block.seal(byteCount: bytes.count, maxKeyBytes: maxKeyBytes)
        return block
    }

    /// Where the bytes lie.
    @inline(__always)
    var base: UnsafeMutableRawPointer { withUnsafeMutablePointerToElements { UnsafeMutableRawPointer($0) } }

    @inline(__always)
    private var headerBase: UnsafeMutablePointer<Header> { withUnsafeMutablePointerToHeader { $0 } }

    @inline(__always)
    var byteCount: Int { Int(headerBase.pointee.byteCount) }

    var maxKeyBytes: Int { Int(headerBase.pointee.maxKeyBytes) }

    /// Cuts the checksum off and notes what was found out about the bytes. Before anybody else sees the block.
    func seal(byteCount: Int, maxKeyBytes: Int) {
        headerBase.pointee.byteCount = Int32(byteCount)
        headerBase.pointee.maxKeyBytes = Int32(maxKeyBytes)
    }

    @inline(__always)
    var view: BlockView { BlockView(checked: base, byteCount: byteCount) }

    /// How much memory the block takes, in bytes.
    var memoryBytes: Int { byteCount + Block.overheadBytes }

    /// What a block takes beyond its bytes: object, header and rounding.
    static let overheadBytes = 48

    // MARK: For the cache

    var cacheNode: Int {
        get { Int(headerBase.pointee.cacheNode) }
        set { headerBase.pointee.cacheNode = Int32(newValue) }
    }

    @inline(__always)
    private var visitedBase: UnsafeMutableRawPointer { UnsafeMutableRawPointer(headerBase) }

    /// Notes that a reader has found the block. Tested first, because a store would take the line from other readers.
    @inline(__always)
    func markVisited() {
        if balsa_load_relaxed_8(visitedBase) == 0 { balsa_store_relaxed_8(visitedBase, 1) }
    }

    /// Whether a reader has found the block since the last call.
    func takeVisited() -> Bool {
        guard balsa_load_relaxed_8(visitedBase) != 0 else { return false }
        balsa_store_relaxed_8(visitedBase, 0)
        return true
    }
}
