import BalsaPlatform
import Foundation

/// The ports of a demo's members, which its directory remembers: members whose files are kept know each other by their
/// addresses.
enum KeptPorts {
    private struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// The ports that a directory remembers, where it does; else free ones, which it remembers from now on.
    static func take(_ count: Int, in directory: String) throws -> [UInt16] {
        let path = directory + "/ports"
        if let text = try? String(contentsOfFile: path, encoding: .utf8) {
            let ports = text.split(separator: "\n").compactMap { UInt16($0) }
            guard ports.count == count else {
                throw Failure(description: "\(directory) is of \(ports.count) members, and not of \(count)")
            }
            if let taken = ports.first(where: { !LoopbackPorts.isFree($0) }) {
                throw Failure(description: "port \(taken), which \(path) names, is taken")
            }
            return ports
        }
        let ports = try LoopbackPorts.free(count)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try ports.map { "\($0)\n" }.joined().write(toFile: path, atomically: true, encoding: .utf8)
        return ports
    }
}
