import BalsaPlatform
import CBalsaPlatform

/// Bounds what the tables of an engine keep open: file descriptors, and the memory of indexes and filters.
///
/// A table that the manifest names need not be open. Its file is opened when a block is read, its body is read when a
/// key is looked for, and both stay until others need their place. The two limits are apart, because to open a file
/// again costs a system call, and to read a body again costs as much as the reads of many blocks.
///
/// What goes is decided by CLOCK: a hand goes around the tables, passes over those that were used since it last came
/// by, and takes the first that was not. One that was only just opened counts as not used. A body that goes takes its
/// cached blocks with it, since nothing else finds them. It is given to ``Epochs``, for readers may be looking at it. A
/// reader that holds a file, or a cursor that holds a body, keeps it until it is done, so that the limits can be
/// exceeded by what readers hold at one moment.
final class TableCache: DescriptorHolder, @unchecked Sendable {
    /// A file that is closed with its last reference.
    final class OpenFile: Sendable {
        private let file: any File

        init(_ file: any File) { self.file = file }

        deinit { file.close() }

        /// Calls `body` with the file, which stays open until `body` returns.
        ///
        /// There is no other way to the file: the compiler releases a reference behind its last use, so that a caller
        /// that took the file out of here would read it while another reader closes it.
        func use<Result, Failure: Error>(_ body: (any File) throws(Failure) -> Result) throws(Failure) -> Result {
            defer { withExtendedLifetime(self) {} }
            return try body(file)
        }
    }

    /// What of a table is in memory. The cache's lock guards it.
    struct Residency {
        var file: OpenFile?
        var isFileUsed = false
        var bodyBytes = 0
        var isClosed = false
    }

    private struct Shared {
        /// The tables whose files are open, and whose turn it is next to be closed.
        var files: [Unmanaged<Table>] = []
        var fileHand = 0
        /// The tables whose bodies are in memory, and whose turn it is next.
        var bodies: [Unmanaged<Table>] = []
        var bodyHand = 0
        var bodyBytes = 0
        var fileOpenings: UInt64 = 0
        var bodyReads: UInt64 = 0
        var isClosed = false
    }

    /// How many files may be open, if the file system allows for so many.
    let maxFiles: Int
    /// How much memory bodies may take, in bytes. One body may take more.
    let capacityBytes: Int
    let blocks: BlockCache
    /// What of the tables cannot be read.
    let quarantine = Quarantine()
    private let directory: String
    private let fileSystem: any FileSystem
    private let lock = Lock()
    private var shared = Shared()

    /// A cache for the tables of `directory`, none of which is open.
    ///
    /// - Parameters:
    ///   - maxFiles: how many files may be open; at least 1.
    ///   - capacityBytes: how much memory bodies may take, in bytes.
    ///   - blocks: where blocks are cached.
    init(
        directory: String,
        fileSystem: any FileSystem,
        maxFiles: Int,
        capacityBytes: Int,
        blocks: BlockCache
    ) {
        precondition(maxFiles > 0 && capacityBytes >= 0, "a cache of tables has room for one")
        self.directory = directory
        self.fileSystem = fileSystem
        self.maxFiles = maxFiles
        self.capacityBytes = capacityBytes
        self.blocks = blocks
    }

    // MARK: Figures

    /// How many files are open.
    var fileCount: Int { lock.withLock { shared.files.count } }
    /// How much memory bodies take, in bytes. What has left and still has readers is not in it.
    var byteCount: Int { lock.withLock { shared.bodyBytes } }
    /// How many bodies are in memory.
    var bodyCount: Int { lock.withLock { shared.bodies.count } }
    /// How often a file was opened.
    var fileOpenings: UInt64 { lock.withLock { shared.fileOpenings } }
    /// How often a body was read.
    var bodyReads: UInt64 { lock.withLock { shared.bodyReads } }

    // MARK: Files

    /// The path of a table's file.
    func path(of table: Table) -> String { "\(directory)/\(table.metadata.fileName)" }

    /// The file of a table, if it is open.
    func openFile(of table: Table) -> OpenFile? {
        lock.withLock {
            guard let file = table.residency.file else { return nil }
            table.residency.isFileUsed = true
            return file
        }
    }

    /// The file of a table, which is opened where it is not open.
    ///
    /// - Throws: *damaged* for a missing file, *closed*, or the error of the file.
    func file(of table: Table) throws(EngineError) -> OpenFile {
        if let file = openFile(of: table) { return file }
        try checkOpen(table)
        let opened: OpenFile
        do throws(EngineError) {
            opened = OpenFile(try open(table))
        } catch {
            // The directory may have been given back, and removed, while this reader looked into it.
            try checkOpen(table)
            throw error
        }
        return try lock.withLock { () throws(EngineError) -> OpenFile in
            guard !shared.isClosed, !table.residency.isClosed else { throw closed(table) }
            shared.fileOpenings += 1
            // Another reader may have opened it meanwhile.
            if let file = table.residency.file { return file }
            table.residency.file = opened
            table.residency.isFileUsed = false
            shared.files.append(.passUnretained(table))
            return opened
        }
    }

    /// Throws *closed* where no file may be opened any more: the directory may be another engine's by now.
    private func checkOpen(_ table: Table) throws(EngineError) {
        guard !lock.withLock({ shared.isClosed || table.residency.isClosed }) else { throw closed(table) }
    }

    private func closed(_ table: Table) -> EngineError {
        EngineError(.closed, "\(path(of: table)) has been closed")
    }

    private func open(_ table: Table) throws(EngineError) -> any File {
        let most = min(maxFiles, fileSystem.maxOpenFiles)
        while lock.withLock({ shared.files.count >= most }), closeOneFile() {}
        while true {
            do throws(FileError) {
                return try fileSystem.open(path(of: table), .read)
            } catch {
                if error.number == .notFound {
                    throw EngineError(.damaged, "\(path(of: table)) is missing", cause: error)
                }
                // The process may have fewer descriptors left than the limit here allows for.
                guard error.isOutOfDescriptors, closeOneFile() else { throw EngineError(error) }
            }
        }
    }

    func giveDescriptorBack() -> Bool { closeOneFile() }

    /// Closes the file whose turn it is.
    ///
    /// - Returns: whether one was open.
    private func closeOneFile() -> Bool {
        let closed: OpenFile? = lock.withLock {
            guard !shared.files.isEmpty else { return nil }
            while true {
                if shared.fileHand >= shared.files.count { shared.fileHand = 0 }
                let table = shared.files[shared.fileHand].takeUnretainedValue()
                guard table.residency.isFileUsed else { break }
                table.residency.isFileUsed = false
                shared.fileHand += 1
            }
            let table = shared.files.remove(at: shared.fileHand).takeUnretainedValue()
            defer { table.residency.file = nil }
            return table.residency.file
        }
        // Closed here, outside of the lock, unless a reader still has it.
        return closed != nil
    }

    // MARK: Bodies

    /// The body of a table, which is read where it is not in memory.
    ///
    /// - Throws: *would wait* where it would have to be read and that is not allowed, *damaged*, *closed*, or the error
    ///   of the file.
    func body(of table: Table, _ waiting: Waiting) throws(EngineError) -> TableBody {
        guard waiting == .allowed else {
            throw EngineError(.wouldWait, "the index of \(path(of: table)) is not in memory")
        }
        do throws(EngineError) {
            guard !table.isUnreadable else {
                throw EngineError(.damaged, "\(path(of: table)): its range deletions could not be read at the opening")
            }
            let sections = try file(of: table).use { file throws(EngineError) in
                // Those that there are were read when the table became known.
                try TableSections(reading: file, table.metadata, knowsTombstones: !table.tombstones.isEmpty)
            }
            return insert(TableBody(sections), of: table)
        } catch {
            throw table.damage(error, nil)
        }
    }

    /// Keeps a body, unless another reader has kept one first.
    private func insert(_ body: TableBody, of table: Table) -> TableBody {
        var gone: [TableBody] = []
        let kept: TableBody = lock.withLock {
            shared.bodyReads += 1
            if let known = table.residentBody { return known.takeUnretainedValue() }
            precondition(!table.residency.isClosed, "a table was closed under its reader")
            while shared.bodyBytes > max(capacityBytes - body.memoryBytes, 0) { gone.append(dropOneBody()) }
            table.residency.bodyBytes = body.memoryBytes
            table.setBody(.passRetained(body))
            shared.bodies.append(.passUnretained(table))
            shared.bodyBytes += body.memoryBytes
            return body
        }
        release(gone)
        return kept
    }

    /// Takes the body out of memory whose turn it is. There is one. Called with the lock.
    private func dropOneBody() -> TableBody {
        while true {
            if shared.bodyHand >= shared.bodies.count { shared.bodyHand = 0 }
            guard shared.bodies[shared.bodyHand].takeUnretainedValue().takeBodyUsed() else { break }
            shared.bodyHand += 1
        }
        let table = shared.bodies.remove(at: shared.bodyHand).takeUnretainedValue()
        return takeBody(of: table)
    }

    private func takeBody(of table: Table) -> TableBody {
        guard let body = table.residentBody else { preconditionFailure("a table in the list has a body in memory") }
        table.setBody(nil)
        shared.bodyBytes -= table.residency.bodyBytes
        table.residency.bodyBytes = 0
        return body.takeRetainedValue()
    }

    /// Drops the blocks of bodies that nothing finds any more, and lets the bodies go when their readers have left.
    private func release(_ bodies: [TableBody]) {
        guard !bodies.isEmpty else { return }
        for body in bodies {
            blocks.close(body.slots)
            blocks.epochs.retire(body)
        }
        blocks.epochs.collect()
    }

    // MARK: Closing

    /// Lets go what of a table is in memory, for good.
    func close(_ table: Table) {
        var gone: [TableBody] = []
        let file: OpenFile? = lock.withLock {
            table.residency.isClosed = true
            let me = Unmanaged.passUnretained(table).toOpaque()
            if table.residentBody != nil, let position = shared.bodies.firstIndex(where: { $0.toOpaque() == me }) {
                shared.bodies.remove(at: position)
                if position < shared.bodyHand { shared.bodyHand -= 1 }
                gone.append(takeBody(of: table))
            }
            if table.residency.file != nil, let position = shared.files.firstIndex(where: { $0.toOpaque() == me }) {
                shared.files.remove(at: position)
                if position < shared.fileHand { shared.fileHand -= 1 }
            }
            defer { table.residency.file = nil }
            return table.residency.file
        }
        release(gone)
        if !table.isProbe { quarantine.forget(table.metadata.number) }
        withExtendedLifetime(file) {}
    }

    /// Opens no file from now on. Files that are open stay so until their tables go.
    func close() { lock.withLock { shared.isClosed = true } }

    deinit {
        precondition(shared.files.isEmpty && shared.bodies.isEmpty, "a cache of tables outlives its tables")
    }
}
