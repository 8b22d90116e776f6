import Glibc

/// The files of this machine, by Linux system calls.
///
/// Holds nothing itself, so any number of instances may be used side by side and from any thread. Files are created
/// with permission 0600 and directories with 0700, whatever the process' mask says, and no descriptor is inherited by a program that the process starts.
///
/// A call that a signal interrupted is made again, a sync included: an interrupted sync has neither failed nor
/// reported an error, so what the device has to say is still to come. A sync that *failed* is never made again here.
public final class LinuxFileSystem: FileSystem {
    /// The files of this machine.
    public init() {}

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
        let descriptor = try Descriptor.open(path, flags, .open)
        if case .create = mode {
            do throws(FileError) {
                try Descriptor.makePrivate(descriptor, .open, path)
            } catch {
                Descriptor.close(descriptor)
                try remove(path)
                throw error
            }
        }
        return LinuxFile(owning: descriptor, path: path)
    }

    /// Creates a directory, whose parent must exist. Does nothing where it exists already, also behind a symbolic link.
    public func createDirectory(_ path: String) throws(FileError) {
        do throws(FileError) {
            try SystemCall.run(.createDirectory, path) { mkdir($0, 0o700) }
            // The process' mask may have taken away what the owner needs.
            try SystemCall.run(.createDirectory, path) { chmod($0, 0o700) }
        } catch  where error.number == .exists {
            guard try leadsToDirectory(path) else { throw error }
        }
    }

    /// Whether the name is that of a directory, or of a symbolic link to one.
    private func leadsToDirectory(_ path: String) throws(FileError) -> Bool {
        var status = stat()
        do throws(FileError) {
            try SystemCall.run(.createDirectory, path) { stat($0, &status) }
        } catch  where error.number == .notFound {
            // A link to nothing.
            return false
        }
        return status.st_mode & S_IFMT == S_IFDIR
    }

    /// The names of the files and directories in a directory, sorted bytewise, without `.` and `..`.
    ///
    /// In a name that is not UTF-8 — never one of ours — replacement characters stand for what is not.
    public func list(_ directory: String) throws(FileError) -> [String] {
        let descriptor = try Descriptor.open(directory, O_RDONLY | O_DIRECTORY, .list)
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
            _ = try SystemCall.status(of: path, .status)
            return true
        } catch  where error.number == .notFound || error.number == .notDirectory {
            return false
        }
    }

    /// Gives a file another name, replacing atomically what had that name.
    ///
    /// Where both are names of the same file already, the system does nothing, and `source` stays.
    public func rename(_ source: String, to target: String) throws(FileError) {
        try SystemCall.run(.rename, source, target) { Glibc.rename($0, $1) }
    }

    /// Gives a file one more name, which must not exist.
    public func link(_ source: String, to target: String) throws(FileError) {
        try SystemCall.run(.link, source, target) { Glibc.link($0, $1) }
    }

    /// Removes a name of a file, or an empty directory. The file itself goes with its last name and last open handle.
    public func remove(_ path: String) throws(FileError) {
        do throws(FileError) {
            try SystemCall.run(.remove, path) { unlink($0) }
        } catch  where error.number == .isDirectory {
            try SystemCall.run(.remove, path) { rmdir($0) }
        }
    }

    /// Makes the entries of a directory durable.
    public func syncDirectory(_ directory: String) throws(FileError) {
        let descriptor = try Descriptor.open(directory, O_RDONLY | O_DIRECTORY, .syncDirectory)
        defer { Descriptor.close(descriptor) }
        try SystemCall.run(.syncDirectory, directory) { _ in fsync(descriptor) }
    }

    /// Takes an exclusive lock on a file, which is created if need be, and on the directory that it lies in.
    ///
    /// The file alone would not do: a caller that creates it again, after somebody has removed it, locks another file.
    ///
    /// - Throws: ``FileError`` with *would block* when somebody else holds it, in this process or in another.
    public func lock(_ path: String) throws(FileError) -> any FileLock {
        try LinuxFileLock.take(path)
    }

    /// How many bytes can still be written on the file system that holds `path`, by a user without privileges.
    public func availableBytes(at path: String) throws(FileError) -> UInt64 {
        var status = statvfs()
        try SystemCall.run(.status, path) { statvfs($0, &status) }
        let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        return overflow ? .max : bytes
    }
}
