/// A host and a port, as an operator writes them: `10.0.0.1:7001`, `[::1]:7001` or `db-1.example:7001`.
///
/// A name is looked up anew for every connection, so that a member may move.
public struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
    /// A name, or an address in numbers, without brackets.
    public let host: String
    /// The port; 0 for one that the system chooses, which only makes sense to listen on.
    public let port: UInt16

    /// The longest host that is taken: as long as a name can be.
    static let maxHostBytes = 253

    /// The address of `host` and `port`.
    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// The address that `text` stands for.
    ///
    /// - Throws: ``TransportError`` of the code *address* where it is not of the form `host:port` or `[host]:port`.
    public init(_ text: String) throws(TransportError) {
        // The last colon of `[::1]` belongs to the host.
        guard let colon = text.lastIndex(of: ":"), text.index(after: colon) < text.endIndex, !text.hasSuffix("]") else {
            throw TransportError(.address, "`\(text)` has no port: write `host:port`")
        }
        let digits = text[text.index(after: colon)...]
        guard digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }), let port = UInt16(digits) else {
            throw TransportError(
                .address,
                "`\(digits)` in `\(text)` is not a port: a port is a number from 0 to \(UInt16.max)"
            )
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            // Else nobody could tell where the address ends and the port begins.
            throw TransportError(.address, "`\(text)` needs brackets around its host")
        }
        guard !host.isEmpty, host.utf8.count <= NetworkAddress.maxHostBytes, !host.utf8.contains(0) else {
            throw TransportError(.address, "`\(text)` has no host that can be looked up")
        }
        self.init(host: String(host), port: port)
    }

    /// The address in the form that ``init(_:)`` takes.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// What protects the connections between members.
public enum NetworkSecurity: Equatable, Sendable {
    /// Nothing does, and so only this machine may connect.
    case loopbackOnly
    /// Nothing in this package does: whoever can reach the port can pretend to be a member. To be said aloud, for a network
    /// that others protect.
    case insecureNetwork
}
