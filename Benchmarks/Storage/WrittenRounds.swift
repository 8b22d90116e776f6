/// Which keys have been written, and which round wrote each of them last, so that every read can be checked.
///
/// Notes are made when a workload has ended, by drawing its random numbers once more: a timed write pays nothing for it.
struct WrittenRounds {
    /// One bit a key, for the check of every read: small enough to stay in the processor's cache.
    private var words: [UInt64]
    private var rounds: [UInt8]
    /// How many keys have been written.
    private(set) var count = 0

    /// None of `keyCount` keys.
    init(keyCount: Int) {
        words = Array(repeating: 0, count: keyCount / 64 + 1)
        rounds = Array(repeating: 0, count: keyCount)
    }

    /// Notes that `round` has written a key.
    mutating func note(_ key: Int, _ round: Round) {
        if !contains(key) { count += 1 }
        words[key >> 6] |= 1 << UInt64(key & 63)
        rounds[key] = round.rawValue
    }

    /// Notes the keys that `round` has drawn from a source of this seed.
    mutating func noteDraws(_ count: Int, seed: UInt64, _ round: Round) {
        var random = PeerRandom(seed: seed)
        for _ in 0..<count { note(random.next(below: rounds.count), round) }
    }

    func contains(_ key: Int) -> Bool { words[key >> 6] >> UInt64(key & 63) & 1 == 1 }

    /// The round that wrote a key last; nil for a key that was never written.
    func round(of key: Int) -> Round? { contains(key) ? Round(rawValue: rounds[key]) : nil }

    /// Calls `body` with the first written keys from `key` on, in order.
    func forEach(from key: Int, atMost limit: Int, _ body: (Int) -> Void) {
        var left = limit
        var next = key
        while left > 0, next < rounds.count {
            if contains(next) {
                body(next)
                left -= 1
            }
            next += 1
        }
    }
}
