import BalsaPlatform

/// The ports of a demo's members, held for as long as the demo runs: also while a member is down, no other process is
/// given one.
///
/// A directory that is kept remembers them, so that the same command line finds the members where they were. Where
/// somebody else has one of them, the members move to others: the demo gives all of them the new list.
struct KeptPorts {
    struct Failure: Error, Equatable, CustomStringConvertible {
        let description: String
    }

    /// The longest file of ports that is read: more than seven lines have.
    private static let maxFileBytes = 1_024

    private let reserved: ReservedPorts
    /// Keeps other demos out of the directory.
    private let lock: any FileLock
    /// The ports, by member.
    var ports: [UInt16] { reserved.ports }

    /// Takes the ports that a directory remembers; others, which it remembers from now on, where it remembers none or
    /// one is taken.
    ///
    /// - Throws: ``Failure`` where another demo uses the directory, its file is no list, or the list is of another
    ///   number of members.
    static func take(_ count: Int, in directory: String, _ files: any FileSystem) throws -> KeptPorts {
        let lock = try lock(directory, files)
        do {
            return KeptPorts(reserved: try reserve(count, in: directory, files), lock: lock)
        } catch {
            lock.release()
            throw error
        }
    }

    private static func reserve(_ count: Int, in directory: String, _ files: any FileSystem) throws -> ReservedPorts {
        let path = directory + "/ports"
        if let remembered = try read(path, files) {
            guard remembered.count == count else {
                throw Failure(
                    description: "\(directory) is of \(remembered.count) members, and not of \(count): pass --members "
                        + "\(remembered.count), or name another directory"
                )
            }
            if let reserved = try reserve(remembered) { return reserved }
        }
        let reserved = try ReservedPorts(count)
        try write(reserved.ports, path, in: directory, files)
        return reserved
    }

    private static func lock(_ directory: String, _ files: any FileSystem) throws -> any FileLock {
        do throws(FileError) {
            return try files.lock(directory + "/LOCK")
        } catch {
            guard error.number == .wouldBlock else { throw error }
            throw Failure(
                description: "another demo uses \(directory); \(files.holder(ofLock: error.path) ?? "another process") "
                    + "holds \(error.path): wait until it ends, or name another directory"
            )
        }
    }

    /// Replaces the list as a whole: a crash leaves the old one or the new one.
    private static func write(
        _ ports: [UInt16],
        _ path: String,
        in directory: String,
        _ files: any FileSystem
    ) throws(FileError) {
        let new = path + ".new"
        if try files.exists(new) { try files.remove(new) }
        let file = try files.open(new, .create)
        defer { file.close() }
        try file.write(Bytes(ports.map { "\($0)\n" }.joined()), at: 0)
        try file.sync()
        try files.rename(new, to: path)
        try files.syncDirectory(directory)
    }

    /// These ports; nil where somebody else has one of them.
    private static func reserve(_ ports: [UInt16]) throws(ReservedPorts.Failure) -> ReservedPorts? {
        do throws(ReservedPorts.Failure) {
            return try ReservedPorts(ports)
        } catch {
            guard error.isTaken else { throw error }
            return nil
        }
    }

    /// The ports in a file, one a line; nil where there is no file.
    private static func read(_ path: String, _ files: any FileSystem) throws -> [UInt16]? {
        guard try files.exists(path) else { return nil }
        let file = try files.open(path, .read)
        defer { file.close() }
        let text = String(try file.read(maxFileBytes, at: 0))
        let lines = text.split(separator: "\n")
        let ports = lines.compactMap { UInt16($0) }
        // A list that was cut may end within a line, and then with a number of its own.
        let isWhole = !ports.isEmpty && text.hasSuffix("\n") && ports.count == lines.count && !ports.contains(0)
        guard isWhole, Set(ports).count == ports.count else {
            throw Failure(
                description: "\(path) is not a list of different ports, one a line: remove it, or name another "
                    + "directory"
            )
        }
        return ports
    }
}
