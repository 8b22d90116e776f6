import BalsaPlatform
import CBalsaPlatform

/// An ordered key-value store in one directory: a log-structured merge tree.
///
/// Writes go to a memtable. A full memtable is *sealed* with a record of its owner's, and flushed to a table by background
/// work; compactions merge tables into deeper levels. The manifest says which tables there are and up to where everything
/// is in them (``durableSeal``): that is what a crash leaves, whatever else had been written.
///
/// ```
/// apply ──▶ memtable ──seal──▶ sealed memtables ──flush──▶ level 0 ──compaction──▶ level 1 … n
/// get, cursors: the newest answer of all of them, from left to right
/// ```
///
/// - One thread at a time writes: ``apply(_:sequence:)``, ``seal(_:)``, ``advanceRetentionMark(to:)``.
/// - One thread at a time works: ``work(budget:)``. Nothing happens in the background by itself, so that a simulation can
///   decide about every step.
/// - Any thread reads, at any time, and waits for neither of the two.
///
/// Every sequence number up to the retention mark of the last durable seal may be compacted away. A snapshot keeps its own.
///
/// There are two ways to write, of which ``EngineOptions/hasWriteAheadLog`` chooses one. Whoever has a log of batches already,
/// as a replica has, numbers them itself, calls ``apply(_:sequence:)`` and ``seal(_:)``, and after a crash applies again
/// what lies behind ``durableSeal``. An engine that stands alone has ``write(_:syncing:)``, which does all three.
/// `Docs/StorageEngine.md` shows both.
///
/// - this file: what threads share, and how readers find it;
/// - `StorageEngine+Opening`: from a directory to an engine;
/// - `StorageEngine+Writing`: batches, seals, back-pressure;
/// - `StorageEngine+Log`: the engine that stands alone;
/// - `StorageEngine+Reading`: points, cursors, snapshots;
/// - `StorageEngine+Work`: the background work, step by step;
/// - `StorageEngine+Installing`: how its results become durable and visible;
/// - `StorageEngine+Checkpoints`: the durable state as files.
public final class StorageEngine: @unchecked Sendable {
    /// What readers load, each in a cache line of its own.
    private enum Cell {
        static let view = 0
        static let lastSequence = 64
        static let retentionMark = 128
        static let isClosed = 192
        static let byteCount = 256
    }

    /// What the writer and the worker share, under the lock.
    struct Shared {
        /// The memtables that wait for their flush, oldest first.
        var seals: [SealedMemtable] = []
        /// The record of the last flush whose edit is durable.
        var durableSeal: SealRecord?
        /// All files with this number or a higher one are yet to be made.
        var nextFileNumber: UInt64 = 1
        var metrics = EngineMetrics()
        var isWorking = false
        var currentWork: WorkKind?
        /// Whether the levels ask for a compaction, or one has begun.
        var wantsCompaction = false
        /// Up to which lowest protected sequence number the tables have been looked at for dead bytes.
        var reclaimedThrough: SequenceNumber = 0
        /// Whether files of the write-ahead log may have become superfluous.
        var wantsLogRemoval = false
        /// Whether the manifest is to be written anew.
        var wantsManifest = false
    }

    /// The engine's directory.
    public let directory: String
    let fileSystem: any FileSystem
    let options: EngineOptions
    /// A random number of the engine's own, which never changes. Checkpoints have that of the engine that they are of.
    let engineID: UInt64
    let epochs: Epochs
    let cache: BlockCache
    let tables: TableCache
    let removals: FileRemovals
    let snapshots = SnapshotRegistry()
    /// What cursors have found to hold no values.
    let emptyRanges: EmptyRanges
    private let fileLock: any FileLock
    private let cells: UnsafeMutableRawPointer
    private let lock = Lock()
    private var shared: Shared
    /// The memtable that the writer writes to; the same as in the view. The writer's own.
    var activeMemtable: Memtable
    /// What only the worker touches.
    var worker: Worker
    /// The write-ahead log of an engine that stands alone. Set before anybody else has the engine.
    var commitLog: CommitLog?

    init(_ parts: OpenedEngine) {
        directory = parts.directory
        fileSystem = parts.fileSystem
        options = parts.options
        engineID = parts.engineID
        epochs = parts.epochs
        cache = parts.cache
        tables = parts.tables
        removals = parts.removals
        fileLock = parts.lock
        worker = Worker(manifest: parts.manifest, state: parts.state, identities: parts.identities)
        shared = Shared()
        shared.durableSeal = parts.state.seal
        shared.nextFileNumber = parts.state.nextFileNumber
        parts.version.noteLevels()
        activeMemtable = Memtable(epochs: epochs)
        emptyRanges = EmptyRanges(through: parts.state.seal?.sequence ?? 0, activeMemtable)
        cells = .allocate(byteCount: Cell.byteCount, alignment: 64)
        cells.initializeMemory(as: UInt8.self, repeating: 0, count: Cell.byteCount)
        let view = ReadView(memtable: activeMemtable, sealed: [], version: parts.version)
        balsa_store_64(cells + Cell.view, UInt64(UInt(bitPattern: Unmanaged.passRetained(view).toOpaque())))
        balsa_store_64(cells + Cell.lastSequence, parts.state.seal?.sequence ?? 0)
        balsa_store_64(cells + Cell.retentionMark, parts.state.seal?.retentionMark ?? 0)
        let protected = parts.state.seal?.retentionMark ?? 0
        let damaged = tables.quarantine.damaged
        shared.wantsCompaction = nextCompaction(in: parts.version, protected: protected, damaged: damaged) != nil
    }

    deinit {
        close()
        takeView().release()
        cells.deallocate()
        // Blocks of tables that go now are retired, and nobody is left to collect them later.
        epochs.collect()
    }

    // MARK: Shared state

    /// Calls `body` with what the writer and the worker share, alone.
    func withShared<Value, Failure: Error>(
        _ body: (inout Shared) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        try lock.withLock { () throws(Failure) in try body(&shared) }
    }

    /// A number that no file has had.
    func takeFileNumber() -> UInt64 {
        withShared { shared in
            shared.nextFileNumber += 1
            return shared.nextFileNumber - 1
        }
    }

    /// The number of the newest batch that readers see, or of a later seal.
    public internal(set) var lastSequence: SequenceNumber {
        get { balsa_load_acquire_64(cells + Cell.lastSequence) }
        set { balsa_store_release_64(cells + Cell.lastSequence, newValue) }
    }

    /// The newest retention mark: reads below it are refused. Set by the writer.
    public internal(set) var retentionMark: SequenceNumber {
        get { balsa_load_acquire_64(cells + Cell.retentionMark) }
        set { balsa_store_release_64(cells + Cell.retentionMark, newValue) }
    }

    /// Throws where the engine has been closed.
    @inline(__always)
    func checkOpen() throws(EngineError) {
        guard balsa_load_acquire_64(cells + Cell.isClosed) == 0 else { throw closedError }
    }

    private var closedError: EngineError {
        @inline(never)
        get { EngineError(.closed, "the engine in \(directory) has been closed") }
    }

    /// Gives the directory back. Everything else throws *closed* from then on. Cursors may still be used, and throw it
    /// where they need a table that is not open. Without a write-ahead log, memtables that have not been flushed are
    /// lost, as in a crash. Closing twice has no effect.
    ///
    /// Neither the writer nor the worker may be in a call.
    public func close() {
        guard balsa_fetch_add_64(cells + Cell.isClosed, 1) == 0 else { return }
        worker.abandon()
        closeLog()
        tables.close()
        fileLock.release()
        epochs.collect()
    }

    // MARK: The view

    private func takeView() -> Unmanaged<ReadView> {
        guard let pointer = UnsafeRawPointer(bitPattern: UInt(balsa_load_64(cells + Cell.view))) else {
            preconditionFailure("an engine has a view from its beginning to its end")
        }
        return Unmanaged.fromOpaque(pointer)
    }

    /// The current view, for callers with a pin or with the lock.
    @inline(__always)
    var unretainedView: Unmanaged<ReadView> { takeView() }

    /// The current view, with a reference.
    func retainedView() -> ReadView { epochs.withPin { takeView().takeUnretainedValue() } }

    /// Calls `body` with the current view, without a reference of its own: for what is asked for often.
    func withView<Result>(_ body: (ReadView) -> Result) -> Result {
        epochs.withPin { takeView()._withUnsafeGuaranteedRef(body) }
    }

    /// Makes `view` the one that readers find. Called with the lock.
    func publish(_ view: ReadView) {
        let old = takeView()
        balsa_store_64(cells + Cell.view, UInt64(UInt(bitPattern: Unmanaged.passRetained(view).toOpaque())))
        // A reader may just have loaded the old pointer and not used it yet.
        epochs.retire(old.takeRetainedValue())
    }
}
