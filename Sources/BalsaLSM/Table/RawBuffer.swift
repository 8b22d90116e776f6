import BalsaPlatform
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
///
/// Long pieces come from the system and go back to it. Indexes and filters come and go, in many sizes, among blocks
/// that stay. On the heap, each block that is put where a filter was keeps the rest of that place from the next filter,
/// and the process grows far beyond what is in use.
final class RawMemory: @unchecked Sendable {
    /// From how many bytes on memory comes from the system; 32 KiB, so that whole pages waste a sixteenth on average.
    static let mappedBytes = 32 << 10

    // Written by who makes it, before anybody else sees it.
    let base: UnsafeMutableRawPointer
    let count: Int
    /// What the memory lies in; nil for the heap.
    private let mapping: AnonymousMemory?

    /// `count` bytes, not set to anything. They are aligned to `alignment`, which is at most a page.
    init(count: Int, alignment: Int = 16) {
        self.count = count
        // The heap serves a process that may have no more regions.
        mapping = count < RawMemory.mappedBytes ? nil : AnonymousMemory.map(byteCount: count, usesHugePages: false)
        base = mapping?.base ?? .allocate(byteCount: max(count, 1), alignment: alignment)
    }

    deinit { if mapping == nil { base.deallocate() } }

    /// How much memory it takes, in bytes: whole pages where it comes from the system.
    var memoryBytes: Int { mapping?.byteCount ?? count }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }
    var mutableBytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base, count: count) }
}
