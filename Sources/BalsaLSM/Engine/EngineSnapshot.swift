import BalsaPlatform
import CBalsaPlatform

/// A moment of an engine that can be read for as long as this is held: compactions keep what a reader at its sequence
/// sees.
///
/// It holds no table and no memtable, only their dropping back, and costs nothing to take. Held for long it lets old
/// versions pile up; ``EngineMetrics/oldestSnapshot`` tells.
public final class EngineSnapshot: @unchecked Sendable {
    /// Up to where writes are seen.
    public let sequence: SequenceNumber
    private let registry: SnapshotRegistry
    private let number: UInt64
    /// A word that becomes 1 when the snapshot is closed.
    private let closed: UnsafeMutableRawPointer

    init(sequence: SequenceNumber, number: UInt64, registry: SnapshotRegistry) {
        self.sequence = sequence
        self.number = number
        self.registry = registry
        closed = .allocate(byteCount: 8, alignment: 8)
        closed.initializeMemory(as: UInt64.self, repeating: 0, count: 1)
    }

    deinit {
        close()
        closed.deallocate()
    }

    /// Gives the moment up: later reads at it throw *invalid*. Cursors that were made before go on. Closing twice has
    /// no effect.
    public func close() {
        // Reads are refused before compactions may drop what the snapshot sees.
        guard balsa_fetch_add_64(closed, 1) == 0 else { return }
        registry.remove(number)
    }

    /// Throws unless the snapshot is open and of the engine that `registry` belongs to.
    ///
    /// A reader calls it with the view that it will read: if the snapshot is open now, no compaction whose result is in
    /// the view has dropped what the snapshot sees.
    @inline(__always)
    func check(_ registry: SnapshotRegistry) throws(EngineError) {
        guard registry === self.registry, balsa_load_acquire_64(closed) == 0 else { throw refusal(registry) }
    }

    @inline(never)
    private func refusal(_ registry: SnapshotRegistry) -> EngineError {
        guard registry === self.registry else {
            return EngineError(.invalid, "the snapshot at \(sequence) is of another engine")
        }
        return EngineError(.invalid, "the snapshot at \(sequence) has been closed: take another one")
    }
}

/// The snapshots that are held.
///
/// A snapshot is taken, and the list of snapshots is captured for a compaction, under one lock. A snapshot that a
/// compaction has not seen was hence taken later, at a sequence that was visible then, and is not below the mark by which
/// the compaction drops.
final class SnapshotRegistry: Sendable {
    private struct Entry {
        let number: UInt64
        let sequence: SequenceNumber
    }

    private struct Entries {
        var held: [Entry] = []
        var lastNumber: UInt64 = 0
    }

    private let entries = Locked(Entries())

    /// Takes a snapshot at what `sequence` returns inside of the lock.
    func take(_ sequence: () -> SequenceNumber) -> EngineSnapshot {
        let entry: Entry = entries.withLock { entries in
            entries.lastNumber += 1
            let entry = Entry(number: entries.lastNumber, sequence: sequence())
            entries.held.append(entry)
            return entry
        }
        return EngineSnapshot(sequence: entry.sequence, number: entry.number, registry: self)
    }

    /// Forgets a snapshot, if it is there.
    func remove(_ number: UInt64) {
        entries.withLock { $0.held.removeAll { $0.number == number } }
    }

    /// The sequences that are held, ascending, each of them once.
    func sequences() -> [SequenceNumber] {
        let all = entries.withLock { $0.held.map(\.sequence) }.sorted()
        return all.enumerated().filter { $0.offset == 0 || all[$0.offset - 1] != $0.element }.map(\.element)
    }

    /// The lowest sequence that is held. Asked for in every step of a member.
    var lowest: SequenceNumber? { entries.withLock { $0.held.lazy.map(\.sequence).min() } }

    /// How many snapshots are held.
    var count: Int { entries.withLock { $0.held.count } }
}
