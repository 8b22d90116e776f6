import BalsaPlatform

/// The range tombstones that a reader has to hold every entry against: those of all its sources together.
struct TombstoneCover {
    /// The lists of memtables and of tables of the first level.
    private var lists: [TombstoneList] = []
    /// The tables of deeper levels that have tombstones.
    private var levels: [UnsafeBufferPointer<TableSlot>] = []

    /// Whether there are none.
    var isEmpty: Bool { lists.isEmpty && levels.isEmpty }

    /// Adds the tombstones of a memtable.
    mutating func add(_ memtable: Memtable) { lists += memtable.tombstoneLists }

    /// Adds the tombstones of a table.
    mutating func add(_ list: TombstoneList) {
        if !list.isEmpty { lists.append(list) }
    }

    /// Adds the tombstones of tables that are sorted and disjoint, and outlive this.
    mutating func add(_ level: UnsafeBufferPointer<TableSlot>) { levels.append(level) }

    /// A range around `key` in which everything older than `sequence` is deleted for a reader at `readSequence`; nil if
    /// no one list of tombstones deletes it.
    ///
    /// - Parameters:
    ///   - sequence: what ``covering(_:at:)`` has found for the key.
    ///   - isForward: whether the end is asked for, which is excluded, or the start.
    func edge(
        of key: UnsafeRawBufferPointer,
        coveredBy sequence: SequenceNumber,
        at readSequence: SequenceNumber,
        isForward: Bool
    ) -> UnsafeRawBufferPointer? {
        for list in lists {
            if let edge = list.edge(of: key, coveredBy: sequence, at: readSequence, isForward: isForward) {
                return edge
            }
        }
        for tables in levels {
            guard let slot = tables.slot(for: key), slot.pointee.hasTombstones else { continue }
            let edge = slot.pointee.tombstones._withUnsafeGuaranteedRef {
                $0.edge(of: key, coveredBy: sequence, at: readSequence, isForward: isForward)
            }
            if let edge { return edge }
        }
        return nil
    }

    /// The highest sequence number, up to `sequence`, of a tombstone that covers `key`; 0 for none.
    func covering(_ key: UnsafeRawBufferPointer, at sequence: SequenceNumber) -> SequenceNumber {
        var highest: SequenceNumber = 0
        for list in lists { highest = max(highest, list.covering(key, at: sequence)) }
        for tables in levels {
            // A tombstone lies within the bounds of its table, and at most one table's bounds hold the key.
            guard let slot = tables.slot(for: key) else { continue }
            highest = max(highest, slot.pointee.covering(key, at: sequence))
        }
        return highest
    }
}
