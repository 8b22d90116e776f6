import BalsaPlatform

/// A simulated disk as one process sees it, from its start to its end.
///
/// Every call is first shown to the hook that was given at ``SimulatedDisk/mount(_:)``. Once the process has ended,
/// because a hook said so, ``kill()`` was called or the disk crashed, every call does nothing and throws ``FileError``
/// with *ended*, so that no clean-up can write after death. The working directory is the root.
public final class SimulatedFileSystem: FileSystem, @unchecked Sendable {
    let disk: SimulatedDisk
    private let process: UInt64
    private let crashes: UInt64
    private let hook: (any DiskHook)?
    private var wasKilled = false
    /// The files that are open, once for each handle.
    private var openFiles: [Int] = []

    /// How many calls the process has made.
    public private(set) var callCount: UInt64 = 0

    init(disk: SimulatedDisk, process: UInt64, hook: (any DiskHook)?) {
        self.disk = disk
        self.process = process
        self.hook = hook
        crashes = disk.crashes
    }

    /// Whether the process is alive.
    public var isAlive: Bool { !wasKilled && disk.crashes == crashes }

    /// Ends the process: its files are closed, its locks released, and what it wrote is kept.
    public func kill() {
        guard isAlive else { return }
        wasKilled = true
        for file in openFiles { disk.state.closeFile(file) }
        openFiles = []
        disk.unlockAll(process: process)
    }

    // MARK: FileSystem

    /// Opens a file.
    public func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        let number = try perform(.open, path, isChange: mode == .create) { state, _ throws(DiskFault) in
            mode == .create ? try state.createFile(path) : try state.findFile(path)
        }
        disk.state.openFile(number)
        openFiles.append(number)
        return SimulatedFile(path: path, number: number, isWritable: mode != .read, fileSystem: self)
    }

    /// Creates a directory, whose parent must exist. Does nothing where it exists already.
    public func createDirectory(_ path: String) throws(FileError) {
        try perform(.createDirectory, path, isChange: true) { state, _ throws(DiskFault) in
            try state.createDirectory(path)
        }
    }

    /// The names in a directory, sorted bytewise.
    public func list(_ directory: String) throws(FileError) -> [String] {
        try perform(.list, directory) { state, _ throws(DiskFault) in
            state.directories[try state.findDirectory(directory)].current.entries.map(\.name.text)
        }
    }

    /// Whether there is a file or directory of that name.
    public func exists(_ path: String) throws(FileError) -> Bool {
        try perform(.status, path) { state, _ throws(DiskFault) in
            do throws(DiskFault) {
                return try state.findIfPresent(path) != nil
            } catch {
                guard error.number == .notDirectory else { throw error }
                return false
            }
        }
    }

    /// Gives a file another name, replacing atomically what had that name.
    public func rename(_ source: String, to target: String) throws(FileError) {
        try perform(.rename, source, target: target, isChange: true) { state, _ throws(DiskFault) in
            try state.rename(source, to: target)
        }
    }

    /// Gives a file one more name, which must not exist.
    public func link(_ source: String, to target: String) throws(FileError) {
        try perform(.link, source, target: target, isChange: true) { state, _ throws(DiskFault) in
            try state.link(source, to: target)
        }
    }

    /// Removes a name of a file, or an empty directory.
    public func remove(_ path: String) throws(FileError) {
        try perform(.remove, path, isChange: true) { state, _ throws(DiskFault) in try state.remove(path) }
    }

    /// Makes the entries of a directory durable.
    public func syncDirectory(_ directory: String) throws(FileError) {
        try perform(.syncDirectory, directory, isChange: true) { state, _ throws(DiskFault) in
            state.syncDirectory(try state.findDirectory(directory))
        }
    }

    /// Takes an exclusive lock on a file, which is created if need be, and on the directory that it lies in.
    public func lock(_ path: String) throws(FileError) -> any FileLock {
        let disk = disk
        let process = process
        let (file, directory) = try perform(.lock, path, isChange: true) { state, _ throws(DiskFault) -> (Int, Int) in
            let directory = try state.findDirectory(FilePath.parent(of: path))
            let present: Int? = try state.findIfPresent(path) == nil ? nil : try state.findFile(path)
            // Nothing is created where the directory is locked.
            guard !disk.isLocked(file: present, directory: directory) else { throw DiskFault(.wouldBlock) }
            if let present { return (present, directory) }
            return (try state.createFile(path), directory)
        }
        return SimulatedFileLock(disk: disk, number: disk.lock(file, in: directory, process: process))
    }

    /// How many bytes can still be written.
    public func availableBytes(at path: String) throws(FileError) -> UInt64 {
        try perform(.status, path) { state, _ throws(DiskFault) in
            _ = try state.find(path)
            return state.availableBytes
        }
    }

    // MARK: Directories that are held

    /// The same files, bound to a directory.
    public func bound(to directory: String) throws(FileError) -> any FileSystem {
        try BoundSimulatedFileSystem(self, directory)
    }

    /// The number of the directory at `directory`.
    func number(
        ofDirectory directory: String,
        _ operation: FileError.Operation,
        _ path: String
    ) throws(FileError) -> Int {
        try perform(operation, path) { state, _ throws(DiskFault) in try state.findDirectory(directory) }
    }

    /// The number of the directory that `path` names now; nil where it names none. The hook does not see that.
    func currentNumber(ofDirectory path: String) -> Int? { try? disk.state.findDirectory(path) }

    /// Opens an existing file by its directory's number. Errors name it by `path`.
    func open(_ path: String, _ mode: OpenMode, in directory: Int) throws(FileError) -> any File {
        let name = String(path.split(separator: "/").last ?? "")
        let number = try perform(.open, path) { state, _ throws(DiskFault) -> Int in
            switch state.directories[directory].current[FileName(text: name)] {
            case .file(let number): return number
            case .directory: throw DiskFault(.isDirectory)
            case nil: throw DiskFault(.notFound)
            }
        }
        disk.state.openFile(number)
        openFiles.append(number)
        return SimulatedFile(path: path, number: number, isWritable: mode != .read, fileSystem: self)
    }

    /// The names in a directory, by its number.
    func names(
        in directory: Int,
        _ path: String,
        _ operation: FileError.Operation = .list
    ) throws(FileError) -> [String] {
        try perform(operation, path) { state, _ throws(DiskFault) in
            state.directories[directory].current.entries.map(\.name.text)
        }
    }

    // MARK: Syncs that take time

    /// Begins to make durable what has been written to `file` so far. The hook does not see that; it sees the end.
    ///
    /// - Returns: what ``endSync(_:)`` is called with when the device is done. Without that call nothing becomes durable.
    public func beginSync(_ file: any File) throws(FileError) -> SyncInFlight {
        guard let file = file as? SimulatedFile, file.fileSystem === self else {
            preconditionFailure("the file was not opened here")
        }
        return try file.beginSync()
    }

    /// Makes durable what had been written when the sync began, and nothing that was written since.
    public func endSync(_ sync: SyncInFlight) throws(FileError) {
        precondition(sync.file.fileSystem === self, "the file was not opened here")
        try sync.file.endSync(sync)
    }

    // MARK: Performing a call

    /// Shows a call to the hook and does what it answers.
    ///
    /// - Parameters:
    ///   - ifWaiting: is returned when the hook says that the call would have to wait.
    ///   - whenFailed: is done when the hook lets the call fail.
    ///   - body: does the call. It gets how many bytes of a write may be written.
    func perform<Value>(
        _ operation: FileError.Operation,
        _ path: String,
        target: String? = nil,
        offset: UInt64 = 0,
        count: UInt64 = 0,
        isChange: Bool = false,
        source: WriteSource? = nil,
        ifWaiting: Value? = nil,
        whenFailed: (inout DiskState) -> Void = { _ in },
        _ body: (inout DiskState, _ allowed: UInt64) throws(DiskFault) -> Value
    ) throws(FileError) -> Value {
        // A comparison with nil would want values that can be compared.
        let mayWait = if case .some = ifWaiting { false } else { true }
        let call = DiskCall(
            number: callCount + 1,
            operation: operation,
            path: path,
            target: target,
            offset: offset,
            count: count,
            isChange: isChange,
            mayWait: mayWait,
            source: source
        )
        let answer = try ask(call)
        switch answer {
        case .fail(let number):
            whenFailed(&disk.state)
            throw FileError(operation, path, number)
        case .crashBefore:
            kill()
            throw FileError(operation, path, .ended)
        case .wouldWait:
            guard let ifWaiting else { preconditionFailure("only a read that must not wait can be answered so") }
            return ifWaiting
        case .partial, .crashDuring:
            precondition(operation == .write, "only a write can be done in part")
        case .proceed, .failAfter, .crashAfter: break
        }
        var outcome: Result<Value, DiskFault>
        do {
            outcome = .success(try body(&disk.state, answer.allowedBytes))
        } catch {
            outcome = .failure(error)
        }
        switch answer {
        case .crashAfter, .crashDuring:
            kill()
            throw FileError(operation, path, .ended)
        case .failAfter(let number): outcome = outcome.flatMap { _ in .failure(DiskFault(number)) }
        case .partial: outcome = .failure(DiskFault(.noSpace))
        default: break
        }
        switch outcome {
        case .success(let value): return value
        case .failure(let fault): throw FileError(operation, path, fault.number)
        }
    }

    /// Counts a call and asks the hook about it. Throws if the process has ended, before or meanwhile.
    private func ask(_ call: DiskCall) throws(FileError) -> DiskAnswer {
        guard isAlive else { throw FileError(call.operation, call.path, .ended) }
        callCount += 1
        guard let hook else { return .proceed }
        let answer = hook.answer(call)
        guard isAlive else { throw FileError(call.operation, call.path, .ended) }
        return answer
    }

    /// Closes a handle of the process, which has none after its end.
    func closeFile(_ number: Int) {
        guard isAlive, let index = openFiles.lastIndex(of: number) else { return }
        openFiles.remove(at: index)
        disk.state.closeFile(number)
    }
}

extension DiskAnswer {
    /// How many bytes of a write are written.
    fileprivate var allowedBytes: UInt64 {
        switch self {
        case .partial(let count), .crashDuring(let count): count
        default: .max
        }
    }
}
