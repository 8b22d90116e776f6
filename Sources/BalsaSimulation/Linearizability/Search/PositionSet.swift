/// A set of small numbers that mostly grows from the left, of which only the part that is neither full nor empty
/// counts.
///
/// The operations that are in order are all early ones and a few of those around the present, so that a long history
/// needs only a word or two to name them.
struct PositionSet {
    private var words: [UInt64]
    /// The first word that is not full; equal to the number of words if all are.
    private var firstOpenWord = 0
    /// How many words there are up to the last that is not empty.
    private var usedWords = 0
    /// How many numbers are in the set.
    private(set) var count = 0

    /// An empty set of numbers below `capacity`.
    init(capacity: Int) {
        words = [UInt64](repeating: 0, count: (capacity + 63) / 64)
    }

    /// Whether a number is in the set.
    func contains(_ position: Int) -> Bool {
        words[position >> 6] & (1 << UInt64(position & 63)) != 0
    }

    /// Adds a number that is not in the set.
    mutating func insert(_ position: Int) {
        words[position >> 6] |= 1 << UInt64(position & 63)
        count += 1
        usedWords = max(usedWords, (position >> 6) + 1)
        while firstOpenWord < words.count, words[firstOpenWord] == .max { firstOpenWord += 1 }
    }

    /// Removes a number that is in the set.
    mutating func remove(_ position: Int) {
        words[position >> 6] &= ~(1 << UInt64(position & 63))
        count -= 1
        firstOpenWord = min(firstOpenWord, position >> 6)
        while usedWords > 0, words[usedWords - 1] == 0 { usedWords -= 1 }
    }

    /// Appends the words of the set, up to the last that is not empty.
    func appendWords(to target: inout [UInt64]) {
        target.append(contentsOf: words[0..<usedWords])
    }

    /// Appends words that name exactly this set among those of the same capacity.
    func appendName(to target: inout [UInt64]) {
        let used = max(0, usedWords - firstOpenWord)
        target.append(UInt64(firstOpenWord) << 32 | UInt64(used))
        for index in firstOpenWord..<firstOpenWord + used { target.append(words[index]) }
    }
}
