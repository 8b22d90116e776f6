import BalsaPlatform

/// A port that this process has taken, and to which nobody can connect yet.
///
/// Who opens a member takes the port first: a member whose port is in use has then changed nothing, and an opening that
/// comes to nothing is not counted. The port is given up when the value is dropped and no transport has taken it over.
public final class BoundPort: Sendable {
    private let descriptor: Locked<Int32?>

    /// Takes the port on which a transport is to listen. May wait for the system to look up the name.
    ///
    /// - Parameter options: those of the transport.
    /// - Throws: ``TransportError``: *insecure* where others than this machine could connect and the options do not say
    ///   that this is wanted; *invalid* for options that cannot work; *address* or *system* where the port cannot be
    ///   taken.
    public init(_ options: TCPOptions) throws(TransportError) {
        try options.check()
        let addresses = try SocketAddress.resolve(options.listen, isNumeric: false)
        guard options.security == .insecureNetwork || addresses.allSatisfy(\.isLoopback) else {
            throw TransportError(
                .insecure,
                "others can reach `\(options.listen)`, and nothing encrypts or authenticates its connections"
            )
        }
        descriptor = Locked(try Socket.bind(to: addresses[0], named: options.listen))
    }

    /// The socket, which belongs to the caller from now on.
    func take() -> Int32 {
        let taken = descriptor.withLock { descriptor in
            defer { descriptor = nil }
            return descriptor
        }
        guard let taken else { preconditionFailure("a port is taken over by one transport") }
        return taken
    }

    deinit {
        if let left = descriptor.withLock({ $0 }) { Socket.close(left) }
    }
}
