import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import BalsaTransport

final class TCPTransportTests: XCTestCase {
    private func pair(_ change: (inout TCPOptions) -> Void = { _ in }) throws -> (TestMember, TestMember) {
        let (one, two) = (try TestMember(1, change), try TestMember(2, change))
        one.connect(to: two)
        two.connect(to: one)
        eventually("both are connected") {
            one.recorder.record.connected == [2] && two.recorder.record.connected == [1]
        }
        return (one, two)
    }

    func testTwoMembersExchangeFramesInOrderOnBothPaths() throws {
        let (one, two) = try pair()
        for batch in 0..<10 as Range<UInt64> {
            let numbers = batch * 1_000..<(batch + 1) * 1_000
            try one.send(numbers, to: 2, .control)
            try one.send(numbers, to: 2, .bulk, size: 300)
            try two.send(numbers, to: 1, .control)
        }
        eventually("all frames") {
            two.recorder.record.count(1, .control) == 10_000 && two.recorder.record.count(1, .bulk) == 10_000
                && one.recorder.record.count(2, .control) == 10_000
        }
        let expected = Array(0..<10_000 as Range<UInt64>)
        XCTAssertEqual(two.recorder.record.numbers[1]?[.control], expected)
        XCTAssertEqual(two.recorder.record.numbers[1]?[.bulk], expected)
        XCTAssertEqual(one.recorder.record.numbers[2]?[.control], expected)
        XCTAssertEqual(one.transport.metrics.framesSent, 20_000)
        XCTAssertEqual(one.transport.metrics.framesDropped, 0)
        XCTAssertEqual(two.transport.metrics.bytesReceived, one.transport.metrics.bytesSent)
    }

    func testConnection_thatIsAccepted_tellsBothEndsWhatTheyAgreeOn() throws {
        let (one, two) = try pair()
        let expected = WireAgreement(version: 1, featureLevel: 0)
        for (member, peer) in [(one, MemberID(2)), (two, 1)] {
            let agreed = member.recorder.record.agreed
            // Once for the connection that it makes, and once for the one that is made to it, if that is there already.
            XCTAssertTrue((1...2).contains(agreed.count), "\(agreed)")
            XCTAssertTrue(agreed.allSatisfy { $0.peer == peer && $0.agreement == expected }, "\(agreed)")
        }
    }

    func testThreeMembersExchangeFramesFromSeveralThreads() throws {
        let members = [try TestMember(1), try TestMember(2), try TestMember(3)]
        for member in members {
            let others = members.filter { $0 !== member }
            member.connect(to: others[0], others[1])
        }
        eventually("all are connected") { members.allSatisfy { $0.recorder.record.connected.count == 2 } }
        // One thread of its own for each pair and path; one of them is the sender's loop.
        var threads: [BackgroundThread] = []
        for member in members {
            for peer in members.map(\.id) where peer != member.id {
                let (id, transport) = (member.id, member.transport)
                let control = try (0..<2_000).map { try TestFrame.make($0, from: id, to: peer, .control) }
                let bulk = try (0..<500).map { try TestFrame.make($0, from: id, to: peer, .bulk, size: 2_000) }
                threads.append(
                    try BackgroundThread {
                        for frame in control { transport.send(frame, to: peer, .control) }
                        return .wait
                    }
                )
                member.loop.post { for frame in bulk { transport.send(frame, to: peer, .bulk) } }
            }
        }
        for member in members {
            for peer in members.map(\.id) where peer != member.id {
                eventually("all frames from \(peer) to \(member.id)") {
                    let record = member.recorder.record
                    return record.count(peer, .control) == 2_000 && record.count(peer, .bulk) == 500
                }
                XCTAssertEqual(member.recorder.record.numbers[peer]?[.control], Array(0..<2_000))
                XCTAssertEqual(member.recorder.record.numbers[peer]?[.bulk], Array(0..<500))
            }
        }
        for thread in threads { thread.stop() }
    }

    func testAFrameOfTheGreatestLengthArrives() throws {
        let (one, two) = try pair()
        let size = 4 << 20
        for number in 0..<4 as Range<UInt64> { try one.send(number..<number + 1, to: 2, .bulk, size: size) }
        eventually("all frames") { two.recorder.record.count(1, .bulk) == 4 }
        XCTAssertEqual(two.recorder.record.numbers[1]?[.bulk], [0, 1, 2, 3])
    }

    func testAPeerThatWasRestartedIsConnectedToAgain() throws {
        let (one, two) = try pair()
        try one.send(0..<1, to: 2, .control)
        eventually("the first frame") { two.recorder.record.count(1, .control) == 1 }
        let port = two.transport.port
        two.stop()
        eventually("the loss is told") { one.recorder.record.unreachable.contains(2) }
        let next = try TestMember(.sample(2, boot: 2), port: port)
        next.connect(to: one)
        eventually("both are connected again") {
            one.recorder.record.connected == [2, 2] && next.recorder.record.connected == [1]
        }
        try one.send(5..<6, to: 2, .control)
        try next.send(7..<8, to: 1, .control)
        eventually("frames flow") {
            next.recorder.record.count(1, .control) == 1 && one.recorder.record.count(2, .control) == 1
        }
    }

    func testWhomTheReceiverRefusesLearnsWhyInTheSameSentence() throws {
        let one = try TestMember(1)
        one.recorder.refuse { $0.boot < 5 ? .rolledBack : nil }
        do {
            let two = try TestMember(.sample(2, boot: 5))
            two.connect(to: one)
            eventually("it is connected") { two.recorder.record.connected == [1] }
        }
        eventually("its end is told") { one.recorder.record.disconnected == [[2, 205]] }
        let old = try TestMember(.sample(2, boot: 4))
        old.connect(to: one)
        let refusal = Recorder.refusal(.rolledBack, of: .sample(2, boot: 4), by: .sample(1))
        eventually("it learns why") {
            old.recorder.record.refused.contains(HandshakeRefusal(.peer, .identity(refusal)))
        }
        XCTAssertTrue(one.recorder.record.refused.contains(HandshakeRefusal(.here, .identity(refusal))))
        XCTAssertEqual(old.recorder.record.connected, [])
        XCTAssertEqual(one.recorder.record.disconnected, [[2, 205]], "who was refused never was connected")
        XCTAssertGreaterThan(one.transport.metrics.handshakesRefused, 0)
    }

    func testWhoConnectsJudgesTheWelcomeAsWell() throws {
        let (one, two) = (try TestMember(1), try TestMember(2))
        one.recorder.refuse { _ in .cloned }
        one.connect(to: two)
        let refusal = Recorder.refusal(.cloned, of: .sample(2), by: .sample(1))
        eventually("the welcome is refused") {
            one.recorder.record.refused.contains(HandshakeRefusal(.here, .identity(refusal)))
        }
        XCTAssertEqual(one.recorder.record.judged.first, .sample(2))
        XCTAssertEqual(one.recorder.record.connected, [])
    }

    func testALifeEndsWithItsLastConnection() throws {
        let (one, two) = try pair()
        try one.send(0..<1, to: 2, .bulk)
        eventually("there are four connections") { two.recorder.record.count(1, .bulk) == 1 }
        one.transport.setPeers([])
        eventually("two of them are gone") { two.transport.metrics.inboundConnections == 0 }
        try two.send(0..<1, to: 1, .control)
        eventually("another is there") { one.recorder.record.count(2, .control) == 1 }
        XCTAssertEqual(two.recorder.record.disconnected, [])
        two.transport.setPeers([])
        eventually("the last is gone") { two.recorder.record.disconnected == [[1, 101]] }
        eventually("on both sides") { one.recorder.record.disconnected == [[2, 201]] }
    }

    func testFramesOfAConnectionForTheFirstBootAreMarkedUntilAllIntroduceThemselvesAnew() throws {
        let one = try TestMember(1)
        var unborn = Introduction.sample(2)
        unborn.cluster = .none
        let two = try TestMember(unborn)
        one.recorder.decide { $0.cluster == .none ? .firstBootOnly : .accept(isNew: false) }
        two.recorder.decide { _ in .firstBootOnly }
        one.connect(to: two)
        two.connect(to: one)
        eventually("both are connected") {
            one.recorder.record.connected == [2] && two.recorder.record.connected == [1]
        }
        try one.send(0..<5, to: 2, .control)
        try two.send(0..<5, to: 1, .control)
        eventually("all frames are marked") {
            one.recorder.record.firstBootFrames == 5 && two.recorder.record.firstBootFrames == 5
        }
        XCTAssertEqual(one.recorder.record.numbers[2], nil)

        // Member 2 is established: it says so on new connections, over which whatever was sent since arrives unmarked.
        two.recorder.introduceItself(as: .sample(2))
        two.recorder.decide { _ in .accept(isNew: false) }
        let frames = try (5..<10).map { try TestFrame.make($0, from: 2, to: 1, .control) }
        let transport = two.transport
        two.loop.post {
            transport.introduceAnew()
            for frame in frames { transport.send(frame, to: 1, .control) }
        }
        eventually("frames are taken") { one.recorder.record.numbers[2]?[.control] == [5, 6, 7, 8, 9] }
        eventually("both are connected anew") {
            one.recorder.record.connected == [2, 2] && two.recorder.record.connected == [1, 1]
        }
        try one.send(5..<10, to: 2, .control)
        eventually("in both directions") { two.recorder.record.numbers[1]?[.control] == [5, 6, 7, 8, 9] }
        XCTAssertEqual(one.recorder.record.firstBootFrames, 5)
        XCTAssertEqual(two.recorder.record.firstBootFrames, 5)
    }

    func testAMemberThatWithdrawsMakesNoConnectionsAndAnswersStill() throws {
        let (one, two) = try pair()
        one.recorder.refuse { _ in .unavailable }
        one.transport.withdraw()
        eventually("the peer is told why") {
            two.recorder.record.refused.contains { $0.side == .peer && "\($0)".contains("member 1 has failed") }
        }
        eventually("nothing is left") { two.transport.metrics.inboundConnections == 0 }
        XCTAssertEqual(one.transport.metrics.inboundConnections, 0)
        eventually("the receiver has heard it") { one.recorder.record.disconnected == [[2, 201]] }
    }

    func testANameIsLookedUpAndAnUnknownOneIsTold() throws {
        let (one, two) = (try TestMember(1), try TestMember(2))
        one.transport.setPeers([
            .init(2, at: NetworkAddress(host: "localhost", port: two.transport.port)),
            .init(3, at: NetworkAddress(host: "no-such-host.invalid", port: 1)),
        ])
        eventually("the name led to the peer") { one.recorder.record.connected == [2] }
        eventually("the other did not") { one.recorder.record.unreachable.contains(3) }
        XCTAssertEqual(one.transport.metrics.lastFailure?.code, .address)
    }

    func testNobodyButThisMachineCanConnectUnlessThatIsSaid() throws {
        let loop = try EventLoop()
        defer { loop.stop() }
        for host in ["0.0.0.0", "::", "192.0.2.1"] {
            XCTAssertThrowsError(
                try TCPTransport(
                    TCPOptions(listen: NetworkAddress(host: host, port: 0)),
                    member: 1,
                    loop: loop,
                    random: RandomSource(seed: 1),
                    receiver: Recorder(.sample(1))
                ),
                host
            ) { XCTAssertEqual(($0 as? TransportError)?.code, .insecure) }
        }
        let open = try TestMember(1) {
            $0.listen = NetworkAddress(host: "0.0.0.0", port: 0)
            $0.security = .insecureNetwork
            $0.advertise = NetworkAddress(host: "db-1", port: 7)
        }
        XCTAssertEqual(open.transport.advertised.description, "db-1:7")
    }

    func testOptions_thatCannotWork_areRefusedWithNameBoundAndValue() {
        let time = "must be above 0 and at most 3600.0 seconds, not"
        let changes: [((inout TCPOptions) -> Void, String)] = [
            (
                { ($0.maxQueuedBytes, $0.wire.maxFrameBytes) = (1, 1_000) },
                "maxQueuedBytes must be at least two of wire.maxFrameBytes, 2000, not 1"
            ),
            ({ $0.maxQueuedFrames = 0 }, "maxQueuedFrames must be at least 1, not 0"),
            ({ $0.maxHalfOpenConnections = -1 }, "maxHalfOpenConnections must be at least 1, not -1"),
            (
                { $0.maxInboundConnections = 64 },
                "maxInboundConnections must be above maxHalfOpenConnections, 64, not 64"
            ),
            ({ $0.minimumBackoff = .zero }, "minimumBackoff must be above 0, not 0.0 seconds"),
            (
                { $0.minimumBackoff = .seconds(2) },
                "minimumBackoff must be at most maximumBackoff, 1.0 seconds, not 2.0 seconds"
            ),
            ({ $0.handshakeTimeout = .zero }, "handshakeTimeout \(time) 0.0 seconds"),
            ({ $0.connectTimeout = .zero }, "connectTimeout \(time) 0.0 seconds"),
            ({ $0.resolveTimeout = .seconds(-1) }, "resolveTimeout \(time) -1.0 seconds"),
            ({ $0.userTimeout = .seconds(1_000_000) }, "userTimeout \(time) 1000000.0 seconds"),
            ({ $0.keepalive = .zero }, "keepalive \(time) 0.0 seconds"),
            ({ $0.maximumBackoff = .seconds(1_000_000) }, "maximumBackoff \(time) 1000000.0 seconds"),
        ]
        for (change, sentence) in changes {
            var options = TCPOptions(listen: NetworkAddress(host: "127.0.0.1", port: 0))
            XCTAssertNoThrow(try options.check())
            change(&options)
            XCTAssertThrowsError(try options.check()) {
                XCTAssertEqual(($0 as? TransportError)?.code, .invalid)
                XCTAssertEqual(($0 as? TransportError)?.message, sentence)
            }
        }
    }

    func testAFrameForSomebodyUnknownIsDroppedAndTold() throws {
        let one = try TestMember(1)
        try one.send(0..<1, to: 9, .control)
        eventually("it is told") { one.recorder.record.unreachable == [9] }
        XCTAssertEqual(one.transport.metrics.framesDropped, 1)
    }

    func testAMemberThatLeavesLosesItsConnections() throws {
        let (one, two) = try pair()
        one.recorder.refuse { _ in .unknownMember }
        one.transport.setPeers([])
        one.transport.introduceAnew()
        eventually("it is refused from now on") {
            two.recorder.record.refused.contains { "\($0)".contains("has no member 2") }
        }
        XCTAssertEqual(one.transport.metrics.inboundConnections, 0)
    }

    private let anyPort = NetworkAddress(host: "127.0.0.1", port: 0)

    func testATransportCanBeClosedWhileItConnects() throws {
        let before = try openDescriptorCount()
        for _ in 0..<20 {
            let one = try TestMember(1)
            // Listens and never accepts: the connection is made, and no answer comes.
            let silent = try Socket.bind(
                to: try SocketAddress.resolve(anyPort, isNumeric: true)[0],
                named: anyPort
            )
            try Socket.listen(silent, named: anyPort, backlog: 4)
            one.transport.setPeers([
                .init(2, at: NetworkAddress(host: "127.0.0.1", port: try SocketAddress.bound(silent).port)),
                .init(3, at: NetworkAddress(host: "192.0.2.1", port: 9)),
            ])
            one.transport.send(["frame"], to: 2, .bulk)
            one.stop()
            Socket.close(silent)
        }
        try eventually("no socket is left") { try openDescriptorCount() <= before }
    }

    /// An error of binding and one of listening: two sockets can be bound to one port, and one of them can listen.
    func testPort_thatCannotBeListenedOn_isNamedInTheError() throws {
        let one = try TestMember(1)
        defer { one.stop() }
        let taken = NetworkAddress(host: "127.0.0.1", port: one.transport.port)
        XCTAssertThrowsError(try BoundPort(TCPOptions(listen: taken))) {
            XCTAssertEqual(
                $0 as? TransportError,
                TransportError(.system, "listen on `\(taken)`", number: .addressInUse)
            )
        }
        let bound = try Socket.bind(to: try SocketAddress.resolve(anyPort, isNumeric: true)[0], named: anyPort)
        defer { Socket.close(bound) }
        let port = NetworkAddress(host: "127.0.0.1", port: try SocketAddress.bound(bound).port)
        let other = try BoundPort(TCPOptions(listen: port)).take()
        defer { Socket.close(other) }
        try Socket.listen(other, named: port, backlog: 1)
        XCTAssertThrowsError(try Socket.listen(bound, named: port, backlog: 1)) {
            XCTAssertEqual($0 as? TransportError, TransportError(.system, "listen on `\(port)`", number: .addressInUse))
        }
        // An address for documents, which no machine has.
        var foreign = TCPOptions(listen: NetworkAddress(host: "192.0.2.1", port: 0))
        foreign.security = .insecureNetwork
        XCTAssertThrowsError(try BoundPort(foreign)) {
            let error = $0 as? TransportError
            XCTAssertEqual(error?.message, "listen on `192.0.2.1:0`")
            XCTAssertEqual(error?.number?.rawValue, EADDRNOTAVAIL)
        }
    }

    func testAPort_thatIsInUse_isRefusedAndOneThatIsTaken_isGivenUpUnlessATransportListensOnIt() throws {
        let one = try TestMember(1)
        let options = TCPOptions(listen: NetworkAddress(host: "127.0.0.1", port: one.transport.port))
        XCTAssertThrowsError(try BoundPort(options)) { XCTAssertEqual(($0 as? TransportError)?.code, .system) }
        one.stop()
        let any = TCPOptions(listen: NetworkAddress(host: "127.0.0.1", port: 0))
        var left: Int32 = -1
        do {
            let bound = try BoundPort(any)
            left = bound.take()
        }
        let port = try SocketAddress.bound(left).port
        XCTAssertGreaterThan(port, 0, "who took it over keeps it")
        try Socket.listen(left, named: anyPort, backlog: 1)
        let same = TCPOptions(listen: NetworkAddress(host: "127.0.0.1", port: port))
        XCTAssertThrowsError(try BoundPort(same)) { XCTAssertEqual(($0 as? TransportError)?.code, .system) }
        Socket.close(left)
        // Dropped, it is free again.
        for _ in 0..<3 { _ = try BoundPort(same) }
        let descriptor = try BoundPort(same).take()
        try Socket.listen(descriptor, named: anyPort, backlog: 1)
        Socket.close(descriptor)
    }

    func testATransportThatIsClosedBeforeItHasAListenerLeavesNothing() throws {
        let before = try openDescriptorCount()
        let loop = try EventLoop()
        let port = Locked<UInt16>(0)
        loop.post {
            let options = TCPOptions(listen: NetworkAddress(host: "127.0.0.1", port: 0))
            let transport = try? TCPTransport(
                options,
                member: 1,
                loop: loop,
                random: RandomSource(seed: 1),
                receiver: Recorder(.sample(1))
            )
            port.withLock { $0 = transport?.port ?? 0 }
            transport?.close()
        }
        // An expectation would wait by a run loop, which opens descriptors of its own when it has to block.
        let isOver = Locked(false)
        loop.post { isOver.withLock { $0 = true } }
        eventually("what was posted is over") { isOver.withLock { $0 } }
        try eventually("only the loop's own descriptors are left") { try openDescriptorCount() <= before + 2 }
        XCTAssertNotEqual(port.withLock { $0 }, 0)
        loop.stop()
    }

    func testNothingIsLeftBehind() throws {
        weak var gone: TCPTransport?
        let before = try openDescriptorCount()
        do {
            let (one, two) = try pair()
            gone = one.transport
            try one.send(0..<10, to: 2, .control)
            eventually("frames flow") { two.recorder.record.count(1, .control) == 10 }
        }
        eventually("the transport is freed") { gone == nil }
        try eventually("no socket is left") { try openDescriptorCount() <= before }
    }
}
