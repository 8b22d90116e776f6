import BalsaPlatform
import Dispatch

/// The files of this machine, whose reads and syncs a test holds up or lets fail.
final class HookedFileSystem: FileSystem, @unchecked Sendable {
    private struct State {
        var isCold = false
        var isHeld = false
        var heldReads = 0
        var reads = 0
        var failsSync: (@Sendable (String) -> Bool)?
    }

    private let base = LinuxFileSystem()
    private let state = Locked(State())
    private let gate = DispatchSemaphore(value: 0)

    /// From now on nothing can be read from tables without waiting for the disk.
    func makeCold() { state.withLock { $0.isCold = true } }

    /// From now on reads of tables wait until ``letReadsGo()``.
    func holdReads() { state.withLock { $0.isHeld = true } }

    /// Lets those go that wait, and holds none any more.
    func letReadsGo() {
        let count = state.withLock { state in
            state.isHeld = false
            return state.heldReads
        }
        for _ in 0..<count { gate.signal() }
    }

    /// From now on syncs of the files that the rule names fail.
    func failSyncs(_ rule: @escaping @Sendable (String) -> Bool) { state.withLock { $0.failsSync = rule } }

    /// How many reads of tables were begun that may wait.
    var reads: Int { state.withLock { $0.reads } }

    fileprivate var isCold: Bool { state.withLock { $0.isCold } }

    fileprivate func beginRead() {
        let isHeld = state.withLock { state in
            state.reads += 1
            if state.isHeld { state.heldReads += 1 }
            return state.isHeld
        }
        if isHeld { gate.wait() }
    }

    fileprivate func fails(syncOf path: String) -> Bool { state.withLock { $0.failsSync }?(path) ?? false }

    func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        HookedFile(try base.open(path, mode), self)
    }

    func createDirectory(_ path: String) throws(FileError) { try base.createDirectory(path) }
    func list(_ directory: String) throws(FileError) -> [String] { try base.list(directory) }
    func exists(_ path: String) throws(FileError) -> Bool { try base.exists(path) }
    func rename(_ source: String, to target: String) throws(FileError) { try base.rename(source, to: target) }
    func link(_ source: String, to target: String) throws(FileError) { try base.link(source, to: target) }
    func remove(_ path: String) throws(FileError) { try base.remove(path) }
    func syncDirectory(_ directory: String) throws(FileError) { try base.syncDirectory(directory) }
    func lock(_ path: String) throws(FileError) -> any FileLock { try base.lock(path) }
    func availableBytes(at path: String) throws(FileError) -> UInt64 { try base.availableBytes(at: path) }
}

private final class HookedFile: File {
    private let base: any File
    private let system: HookedFileSystem

    init(_ base: any File, _ system: HookedFileSystem) {
        self.base = base
        self.system = system
    }

    private var isTable: Bool { path.contains("/table-") }

    var path: String { base.path }

    func size() throws(FileError) -> UInt64 { try base.size() }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError) -> Int {
        if isTable { system.beginRead() }
        return try base.read(into: buffer, at: offset)
    }

    func readWithoutWaiting(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError) -> Int? {
        if isTable, system.isCold { return nil }
        return try base.readWithoutWaiting(into: buffer, at: offset)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) {
        try base.write(bytes, at: offset)
    }

    func write(gathering pieces: [Bytes], at offset: UInt64) throws(FileError) {
        try base.write(gathering: pieces, at: offset)
    }

    func writeZeros(_ count: UInt64, at offset: UInt64) throws(FileError) {
        try base.writeZeros(count, at: offset)
    }

    func setSize(_ size: UInt64) throws(FileError) { try base.setSize(size) }

    func sync() throws(FileError) {
        if system.fails(syncOf: path) { throw FileError(.sync, path, .inputOutput) }
        try base.sync()
    }

    func close() { base.close() }
}
