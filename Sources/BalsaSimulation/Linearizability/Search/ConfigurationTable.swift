/// The configurations that a search has met: which operations are in order, and the state that they lead to.
///
/// A configuration is *covered* by one with the same answered operations and the same state that has used no unknown
/// operation that the former has not: whatever completes the former completes the latter as well. So one that is
/// covered need not be explored, and equality is the simplest case of that.
///
/// A hash table with open addressing whose entries are compared exactly, so that no collision of hashes can turn a
/// linearizable history into a contradiction. Nothing is ever removed. Each slot leads to a chain of entries that
/// differ in their unknown operations alone. The sets lie one behind the other in one array.
struct ConfigurationTable<State: Equatable> {
    private struct Entry {
        let hash: UInt64
        let state: State
        /// Where the words of the answered operations begin, those of the unknown ones, and where these end.
        let answered: Int
        let unknown: Int
        let end: Int
        /// The entry behind this one in the chain; nil for the last.
        var next: Int?

        /// Whether both have the same answered operations and the same state.
        func isInChain(of other: Entry, in words: [UInt64]) -> Bool {
            guard hash == other.hash, unknown - answered == other.unknown - other.answered else { return false }
            for offset in 0..<unknown - answered where words[answered + offset] != words[other.answered + offset] {
                return false
            }
            return state == other.state
        }

        /// Whether every unknown operation of this entry is one of the other's.
        func hasSubset(of other: Entry, in words: [UInt64]) -> Bool {
            guard end - unknown <= other.end - other.unknown else { return false }
            for offset in 0..<end - unknown where words[unknown + offset] & ~words[other.unknown + offset] != 0 {
                return false
            }
            return true
        }
    }

    private var entries: [Entry] = []
    private var words: [UInt64] = []
    /// Numbers of the first entries of chains plus one, and 0 for a free slot. The number of slots is a power of two
    /// and at least twice that of chains.
    private var slots = [Int](repeating: 0, count: 64)
    private var chains = 0

    /// How many configurations are remembered.
    var count: Int { entries.count }

    /// How many entries were compared so far, the measure of the work that long chains make.
    private(set) var comparisons = 0

    /// Remembers a configuration that is not covered, unless `capacity` are remembered already.
    ///
    /// - Parameter hash: a hash over the answered operations of the set and the state.
    /// - Returns: false where the configuration is covered by one that is remembered.
    mutating func insert(_ set: borrowing LinearizedSet, _ state: State, hash: UInt64, capacity: Int) -> Bool {
        let start = words.count
        set.appendAnswered(to: &words)
        let middle = words.count
        set.appendUnknown(to: &words)
        let candidate = Entry(hash: hash, state: state, answered: start, unknown: middle, end: words.count, next: nil)
        let slot = slot(of: candidate)
        var last: Int?
        var place: Int? = slots[slot] == 0 ? nil : slots[slot] - 1
        while let entry = place {
            comparisons += 1
            if entries[entry].hasSubset(of: candidate, in: words) {
                words.removeLast(words.count - start)
                return false
            }
            last = entry
            place = entries[entry].next
        }
        guard entries.count < capacity else {
            words.removeLast(words.count - start)
            return true
        }
        if let last {
            entries[last].next = entries.count
            entries.append(candidate)
        } else {
            entries.append(candidate)
            slots[slot] = entries.count
            chains += 1
            if chains * 2 > slots.count { grow() }
        }
        return true
    }

    /// The slot of the chain that an entry belongs to, or the free slot where it would begin.
    private func slot(of candidate: Entry) -> Int {
        var slot = Int(truncatingIfNeeded: candidate.hash) & (slots.count - 1)
        while slots[slot] != 0, !entries[slots[slot] - 1].isInChain(of: candidate, in: words) {
            slot = (slot + 1) & (slots.count - 1)
        }
        return slot
    }

    private mutating func grow() {
        let old = slots
        let mask = old.count * 2 - 1
        slots = [Int](repeating: 0, count: mask + 1)
        for first in old where first != 0 {
            var slot = Int(truncatingIfNeeded: entries[first - 1].hash) & mask
            while slots[slot] != 0 { slot = (slot + 1) & mask }
            slots[slot] = first
        }
    }
}
