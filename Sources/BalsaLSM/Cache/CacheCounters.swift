import CBalsaPlatform

/// Counts hits and misses without making readers wait for each other.
///
/// A counter that all readers increment would move its cache line from core to core with every read. Here are several,
/// each in a line of its own, and a thread takes one by where its stack lies. Two threads that share one may lose a count;
/// one thread alone never does, so that a simulated run counts the same every time.
final class CacheCounters: @unchecked Sendable {
    private static let stripes = 16
    private static let stripeBytes = 64

    private let base: UnsafeMutableRawPointer

    init() {
        base = .allocate(byteCount: CacheCounters.stripes * CacheCounters.stripeBytes, alignment: 64)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: CacheCounters.stripes * CacheCounters.stripeBytes)
    }

    deinit { base.deallocate() }

    @inline(__always)
    func noteHit() { increment(0) }

    func noteMiss() { increment(8) }

    var hits: UInt64 { sum(0) }
    var misses: UInt64 { sum(8) }

    @inline(__always)
    private func increment(_ offset: Int) {
        var local: UInt8 = 0
        let stack = withUnsafeMutablePointer(to: &local) { UInt64(UInt(bitPattern: $0)) }
        let stripe = Int(truncatingIfNeeded: ((stack >> 16) &* 0x9e37_79b9_7f4a_7c15) >> 60)
        let place = base + stripe * CacheCounters.stripeBytes + offset
        balsa_store_release_64(place, balsa_load_relaxed_64(place) &+ 1)
    }

    private func sum(_ offset: Int) -> UInt64 {
        var sum: UInt64 = 0
        for stripe in 0..<CacheCounters.stripes {
            sum &+= balsa_load_relaxed_64(base + stripe * CacheCounters.stripeBytes + offset)
        }
        return sum
    }
}
