import Glibc

/// The files of this machine, by Linux system calls.
///
/// Any number of instances may be used side by side and from any thread. Files are created
/// with permission 0600 and directories with 0700, whatever the process' mask says, and no descriptor is inherited by a program that the process starts.
///
/// An instance that is bound to a directory, by ``bound(to:)``, resolves the directory's path once. What is below is
/// reached by descriptors from then on, as ``HeldDirectories`` says.
///
/// A call that a signal interrupted is made again, a sync included: an interrupted sync has neither failed nor
/// reported an error, so what the device has to say is still to come. A sync that *failed* is never made again here.
public final class LinuxFileSystem: FileSystem {
    /// The directory that it is bound to, and those below.
    private let held: HeldDirectories?

    /// The files of this machine.
    public init() { held = nil }

    private init(_ held: HeldDirectories) { self.held = held }

    /// The same files, with those in `directory` reached by descriptors from now on.
    public func bound(to directory: String) throws(FileError) -> any FileSystem {
        LinuxFileSystem(try HeldDirectories(directory))
    }

    private func locate(
        _ path: String,
        toChange isChange: Bool = false,
        _ operation: FileError.Operation
    ) throws(FileError) -> FileLocation {
        guard let held else { return FileLocation(directory: nil, name: path) }
        return try held.locate(path, toChange: isChange, operation)
    }

    /// Where a name is that is about to be created, changed or removed.
    ///
    /// - Parameter name: what an error calls it, if not by its path.
    private func locateToChange(
        _ path: String,
        _ operation: FileError.Operation,
        as name: String? = nil
    ) throws(FileError) -> FileLocation {
        do throws(FileError) {
            let location = try locate(path, toChange: true, operation)
            try held?.check(location, operation, path)
            return location
        } catch {
            throw FileError(operation, name ?? path, error.number)
        }
    }

    /// Opens a file.
    ///
    /// - Throws: ``FileError`` with *not found* or, for ``OpenMode/create``, *exists*; and for what is not a regular
    ///   file, such as a directory.
    public func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        let flags =
            switch mode {
            case .read: O_RDONLY
            case .readWrite: O_RDWR
            case .create: O_RDWR | O_CREAT | O_EXCL
            }
        let location = mode == .create ? try locateToChange(path, .open) : try locate(path, .open)
        let descriptor = try Descriptor.open(location, path, flags, .open)
        if case .create = mode {
            do throws(FileError) {
                try Descriptor.makePrivate(descriptor, .open, path)
            } catch {
                Descriptor.close(descriptor)
                try remove(path)
                throw error
            }
        }
        guard let held, let directory = location.directory else { return LinuxFile(owning: descriptor, path: path) }
        return LinuxFile(owning: descriptor, path: path) { () throws(FileError) in
            try held.check(directory, .sync, path)
        }
    }

    /// Creates a directory, whose parent must exist. Does nothing where it exists already, also behind a symbolic link.
    public func createDirectory(_ path: String) throws(FileError) {
        let location = try locateToChange(path, .createDirectory)
        do throws(FileError) {
            try call(.createDirectory, path, location) { mkdirat($0, $1, 0o700) }
            // The process' mask may have taken away what the owner needs.
            try call(.createDirectory, path, location) { fchmodat($0, $1, 0o700, 0) }
        } catch  where error.number == .exists {
            guard try leadsToDirectory(path, location) else { throw error }
        }
    }

    /// Whether the name is that of a directory, or of a symbolic link to one.
    private func leadsToDirectory(_ path: String, _ location: FileLocation) throws(FileError) -> Bool {
        var status = stat()
        do throws(FileError) {
            try call(.createDirectory, path, location) { fstatat($0, $1, &status, 0) }
        } catch  where error.number == .notFound {
            // A link to nothing.
            return false
        }
        return status.st_mode & S_IFMT == S_IFDIR
    }

    /// Makes a call on a name in a directory.
    private func call(
        _ operation: FileError.Operation,
        _ path: String,
        _ location: FileLocation,
        _ body: (Int32, UnsafePointer<CChar>) -> Int32
    ) throws(FileError) {
        try SystemCall.run(operation, path) { _ in location.name.withCString { body(location.descriptor, $0) } }
    }

    /// The names of the files and directories in a directory, sorted bytewise, without `.` and `..`.
    ///
    /// In a name that is not UTF-8 — never one of ours — replacement characters stand for what is not.
    public func list(_ directory: String) throws(FileError) -> [String] {
        let descriptor = try Descriptor.open(try locate(directory, .list), directory, O_RDONLY | O_DIRECTORY, .list)
        guard let stream = fdopendir(descriptor) else {
            let number = FileError.Number.current
            Descriptor.close(descriptor)
            throw FileError(.list, directory, number)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            // A null result means the end or an error, and only the error number tells which.
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw FileError(.list, directory, .current) }
                break
            }
            let name = LinuxFileSystem.name(of: entry)
            if name != ".", name != ".." { names.append(name) }
        }
        // The order of `String` is that of Unicode's canonical forms, which is not that of the bytes.
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// The name in a directory entry, which is as long as the entry says and not as long as its type does.
    private static func name(of entry: UnsafeMutablePointer<dirent>) -> String {
        let offset = MemoryLayout<dirent>.offset(of: \.d_name) ?? 0
        return String(cString: (UnsafeRawPointer(entry) + offset).assumingMemoryBound(to: CChar.self))
    }

    /// Whether there is a file or directory of that name. A symbolic link counts, whatever it leads to.
    public func exists(_ path: String) throws(FileError) -> Bool {
        do throws(FileError) {
            var status = stat()
            try call(.status, path, try locate(path, .status)) { fstatat($0, $1, &status, AT_SYMLINK_NOFOLLOW) }
            return true
        } catch  where error.number == .notFound || error.number == .notDirectory {
            return false
        }
    }

    /// Gives a file another name, replacing atomically what had that name.
    ///
    /// Where both are names of the same file already, the system does nothing, and `source` stays.
    public func rename(_ source: String, to target: String) throws(FileError) {
        let from = try locateToChange(source, .rename)
        let to = try locateToChange(target, .rename, as: source)
        held?.retire(source)
        held?.retire(target)
        try SystemCall.run(.rename, source, target) { _, _ in
            from.name.withCString { name in
                to.name.withCString { renameat(from.descriptor, name, to.descriptor, $0) }
            }
        }
    }

    /// Gives a file one more name, which must not exist.
    public func link(_ source: String, to target: String) throws(FileError) {
        let from = try locateToChange(source, .link)
        let to = try locateToChange(target, .link, as: source)
        try SystemCall.run(.link, source, target) { _, _ in
            from.name.withCString { name in
                to.name.withCString { linkat(from.descriptor, name, to.descriptor, $0, 0) }
            }
        }
    }

    /// Removes a name of a file, or an empty directory. The file itself goes with its last name and last open handle.
    public func remove(_ path: String) throws(FileError) {
        let location = try locateToChange(path, .remove)
        do throws(FileError) {
            try call(.remove, path, location) { unlinkat($0, $1, 0) }
        } catch  where error.number == .isDirectory {
            held?.retire(path)
            try call(.remove, path, location) { unlinkat($0, $1, AT_REMOVEDIR) }
        }
    }

    /// Makes the entries of a directory durable.
    public func syncDirectory(_ directory: String) throws(FileError) {
        // The directory itself is held, and not the one that it lies in.
        let location: FileLocation
        do throws(FileError) {
            location =
                held == nil ? try locate(directory, .syncDirectory) : try locate(directory + "/.", .syncDirectory)
            try held?.check(location, .syncDirectory, directory)
        } catch {
            throw FileError(.syncDirectory, directory, error.number)
        }
        if let held, let heldDirectory = location.directory {
            // A process that has no descriptor left can still make durable what it has created.
            try SystemCall.run(.syncDirectory, directory) { _ in fsync(heldDirectory.descriptor) }
            return try held.check(location, .syncDirectory, directory)
        }
        let descriptor = try Descriptor.open(location, directory, O_RDONLY | O_DIRECTORY, .syncDirectory)
        defer { Descriptor.close(descriptor) }
        try SystemCall.run(.syncDirectory, directory) { _ in fsync(descriptor) }
    }

    /// Takes an exclusive lock on a file, which is created if need be, and on the directory that it lies in.
    ///
    /// The file alone would not do: a caller that creates it again, after somebody has removed it, locks another file.
    ///
    /// - Throws: ``FileError`` with *would block* when somebody else holds it, in this process or in another.
    public func lock(_ path: String) throws(FileError) -> any FileLock {
        try LinuxFileLock.take(try locateToChange(path, .lock), path)
    }

    /// Which process holds the lock on a file, as that process has written it into the file. Processes of other
    /// machines and containers have numbers of their own, so the name of the host belongs to the number.
    public func holder(ofLock path: String) -> String? {
        LockHolder(ofLock: path, in: self)?.description
    }

    /// Half of the descriptors that the process may have.
    public var maxOpenFiles: Int { StandardDescriptors.half }

    /// How many bytes can still be written on the file system that holds `path`, by a user without privileges.
    public func availableBytes(at path: String) throws(FileError) -> UInt64 {
        let location = try locate(path, .status)
        var status = statvfs()
        if let directory = location.directory {
            var file = stat()
            try call(.status, path, location) { fstatat($0, $1, &file, 0) }
            // What is mounted below is a directory of its own, which a store does not have.
            try SystemCall.run(.status, path) { _ in fstatvfs(directory.descriptor, &status) }
        } else {
            try SystemCall.run(.status, path) { statvfs($0, &status) }
        }
        // Of one that reports nothing at all, as those in user space may, nothing is known.
        guard status.f_blocks > 0 else { return .max }
        let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        return overflow ? .max : bytes
    }
}
