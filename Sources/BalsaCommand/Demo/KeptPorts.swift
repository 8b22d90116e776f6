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
    /// The ports, by member.
    var ports: [UInt16] { reserved.ports }

    /// Takes the ports that a directory remembers; others, which it remembers from now on, where it remembers none or
    /// one is taken.
    static func take(_ count: Int, in directory: String, _ files: any FileSystem) throws -> KeptPorts {
        let path = directory + "/ports"
        if let remembered = try read(path, files) {
            guard remembered.count == count else {
                throw Failure(description: "\(directory) is of \(remembered.count) members, and not of \(count)")
            }
            if let reserved = try reserve(remembered) { return KeptPorts(reserved: reserved) }
        }
        let reserved = try ReservedPorts(count)
        let file = try OutputFile.open(path, files)
        defer { file.close() }
        try file.write(Bytes(reserved.ports.map { "\($0)\n" }.joined()), at: 0)
        return KeptPorts(reserved: reserved)
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
        let lines = String(try file.read(maxFileBytes, at: 0)).split(separator: "\n")
        let ports = lines.compactMap { UInt16($0) }
        guard ports.count == lines.count else {
            throw Failure(description: "\(path) is not a list of ports, one a line: name another directory")
        }
        return ports
    }
}
