import BalsaPlatform

/// Memory that is handed out piece by piece and given back as a whole.
///
/// Pieces begin at multiples of 8 and are zero. They are never freed one by one, which is what lets readers follow any
/// pointer they ever saw for as long as the arena lives. One thread allocates.
///
/// The arena starts with a small region, so that a table of a few entries is cheap, and goes on with regions of huge
/// pages. A piece that would waste much of a region gets one of its own.
///
/// A handle, whose copies are the same arena, and not an object: passing it around counts no references, of which every
/// insertion would pay several. Whoever made it calls ``free()`` once, when nobody can allocate or read any more.
struct Arena {
    private static let firstRegionBytes = 64 << 10
    private static let regionBytes = 4 << 20
    private static let largePieceBytes = 256 << 10

    /// A region that is not the system's to give any more: what an arena falls back on, so that a limit on the number of
    /// regions does not stop a process that has memory left.
    private final class HeapRegion {
        let base: UnsafeMutableRawPointer

        init(byteCount: Int) {
            base = .allocate(byteCount: byteCount, alignment: 16)
            base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        }

        deinit { base.deallocate() }
    }

    private struct State {
        var regions: [AnyObject]
        var next: UnsafeMutableRawPointer
        var available: Int
        var byteCount = 0
    }

    private let state: UnsafeMutablePointer<State>

    /// An arena that has handed out nothing.
    init() {
        let (base, owner) = Arena.makeRegion(Arena.firstRegionBytes)
        state = .allocate(capacity: 1)
        state.initialize(to: State(regions: [owner], next: base, available: Arena.firstRegionBytes))
    }

    /// Gives all memory back.
    func free() {
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// How many bytes have been handed out, rounding included.
    @inline(__always)
    var byteCount: Int { state.pointee.byteCount }

    /// A piece of `size` zeros.
    @inline(__always)
    func allocate(_ size: Int) -> UnsafeMutableRawPointer {
        let size = (size + 7) & ~7
        state.pointee.byteCount &+= size
        guard size <= state.pointee.available else { return allocateElsewhere(size) }
        let piece = state.pointee.next
        state.pointee.next = piece + size
        state.pointee.available &-= size
        return piece
    }

    @inline(never)
    private func allocateElsewhere(_ size: Int) -> UnsafeMutableRawPointer {
        let isLarge = size >= Arena.largePieceBytes
        let (base, owner) = Arena.makeRegion(isLarge ? size : Arena.regionBytes)
        state.pointee.regions.append(owner)
        guard !isLarge else { return base }
        state.pointee.next = base + size
        state.pointee.available = Arena.regionBytes - size
        return base
    }

    private static func makeRegion(_ byteCount: Int) -> (UnsafeMutableRawPointer, AnyObject) {
        if let memory = AnonymousMemory.map(byteCount: byteCount) { return (memory.base, memory) }
        let region = HeapRegion(byteCount: byteCount)
        return (region.base, region)
    }
}
