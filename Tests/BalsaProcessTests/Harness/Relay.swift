import BalsaPlatform
import Foundation

/// Stands between members and one of them, passes everything on, and keeps a record of what the members say.
final class Relay: @unchecked Sendable {
    /// What somebody said over one connection.
    struct Recording: Sendable {
        /// What came before there was any answer.
        var hello: [UInt8] = []
        /// What came behind that, as far as it was kept.
        var rest: [UInt8] = []
        var isAnswered = false
    }

    private struct Shared {
        var recordings: [Recording] = []
        /// Both sides of each connection that is passed on, by the place of its recording.
        var sockets: [Int: [PlainSocket]] = [:]
        var isEnded = false
    }

    private static let keptByteCount = 256 << 10

    private let listener: PlainSocket
    private let target: UInt16
    private let shared = Locked(Shared())

    /// Listens at `port` and passes everything on to `target`.
    init(at port: UInt16, to target: UInt16) throws {
        listener = try PlainSocket.listening(at: port)
        self.target = target
        Thread { [self] in
            while !shared.withLock({ $0.isEnded }) {
                if let inbound = listener.accept() { relay(inbound) }
            }
        }.start()
    }

    /// The connections that were answered, in their order.
    var recordings: [Recording] { shared.withLock { $0.recordings.filter(\.isAnswered) } }

    func end() {
        let sockets = shared.withLock { shared in
            shared.isEnded = true
            return shared.sockets.values.flatMap { $0 }
        }
        listener.end()
        for socket in sockets { socket.end() }
    }

    private func relay(_ inbound: PlainSocket) {
        guard let outbound = try? PlainSocket(to: target) else { return inbound.end() }
        let place = shared.withLock { shared in
            shared.recordings.append(Recording())
            let place = shared.recordings.count - 1
            shared.sockets[place] = [inbound, outbound]
            return place
        }
        pass(from: inbound, to: outbound) { bytes, recording in
            if !recording.isAnswered {
                recording.hello += bytes
            } else if recording.rest.count < Relay.keptByteCount {
                recording.rest += bytes
            }
        } at: {
            place
        }
        pass(from: outbound, to: inbound) { _, recording in
            recording.isAnswered = true
        } at: {
            place
        }
    }

    private func pass(
        from source: PlainSocket,
        to target: PlainSocket,
        _ note: @escaping @Sendable ([UInt8], inout Recording) -> Void,
        at place: @escaping @Sendable () -> Int
    ) {
        Thread { [self] in
            while !shared.withLock({ $0.isEnded }) {
                guard let bytes = source.receive() else { continue }
                guard !bytes.isEmpty else { break }
                shared.withLock { note(bytes, &$0.recordings[place()]) }
                guard target.send(bytes) else { break }
            }
            source.end()
            target.end()
            // An attack makes members connect again and again: what has ended keeps no descriptor.
            shared.withLock { $0.sockets[place()] = nil }
        }.start()
    }
}
