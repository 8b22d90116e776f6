import Glibc

/// Ports of this machine's loopback on which nobody listens: for programs and tests that start members of their own.
package enum LoopbackPorts {
    /// There are fewer free ones than were asked for.
    package struct Failure: Error, CustomStringConvertible {
        /// The failure in a sentence.
        package let description = "no free port was found on the loopback"
    }

    /// Below the ports that systems give to whoever connects: there a member that connects to another one that is down could
    /// get the very port that a third one listens on, or its own.
    private static let range: Range<UInt16> = 15_000..<30_000
    private static let attempts = 1_000

    /// Looks for `count` different ports, at random. They are free when they are given; who waits long may lose one.
    package static func free(_ count: Int) throws(Failure) -> [UInt16] {
        var ports: [UInt16] = []
        for _ in 0..<attempts where ports.count < count {
            let port = UInt16.random(in: range)
            if !ports.contains(port), isFree(port) { ports.append(port) }
        }
        guard ports.count == count else { throw Failure() }
        return ports
    }

    /// Whether somebody could listen on a port now.
    package static func isFree(_ port: UInt16) -> Bool {
        let socket = StandardDescriptors.avoid {
            Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        }
        guard socket >= 0 else { return false }
        defer { Glibc.close(socket) }
        // As members do: connections of a listener that has just ended are no hindrance.
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
