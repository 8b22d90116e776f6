import BalsaPlatform

/// Keys from `start` up to `end`, which is excluded, none of which has a value at `sequence` or since then.
struct EmptyRange {
    var start: Bytes
    var end: Bytes
    var sequence: SequenceNumber
    /// When a reader used it last, by a clock that counts.
    var lastUse: UInt64 = 0

    /// Whether the key lies in the range.
    func contains(_ key: UnsafeRawBufferPointer) -> Bool {
        start.withUnsafeBytes { KeyOrder.compare($0, key) <= 0 }
            && end.withUnsafeBytes { KeyOrder.compare(key, $0) < 0 }
    }

    /// What is left before a key of the range, and after it.
    func split(at key: UnsafeRawBufferPointer) -> [EmptyRange] {
        var (before, after) = (self, self)
        before.end = Bytes(copying: key)
        after.start = Bytes(after: key)
        return [before, after].filter { $0.start < $0.end }
    }
}

/// Sorted and disjoint ranges without values, a small number of them.
///
/// Complexity: O(log n) comparisons of keys to find one of n ranges, O(n) moves to add one.
struct EmptyRangeList {
    private(set) var ranges: [EmptyRange] = []
    private let capacity: Int

    /// A list of at most `capacity` ranges.
    init(capacity: Int) { self.capacity = capacity }

    /// The index of the range that `key` lies in.
    func index(of key: UnsafeRawBufferPointer) -> Int? {
        let index = firstIndex { $0.end.withUnsafeBytes { KeyOrder.compare($0, key) > 0 } }
        return index < ranges.count && ranges[index].contains(key) ? index : nil
    }

    /// The index of the range that reaches from before `key` up to it, or further.
    func index(before key: UnsafeRawBufferPointer) -> Int? {
        let index = firstIndex { $0.end.withUnsafeBytes { KeyOrder.compare($0, key) >= 0 } }
        guard index < ranges.count else { return nil }
        return ranges[index].start.withUnsafeBytes { KeyOrder.compare($0, key) < 0 } ? index : nil
    }

    /// The first range that fulfils a condition that all behind it fulfil as well; their number if none does.
    private func firstIndex(where isFulfilled: (EmptyRange) -> Bool) -> Int {
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if isFulfilled(ranges[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// Notes that a reader has used a range.
    mutating func noteUse(of index: Int, _ use: UInt64) { ranges[index].lastUse = use }

    /// Adds a range, and makes one of it and all that it overlaps or touches. If there are too many then, the one goes
    /// that was used least recently.
    mutating func add(_ range: EmptyRange) {
        let first = ranges.firstIndex { $0.end >= range.start } ?? ranges.count
        var last = first
        var whole = range
        while last < ranges.count, ranges[last].start <= range.end {
            whole.start = min(whole.start, ranges[last].start)
            whole.end = max(whole.end, ranges[last].end)
            // The union is known from when on all parts of it are.
            whole.sequence = max(whole.sequence, ranges[last].sequence)
            last += 1
        }
        ranges.replaceSubrange(first..<last, with: [whole])
        evict()
    }

    /// Takes a key out of its range, if it is in one.
    mutating func remove(_ key: UnsafeRawBufferPointer) {
        guard let index = index(of: key) else { return }
        let parts = key.count < EmptyRanges.maxKeyBytes ? ranges[index].split(at: key) : []
        ranges.replaceSubrange(index..<index + 1, with: parts)
        evict()
    }

    private mutating func evict() {
        guard ranges.count > capacity else { return }
        var oldest = 0
        for index in ranges.indices where ranges[index].lastUse < ranges[oldest].lastUse { oldest = index }
        ranges.remove(at: oldest)
    }
}

extension Bytes {
    /// The lowest key above `key`.
    init(after key: UnsafeRawBufferPointer) {
        self.init(
            [UInt8](unsafeUninitializedCapacity: key.count + 1) { buffer, count in
                UnsafeMutableRawBufferPointer(buffer).copyMemory(from: key)
                buffer[key.count] = 0
                count = key.count + 1
            }
        )
    }
}
