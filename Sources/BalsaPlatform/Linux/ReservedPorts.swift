import Glibc

/// Ports of this machine's loopback that no other process is given while this lives.
///
/// The system chooses them, unless they are named. A socket stays bound to each of them and does not listen: the system
/// then gives the port neither to a process that asks for any port nor to a connection that goes out. A member can
/// still listen on it, because both allow the address to be used again. Nobody listens on a reserved port until a
/// member does.
package final class ReservedPorts: @unchecked Sendable {
    /// The system gave no port.
    package struct Failure: Error, CustomStringConvertible {
        /// The number of the system's error.
        package let number: Int32
        /// The failure in a sentence.
        package var description: String {
            "no port of the loopback can be reserved: \(FileError.Number(rawValue: number).sentence)"
        }
        /// Whether somebody else has the port.
        package var isTaken: Bool { number == EADDRINUSE }
    }

    /// The ports, all different.
    package let ports: [UInt16]
    private let sockets: [Int32]

    /// Reserves `count` ports, which the system chooses.
    package convenience init(_ count: Int) throws(Failure) {
        try self.init([UInt16](repeating: 0, count: count))
    }

    /// Reserves these ports.
    ///
    /// - Parameter wanted: the ports; 0 for one that the system chooses.
    /// - Throws: ``Failure`` where somebody else has one of them.
    package init(_ wanted: [UInt16]) throws(Failure) {
        var (ports, sockets): ([UInt16], [Int32]) = ([], [])
        for port in wanted {
            do throws(Failure) {
                let (socket, port) = try ReservedPorts.bind(port)
                sockets.append(socket)
                ports.append(port)
            } catch {
                for socket in sockets { Glibc.close(socket) }
                throw error
            }
        }
        (self.ports, self.sockets) = (ports, sockets)
    }

    deinit {
        for socket in sockets { Glibc.close(socket) }
    }

    private static func bind(_ port: UInt16) throws(Failure) -> (socket: Int32, port: UInt16) {
        let socket = StandardDescriptors.avoid {
            Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        }
        guard socket >= 0 else { throw Failure(number: errno) }
        var one: Int32 = 1
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.bind(socket, $0, length) == 0 && getsockname(socket, $0, &length) == 0
            }
        }
        guard isBound else {
            let failure = Failure(number: errno)
            Glibc.close(socket)
            throw failure
        }
        return (socket, UInt16(bigEndian: address.sin_port))
    }
}
