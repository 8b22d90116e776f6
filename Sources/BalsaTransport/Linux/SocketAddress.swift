import BalsaPlatform
import Glibc

/// An address as the system has it: a family, a host in numbers and a port.
struct SocketAddress {
    private var storage = sockaddr_storage()
    private var byteCount: socklen_t = 0

    /// How many addresses of one name are tried at most.
    static let maxAddresses = 8

    /// The addresses that a host stands for, in the order in which they are to be tried.
    ///
    /// - Parameters:
    ///   - address: host and port.
    ///   - isNumeric: whether only numbers are taken, so that nobody is asked and the call does not wait.
    static func resolve(_ address: NetworkAddress, isNumeric: Bool) throws(TransportError) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV | (isNumeric ? AI_NUMERICHOST : 0)
        var list: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(address.host, String(address.port), &hints, &list)
        guard result == 0 else {
            let text = gai_strerror(result).map { String(cString: $0) } ?? "error \(result)"
            throw TransportError(.address, "look up `\(address)`: \(text)")
        }
        defer { if let list { freeaddrinfo(list) } }
        var found: [SocketAddress] = []
        var next = list
        while let info = next, found.count < maxAddresses {
            next = info.pointee.ai_next
            let length = Int(info.pointee.ai_addrlen)
            guard let source = info.pointee.ai_addr, length <= MemoryLayout<sockaddr_storage>.size else { continue }
            var address = SocketAddress()
            withUnsafeMutableBytes(of: &address.storage) { target in
                target.copyMemory(from: UnsafeRawBufferPointer(start: source, count: length))
            }
            address.byteCount = socklen_t(length)
            found.append(address)
        }
        guard !found.isEmpty else { throw TransportError(.address, "`\(address)` stands for no address") }
        return found
    }

    /// The address to which a socket is bound.
    static func bound(_ descriptor: Int32) throws(TransportError) -> SocketAddress {
        var address = SocketAddress()
        address.byteCount = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &address.storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(descriptor, $0, &address.byteCount)
            }
        }
        guard result == 0 else { throw TransportError(.system, "ask for a socket's address", number: .last) }
        return address
    }

    /// Calls `body` with the address as the system's calls take it.
    func withPointer(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        withUnsafePointer(to: storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, byteCount) }
        }
    }

    /// The family of the address.
    var family: Int32 { Int32(storage.ss_family) }

    /// Whether only this machine can reach the address.
    var isLoopback: Bool {
        withUnsafeBytes(of: storage) { raw in
            switch family {
            case AF_INET:
                return raw[MemoryLayout<sockaddr_in>.offset(of: \.sin_addr) ?? 4] == 127
            case AF_INET6:
                let start = MemoryLayout<sockaddr_in6>.offset(of: \.sin6_addr) ?? 8
                let bytes = [UInt8](raw[start..<start + 16])
                let isMapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 255 && bytes[11] == 255
                return isMapped ? bytes[12] == 127 : bytes[..<15].allSatisfy { $0 == 0 } && bytes[15] == 1
            default: return false
            }
        }
    }

    /// The port.
    var port: UInt16 {
        // Both families have it in the same place, in the order of the network.
        withUnsafeBytes(of: storage) { raw in UInt16(raw[2]) << 8 | UInt16(raw[3]) }
    }
}
