import BalsaPlatform
import Foundation

/// Ports of this machine's loopback that nobody listens on.
enum FreePorts {
    private struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Below the ports that systems give to whoever connects: there a member that connects to another one that is down could
    /// get the very port that a third one listens on, or its own.
    private static let range: Range<UInt16> = 15_000..<30_000

    /// Looks for `count` different ports. They are free when they are given; who waits long may lose one.
    static func take(_ count: Int) throws -> [UInt16] {
        var ports: [UInt16] = []
        for _ in 0..<1_000 where ports.count < count {
            let port = UInt16.random(in: range)
            if !ports.contains(port), isFree(port) { ports.append(port) }
        }
        guard ports.count == count else { throw Failure(description: "no free port was found") }
        return ports
    }

    /// The ports that a directory remembers, where it does; else free ones, which it remembers from now on. Members whose files
    /// are kept know each other by their addresses.
    static func take(_ count: Int, keptIn directory: String) throws -> [UInt16] {
        let path = directory + "/ports"
        if let text = try? String(contentsOfFile: path, encoding: .utf8) {
            let ports = text.split(separator: "\n").compactMap { UInt16($0) }
            guard ports.count == count else {
                throw Failure(description: "\(directory) is of \(ports.count) members, and not of \(count)")
            }
            if let taken = ports.first(where: { !isFree($0) }) {
                throw Failure(description: "port \(taken), which \(path) names, is taken")
            }
            return ports
        }
        let ports = try take(count)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try ports.map { "\($0)\n" }.joined().write(toFile: path, atomically: true, encoding: .utf8)
        return ports
    }

    private static func isFree(_ port: UInt16) -> Bool {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { return false }
        defer { close(socket) }
        // As the members will: connections of a listener that has just ended are no hindrance.
        var one: Int32 = 1
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 && listen(socket, 1) == 0
            }
        }
    }
}
