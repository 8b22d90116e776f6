/// Which keys have been written, so that every read can be checked.
struct WrittenKeys {
    private var words: [UInt64]

    /// None of `count` keys.
    init(count: Int) { words = Array(repeating: 0, count: count / 64 + 1) }

    mutating func insert(_ number: Int) { words[number >> 6] |= 1 << UInt64(number & 63) }

    func contains(_ number: Int) -> Bool { words[number >> 6] >> UInt64(number & 63) & 1 == 1 }

    /// How many keys have been written.
    var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }
}
