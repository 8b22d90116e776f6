import CBalsaPlatform

/// Growing memory of a writer: bytes are appended, and the memory is kept for the next time.
struct RawBuffer: ~Copyable {
    private(set) var base: UnsafeMutableRawPointer
    private var capacity: Int
    private(set) var count = 0

    init(capacity: Int) {
        precondition(capacity > 0, "a buffer begins with some memory")
        self.capacity = capacity
        base = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { base.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// Makes room for `added` bytes and returns where they go; they count from then on.
    @inline(__always)
    mutating func extend(_ added: Int) -> UnsafeMutableRawPointer {
        if added > capacity - count { grow(added) }
        let start = base + count
        count += added
        return start
    }

    @inline(__always)
    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        KeyBytes.copy(source, to: extend(bytes.count), bytes.count)
    }

    /// Appends a little-endian number.
    mutating func append<Number: FixedWidthInteger & BitwiseCopyable>(_ number: Number) {
        extend(MemoryLayout<Number>.size).storeBytes(of: number.littleEndian, as: Number.self)
    }

    mutating func removeAll() { count = 0 }

    /// Keeps the first `count` bytes.
    mutating func shorten(to count: Int) {
        precondition(count <= self.count, "a buffer does not become longer by being shortened")
        self.count = count
    }

    private mutating func grow(_ added: Int) {
        let wanted = max(count + added, 2 * capacity)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 16)
        larger.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = larger
        capacity = wanted
    }
}

/// Memory of a fixed size that several values point into and that goes with the last of them.
final class RawMemory: @unchecked Sendable {
    // Written by whoever makes it, before anybody else sees it.
    let base: UnsafeMutableRawPointer
    let count: Int

    /// `count` bytes, not set to anything.
    init(count: Int, alignment: Int = 16) {
        self.count = count
        base = .allocate(byteCount: max(count, 1), alignment: alignment)
    }

    deinit { base.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }
    var mutableBytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base, count: count) }
}
