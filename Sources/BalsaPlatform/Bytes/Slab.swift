/// Memory that many ``Bytes`` share.
///
/// One owner fills a slab front to back; what has been filled is never written again, which is what makes it safe to
/// hand ranges of it to other threads while the owner goes on behind them. The memory is freed with the last reference.
public final class Slab: @unchecked Sendable {
    @usableFromInline let base: UnsafeMutableRawPointer

    /// The number of bytes that the slab can hold.
    public let capacity: Int

    /// The number of bytes filled so far. Only the owner reads or changes it while the slab is being filled.
    public private(set) var count = 0

    private init(capacity: Int) {
        self.capacity = capacity
        base = UnsafeMutableRawPointer.allocate(byteCount: max(capacity, 1), alignment: 16)
    }

    deinit { base.deallocate() }

    /// An empty slab.
    ///
    /// - Parameter capacity: how many bytes it can hold, in bytes.
    public static func make(capacity: Int) -> Slab {
        precondition(capacity >= 0, "a slab cannot have a negative capacity")
        return Slab(capacity: capacity)
    }

    /// A slab filled by `body`, which returns how many bytes of the buffer it has filled.
    public static func filled<Failure: Error>(
        capacity: Int,
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
    ) throws(Failure) -> Slab {
        let slab = make(capacity: capacity)
        let filled = try body(UnsafeMutableRawBufferPointer(start: slab.base, count: capacity))
        precondition(filled >= 0 && filled <= capacity, "more was filled than the slab holds")
        slab.count = filled
        return slab
    }

    /// Copies `bytes` behind what is filled.
    ///
    /// - Precondition: there is room for them.
    public func append(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count <= capacity - count, "the slab is full")
        if let source = bytes.baseAddress { (base + count).copyMemory(from: source, byteCount: bytes.count) }
        count += bytes.count
    }

    /// Calls `body` with the filled bytes.
    public func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(start: base, count: count))
    }
}
