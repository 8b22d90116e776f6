import Glibc

/// A directory that is held by a descriptor, whatever becomes of its path.
final class HeldDirectory: Sendable {
    /// The descriptor, which is closed with the last reference.
    let descriptor: Int32
    fileprivate let identity: FileIdentity
    /// The path at which it was opened; absolute.
    fileprivate let path: String
    /// Whether its owner has removed or renamed it, so that its path does not name it any more.
    fileprivate let isRetired = Locked(false)

    fileprivate init(_ descriptor: Int32, _ path: String) throws(FileError) {
        self.descriptor = descriptor
        self.path = path
        do throws(FileError) {
            identity = FileIdentity(try Descriptor.status(of: descriptor, .open, path))
        } catch {
            Descriptor.close(descriptor)
            throw error
        }
    }

    deinit { Descriptor.close(descriptor) }
}

/// Where a file or directory is: a name in a directory, which the system resolves without looking at the path again.
struct FileLocation {
    /// The directory; nil where the name is a path that the system resolves at each call.
    let directory: HeldDirectory?
    let name: String

    /// What calls such as `openat` take for the directory.
    var descriptor: Int32 { directory?.descriptor ?? AT_FDCWD }
}

/// A directory and those below it, each held by a descriptor from its first use.
///
/// What a path names may change under a process: it changes its working directory, or somebody renames, replaces,
/// removes or covers a directory. All operations are therefore relative to descriptors, and reach the files that were
/// opened. Before a name is created, changed or removed, and after each sync, ``check(_:_:_:)`` compares what the path
/// names with what is held. A caller would otherwise go on writing files that nobody finds at the next opening. Once
/// they differ, every such operation fails.
final class HeldDirectories: Sendable {
    /// The root, as callers write it.
    private let prefix: String
    /// The root as an absolute path.
    private let path: String
    private let root: HeldDirectory
    private let below = Locked<[(path: String, directory: HeldDirectory)]>([])
    private let isExchanged = Locked(false)

    /// Holds a directory, which must exist.
    init(_ directory: String) throws(FileError) {
        prefix = directory
        path = try WorkingDirectory.absolute(directory)
        root = try HeldDirectory(try Descriptor.open(path, O_RDONLY | O_DIRECTORY, .open), path)
    }

    /// Where `path` is. A path outside of the root is resolved by the system, and so is the root itself where it is to
    /// be changed: its name is in a directory outside.
    func locate(
        _ path: String,
        toChange isChange: Bool,
        _ operation: FileError.Operation
    ) throws(FileError) -> FileLocation {
        guard let names = names(path) else { return FileLocation(directory: nil, name: path) }
        guard let last = names.last else {
            return isChange ? FileLocation(directory: nil, name: self.path) : FileLocation(directory: root, name: ".")
        }
        let parent = try directory(names.dropLast(), FileError(operation, path, .notFound))
        return FileLocation(directory: parent, name: last)
    }

    /// Throws where the directory of `location`, or one above it, is not what its path names.
    func check(_ location: FileLocation, _ operation: FileError.Operation, _ path: String) throws(FileError) {
        guard let directory = location.directory else { return }
        try check(directory, operation, path)
    }

    /// Throws where a directory, or one above it, is not what its path names.
    func check(_ directory: HeldDirectory, _ operation: FileError.Operation, _ path: String) throws(FileError) {
        guard !isExchanged.withLock({ $0 }) else { throw FileError(operation, path, .exchanged) }
        guard !directory.isRetired.withLock({ $0 }) else { return }
        do throws(FileError) {
            var status = stat()
            // The path was looked through for a zero byte when the directory was opened.
            try SystemCall.run(operation, checked: directory.path) { stat($0, &status) }
            guard FileIdentity(status) != directory.identity else { return }
        } catch  where error.number != .notFound && error.number != .notDirectory {
            throw FileError(operation, path, error.number)
        } catch {
            // It was removed, or one above it was.
        }
        // Its owner may have removed it meanwhile.
        guard !directory.isRetired.withLock({ $0 }) else { return }
        isExchanged.withLock { $0 = true }
        throw FileError(operation, path, .exchanged)
    }

    /// Gives up a directory, and those below it, whose name its owner is about to change or to remove.
    func retire(_ path: String) {
        guard let names = names(path), !names.isEmpty else { return }
        let key = names.joined(separator: "/")
        below.withLock { below in
            below.removeAll { entry in
                guard entry.path == key || entry.path.hasPrefix(key + "/") else { return false }
                entry.directory.isRetired.withLock { $0 = true }
                return true
            }
        }
    }

    /// The names on the way from the root to `path`; nil where it is not below the root.
    private func names(_ path: String) -> [String]? {
        guard path.hasPrefix(prefix) else { return nil }
        let rest = path.dropFirst(prefix.count)
        guard rest.isEmpty || rest.hasPrefix("/") || prefix.hasSuffix("/") else { return nil }
        let names = rest.split(separator: "/").map(String.init)
        return names.contains("..") ? nil : names
    }

    /// The directory with these names below the root, held from now on.
    private func directory(_ names: some Collection<String>, _ failure: FileError) throws(FileError) -> HeldDirectory {
        try below.withLock { below throws(FileError) in
            var (directory, key) = (root, "")
            for name in names {
                key += (key.isEmpty ? "" : "/") + name
                if let known = below.first(where: { $0.path == key }) {
                    directory = known.directory
                    continue
                }
                let location = FileLocation(directory: directory, name: name)
                let descriptor: Int32
                do throws(FileError) {
                    descriptor = try Descriptor.open(location, failure.path, O_RDONLY | O_DIRECTORY, failure.operation)
                } catch {
                    throw FileError(failure.operation, failure.path, error.number)
                }
                directory = try HeldDirectory(descriptor, path + "/" + key)
                below.append((key, directory))
            }
            return directory
        }
    }
}

/// Which file or directory it is, whatever it is called.
struct FileIdentity: Equatable, Sendable {
    private let device: UInt64
    private let number: UInt64

    init(_ status: stat) {
        device = UInt64(status.st_dev)
        number = UInt64(status.st_ino)
    }
}

/// The working directory of the process, which any thread may change at any time.
package enum WorkingDirectory {
    /// `path` as an absolute path, so that it means the same whatever the working directory is later.
    package static func absolute(_ path: String) throws(FileError) -> String {
        guard !path.hasPrefix("/") else { return path }
        guard let current = getcwd(nil, 0) else { throw FileError(.status, path, .current) }
        defer { free(current) }
        let text = String(cString: current)
        return text.hasSuffix("/") ? text + path : text + "/" + path
    }
}
