import BalsaPlatform
import BalsaRaft
import BalsaWire
import Dispatch
import Glibc
import XCTest

@testable import BalsaTransport

/// Introduces a member, listens to all members of its cluster unless told otherwise, and notes what a transport tells.
final class Recorder: TransportReceiver, @unchecked Sendable {
    /// What has been told so far.
    struct Record {
        /// The numbers of the frames that arrived, by peer and path.
        var numbers: [MemberID: [SendPath: [UInt64]]] = [:]
        var connected: [MemberID] = []
        var agreed: [(peer: MemberID, agreement: WireAgreement)] = []
        var unreachable: [MemberID] = []
        var refused: [HandshakeRefusal] = []
        var undecodable = 0
        /// How many frames came over connections for the first boot.
        var firstBootFrames = 0
        var mislabelled: [MemberID] = []
        /// What was told of connections that were closed or not accepted.
        var troubles: [String] = []
        /// The introductions that were judged, and the lives that ended, as member and nonce.
        var judged: [Introduction] = []
        var disconnected: [[UInt64]] = []

        func count(_ peer: MemberID, _ path: SendPath) -> Int { numbers[peer]?[path]?.count ?? 0 }

        /// The same in memory of its own. The thread sanitizer does not see that a shared array is only written in place when
        /// the last other reference is gone, and would report a race.
        func copy() -> Record {
            Record(
                numbers: numbers.mapValues { $0.mapValues { $0.map { $0 } } },
                connected: connected.map { $0 },
                agreed: agreed.map { $0 },
                unreachable: unreachable.map { $0 },
                refused: refused.map { $0 },
                undecodable: undecodable,
                firstBootFrames: firstBootFrames,
                mislabelled: mislabelled.map { $0 },
                troubles: troubles.map { $0 },
                judged: judged.map { $0 },
                disconnected: disconnected.map { $0 }
            )
        }
    }

    private struct Judge {
        var own: Introduction
        var verdict: @Sendable (Introduction) -> PeerVerdict
    }

    private let locked = Locked(Record())
    private let judge: Locked<Judge>

    init(_ own: Introduction) {
        judge = Locked(
            Judge(own: own) { introduction in
                let isKnown = introduction.cluster == own.cluster && introduction.to == own.from
                return isKnown
                    ? .accept(isNew: false) : .refuse(Recorder.refusal(.malformed, of: introduction, by: own))
            }
        )
    }

    static func refusal(
        _ reason: IdentityRefusal.Reason,
        of introduction: Introduction,
        by own: Introduction
    ) -> IdentityRefusal {
        IdentityRefusal(reason, of: introduction, by: own.from, in: own.cluster)
    }

    var record: Record { locked.withLock { $0.copy() } }

    /// From now on the member introduces itself so.
    func introduceItself(as own: Introduction) { judge.withLock { $0.own = own } }

    /// From now on the member decides so.
    func decide(_ verdict: @escaping @Sendable (Introduction) -> PeerVerdict) {
        judge.withLock { $0.verdict = verdict }
    }

    /// From now on the member refuses whom `reason` names a reason for.
    func refuse(_ reason: @escaping @Sendable (Introduction) -> IdentityRefusal.Reason?) {
        let own = judge.withLock { $0.own }
        decide { introduction in
            guard let reason = reason(introduction) else { return .accept(isNew: false) }
            return .refuse(Recorder.refusal(reason, of: introduction, by: own))
        }
    }

    func introduction(to peer: MemberID) -> Introduction { judge.withLock { $0.own }.said(to: peer) }

    func judge(_ introduction: Introduction) -> PeerVerdict {
        locked.withLock { $0.judged.append(introduction) }
        return judge.withLock { $0.verdict }(introduction)
    }

    func disconnected(_ peer: MemberID, nonce: UInt64) { locked.withLock { $0.disconnected.append([peer, nonce]) } }
    func receivedFirstBoot(_ frame: Bytes, from peer: MemberID) { locked.withLock { $0.firstBootFrames += 1 } }
    func troubled(_ trouble: ConnectionTrouble) { locked.withLock { $0.troubles.append("\(trouble)") } }

    func mislabelled(by peer: MemberID, as sender: MemberID) { locked.withLock { $0.mislabelled.append(sender) } }

    func received(_ frame: Bytes, from peer: MemberID) {
        locked.withLock { record in
            guard let decoded = try? PeerFrame(decoding: frame, options: TestFrame.options), decoded.from == peer else {
                record.undecodable += 1
                return
            }
            record.numbers[peer, default: [:]][decoded.isBulk ? .bulk : .control, default: []]
                .append(TestFrame.number(decoded))
        }
    }

    func unreachable(_ peer: MemberID) { locked.withLock { $0.unreachable.append(peer) } }
    func refused(_ peer: MemberID, _ refusal: HandshakeRefusal) { locked.withLock { $0.refused.append(refusal) } }
    func agreed(_ agreement: WireAgreement, with peer: MemberID) {
        locked.withLock { $0.agreed.append((peer, agreement)) }
    }
    func connected(_ peer: MemberID) { locked.withLock { $0.connected.append(peer) } }
}

/// Frames that carry a number.
enum TestFrame {
    static let options = WireOptions()

    static func make(_ number: UInt64, from: MemberID, to: MemberID, _ path: SendPath, size: Int = 20) throws -> [Bytes]
    {
        let content: PeerFrame.Content
        switch path {
        case .control:
            content = .forward(ForwardedCommand(number: number, command: Bytes([UInt8](repeating: 7, count: size))))
        case .bulk:
            content = .checkpointChunk(
                CheckpointChunk(
                    transfer: TransferID(nonce: 1, number: number),
                    position: LogPosition(term: 1, index: 1),
                    streamByteCount: UInt64(size),
                    offset: 0,
                    streamChecksum: 0,
                    bytes: Bytes([UInt8](repeating: 9, count: size))
                )
            )
        }
        return try PeerFrame(group: 1, from: from, to: to, term: 1, content: content).encoded(
            options: options,
            version: 1
        )
    }

    static func number(_ frame: PeerFrame) -> UInt64 {
        switch frame.content {
        case .forward(let forwarded): forwarded.number
        case .checkpointChunk(let chunk): chunk.transfer.number
        default: 0
        }
    }
}

/// A member with a loop and a transport of its own.
final class TestMember {
    let id: MemberID
    let recorder: Recorder
    let loop: EventLoop
    let transport: TCPTransport

    var address: NetworkAddress { NetworkAddress(host: "127.0.0.1", port: transport.port) }

    init(
        _ introduction: Introduction,
        port: UInt16 = 0,
        loopOptions: EventLoop.Options = EventLoop.Options(),
        _ change: (inout TCPOptions) -> Void = { _ in }
    ) throws {
        id = introduction.from
        recorder = Recorder(introduction)
        loop = try EventLoop(options: loopOptions)
        var options = TCPOptions(listen: NetworkAddress(host: "127.0.0.1", port: port))
        change(&options)
        transport = try TCPTransport(
            options,
            member: id,
            loop: loop,
            random: RandomSource(seed: id),
            receiver: recorder
        )
    }

    convenience init(
        _ member: MemberID,
        loopOptions: EventLoop.Options = EventLoop.Options(),
        _ change: (inout TCPOptions) -> Void = { _ in }
    ) throws {
        try self.init(.sample(member), loopOptions: loopOptions, change)
    }

    func connect(to others: TestMember...) {
        transport.setPeers(others.map { TCPTransport.Peer($0.id, at: $0.address) })
    }

    func send(_ numbers: Range<UInt64>, to peer: MemberID, _ path: SendPath, size: Int = 20) throws {
        for number in numbers {
            transport.send(try TestFrame.make(number, from: id, to: peer, path, size: size), to: peer, path)
        }
    }

    func stop() {
        transport.close()
        loop.stop()
    }

    deinit { stop() }
}

/// A connection that a test makes by hand.
final class RawConnection {
    let descriptor: Int32

    init(to port: UInt16) throws {
        let address = try SocketAddress.resolve(NetworkAddress(host: "127.0.0.1", port: port), isNumeric: true)[0]
        descriptor = try Socket.make(address.family)
        _ = Socket.connect(descriptor, to: address)
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&entry, 1, 10_000)
        guard Socket.connectFailure(descriptor) == nil else {
            Socket.close(descriptor)
            throw TransportError(.system, "connect by hand")
        }
    }

    init(accepted descriptor: Int32) { self.descriptor = descriptor }

    deinit { Socket.close(descriptor) }

    /// Sends bytes, waiting for room.
    ///
    /// - Returns: false where the other side has closed the connection.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if sent > 0 {
                rest = rest.dropFirst(sent)
            } else if errno != EAGAIN {
                return false
            } else {
                var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&entry, 1, 1_000)
            }
        }
        return true
    }

    /// What arrives, up to `limit` bytes; less where the other side closes the connection, or is silent for so long.
    func receive(_ limit: Int = 1 << 20, patience: Int32 = 10_000) -> (bytes: [UInt8], isEnded: Bool) {
        var found: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while found.count < limit {
            let result = buffer.withUnsafeMutableBytes {
                Socket.receive(
                    descriptor,
                    into: UnsafeMutableRawBufferPointer(rebasing: $0.prefix(limit - found.count))
                )
            }
            switch result {
            case .moved(let count): found += buffer[..<count]
            case .ended, .failed: return (found, true)
            case .wouldBlock:
                var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                if poll(&entry, 1, patience) <= 0 { return (found, false) }
            }
        }
        return (found, false)
    }

    /// What arrives next, of any length; nothing where the other side closes the connection, or is silent for 10 s.
    func receiveSome() -> [UInt8] {
        let first = receive(1).bytes
        return first.isEmpty ? [] : first + receive(64 << 10, patience: 0).bytes
    }

    /// Says hello and returns the answer.
    func greet(_ hello: Handshake) throws -> Handshake {
        send([UInt8](hello.encoded()))
        return try Handshake(decoding: Bytes(receive(Handshake.encodedByteCount).bytes))
    }
}

extension XCTestCase {
    /// Waits until `condition` holds, and fails after half a minute.
    func eventually(
        _ what: String,
        file: StaticString = #filePath,
        line: UInt = #line,
        _ condition: () throws -> Bool
    ) rethrows {
        for _ in 0..<30_000 {
            if try condition() { return }
            usleep(1_000)
        }
        XCTFail("never: \(what)", file: file, line: line)
    }

    /// How many descriptors this process has open.
    ///
    /// XCTest sets a timer of Dispatch when a test begins. The first timer of a process has Dispatch's own thread open
    /// three descriptors, sooner or later: this call waits until they are open.
    func openDescriptorCount() throws -> Int {
        let hasFired = DispatchSemaphore(value: 0)
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(1)) { hasFired.signal() }
        hasFired.wait()
        return try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    }

    /// How much memory this process has in use, in bytes.
    func residentByteCount() throws -> Int {
        let text = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
        return try XCTUnwrap(Int(text.split(separator: " ")[1])) * 4096
    }
}
