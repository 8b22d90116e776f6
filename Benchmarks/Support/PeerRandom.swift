/// The random numbers of the programs that measure other engines (xorshift64*), so that every engine sees the same keys in
/// the same order.
struct PeerRandom {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }

    /// The next number, reduced to 0 ..< `limit` as the other programs reduce it.
    mutating func next(below limit: Int) -> Int { Int(next() % UInt64(limit)) }
}
