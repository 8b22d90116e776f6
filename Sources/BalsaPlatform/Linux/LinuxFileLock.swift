import Glibc

/// A lock of ``LinuxFileSystem``: `flock` against other processes, a table against other callers in this one.
///
/// `flock` belongs to the open file and not to the process, and would suffice on a local disk. A network file system
/// may turn it into a record lock, which every caller in the process shares and which is lost as soon as any of them
/// closes the file; the table is asked first, before the file is even opened a second time.
final class LinuxFileLock: FileLock {
    /// A file, whatever name it was opened under.
    private struct Identity: Equatable {
        let device: UInt64
        let number: UInt64
    }

    /// The files that this process holds: locks are the system's and hence global, and so is the note of them.
    private static let held = Locked<[Identity]>([])

    private let identity: Identity
    private let descriptor: Locked<Int32?>

    private init(_ identity: Identity, _ descriptor: Int32) {
        self.identity = identity
        self.descriptor = Locked(descriptor)
    }

    deinit { release() }

    /// Takes the lock on `path`.
    static func take(_ path: String) throws(FileError) -> LinuxFileLock {
        try held.withLock { held throws(FileError) in
            if let known = try identity(of: path), held.contains(known) {
                throw FileError(.lock, path, .wouldBlock)
            }
            let descriptor = try Descriptor.open(path, O_RDWR | O_CREAT, .lock)
            do throws(FileError) {
                let status = try Descriptor.status(of: descriptor, .lock, path)
                if status.st_mode & 0o777 != 0o600 { try Descriptor.makePrivate(descriptor, .lock, path) }
                try SystemCall.run(.lock, on: path) { Int(flock(descriptor, LOCK_EX | LOCK_NB)) }
                let identity = Identity(device: UInt64(status.st_dev), number: UInt64(status.st_ino))
                held.append(identity)
                return LinuxFileLock(identity, descriptor)
            } catch {
                Descriptor.close(descriptor)
                throw error
            }
        }
    }

    /// The identity of the file at `path`; nil where there is none yet.
    private static func identity(of path: String) throws(FileError) -> Identity? {
        do throws(FileError) {
            var status = stat()
            try SystemCall.run(.lock, path) { stat($0, &status) }
            return Identity(device: UInt64(status.st_dev), number: UInt64(status.st_ino))
        } catch  where error.number == .notFound {
            return nil
        }
    }

    func release() {
        // The file is closed before the table forgets it, so that no caller finds the table free and the file locked.
        LinuxFileLock.held.withLock { held in
            let open = descriptor.withLock { descriptor in
                defer { descriptor = nil }
                return descriptor
            }
            guard let open else { return }
            Descriptor.close(open)
            held.removeAll { $0 == identity }
        }
    }
}
