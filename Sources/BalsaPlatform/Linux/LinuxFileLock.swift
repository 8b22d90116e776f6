import Glibc

/// A lock of ``LinuxFileSystem``: `flock` against other processes, a table against other callers in this one.
///
/// `flock` belongs to the open file and not to the process, and would suffice on a local disk. A network file system
/// may turn it into a record lock, which every caller in the process shares and which is lost as soon as any of them
/// closes the file; the table is asked first, before the file is even opened a second time.
///
/// Both cover the directory as well as the file in it: a file can be removed under a running store, and the next caller
/// would create and lock another one. A directory that has been removed cannot be opened again.
final class LinuxFileLock: FileLock {
    /// The files and directories that this process holds: locks are the system's and hence global, and so is the note
    /// of them.
    private static let held = Locked<[FileIdentity]>([])

    private let identities: [FileIdentity]
    private let descriptors: Locked<[Int32]>

    private init(_ identities: [FileIdentity], _ descriptors: [Int32]) {
        self.identities = identities
        self.descriptors = Locked(descriptors)
    }

    deinit { release() }

    /// Takes the lock on the file at `location` and on its directory, the directory first: where that is refused, no
    /// file is created.
    ///
    /// - Parameters:
    ///   - location: where the file is.
    ///   - path: what an error calls it.
    static func take(_ location: FileLocation, _ path: String) throws(FileError) -> LinuxFileLock {
        // The directory by the descriptor that is held, or by its path where none is.
        let parent = FileLocation(
            directory: location.directory,
            name: location.directory == nil ? FilePath.parent(of: location.name) : "."
        )
        return try held.withLock { held throws(FileError) in
            for known in try [
                identity(of: location, path, isDirectory: false), identity(of: parent, path, isDirectory: true),
            ] {
                if let known, held.contains(known) { throw FileError(.lock, path, .wouldBlock) }
            }
            var taken: [(identity: FileIdentity, descriptor: Int32)] = []
            do throws(FileError) {
                taken.append(try lock(parent, path, O_RDONLY | O_DIRECTORY))
                taken.append(try lock(location, path, O_RDWR | O_CREAT))
            } catch {
                for taken in taken { Descriptor.close(taken.descriptor) }
                throw error
            }
            if let file = taken.last { LockHolder.current.write(to: file.descriptor) }
            held += taken.map(\.identity)
            return LinuxFileLock(taken.map(\.identity), taken.map(\.descriptor))
        }
    }

    /// Opens and locks one of the two.
    private static func lock(
        _ location: FileLocation,
        _ path: String,
        _ flags: Int32
    ) throws(FileError) -> (FileIdentity, Int32) {
        let descriptor = try Descriptor.open(location, path, flags, .lock)
        do throws(FileError) {
            let status = try Descriptor.status(of: descriptor, .lock, path)
            if flags & O_CREAT != 0, status.st_mode & 0o777 != 0o600 {
                try Descriptor.makePrivate(descriptor, .lock, path)
            }
            try SystemCall.run(.lock, on: path) { Int(flock(descriptor, LOCK_EX | LOCK_NB)) }
            return (FileIdentity(status), descriptor)
        } catch {
            Descriptor.close(descriptor)
            throw error
        }
    }

    /// The identity of what is at a location; nil where there is nothing yet.
    private static func identity(
        of location: FileLocation,
        _ path: String,
        isDirectory: Bool
    ) throws(FileError) -> FileIdentity? {
        do throws(FileError) {
            var status = stat()
            try SystemCall.run(.lock, path) { _ in
                location.name.withCString { fstatat(location.descriptor, $0, &status, 0) }
            }
            if !isDirectory, status.st_mode & S_IFMT == S_IFDIR { throw FileError(.lock, path, .isDirectory) }
            return FileIdentity(status)
        } catch  where error.number == .notFound {
            return nil
        }
    }

    func release() {
        // The file is closed before the table forgets it, so that no caller finds the table free and the file locked.
        LinuxFileLock.held.withLock { held in
            let open = descriptors.withLock { descriptors in
                defer { descriptors = [] }
                return descriptors
            }
            guard !open.isEmpty else { return }
            for descriptor in open { Descriptor.close(descriptor) }
            held.removeAll { identities.contains($0) }
        }
    }
}
