import BalsaPlatform

/// The range deletions of a memtable at one moment: a few lists, in which a search looks one after the other.
///
/// One more deletion would cost a copy of all others if there were one list. It becomes a list of its own instead, and
/// lists are merged as in a log-structured merge tree: the new one takes along every list that is at most twice as long
/// as what is merged already. Each list is therefore more than twice as long as the next, so n deletions lie in O(log
/// n) lists, and each of them is copied O(log n) times.
///
/// A set never changes. The memtable publishes each new one by an atomic pointer and retires the old one.
final class TombstoneSet: @unchecked Sendable {
    /// The lists, longest first.
    let lists: [TombstoneList]
    /// The same lists, for searches that count no references.
    private let unretained: UnsafeMutableBufferPointer<Unmanaged<TombstoneList>>
    /// How much memory the lists take, in bytes.
    let byteCount: Int

    /// A set without deletions.
    static let empty = TombstoneSet([])

    private init(_ lists: [TombstoneList]) {
        self.lists = lists
        byteCount = lists.reduce(0) { $0 + $1.byteCount }
        unretained = .allocate(capacity: lists.count)
        for (index, list) in lists.enumerated() { unretained.initializeElement(at: index, to: .passUnretained(list)) }
    }

    deinit { unretained.deallocate() }

    /// The set with the deletions of `list` as well.
    func adding(_ list: TombstoneList) -> TombstoneSet {
        var kept = lists[...]
        var merged = [list]
        var byteCount = list.byteCount
        while let last = kept.last, last.byteCount <= 2 * byteCount {
            merged.append(last)
            byteCount += last.byteCount
            kept.removeLast()
        }
        return TombstoneSet(kept + [TombstoneList.merging(merged)])
    }

    /// The highest sequence number, up to `sequence`, of a deletion that covers `key`; 0 for none.
    func covering(_ key: UnsafeRawBufferPointer, at sequence: SequenceNumber) -> SequenceNumber {
        var highest: SequenceNumber = 0
        for list in unretained {
            highest = max(highest, list._withUnsafeGuaranteedRef { $0.covering(key, at: sequence) })
        }
        return highest
    }
}
