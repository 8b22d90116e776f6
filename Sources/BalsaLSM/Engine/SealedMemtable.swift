/// A memtable that waits for its flush. Reached under the engine's lock only.
final class SealedMemtable {
    /// Nil where nothing was written between two seals.
    let memtable: Memtable?
    /// What becomes durable with it.
    var record: SealRecord
    /// Whether its flush has begun: what its table will be recorded with is decided.
    var isInFlush = false

    init(_ memtable: Memtable?, _ record: SealRecord) {
        self.memtable = memtable
        self.record = record
    }
}
