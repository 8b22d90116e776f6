import BalsaPlatform
import CBalsaPlatform
import Glibc

/// The system calls on sockets. None of them waits, and none raises a signal.
enum Socket {
    /// What became of a call that moves bytes.
    enum Transfer: Equatable {
        /// So many bytes were moved; more than 0.
        case moved(Int)
        /// None now; the descriptor becomes ready.
        case wouldBlock
        /// The other side sends no more.
        case ended
        /// The connection is lost.
        case failed
    }

    /// What became of an attempt to connect.
    enum Connecting: Equatable {
        case connected
        case underWay
        /// Not possible, as the number says.
        case failed(FileError.Number)
    }

    /// How connections are kept alive, and how long silence is borne.
    struct Patience {
        /// After how much silence the system asks whether the other side is there, in seconds.
        var keepaliveSeconds: Int32
        /// How long bytes may be unacknowledged, in milliseconds.
        var userTimeoutMilliseconds: Int32
    }

    /// A socket of that family.
    static func make(_ family: Int32) throws(TransportError) -> Int32 {
        let kind = SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue
        let descriptor = StandardDescriptors.avoid { socket(family, Int32(kind), Int32(IPPROTO_TCP)) }
        guard descriptor >= 0 else { throw TransportError(.system, "make a socket", number: .last) }
        return descriptor
    }

    /// A socket that is bound to an address and does not listen yet.
    ///
    /// - Parameters:
    ///   - address: where.
    ///   - name: what an error calls the address.
    static func bind(to address: SocketAddress, named name: NetworkAddress) throws(TransportError) -> Int32 {
        let descriptor = try make(address.family)
        do throws(TransportError) {
            // A port whose last connections are dying away can be listened on again at once after a restart.
            set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
            guard address.withPointer({ Glibc.bind(descriptor, $0, $1) }) == 0 else {
                throw TransportError(.system, "listen on `\(name)`", number: .last)
            }
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// Lets others connect to a socket that is bound. Two sockets can be bound to one port; the second one that listens
    /// is refused.
    static func listen(_ descriptor: Int32, named name: NetworkAddress, backlog: Int32) throws(TransportError) {
        guard Glibc.listen(descriptor, backlog) == 0 else {
            throw TransportError(.system, "listen on `\(name)`", number: .last)
        }
    }

    /// Begins to connect.
    static func connect(_ descriptor: Int32, to address: SocketAddress) -> Connecting {
        if address.withPointer({ Glibc.connect(descriptor, $0, $1) }) == 0 { return .connected }
        // An interrupted call goes on by itself.
        return errno == EINPROGRESS || errno == EINTR ? .underWay : .failed(.last)
    }

    /// Why an attempt to connect that was under way has failed, once the descriptor is writable; nil where it has
    /// succeeded.
    static func connectFailure(_ descriptor: Int32) -> FileError.Number? {
        var number: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &size) == 0 else { return .last }
        return number == 0 ? nil : FileError.Number(rawValue: number)
    }

    /// Sets up a connection. What a system does not offer is done without.
    static func prepare(_ descriptor: Int32, _ patience: Patience) {
        let tcp = Int32(IPPROTO_TCP)
        // A frame is never held back to be sent with the next: the writer gathers them itself.
        set(descriptor, tcp, TCP_NODELAY, 1)
        set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
        set(descriptor, tcp, TCP_KEEPIDLE, patience.keepaliveSeconds)
        set(descriptor, tcp, TCP_KEEPINTVL, max(1, patience.keepaliveSeconds / 2))
        set(descriptor, tcp, TCP_KEEPCNT, 3)
        set(descriptor, tcp, TCP_USER_TIMEOUT, patience.userTimeoutMilliseconds)
    }

    private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        _ = setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Takes bytes that have arrived.
    static func receive(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        while true {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return .moved(count) }
            if count == 0 { return .ended }
            if errno == EINTR { continue }
            return errno == EAGAIN || errno == EWOULDBLOCK ? .wouldBlock : .failed
        }
    }

    /// Sends pieces, as many of their bytes as the system takes.
    static func send(_ descriptor: Int32, _ vectors: UnsafePointer<iovec>, _ count: Int32) -> Transfer {
        var message = msghdr()
        message.msg_iov = UnsafeMutablePointer(mutating: vectors)
        message.msg_iovlen = Int(count)
        while true {
            let sent = sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL))
            if sent > 0 { return .moved(sent) }
            if sent == 0 { return .wouldBlock }
            if errno == EINTR { continue }
            return errno == EAGAIN || errno == EWOULDBLOCK ? .wouldBlock : .failed
        }
    }

    /// Sends bytes, all or none that count: false where they did not fit at once or the connection is lost.
    static func sendAll(_ descriptor: Int32, _ bytes: Bytes) -> Bool {
        bytes.withUnsafeBytes { raw in
            var sent = -1
            repeat {
                sent = Glibc.send(descriptor, raw.baseAddress, raw.count, Int32(MSG_NOSIGNAL))
            } while sent < 0 && errno == EINTR
            return sent == raw.count
        }
    }

    /// Sends no more. What was sent before still arrives.
    static func endSending(_ descriptor: Int32) {
        _ = shutdown(descriptor, Int32(SHUT_WR))
    }

    /// What became of asking for a connection.
    enum Accepted: Equatable {
        case connection(Int32)
        /// No more now.
        case none
        /// That one was lost before it was taken; there may be others.
        case lost
        /// A connection waits, and the process or the system has no descriptors or memory left, as the number says.
        case exhausted(FileError.Number)
    }

    /// Whether there is something to read or to accept, without waiting for it.
    private static func isReadable(_ descriptor: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        var count = poll(&entry, 1, 0)
        while count < 0, errno == EINTR { count = poll(&entry, 1, 0) }
        // A call that failed says nothing. It is taken for yes: then a silent connection makes way, or there is a
        // pause.
        return count != 0
    }

    /// Takes the next connection of a socket that listens.
    static func accept(_ listener: Int32) -> Accepted {
        let descriptor = StandardDescriptors.avoid(forOthers: true) { balsa_accept(listener) }
        if descriptor >= 0 { return .connection(descriptor) }
        switch errno {
        case EAGAIN, EWOULDBLOCK: return .none
        case EMFILE, ENFILE, ENOBUFS, ENOMEM:
            let number = FileError.Number.last
            // The system looks for a descriptor before it looks for a connection.
            return isReadable(listener) ? .exhausted(number) : .none
        // Linux reports the network errors of the new connection here.
        default: return .lost
        }
    }

    /// Closes a descriptor, of which the loop must know no more. Never repeated: the number is free even where it fails.
    static func close(_ descriptor: Int32) {
        _ = Glibc.close(descriptor)
    }
}
