import BalsaPlatform

/// A simulated file system that is bound to a directory, as ``FileSystem/bound(to:)`` says.
///
/// It holds its directories by their numbers on the disk, as a process of a real machine holds them by descriptors.
final class BoundSimulatedFileSystem: FileSystem, @unchecked Sendable {
    private struct HeldDirectory {
        let path: String
        let number: Int
    }

    private let base: SimulatedFileSystem
    private let root: HeldDirectory
    /// The directories below the root that were used so far.
    private var below: [HeldDirectory] = []
    private var isExchanged = false

    init(_ base: SimulatedFileSystem, _ directory: String) throws(FileError) {
        self.base = base
        root = HeldDirectory(path: directory, number: try base.number(ofDirectory: directory, .open, directory))
    }

    func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        guard let held = try hold(path, .open) else { return try base.open(path, mode) }
        if mode == .create { try check(held, .open, path) }
        let file = try mode == .create ? base.open(path, mode) : base.open(path, mode, in: held.number)
        return BoundSimulatedFile(file) { [weak self] () throws(FileError) in try self?.check(held, .sync, path) }
    }

    func createDirectory(_ path: String) throws(FileError) {
        try checkParent(of: path, .createDirectory)
        try base.createDirectory(path)
    }

    func list(_ directory: String) throws(FileError) -> [String] {
        guard let held = try holdItself(directory, .list) else { return try base.list(directory) }
        return try base.names(in: held.number, directory)
    }

    func exists(_ path: String) throws(FileError) -> Bool {
        do throws(FileError) {
            guard let held = try hold(path, .status) else { return try base.exists(path) }
            return try base.names(in: held.number, path, .status).contains(name(path))
        } catch  where error.number == .notFound || error.number == .notDirectory {
            return false
        }
    }

    func rename(_ source: String, to target: String) throws(FileError) {
        try checkParent(of: source, .rename)
        try checkParent(of: target, .rename, as: source)
        forget(source)
        forget(target)
        try base.rename(source, to: target)
    }

    func link(_ source: String, to target: String) throws(FileError) {
        try checkParent(of: source, .link)
        try checkParent(of: target, .link, as: source)
        try base.link(source, to: target)
    }

    func remove(_ path: String) throws(FileError) {
        try checkParent(of: path, .remove)
        forget(path)
        try base.remove(path)
    }

    func syncDirectory(_ directory: String) throws(FileError) {
        if let held = try holdItself(directory, .syncDirectory) { try check(held, .syncDirectory, directory) }
        try base.syncDirectory(directory)
    }

    func lock(_ path: String) throws(FileError) -> any FileLock {
        try checkParent(of: path, .lock)
        return try base.lock(path)
    }

    func availableBytes(at path: String) throws(FileError) -> UInt64 { try base.availableBytes(at: path) }

    // MARK: Directories

    private func name(_ path: String) -> String { String(path.split(separator: "/").last ?? "") }

    private func isBelow(_ path: String) -> Bool { path.hasPrefix(root.path + "/") }

    /// The directory that `path` lies in, held from now on; nil where that is not the root or below it.
    private func hold(_ path: String, _ operation: FileError.Operation) throws(FileError) -> HeldDirectory? {
        guard isBelow(path) else { return nil }
        return try holdItself(FilePath.parent(of: path), operation, for: path)
    }

    private func holdItself(
        _ directory: String,
        _ operation: FileError.Operation,
        for path: String? = nil
    ) throws(FileError) -> HeldDirectory? {
        if directory == root.path { return root }
        guard isBelow(directory) else { return nil }
        if let known = below.first(where: { $0.path == directory }) { return known }
        let number = try base.number(ofDirectory: directory, operation, path ?? directory)
        below.append(HeldDirectory(path: directory, number: number))
        return below.last
    }

    /// - Parameter name: what an error calls `path`, if not so.
    private func checkParent(
        of path: String,
        _ operation: FileError.Operation,
        as name: String? = nil
    ) throws(FileError) {
        do throws(FileError) {
            if let held = try hold(path, operation) { try check(held, operation, path) }
        } catch {
            throw FileError(operation, name ?? path, error.number)
        }
    }

    /// Throws where a directory is not what its path names. One that the owner has renamed or removed is forgotten.
    private func check(
        _ held: HeldDirectory,
        _ operation: FileError.Operation,
        _ path: String
    ) throws(FileError) {
        guard !isExchanged else { throw FileError(operation, path, .exchanged) }
        guard held.path == root.path || below.contains(where: { $0.path == held.path && $0.number == held.number })
        else { return }
        guard base.currentNumber(ofDirectory: held.path) != held.number else { return }
        isExchanged = true
        throw FileError(operation, path, .exchanged)
    }

    /// Gives up a directory whose name is about to be changed or removed, and those below it.
    private func forget(_ path: String) {
        below.removeAll { $0.path == path || $0.path.hasPrefix(path + "/") }
    }
}

/// A file of a bound file system.
private final class BoundSimulatedFile: File, @unchecked Sendable {
    private let base: any File
    private let checkDirectory: () throws(FileError) -> Void

    init(_ base: any File, _ checkDirectory: @escaping () throws(FileError) -> Void) {
        self.base = base
        self.checkDirectory = checkDirectory
    }

    var path: String { base.path }
    func size() throws(FileError) -> UInt64 { try base.size() }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError) -> Int {
        try base.read(into: buffer, at: offset)
    }

    func readWithoutWaiting(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError) -> Int? {
        try base.readWithoutWaiting(into: buffer, at: offset)
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
        try base.sync()
        try checkDirectory()
    }

    func close() { base.close() }
}
