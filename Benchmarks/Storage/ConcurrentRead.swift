/// A read of a key beside ``ConcurrentWriter``, to be checked when the writer has ended.
///
/// The writer writes one key after the other, and counts each write when it has returned. A read therefore must see every
/// write that was counted before it began, may see the one that follows those counted when it ended, and sees no later one:
///
/// ```
/// writes of the writer:   0 1 2 … before-1 | … after | after+1 …
///                         must be seen     | may be  | cannot be
/// ```
struct ConcurrentRead {
    /// The key that was read.
    var key: Int
    /// The round whose value was found; nil where the key was not found.
    var found: Round?
    /// How many writes had returned when the read began, and when it ended.
    var before: Int
    var after: Int

    /// What is wrong with the read, in a sentence; nil where it is right.
    ///
    /// - Parameters:
    ///   - firstWrite: the number of the writer's first write of this key, counted from 0; nil where it wrote none.
    ///   - earlier: the round that had written the key before the writer began; nil where none had.
    func fault(firstWrite: Int?, earlier: Round?) -> String? {
        let name = "readwhilewriting: key \(key)"
        if found == .readwhilewriting {
            guard let firstWrite, firstWrite <= after else { return "\(name) has a value that was not yet written" }
            return nil
        }
        if let firstWrite, firstWrite < before {
            return
                "\(name) has \(found.map { "the old value of \($0)" } ?? "no value"), not the one of readwhilewriting"
        }
        guard found == earlier else {
            return
                "\(name) has \(found.map { "the value of \($0)" } ?? "no value"), not that of \(earlier.map { "\($0)" } ?? "nobody")"
        }
        return nil
    }

    /// Checks reads against what the writer wrote.
    ///
    /// - Parameters:
    ///   - writeCount: how many keys the writer has written.
    ///   - written: what was written before the writer began.
    static func check(
        _ reads: [ConcurrentRead],
        writeCount: Int,
        keyCount: Int,
        _ written: WrittenRounds
    ) throws(BenchmarkError) {
        var firstWrites: [Int: Int] = [:]
        for read in reads { firstWrites[read.key] = writeCount }
        var random = PeerRandom(seed: ConcurrentWriter.seed)
        for number in 0..<writeCount {
            let key = random.next(below: keyCount)
            if firstWrites[key] == writeCount { firstWrites[key] = number }
        }
        for read in reads {
            let first = firstWrites[read.key].flatMap { $0 < writeCount ? $0 : nil }
            let fault = read.fault(firstWrite: first, earlier: written.round(of: read.key))
            if let fault { throw BenchmarkError(fault) }
        }
    }
}
