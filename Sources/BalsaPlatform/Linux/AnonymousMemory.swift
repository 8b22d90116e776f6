import Glibc

/// Memory straight from the system, for structures that are made and dropped as a whole.
///
/// The bytes are zero until they are written, cost nothing until they are touched, and go back to the system when the
/// object goes. Where a region is at least ``hugePageBytes`` long it begins at a multiple of that, and the system is
/// asked to back it with huge pages: a structure of many megabytes that is read at random spends half of its time on
/// address translation otherwise.
public final class AnonymousMemory: @unchecked Sendable {
    /// The size and the alignment of a huge page, in bytes; 2 MiB.
    public static let hugePageBytes = 2 << 20

    /// Where the region begins.
    public let base: UnsafeMutableRawPointer
    /// The length of the region, in bytes: what was asked for, rounded up to whole pages.
    public let byteCount: Int

    private init(base: UnsafeMutableRawPointer, byteCount: Int) {
        self.base = base
        self.byteCount = byteCount
    }

    deinit { AnonymousMemory.unmap(base, byteCount) }

    /// A region of zeros.
    ///
    /// - Parameters:
    ///   - byteCount: how long it is to be, in bytes; more than 0.
    ///   - usesHugePages: whether a long region is to be of huge pages, to whole ones of which its length is rounded.
    /// - Returns: nil where the system has no memory or no more regions to give.
    public static func map(byteCount: Int, usesHugePages: Bool = true) -> AnonymousMemory? {
        precondition(byteCount > 0, "a region of memory cannot be empty")
        let isLarge = usesHugePages && byteCount >= hugePageBytes
        let unit = isLarge ? hugePageBytes : max(Int(sysconf(Int32(_SC_PAGESIZE))), 4096)
        guard byteCount <= Int.max - 2 * unit else { return nil }
        let length = (byteCount + unit - 1) / unit * unit
        guard isLarge else { return pages(length).map { AnonymousMemory(base: $0, byteCount: length) } }

        // The system aligns to small pages only, so one huge page more is asked for and what is too much given back.
        guard let start = pages(length + unit) else { return nil }
        let before = (unit - Int(bitPattern: start) % unit) % unit
        if before > 0 { unmap(start, before) }
        if before < unit { unmap(start + before + length, unit - before) }
        // Advice: where it is not taken, small pages serve as well.
        _ = madvise(start + before, length, Int32(MADV_HUGEPAGE))
        return AnonymousMemory(base: start + before, byteCount: length)
    }

    private static func pages(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        let address = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        return address == MAP_FAILED ? nil : address
    }

    private static func unmap(_ start: UnsafeMutableRawPointer, _ byteCount: Int) {
        let result = munmap(start, byteCount)
        precondition(result == 0, "memory was given back that was not the system's")
    }
}
