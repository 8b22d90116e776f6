import Glibc

/// A lock of ``LinuxFileSystem``: `flock` against other processes, a table against other callers in this one.
///
/// `flock` belongs to the open file and not to the process, and would suffice on a local disk. A network file system
/// may turn it into a record lock, which every caller in the process shares and which is lost as soon as any of them
/// closes the file; the table is asked first, before the file is even opened a second time.
///
/// Both cover the directory as well as the file in it: a file can be removed under a running store, and the next caller would create
/// and lock another one. A directory that has been removed cannot be opened again.
final class LinuxFileLock: FileLock {
    /// A file or directory, whatever name it was opened under.
    private struct Identity: Equatable {
        let device: UInt64
        let number: UInt64
    }

    /// The files and directories that this process holds: locks are the system's and hence global, and so is the note of them.
    private static let held = Locked<[Identity]>([])

    private let identities: [Identity]
    private let descriptors: Locked<[Int32]>

    private init(_ identities: [Identity], _ descriptors: [Int32]) {
        self.identities = identities
        self.descriptors = Locked(descriptors)
    }

    deinit { release() }

    /// Takes the lock on `path` and on its directory, the directory first: where that is refused, no file is created.
    static func take(_ path: String) throws(FileError) -> LinuxFileLock {
        try held.withLock { held throws(FileError) in
            let directory = FilePath.parent(of: path)
            for known in try [identity(of: path, isDirectory: false), identity(of: directory, isDirectory: true)] {
                if let known, held.contains(known) { throw FileError(.lock, path, .wouldBlock) }
            }
            var taken: [(identity: Identity, descriptor: Int32)] = []
            do throws(FileError) {
                taken.append(try lock(directory, O_RDONLY | O_DIRECTORY, as: path))
                taken.append(try lock(path, O_RDWR | O_CREAT, as: path))
            } catch {
                for taken in taken { Descriptor.close(taken.descriptor) }
                throw error
            }
            held += taken.map(\.identity)
            return LinuxFileLock(taken.map(\.identity), taken.map(\.descriptor))
        }
    }

    /// Opens and locks one of the two. What the system refuses is told of `name`.
    private static func lock(
        _ path: String,
        _ flags: Int32,
        as name: String
    ) throws(FileError) -> (Identity, Int32) {
        do throws(FileError) {
            let descriptor = try Descriptor.open(path, flags, .lock)
            do throws(FileError) {
                let status = try Descriptor.status(of: descriptor, .lock, path)
                if flags & O_CREAT != 0, status.st_mode & 0o777 != 0o600 {
                    try Descriptor.makePrivate(descriptor, .lock, path)
                }
                try SystemCall.run(.lock, on: path) { Int(flock(descriptor, LOCK_EX | LOCK_NB)) }
                return (Identity(device: UInt64(status.st_dev), number: UInt64(status.st_ino)), descriptor)
            } catch {
                Descriptor.close(descriptor)
                throw error
            }
        } catch {
            throw FileError(.lock, name, error.number)
        }
    }

    /// The identity of what is at `path`; nil where there is nothing yet.
    private static func identity(of path: String, isDirectory: Bool) throws(FileError) -> Identity? {
        do throws(FileError) {
            var status = stat()
            try SystemCall.run(.lock, path) { stat($0, &status) }
            if !isDirectory, status.st_mode & S_IFMT == S_IFDIR { throw FileError(.lock, path, .isDirectory) }
            return Identity(device: UInt64(status.st_dev), number: UInt64(status.st_ino))
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
