import BalsaPlatform
import BalsaRaft
import BalsaWire
import Glibc
import XCTest

@testable import BalsaTransport

/// Whatever others send, the process lives, memory stays bounded, and the members go on.
final class HostilePeerTests: XCTestCase {
    /// Member 1 is attacked; member 2 is its peer. Member 3 is whom the attacker pretends to be.
    private var one: TestMember!
    private var two: TestMember!
    private let hello = Introduction.sample(3).hello()

    private func start(_ change: (inout TCPOptions) -> Void = { _ in }) throws {
        one = try TestMember(1, change)
        two = try TestMember(2)
        two.connect(to: one)
        eventually("the peer is connected") { two.recorder.record.connected == [1] }
    }

    override func tearDown() {
        (one, two) = (nil, nil)
    }

    private var metrics: TransportMetrics { one.transport.metrics }
    private var port: UInt16 { one.transport.port }

    private func checkThatThePeerGoesOn(line: UInt = #line) throws {
        let count = one.recorder.record.count(2, .control)
        try two.send(0..<100, to: 1, .control)
        eventually("the peer's frames arrive", line: line) { one.recorder.record.count(2, .control) == count + 100 }
        XCTAssertEqual(two.recorder.record.unreachable, [], line: line)
    }

    func testRandomBytesEndTheConnectionThatTheyCameBy() throws {
        try start()
        var random = RandomSource(seed: 5)
        for _ in 0..<100 {
            let connection = try RawConnection(to: port)
            connection.send((0..<random.draw(1...300)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
            XCTAssertTrue(connection.receive().isEnded)
        }
        XCTAssertEqual(metrics.handshakesBroken, 100)
        try checkThatThePeerGoesOn()
    }

    func testAHelloWithAFlippedBitIsNotAnswered() throws {
        try start()
        let bytes = [UInt8](hello.encoded())
        for bit in stride(from: 0, to: 176 * 8, by: 5) {
            let connection = try RawConnection(to: port)
            connection.send(bytes.flipping(bit: bit))
            let (answer, isEnded) = connection.receive()
            XCTAssertTrue(isEnded)
            // Where the version seems to be a newer one, the answer says so.
            if !answer.isEmpty {
                XCTAssertEqual(try Handshake(decoding: Bytes(answer)).refusalCode, protocolRange, "bit \(bit)")
            }
        }
        XCTAssertEqual(metrics.inboundConnections, 1, "that of the peer")
        try checkThatThePeerGoesOn()
    }

    func testAHelloThatIsCutAnywhereEndsQuietly() throws {
        try start()
        let bytes = [UInt8](hello.encoded())
        for count in 0..<176 {
            let connection = try RawConnection(to: port)
            connection.send(Array(bytes[..<count]))
        }
        eventually("all are gone") { metrics.connectionsAccepted == 177 && metrics.halfOpenConnections == 0 }
        XCTAssertEqual(metrics.handshakesBroken, 0)
        try checkThatThePeerGoesOn()
    }

    func testAByteNowAndThenDoesNotOutlastTheDeadline() throws {
        try start { $0.handshakeTimeout = .milliseconds(150) }
        let connection = try RawConnection(to: port)
        for byte in [UInt8](hello.encoded()) {
            guard connection.send([byte]) else { break }
            usleep(5_000)
        }
        XCTAssertTrue(connection.receive().isEnded)
        XCTAssertEqual(metrics.handshakesLate, 1)
        try checkThatThePeerGoesOn()
    }

    func testBehindTheHandshakeAByteAtATimeIsTakenAsWell() throws {
        try start { $0.handshakeTimeout = .milliseconds(150) }
        // A busy machine may miss the limit of the handshake, which is then tried again.
        var welcomed: RawConnection?
        for _ in 0..<200 where welcomed == nil {
            let connection = try RawConnection(to: port)
            if let answer = try? connection.greet(hello), answer.kind == .welcome { welcomed = connection }
        }
        let connection = try XCTUnwrap(welcomed, "no handshake was answered in time")
        let began = MonotonicClock().nanoseconds()
        for piece in try TestFrame.make(5, from: 3, to: 1, .control) {
            for byte in [UInt8](piece) {
                XCTAssertTrue(connection.send([byte]))
                usleep(2_500)
            }
        }
        XCTAssertGreaterThan(MonotonicClock().nanoseconds() - began, 150_000_000, "the limit would have been noticed")
        eventually("the frame arrives") { one.recorder.record.numbers[3]?[.control] == [5] }
    }

    func testAFrameThatClaimsTwoGibibytesGetsNoMemory() throws {
        try start()
        var header: [UInt8] = [0x42, 0x41, 0x4c, 0x57, 1, 0, 15, 0]
        for number in [1, 3, 1, 1] as [UInt64] { withUnsafeBytes(of: number.littleEndian) { header += $0 } }
        for number in [0x8000_0000, 0] as [UInt32] { withUnsafeBytes(of: number.littleEndian) { header += $0 } }
        let checksum = header.withUnsafeBytes { CRC32C.checksum($0) }
        withUnsafeBytes(of: checksum.littleEndian) { header += $0 }
        let before = try residentByteCount()
        let connection = try RawConnection(to: port)
        XCTAssertEqual(try connection.greet(hello).kind, .welcome)
        connection.send(header)
        XCTAssertTrue(connection.receive().isEnded)
        XCTAssertEqual(metrics.streamsBroken, 1)
        XCTAssertLessThan(try residentByteCount() - before, 64 << 20)
        try checkThatThePeerGoesOn()
    }

    func testAFlippedBitInAFrameNeverReachesTheReceiverAsAFrame() throws {
        try start()
        let frame = try TestFrame.make(5, from: 3, to: 1, .control).flatMap { [UInt8]($0) }
        for bit in stride(from: 0, to: frame.count * 8, by: 7) {
            let connection = try RawConnection(to: port)
            XCTAssertEqual(try connection.greet(hello).kind, .welcome)
            connection.send(frame.flipping(bit: bit))
            // In the header it ends the connection; in the body it is found when the frame is decoded.
            if bit < 52 * 8 { XCTAssertTrue(connection.receive().isEnded, "bit \(bit)") }
        }
        try checkThatThePeerGoesOn()
        XCTAssertNil(one.recorder.record.numbers[3])
    }

    func testAThousandSilentConnectionsDoNotKeepAMemberOut() throws {
        try start()
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = min(limit.rlim_max, 4_096)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        try XCTSkipIf(limit.rlim_cur < 1_500, "the system allows too few descriptors")
        let before = try residentByteCount()
        let silent = try (0..<1_000).map { _ in try RawConnection(to: port) }
        let three = try TestMember(3)
        three.connect(to: one)
        eventually("a member gets in") { three.recorder.record.connected == [1] }
        XCTAssertLessThanOrEqual(metrics.halfOpenConnections, 64)
        XCTAssertGreaterThan(metrics.connectionsCrowdedOut, 900)
        XCTAssertLessThan(try residentByteCount() - before, 64 << 20)
        try checkThatThePeerGoesOn()
        XCTAssertEqual(silent.count, 1_000)
    }

    func testAReplayedHelloReplacesItsConnectionAndOneThatIsRefusedDoesNot() throws {
        try start()
        let first = try RawConnection(to: port)
        XCTAssertEqual(try first.greet(hello).kind, .welcome)
        let second = try RawConnection(to: port)
        XCTAssertEqual(try second.greet(hello).kind, .welcome)
        XCTAssertTrue(first.receive().isEnded, "a sender has one connection a path")
        XCTAssertEqual(one.recorder.record.disconnected, [], "the life goes on")
        let bulk = try RawConnection(to: port)
        XCTAssertEqual(try bulk.greet(Introduction.sample(3).hello(.bulk)).kind, .welcome)
        one.recorder.refuse { $0.from == 3 && $0.boot < 2 ? .rolledBack : nil }
        let third = try RawConnection(to: port)
        XCTAssertEqual(try third.greet(Introduction.sample(3, boot: 2).hello()).kind, .welcome)
        XCTAssertTrue(bulk.receive().isEnded, "whatever the life before has had")
        eventually("the life before is gone") { one.recorder.record.disconnected == [[3, 301]] }
        let fourth = try RawConnection(to: port)
        XCTAssertEqual(try fourth.greet(hello).refusalCode, IdentityRefusal.Reason.rolledBack.rawValue)
        XCTAssertEqual(metrics.inboundConnections, 2)
        try checkThatThePeerGoesOn()
    }

    func testAFrameThatNamesAnotherSenderIsDroppedAndReported() throws {
        try start()
        let connection = try RawConnection(to: port)
        XCTAssertEqual(try connection.greet(hello).kind, .welcome)
        for sender in [2, 3, 9, 3] as [MemberID] {
            for piece in try TestFrame.make(sender, from: sender, to: 1, .control) { connection.send([UInt8](piece)) }
        }
        eventually("its own frames arrive") { one.recorder.record.numbers[3]?[.control] == [3, 3] }
        XCTAssertNil(one.recorder.record.numbers[2])
        XCTAssertEqual(one.recorder.record.mislabelled, [2, 9])
        XCTAssertEqual(metrics.framesMislabelled, 2)
        try checkThatThePeerGoesOn()
    }

    func testAHelloOfANewerFormatIsAnswered() throws {
        try start()
        let connection = try RawConnection(to: port)
        var bytes = [UInt8](hello.encoded()) + [1, 2, 3, 4]
        bytes[4] = 2
        connection.send(bytes)
        let answer = try Handshake(decoding: Bytes(connection.receive(176).bytes))
        XCTAssertEqual(answer.refusalCode, protocolRange)
    }

    private var protocolRange: UInt16 { HandshakeRefusal.Reason.protocolRange.code }

    // MARK: A peer that is connected to

    /// Listens like a member, greets, and leaves the rest to the test.
    private func acceptByHand(_ listener: Int32, as introduction: Introduction) throws -> RawConnection {
        let (connection, hello) = try acceptByHand(listener)
        connection.send([UInt8](HandshakeTerms().answer(to: hello, introduction, nil).encoded()))
        return connection
    }

    /// Listens like a member, and leaves the rest to the test.
    private func acceptByHand(_ listener: Int32) throws -> (connection: RawConnection, hello: Handshake) {
        var accepted = Socket.Accepted.none
        eventually("somebody connects") {
            accepted = Socket.accept(listener)
            return accepted != .none
        }
        guard case .connection(let descriptor) = accepted else { throw TransportError(.system, "accept by hand") }
        let connection = RawConnection(accepted: descriptor)
        return (connection, try Handshake(decoding: Bytes(connection.receive(176).bytes)))
    }

    private func listenByHand() throws -> (descriptor: Int32, address: NetworkAddress) {
        let any = try SocketAddress.resolve(NetworkAddress(host: "127.0.0.1", port: 0), isNumeric: true)[0]
        let descriptor = try Socket.bind(to: any, named: NetworkAddress(host: "127.0.0.1", port: 0))
        try Socket.listen(descriptor, named: NetworkAddress(host: "127.0.0.1", port: 0), backlog: 16)
        return (descriptor, NetworkAddress(host: "127.0.0.1", port: try SocketAddress.bound(descriptor).port))
    }

    func testAPeerThatReadsNothingCostsABoundedQueueAndGetsWholeFramesLater() throws {
        let (listener, address) = try listenByHand()
        defer { Socket.close(listener) }
        one = try TestMember(1) {
            $0.wire.maxFrameBytes = 128 << 10
            $0.maxQueuedBytes = 256 << 10
        }
        one.transport.setPeers([.init(3, at: address)])
        let peer = try acceptByHand(listener, as: .sample(3))
        eventually("it is connected") { one.recorder.record.connected == [3] }
        let before = try residentByteCount()
        for number in 0..<1_000 as Range<UInt64> {
            try one.send(number..<number + 1, to: 3, .control, size: 64 << 10)
        }
        eventually("the loss is told") { one.recorder.record.unreachable.contains(3) }
        XCTAssertGreaterThan(metrics.framesDropped, 0)
        XCTAssertLessThan(try residentByteCount() - before, 48 << 20)
        // Now it reads. What it gets are whole frames in order: all of which it was not told that they were dropped.
        var decoder = FrameDecoder(options: WireOptions())
        var numbers: [UInt64] = []
        while numbers.count + Int(metrics.framesDropped) < 1_000 {
            let bytes = peer.receiveSome()
            guard !bytes.isEmpty else { return XCTFail("the connection ended") }
            var frames: [Bytes] = []
            try decoder.receive(Bytes(bytes), into: &frames)
            for frame in frames {
                numbers.append(TestFrame.number(try PeerFrame(decoding: frame, options: WireOptions())))
            }
        }
        XCTAssertTrue(zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 }, "in order, and none twice")
        XCTAssertEqual(numbers.count + Int(metrics.framesDropped), 1_000)
    }

    func testALifeThatEndedWithoutAFarewellIsLeftAsSoonAsTheNextOneAppears() throws {
        let (listener, address) = try listenByHand()
        defer { Socket.close(listener) }
        one = try TestMember(1)
        one.transport.setPeers([.init(3, at: address)])
        let past = try acceptByHand(listener, as: .sample(3))
        eventually("it is connected") { one.recorder.record.connected == [3] }
        // The machine was switched off and on again. The old connection does not end by itself.
        let inbound = try RawConnection(to: port)
        XCTAssertEqual(try inbound.greet(Introduction.sample(3, boot: 2).hello()).kind, .welcome)
        XCTAssertTrue(past.receive().isEnded)
        let present = try acceptByHand(listener, as: .sample(3, boot: 2))
        eventually("it is connected again") { one.recorder.record.connected == [3, 3] }
        try one.send(0..<1, to: 3, .control)
        XCTAssertFalse(present.receiveSome().isEmpty)
    }

    func testAWelcomeFromBeforeARestartIsDroppedAndOneFromAnotherProcessIsJudged() throws {
        let (listener, address) = try listenByHand()
        defer { Socket.close(listener) }
        one = try TestMember(1) { $0.maximumBackoff = .milliseconds(50) }
        one.recorder.refuse { $0.boot < 2 ? .cloned : nil }
        one.transport.setPeers([.init(3, at: address)])
        let (past, hello) = try acceptByHand(listener)
        // It answers, ends and is started again; the hello of the new process overtakes the answer of the old one.
        let inbound = try RawConnection(to: port)
        XCTAssertEqual(try inbound.greet(Introduction.sample(3, boot: 2).hello()).kind, .welcome)
        let welcome = HandshakeTerms().answer(to: hello, .sample(3), nil)
        past.send([UInt8](welcome.encoded()))
        XCTAssertTrue(past.receive().isEnded)
        XCTAssertEqual(one.recorder.record.judged.map(\.boot), [2], "the answer is not judged")
        // Another process on the same directory answers although the later one was heard before it was greeted.
        let clone = try acceptByHand(listener, as: .sample(3))
        XCTAssertTrue(clone.receive().isEnded)
        eventually("the clone is refused") { !one.recorder.record.refused.isEmpty }
        let refusal = Recorder.refusal(.cloned, of: .sample(3), by: .sample(1))
        XCTAssertEqual(one.recorder.record.refused, [HandshakeRefusal(.here, .identity(refusal))])
    }

    func testAPeerThatAnswersWithRubbishOrSpeaksOutOfTurnIsLeft() throws {
        let (listener, address) = try listenByHand()
        defer { Socket.close(listener) }
        one = try TestMember(1) { $0.maximumBackoff = .milliseconds(50) }
        one.transport.setPeers([.init(3, at: address)])
        var accepted = Socket.Accepted.none
        eventually("it connects") {
            accepted = Socket.accept(listener)
            return accepted != .none
        }
        guard case .connection(let descriptor) = accepted else { return XCTFail("it did not") }
        let rubbish = RawConnection(accepted: descriptor)
        rubbish.send([UInt8](repeating: 0xff, count: 176))
        XCTAssertTrue(rubbish.receive().isEnded)
        XCTAssertEqual(metrics.handshakesBroken, 1)

        let impostor = try acceptByHand(listener, as: .sample(2))
        XCTAssertTrue(impostor.receive().isEnded)
        eventually("it is told") {
            one.recorder.record.refused.contains { $0.side == .here && "\($0)".contains("reached member 2") }
        }

        let talker = try acceptByHand(listener, as: .sample(3))
        eventually("it is connected") { one.recorder.record.connected == [3] }
        talker.send([1])
        XCTAssertTrue(talker.receive().isEnded)
        eventually("the loss is told") { one.recorder.record.unreachable.contains(3) }
    }
}
