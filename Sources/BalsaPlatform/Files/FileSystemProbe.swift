/// Tries out, in a directory, what a store relies on: that files can be made, synced, linked, renamed over each other and
/// locked.
///
/// That the lock keeps other processes out cannot be tried from one process: where a file system makes one of its locks the
/// whole process', a second attempt would prove nothing, and could give up the first.
///
/// Whoever keeps a directory on a file system that lacks one of these is told so when the store is opened, by name, and not by a
/// crash years later. What is tried leaves nothing behind, other than the directory itself and the file of its lock.
package enum FileSystemProbe {
    /// The folder in which everything is tried. One that a crash has left is removed by the next opening.
    package static let folderName = "PROBE"

    /// Why a directory cannot hold a store.
    package struct Failure: Error, Sendable, CustomStringConvertible {
        /// What the file system lacks, in words; nil where it was not its lack that ended the probe.
        package let lack: String?
        /// The failure in a sentence that names the directory.
        package let description: String
        /// The file operation that failed, where one did.
        package let file: FileError?
    }

    private struct Lack: Error {
        var what: String
        var error: FileError?
    }

    /// Tries everything out in `directory`, which is created where it does not exist.
    ///
    /// A full disk proves nothing about its file system, and what a store on it holds can still be read: the probe
    /// ends there and finds nothing missing.
    ///
    /// - Parameters:
    ///   - directory: the directory of the store. Missing directories above it are created as well.
    ///   - lockName: the name of the file by whose lock the store keeps others out.
    ///   - fileSystem: the files.
    /// - Throws: ``Failure``.
    package static func check(
        _ directory: String,
        lockName: String = "LOCK",
        in fileSystem: any FileSystem
    ) throws(Failure) {
        let lock: any FileLock
        do throws(FileError) {
            try fileSystem.createDirectories(directory)
            lock = try fileSystem.lock(directory + "/" + lockName)
        } catch {
            if let obstacle = obstacle(error, in: fileSystem) {
                throw Failure(lack: nil, description: "\(directory) cannot be opened: \(obstacle)", file: error)
            }
            throw failure(
                Lack(what: error.operation == .lock ? "locks on files" : "directories", error: error),
                directory
            )
        }
        // Until here nothing was tried that could disturb a store which is open; from here on there is none.
        defer { lock.release() }
        let folder = directory + "/" + folderName
        do throws(Lack) {
            try checkFiles(folder, in: fileSystem)
            try clear(folder, directory, in: fileSystem)
        } catch {
            var lack = error
            do throws(FileError) {
                try fileSystem.removeDirectory(folder)
            } catch let left {
                lack.what += ", and \(folder) cannot be removed (\(left))"
            }
            guard error.error?.isOutOfSpace != true else { return }
            throw failure(lack, directory)
        }
    }

    /// What stands where a directory was to be created, in words; nil where nothing does. That something *exists* would
    /// be no help to a reader, who wants the directory to exist.
    private static func obstacle(_ error: FileError, in fileSystem: any FileSystem) -> String? {
        guard error.operation == .createDirectory, error.number == .exists || error.number == .notDirectory else {
            return nil
        }
        // The directory itself, or the one above it that is in the way.
        var path = error.path
        while true {
            do throws(FileError) {
                _ = try fileSystem.list(path)
                return nil
            } catch  where error.number == .notFound {
                guard (try? fileSystem.exists(path)) == true else { return nil }
                return
                    "\(path) is a symbolic link that leads nowhere; create the directory that it names, or remove the link"
            } catch  where error.number == .notDirectory {
                if (try? fileSystem.exists(path)) == true {
                    return "\(path) is a file and not a directory; name another directory"
                }
                let parent = FilePath.parent(of: path)
                guard parent != path, parent != "." else { return nil }
                path = parent
            } catch {
                return nil
            }
        }
    }

    private static func failure(_ lack: Lack, _ directory: String) -> Failure {
        if let error = lack.error, !provesLack(error) {
            return Failure(lack: nil, description: "\(directory) cannot be opened: \(error)", file: error)
        }
        let cause = lack.error.map { " (\($0))" } ?? ""
        return Failure(
            lack: lack.what,
            description: "the file system of \(directory) lacks \(lack.what)\(cause): "
                + "a store must be on a local file system of Linux, such as ext4 or XFS",
            file: lack.error
        )
    }

    /// Whether a failed operation shows that the file system cannot do it at all.
    ///
    /// Only what the system documents so. All else comes from the process, the user, the device or the moment, such as
    /// too many open files or a directory that is immutable, and is reported as what it is.
    private static func provesLack(_ error: FileError) -> Bool {
        switch error.number {
        case .unsupported, .noSystemCall, .invalid: true
        // The file was made a moment ago by the same user, so this is no question of rights: link(2), "does not support
        // the creation of hard links".
        case .notPermitted: error.operation == .link
        case .exists: error.operation == .rename
        // A network file system turns the lock into one of another kind, which needs a server or a writable descriptor.
        case .noLocks, .closed: error.operation == .lock
        default: false
        }
    }

    /// Names what is being tried in the error of `body`.
    private static func trying<Value>(
        _ what: String,
        _ body: () throws(FileError) -> Value
    ) throws(Lack) -> Value {
        do throws(FileError) { return try body() } catch { throw Lack(what: what, error: error) }
    }

    private static func require(_ condition: Bool, _ what: String) throws(Lack) {
        guard condition else { throw Lack(what: what) }
    }

    private static func checkFiles(_ folder: String, in fileSystem: any FileSystem) throws(Lack) {
        let first = folder + "/first"
        let linked = folder + "/linked"
        let second = folder + "/second"
        try trying("directories") { () throws(FileError) in
            try fileSystem.removeDirectory(folder)
            try fileSystem.createDirectory(folder)
        }
        try write("first", to: first, in: fileSystem)
        try trying("syncs of directories") { () throws(FileError) in try fileSystem.syncDirectory(folder) }

        try trying("hard links") { () throws(FileError) in
            try fileSystem.link(first, to: linked)
            try fileSystem.remove(first)
        }
        try require(try content(of: linked, in: fileSystem) == "first", "hard links that outlive the first name")

        try write("second", to: second, in: fileSystem)
        let renaming = "renaming a file over another"
        try trying(renaming) { () throws(FileError) in try fileSystem.rename(second, to: linked) }
        try require(try content(of: linked, in: fileSystem) == "second", renaming)
        let names = try trying("listing directories") { () throws(FileError) in try fileSystem.list(folder) }
        try require(names == ["linked"], renaming)
    }

    /// Makes a file that must not exist, writes to it and syncs it.
    private static func write(_ text: Bytes, to path: String, in fileSystem: any FileSystem) throws(Lack) {
        let file = try trying("files of its owner's alone") { () throws(FileError) in
            try fileSystem.open(path, .create)
        }
        defer { file.close() }
        try trying("writing files") { () throws(FileError) in try file.write(text, at: 0) }
        try trying("syncs of files") { () throws(FileError) in try file.sync() }
        let exclusion = "creating a file only where there is none"
        let isRefused = try trying(exclusion) { () throws(FileError) in
            do throws(FileError) {
                try fileSystem.open(path, .create).close()
                return false
            } catch  where error.number == .exists {
                return true
            }
        }
        try require(isRefused, exclusion)
    }

    private static func content(of path: String, in fileSystem: any FileSystem) throws(Lack) -> Bytes {
        try trying("reading files") { () throws(FileError) in
            let file = try fileSystem.open(path, .read)
            defer { file.close() }
            return try file.read(64, at: 0)
        }
    }

    private static func clear(
        _ folder: String,
        _ directory: String,
        in fileSystem: any FileSystem
    ) throws(Lack) {
        try trying("removing files") { () throws(FileError) in try fileSystem.removeDirectory(folder) }
        try trying("syncs of directories") { () throws(FileError) in try fileSystem.syncDirectory(directory) }
    }
}
