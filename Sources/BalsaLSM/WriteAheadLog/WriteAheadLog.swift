import BalsaPlatform

/// The write-ahead log of an engine that stands alone: the batches that no table holds yet, in files `wal-<number>`.
///
/// ```swift
/// let log = try WriteAheadLog.open(directory, engineID: id, flushedThrough: seal.sequence, …) { sequence, batch in … }
/// try log.append(batch, sequence: 7)      // has reached the kernel: survives the end of the process
/// try log.sync()                          // survives a power loss
/// try log.rotate()                        // when the memtable is sealed
/// try log.removeFiles(flushedThrough: 7)  // when its table is durable
/// ```
///
/// A log belongs to one thread at a time. A sync may be performed by another one meanwhile: ``beginSync()``. After a
/// failed sync nothing is retried (Rebello et al., ATC 2020): the log has failed and must be opened anew, which writes
/// again what no record confirms and does not trust the page cache.
///
/// A failed *write* leaves the log as it was. The batch is not in it, unless the process ends before the next one is
/// written: then it may be there when the log is opened.
final class WriteAheadLog {
    /// A file that takes no more batches.
    private struct ClosedFile {
        let name: WriteAheadLogFileName
        /// The number of the last batch for which it is needed; 0 where it is not needed at all.
        let lastSequence: SequenceNumber
    }

    private let directory: String
    private let engineID: UInt64
    private let sectorBytes: UInt32
    private let fileSystem: any FileSystem
    private let options: EngineOptions
    private var current: WriteAheadLogFile
    private var closed: [ClosedFile]
    private var nextNumber: UInt64

    /// What tells this opening of this log from all others, for the tickets that it gives.
    let origin: UInt64
    /// What was found when the log was opened.
    let report: WriteAheadLogReport
    /// The number of the last batch that has reached the kernel.
    private(set) var writtenThrough: SequenceNumber
    /// The number of the last batch that survives a power loss.
    private(set) var syncedThrough: SequenceNumber
    /// Why the log takes nothing any more.
    private(set) var failure: EngineError?

    private init(
        _ recovery: WriteAheadLogRecovery,
        _ current: WriteAheadLogFile,
        closed: [ClosedFile],
        sectorBytes: UInt32,
        options: EngineOptions
    ) {
        directory = recovery.directory
        engineID = recovery.engineID
        fileSystem = recovery.fileSystem
        report = recovery.report
        self.sectorBytes = sectorBytes
        self.options = options
        self.current = current
        self.closed = closed
        nextNumber = current.number + 1
        // Each opening begins a file of its own, and no number of a published file is used again.
        origin = RandomSource.mix(engineID &+ RandomSource.mix(current.number))
        writtenThrough = recovery.report.lastSequence
        syncedThrough = writtenThrough
    }

    // MARK: Opening

    /// Opens the log in a directory, which may hold none, and replays it.
    ///
    /// A new file is begun at every opening. Batches that are in the last file and that nothing confirms are written
    /// once more, into the new one, and are durable when this returns. It can be repeated after a crash at any call.
    /// Files of which nothing is needed stay until ``removeFiles(flushedThrough:)``.
    ///
    /// - Parameters:
    ///   - flushedThrough: the number of the last batch that durable tables hold. What is not above it is not replayed.
    ///   - sectorBytes: what the device writes as a whole; a power of two from 128 to 65,536. Files written with another
    ///     value can be read.
    ///   - body: gets each batch with its number, in order. The bytes are valid during the call.
    /// - Throws: *damaged* where batches were lost that had been durable; *upgrade required*; and what `body` throws.
    static func open(
        _ directory: String,
        engineID: UInt64,
        flushedThrough: SequenceNumber,
        fileSystem: any FileSystem,
        options: EngineOptions,
        sectorBytes: UInt32 = 4096,
        _ body: (SequenceNumber, UnsafeRawBufferPointer) throws(EngineError) -> Void
    ) throws(EngineError) -> WriteAheadLog {
        precondition(
            WriteAheadLogHeader.sectorRange.contains(sectorBytes) && sectorBytes.nonzeroBitCount == 1,
            "the size of a sector is a power of two"
        )
        var recovery = WriteAheadLogRecovery(
            directory: directory,
            engineID: engineID,
            flushedThrough: flushedThrough,
            fileSystem: fileSystem
        )
        try recovery.findFiles()
        try recovery.replay(body)
        let kept = recovery.continuation.kept
        var closed: [ClosedFile] = []
        for name in recovery.files where !kept.contains(where: { WriteAheadLogFileName.file($0.number) == name }) {
            closed.append(ClosedFile(name: name, lastSequence: 0))
        }
        closed += kept.map { ClosedFile(name: .file($0.number), lastSequence: $0.lastSequence) }
        try removeUnpublished(&closed, directory, fileSystem)
        let number = recovery.highestNumber + 1
        let current: WriteAheadLogFile
        let unknown: FileError?
        do throws(EngineError) {
            (current, unknown) = try begin(number, &recovery, sectorBytes: sectorBytes)
        } catch {
            // If it stays nevertheless, the next opening finds it: the error that led here says more.
            _ = remove(.preparing(number), directory, fileSystem)
            throw error
        }
        if let unknown {
            current.file.close()
            throw EngineError(unknown)
        }
        return WriteAheadLog(recovery, current, closed: closed, sectorBytes: sectorBytes, options: options)
    }

    /// Begins the file of an opening, with the batches that nothing confirms.
    ///
    /// - Returns: the file, and what failed in a way that leaves unknown whether it has its name.
    /// - Throws: what failed before that.
    private static func begin(
        _ number: UInt64,
        _ recovery: inout WriteAheadLogRecovery,
        sectorBytes: UInt32
    ) throws(EngineError) -> (WriteAheadLogFile, FileError?) {
        let (_, predecessor, base) = recovery.continuation
        let file = try filed { () throws(FileError) in
            try WriteAheadLogFile(
                creating: number,
                in: recovery.directory,
                engineID: recovery.engineID,
                sectorBytes: sectorBytes,
                baseSequence: base,
                fileSystem: recovery.fileSystem
            )
        }
        do throws(EngineError) {
            try recovery.forEachUnconfirmed { sequence, batch throws(EngineError) in
                file.stage(.batch, batch, sequence: sequence)
                if file.stagedByteCount >= rewriteBytes { try writeStaged(file) }
            }
            try writeStaged(file)
            return (file, try filed { () throws(FileError) in try file.publish(after: predecessor, base: base) })
        } catch {
            file.file.close()
            throw error
        }
    }

    /// How many bytes are written at once when batches are written anew.
    private static let rewriteBytes = 1 << 20

    private static func writeStaged(_ file: WriteAheadLogFile) throws(EngineError) {
        let remains = try filed { () throws(FileError) in try file.write() }
        if let remains { throw EngineError(remains) }
    }

    // MARK: Writing

    /// How much the file that is being written counts towards its limit, in bytes: the padding before each sync is left
    /// out, which is most of the file where every small batch is synced alone. A file may become eight times as long by
    /// it.
    var byteCount: UInt64 { max(current.end - current.paddingByteCount, current.end / 8) }

    /// Whether the file that is being written has reached its limit: the memtable should be frozen and the log rotated.
    var isFull: Bool { byteCount >= options.writeAheadLogBytes }

    /// Writes a batch by one call. When this returns the batch survives the end of the process, not yet a power loss.
    ///
    /// - Throws: *file* where the write failed: the log is as before, and the caller may go on. Whether the batch is in
    ///   it if the process ends now is unknown.
    func append(_ batch: UnsafeRawBufferPointer, sequence: SequenceNumber) throws(EngineError) {
        try stage(batch, sequence: sequence)
        try writeStaged()
    }

    /// Takes a batch that ``writeStaged()`` will write, together with others by one call.
    func stage(_ batch: UnsafeRawBufferPointer, sequence: SequenceNumber) throws(EngineError) {
        try checkUse()
        guard batch.count <= WriteAheadLog.maxBodyBytes else {
            throw EngineError(
                .invalid,
                "a batch of \(batch.count) bytes is longer than \(WriteAheadLog.maxBodyBytes), the most that the "
                    + "write-ahead log takes"
            )
        }
        precondition(
            sequence > current.stagedSequence && sequence <= largestSequenceNumber,
            "batches are numbered upwards"
        )
        current.stage(.batch, batch, sequence: sequence)
    }

    /// The longest body that a record can have.
    private static let maxBodyBytes = Int(Int32.max)

    /// Writes what was staged. If that fails nothing of it counts.
    func writeStaged() throws(EngineError) {
        try checkUse()
        let remains: FileError?
        do throws(FileError) {
            remains = try current.write()
        } catch {
            throw EngineError(error)
        }
        if let remains { throw fail(remains) }
        writtenThrough = current.lastSequence
    }

    private func checkUse() throws(EngineError) {
        if let failure { throw failure }
    }

    /// Takes nothing more.
    ///
    /// - Returns: the error of the operation that failed.
    private func fail(_ error: FileError) -> EngineError {
        if failure == nil {
            failure = EngineError(.failed, "the write-ahead log in \(directory) failed: \(error)", cause: error)
        }
        return EngineError(error)
    }

    // MARK: Syncing

    /// Makes everything written so far durable.
    func sync() throws(EngineError) {
        guard let sync = try beginSync() else { return }
        do throws(FileError) {
            try sync.perform()
        } catch {
            failSync(sync, error)
            throw EngineError(error)
        }
        finishSync(sync)
    }

    /// Begins a sync of everything written so far, which any thread may perform while this one goes on writing. Then
    /// ``finishSync(_:)`` or ``failSync(_:_:)`` must be called.
    ///
    /// - Returns: nil where everything is durable already.
    func beginSync() throws(EngineError) -> WriteAheadLogSync? {
        try checkUse()
        guard current.end > current.durableThrough else { return nil }
        current.beginSync()
        return WriteAheadLogSync(
            file: current.file,
            number: current.number,
            offset: current.end,
            through: writtenThrough
        )
    }

    /// Notes that a sync has ended well.
    func finishSync(_ sync: WriteAheadLogSync) {
        if sync.number == current.number { current.finishSync(through: sync.offset) }
        syncedThrough = max(syncedThrough, sync.through)
    }

    /// Whether all that a sync is for has become durable without it, in a file that takes no more batches. That file
    /// may be gone. While batches can still be written to it, a failure counts: it may be told to this sync alone.
    func isSuperseded(_ sync: WriteAheadLogSync) -> Bool {
        sync.number != current.number && sync.through <= syncedThrough
    }

    /// Notes that a sync has failed. Nothing is written to the log any more.
    func failSync(_ sync: WriteAheadLogSync, _ error: FileError) {
        _ = fail(error)
    }

    /// Makes everything durable, and writes that down: from then on damage to any of it is told from a torn tail.
    ///
    /// For when the log has been idle for a moment, and before it is closed.
    func seal() throws(EngineError) {
        try sync()
        guard current.needsSeal else { return }
        current.stage(.seal, UnsafeRawBufferPointer(start: nil, count: 0), sequence: current.lastSequence)
        try writeStaged()
        try sync()
    }

    // MARK: Files

    /// Makes everything durable and begins a new file, if this one holds any batches.
    ///
    /// The old file is durable before the new one has its name, so that no batch of the new one can survive a power loss
    /// that one of the old file does not. What fails before that leaves the log as it was.
    func rotate() throws(EngineError) {
        try sync()
        guard current.hasRecords else { return }
        try WriteAheadLog.removeUnpublished(&closed, directory, fileSystem)
        let number = nextNumber
        nextNumber += 1
        let next: WriteAheadLogFile
        let unknown: FileError?
        do throws(FileError) {
            (next, unknown) = try begin(number)
        } catch {
            // Every write that is refused comes here: the file would take the room that the next one needs.
            if WriteAheadLog.remove(.preparing(number), directory, fileSystem) != nil {
                closed.append(ClosedFile(name: .preparing(number), lastSequence: 0))
            }
            throw EngineError(error)
        }
        // If the new file has its name the log ends in the old one, which therefore must not grow any more.
        if let unknown { throw fail(unknown) }
        closed.append(ClosedFile(name: .file(current.number), lastSequence: current.lastSequence))
        current = next
    }

    /// Begins the file that continues the current one.
    ///
    /// - Returns: the file, and what failed in a way that leaves unknown whether it has its name.
    /// - Throws: what failed before that.
    private func begin(_ number: UInt64) throws(FileError) -> (WriteAheadLogFile, FileError?) {
        let next = try WriteAheadLogFile(
            creating: number,
            in: directory,
            engineID: engineID,
            sectorBytes: sectorBytes,
            baseSequence: current.lastSequence,
            fileSystem: fileSystem
        )
        do throws(FileError) {
            let end = WriteAheadLogPlace(number: current.number, offset: current.end)
            return (next, try next.publish(after: end, base: current.lastSequence))
        } catch {
            next.file.close()
            throw error
        }
    }

    /// With how many files that were never published and cannot be removed no other one is begun.
    private static let maxUnpublishedFiles = 4

    /// Removes the files that were never published, of which nothing counts. Called before another one is begun.
    ///
    /// - Throws: why one could not be removed, if so many are left that no other may be begun.
    private static func removeUnpublished(
        _ files: inout [ClosedFile],
        _ directory: String,
        _ fileSystem: any FileSystem
    ) throws(EngineError) {
        var failure: FileError?
        var left = 0
        files.removeAll { file in
            guard case .preparing = file.name else { return false }
            guard let error = remove(file.name, directory, fileSystem) else { return true }
            failure = error
            left += 1
            return false
        }
        if let failure, left >= maxUnpublishedFiles { throw EngineError(failure) }
    }

    /// Removes a file.
    ///
    /// - Returns: why it is still there; nil where it is gone, by this call or by an earlier one that failed.
    private static func remove(
        _ name: WriteAheadLogFileName,
        _ directory: String,
        _ fileSystem: any FileSystem
    ) -> FileError? {
        do throws(FileError) {
            try fileSystem.remove(name.path(in: directory))
        } catch {
            return error.number == .notFound ? nil : error
        }
        return nil
    }

    /// Removes the files of which nothing is needed, now that durable tables hold all batches up to `flushedThrough`.
    ///
    /// That needs no sync: a file that reappears is not replayed.
    func removeFiles(flushedThrough: SequenceNumber) throws(EngineError) {
        while let index = closed.firstIndex(where: { $0.lastSequence <= flushedThrough }) {
            if let error = WriteAheadLog.remove(closed[index].name, directory, fileSystem) { throw EngineError(error) }
            closed.remove(at: index)
        }
    }

    /// Whether there are files of which nothing is needed when tables hold all batches up to `flushedThrough`.
    func hasRemovableFiles(flushedThrough: SequenceNumber) -> Bool {
        closed.contains { $0.lastSequence <= flushedThrough }
    }

    /// Closes the file. What has not been synced stays with the kernel.
    func close() {
        current.file.close()
        if failure == nil { failure = EngineError(.closed, "the write-ahead log in \(directory) was closed") }
    }
}
