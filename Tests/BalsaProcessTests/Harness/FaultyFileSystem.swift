import BalsaPlatform

/// The files of this machine under a layer that lets calls fail.
///
/// A sync that fails has lost what was written since the last one, as on systems that mark the pages clean: the bytes that were
/// there before are put back.
final class FaultyFileSystem: FileSystem, @unchecked Sendable {
    /// Decides what becomes of a call, by operation and path; nil where it is carried out.
    typealias Rule = @Sendable (FileError.Operation, String) -> FileError.Number?

    private struct Shared {
        var rule: Rule?
        var counts: [String: Int] = [:]
        var failures = 0
    }

    private let base = LinuxFileSystem()
    private let shared = Locked(Shared())

    /// From now on calls fail by this rule; nil for none.
    func fail(_ rule: Rule?) { shared.withLock { $0.rule = rule } }

    /// The `number`th call from now of these operations on such a path fails, and no other.
    func failOnce(
        _ operations: [FileError.Operation],
        _ number: Int,
        as error: FileError.Number,
        where isMeant: @escaping @Sendable (String) -> Bool = { _ in true }
    ) {
        let left = Locked(number)
        fail { operation, path in
            guard operations.contains(operation), isMeant(path) else { return nil }
            return left.withLock { left in
                left -= 1
                return left == 0 ? error : nil
            }
        }
    }

    /// How many calls have failed by a rule.
    var failures: Int { shared.withLock { $0.failures } }
    /// How many calls there were of an operation.
    func count(_ operation: FileError.Operation) -> Int { shared.withLock { $0.counts[operation.rawValue] ?? 0 } }

    fileprivate func check(_ operation: FileError.Operation, _ path: String) throws(FileError) {
        let rule = shared.withLock { shared in
            shared.counts[operation.rawValue, default: 0] += 1
            return shared.rule
        }
        guard let number = rule?(operation, path) else { return }
        shared.withLock { $0.failures += 1 }
        throw FileError(operation, path, number)
    }

    func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        try check(.open, path)
        return FaultyFile(try base.open(path, mode), self)
    }

    func createDirectory(_ path: String) throws(FileError) {
        try check(.createDirectory, path)
        try base.createDirectory(path)
    }

    func list(_ directory: String) throws(FileError) -> [String] {
        try check(.list, directory)
        return try base.list(directory)
    }

    func exists(_ path: String) throws(FileError) -> Bool {
        try check(.status, path)
        return try base.exists(path)
    }

    func rename(_ source: String, to target: String) throws(FileError) {
        try check(.rename, source)
        try base.rename(source, to: target)
    }

    func link(_ source: String, to target: String) throws(FileError) {
        try check(.link, source)
        try base.link(source, to: target)
    }

    func remove(_ path: String) throws(FileError) {
        try check(.remove, path)
        try base.remove(path)
    }

    func syncDirectory(_ directory: String) throws(FileError) {
        try check(.syncDirectory, directory)
        try base.syncDirectory(directory)
    }

    func lock(_ path: String) throws(FileError) -> any FileLock {
        try check(.lock, path)
        return try base.lock(path)
    }

    func availableBytes(at path: String) throws(FileError) -> UInt64 {
        try check(.status, path)
        return try base.availableBytes(at: path)
    }
}

private final class FaultyFile: File, @unchecked Sendable {
    private struct Write {
        var offset: UInt64
        /// What was there.
        var old: Bytes
    }

    private let base: any File
    private let system: FaultyFileSystem
    /// What was written since the last sync, and a failed sync.
    private let state = Locked((writes: [Write](), failure: FileError?.none))

    init(_ base: any File, _ system: FaultyFileSystem) {
        self.base = base
        self.system = system
    }

    var path: String { base.path }

    func size() throws(FileError) -> UInt64 {
        try system.check(.size, path)
        return try base.size()
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError) -> Int {
        try system.check(.read, path)
        return try base.read(into: buffer, at: offset)
    }

    func readWithoutWaiting(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError) -> Int? {
        try system.check(.read, path)
        return try base.readWithoutWaiting(into: buffer, at: offset)
    }

    /// Keeps what is there before it is written over.
    private func keep(_ count: Int, at offset: UInt64) throws(FileError) {
        try system.check(.write, path)
        let old = try base.read(count, at: offset)
        state.withLock { $0.writes.append(Write(offset: offset, old: old)) }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) {
        try keep(bytes.count, at: offset)
        try base.write(bytes, at: offset)
    }

    func write(gathering pieces: [Bytes], at offset: UInt64) throws(FileError) {
        try keep(pieces.reduce(0) { $0 + $1.count }, at: offset)
        try base.write(gathering: pieces, at: offset)
    }

    func writeZeros(_ count: UInt64, at offset: UInt64) throws(FileError) {
        try keep(Int(count), at: offset)
        try base.writeZeros(count, at: offset)
    }

    func setSize(_ size: UInt64) throws(FileError) {
        try system.check(.size, path)
        try base.setSize(size)
    }

    func sync() throws(FileError) {
        if let failure = state.withLock({ $0.failure }) { throw failure }
        do throws(FileError) {
            try system.check(.sync, path)
            try base.sync()
        } catch {
            let lost = state.withLock { state in
                state.failure = error
                defer { state.writes = [] }
                return state.writes
            }
            for write in lost.reversed() { try? base.write(write.old, at: write.offset) }
            throw error
        }
        state.withLock { $0.writes = [] }
    }

    func close() { base.close() }
}
