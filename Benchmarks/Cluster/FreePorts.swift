import Glibc

/// Ports of this machine's loopback on which nobody listens.
enum FreePorts {
    /// Asks the system for `count` different ones. They are free when they are given; who waits long may lose one.
    static func take(_ count: Int) throws(BenchmarkError) -> [UInt16] {
        var ports: [UInt16] = []
        var sockets: [Int32] = []
        defer { for socket in sockets { Glibc.close(socket) } }
        for _ in 0..<count {
            let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            guard socket >= 0 else { throw BenchmarkError("no socket can be made") }
            sockets.append(socket)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let isBound = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                    bind(socket, pointer, length) == 0 && getsockname(socket, pointer, &length) == 0
                }
            }
            guard isBound else { throw BenchmarkError("no free port was found") }
            ports.append(UInt16(bigEndian: address.sin_port))
        }
        return ports
    }
}
