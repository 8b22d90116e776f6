import BalsaPlatform
import Glibc

/// The values of the programs that measure other engines: each belongs to one key and one round of writing, so that another
/// key's value and an old one are both recognized.
///
/// `value(key, round)` is a slice of a pool of random bytes. Its start is the upper 20 bits of a hash of key and round:
///
/// ```
/// pool:   1 MiB of random bytes, and as many more as a value has
/// start:  ((key + 1) * 0x9E3779B97F4A7C15 + round * 0xD1B54A32D192ED03) >> 44
/// ```
///
/// The bytes do not compress. With `isCompressible` the second half of every value is zeros, as in those programs.
///
/// Belongs to one thread. Its owner calls ``free()``.
struct PeerValues {
    static let maxValueBytes = 1 << 20
    private static let poolBytes = 1 << 20

    /// Whether the pool has been made in this process.
    static let poolIsMade = Locked(false)

    /// Makes the pool, which takes milliseconds that belong to no measurement.
    static func makePool() { _ = pool }

    /// Made once and never freed, so that a slice of it is valid at any time. Nobody writes to it later.
    private nonisolated(unsafe) static let pool: UnsafeRawBufferPointer = {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: poolBytes + maxValueBytes, alignment: 64)
        var random = PeerRandom(seed: 7)
        for index in memory.indices { memory[index] = UInt8(truncatingIfNeeded: random.next()) }
        poolIsMade.withLock { $0 = true }
        return UnsafeRawBufferPointer(memory)
    }()

    /// The length of every value, in bytes.
    let byteCount: Int
    private let pool = PeerValues.pool
    /// Where a value with zeros is put together; nil where values are slices of the pool.
    private let scratch: UnsafeMutableRawBufferPointer?

    /// - Parameter byteCount: the length of every value; at most ``maxValueBytes``.
    init(byteCount: Int, isCompressible: Bool = false) {
        precondition(byteCount <= PeerValues.maxValueBytes, "a value is longer than the pool allows")
        self.byteCount = byteCount
        scratch = isCompressible ? .allocate(byteCount: max(byteCount, 1), alignment: 16) : nil
        scratch?.initializeMemory(as: UInt8.self, repeating: 0)
    }

    /// The value that `key` gets in `round`. Lent until the next call where values are compressible, and for ever elsewhere.
    @inline(__always)
    func of(_ key: Int, _ round: Round) -> UnsafeRawBufferPointer {
        let hash = (UInt64(key) &+ 1) &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(round.rawValue) &* 0xD1B5_4A32_D192_ED03
        let start = Int(hash >> 44)
        guard let scratch else { return UnsafeRawBufferPointer(rebasing: pool[start..<start + byteCount]) }
        let half = byteCount / 2
        scratch.copyMemory(from: UnsafeRawBufferPointer(rebasing: pool[start..<start + half]))
        return UnsafeRawBufferPointer(rebasing: scratch[..<byteCount])
    }

    /// Whether `found` is the value of `key` in `round`, byte by byte.
    func matches(_ found: UnsafeRawBufferPointer, _ key: Int, _ round: Round) -> Bool {
        let expected = of(key, round)
        guard found.count == expected.count else { return false }
        guard let left = found.baseAddress, let right = expected.baseAddress else { return found.count == 0 }
        return memcmp(left, right, found.count) == 0
    }

    /// What a wrong value is, for the sentence that reports it: another round's, another key's, or nobody's.
    func description(of found: UnsafeRawBufferPointer, at key: Int, keyCount: Int) -> String {
        guard found.count == byteCount else { return "\(found.count) bytes long instead of \(byteCount)" }
        if let round = Round.allCases.first(where: { matches(found, key, $0) }) { return "the one of \(round)" }
        // Only a failed run comes here, and the search is bounded.
        for other in 0..<min(keyCount, 1_000_000) {
            if let round = Round.allCases.first(where: { matches(found, other, $0) }) {
                return "that of key \(other) of \(round)"
            }
        }
        return "one that nobody wrote"
    }

    func free() { scratch?.deallocate() }
}
