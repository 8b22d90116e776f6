import BalsaPlatform
import BalsaRaft
import BalsaWire
import Dispatch
import Glibc
import XCTest

@testable import BalsaTransport

/// A listener whose process has no descriptor left for those who connect.
final class DescriptorExhaustionTests: XCTestCase {
    private var before = rlimit()
    private var fillers: [Int32] = []

    override func setUp() { XCTAssertEqual(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before), 0) }

    override func tearDown() { release() }

    /// Uses up all descriptors that the process may have.
    private func exhaust() throws {
        // Dispatch has its own by then.
        _ = try openDescriptorCount()
        let highest = (0..<Int32(4_096)).last { fcntl($0, F_GETFD) >= 0 } ?? 0
        var limit = before
        // What is open already is not among those that a store leaves to the rest of the process.
        limit.rlim_cur = rlim_t(highest) + 2 + StandardDescriptors.reserve + StandardDescriptors.reserveOfFiles
        XCTAssertEqual(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit), 0)
        while true {
            let filler = dup(0)
            guard filler >= 0 else { break }
            fillers.append(filler)
        }
        XCTAssertEqual(errno, EMFILE)
    }

    private func release() {
        for filler in fillers { close(filler) }
        fillers = []
        XCTAssertEqual(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before), 0)
    }

    /// A socket that will connect, made while there are descriptors.
    private func client(_ port: UInt16) throws -> (descriptor: Int32, address: SocketAddress) {
        let address = try SocketAddress.resolve(NetworkAddress(host: "127.0.0.1", port: port), isNumeric: true)[0]
        return (try Socket.make(address.family), address)
    }

    func testAListener_withoutDescriptors_closesTheOldestThatIsSilent_forAMemberThatConnects() throws {
        let one = try TestMember(1)
        let silent = try (0..<3).map { _ in try RawConnection(to: one.transport.port) }
        eventually("three are silent") { one.transport.metrics.halfOpenConnections == 3 }
        let late = try client(one.transport.port)
        try exhaust()
        _ = Socket.connect(late.descriptor, to: late.address)
        let connection = RawConnection(accepted: late.descriptor)
        XCTAssertEqual(try connection.greet(Introduction.sample(3).hello()).kind, .welcome)
        XCTAssertTrue(silent[0].receive().isEnded)
        eventually("two are silent") { one.transport.metrics.halfOpenConnections == 2 }
        XCTAssertEqual(one.transport.metrics.connectionsCrowdedOut, 1)
        XCTAssertEqual(one.transport.metrics.acceptsExhausted, 1)
        // The two others stay, though there is no descriptor left: nobody waits.
        for other in silent.dropFirst() { XCTAssertFalse(other.receive(patience: 0).isEnded) }
        eventually("the reason is told") {
            one.recorder.record.troubles == [
                "a connection was not accepted, or closed for a newer one: the process has no descriptor or memory "
                    + "left; allow it more open files, or open fewer (1 so far)"
            ]
        }
        release()
    }

    /// Members that connect while the loop of `member` does something else, each with its hello on the way.
    private func waiting(_ count: Int, for member: TestMember, _ prepare: () throws -> Void) throws -> [RawConnection] {
        let isHeld = DispatchSemaphore(value: 0)
        let mayGoOn = DispatchSemaphore(value: 0)
        member.loop.post {
            isHeld.signal()
            mayGoOn.wait()
        }
        isHeld.wait()
        defer { mayGoOn.signal() }
        let connections = try (0..<count).map { number in
            let connection = try RawConnection(to: member.transport.port)
            connection.send([UInt8](Introduction.sample(UInt64(10 + number)).hello().encoded()))
            return connection
        }
        try prepare()
        return connections
    }

    func testAListener_withOneDescriptorForFiveThatWait_readsTheHelloOfTheFirst() throws {
        let one = try TestMember(1)
        eventually("it listens") { one.transport.port > 0 }
        let connections = try waiting(5, for: one) {
            try exhaust()
            // Of what is left none is for others. One below that is.
            let first = fillers.removeFirst()
            close(first)
        }
        let answer = try Handshake(decoding: Bytes(connections[0].receive(Handshake.encodedByteCount).bytes))
        XCTAssertEqual(answer.kind, .welcome)
        eventually("it finds none for the second") { one.transport.metrics.acceptsExhausted >= 2 }
        XCTAssertEqual(one.transport.metrics.connectionsCrowdedOut, 0)
        XCTAssertEqual(one.transport.metrics.connectionsAccepted, 1)
        release()
        for connection in connections.dropFirst() {
            let answer = try Handshake(decoding: Bytes(connection.receive(Handshake.encodedByteCount).bytes))
            XCTAssertEqual(answer.kind, .welcome)
        }
    }

    func testAListener_ofFewPlacesForThoseThatAreSilent_readsTheHelloOfAllThatWait() throws {
        let one = try TestMember(1) { $0.maxHalfOpenConnections = 1 }
        let connections = try waiting(5, for: one) {}
        for connection in connections {
            let answer = try Handshake(decoding: Bytes(connection.receive(Handshake.encodedByteCount).bytes))
            XCTAssertEqual(answer.kind, .welcome)
        }
        XCTAssertEqual(one.transport.metrics.connectionsCrowdedOut, 0)
    }

    func testAListener_ofALoopThatHandlesOneSocketATurn_readsTheHelloOfAllThatWait() throws {
        var loopOptions = EventLoop.Options()
        loopOptions.maxEventsPerTurn = 1
        let one = try TestMember(1, loopOptions: loopOptions) { $0.maxHalfOpenConnections = 1 }
        let busy = try (0..<3).map { number in
            let connection = try RawConnection(to: one.transport.port)
            let hello = Introduction.sample(UInt64(20 + number)).hello()
            XCTAssertEqual(try connection.greet(hello).kind, .welcome)
            return connection
        }
        // The listener becomes ready first, then these: it comes again before the connection that it accepts.
        let connections = try waiting(2, for: one) {
            for connection in busy { connection.send([0]) }
        }
        for connection in connections {
            let answer = try Handshake(decoding: Bytes(connection.receive(Handshake.encodedByteCount).bytes))
            XCTAssertEqual(answer.kind, .welcome)
        }
        XCTAssertEqual(one.transport.metrics.connectionsCrowdedOut, 0)
        // One that stays silent has had its turn once nothing else is ready.
        let silent = try RawConnection(to: one.transport.port)
        eventually("one is silent") { one.transport.metrics.halfOpenConnections == 1 }
        let late = try RawConnection(to: one.transport.port)
        XCTAssertEqual(try late.greet(Introduction.sample(30).hello()).kind, .welcome)
        XCTAssertTrue(silent.receive().isEnded)
    }

    /// Two stay silent, and their places are not kept until their patience is over.
    func testAListener_ofALoopThatHandlesOneSocketATurn_closesTheSilentOnesForOthers() throws {
        var loopOptions = EventLoop.Options()
        loopOptions.maxEventsPerTurn = 1
        let one = try TestMember(1, loopOptions: loopOptions) {
            $0.maxHalfOpenConnections = 1
            $0.handshakeTimeout = .seconds(600)
        }
        let isHeld = DispatchSemaphore(value: 0)
        let mayGoOn = DispatchSemaphore(value: 0)
        one.loop.post {
            isHeld.signal()
            mayGoOn.wait()
        }
        isHeld.wait()
        let silent = try (0..<2).map { _ in try RawConnection(to: one.transport.port) }
        mayGoOn.signal()
        eventually("the first makes way") { one.transport.metrics.connectionsCrowdedOut == 1 }
        XCTAssertTrue(silent[0].receive().isEnded)
        XCTAssertFalse(silent[1].receive(patience: 0).isEnded)
    }

    func testAListener_withoutDescriptors_servesOnAndAcceptsLaterWithoutABusyLoop() throws {
        let (one, two) = (try TestMember(1), try TestMember(2))
        one.connect(to: two)
        two.connect(to: one)
        eventually("both are connected") {
            one.recorder.record.connected == [2] && two.recorder.record.connected == [1]
        }
        let clients = try (0..<3).map { _ in try client(one.transport.port) }
        let accepted = one.transport.metrics.connectionsAccepted
        try exhaust()
        let began = MonotonicClock().nanoseconds()
        for client in clients { _ = Socket.connect(client.descriptor, to: client.address) }
        // The socket stays ready all the time; each attempt is followed by a pause.
        eventually("several attempts fail") { one.transport.metrics.acceptsExhausted >= 4 }
        let attempts = one.transport.metrics.acceptsExhausted
        let passed = MonotonicClock().nanoseconds() - began
        XCTAssertLessThanOrEqual((attempts - 1) * 100_000_000, passed, "\(attempts) attempts in \(passed) ns")
        XCTAssertEqual(one.transport.metrics.connectionsAccepted, accepted)
        XCTAssertEqual(one.transport.metrics.lastFailure?.code, .system)
        XCTAssertEqual(one.transport.metrics.lastFailure?.number, .tooManyOpenFiles)
        // Who is connected is served meanwhile.
        try one.send(0..<100, to: 2, .control)
        try two.send(0..<100, to: 1, .control)
        eventually("frames flow in both directions") {
            one.recorder.record.count(2, .control) == 100 && two.recorder.record.count(1, .control) == 100
        }
        // What the trouble advises: more open files.
        release()
        eventually("all are accepted") { one.transport.metrics.connectionsAccepted == accepted + 3 }
        for (number, client) in clients.enumerated() {
            let connection = RawConnection(accepted: client.descriptor)
            let hello = Introduction.sample(UInt64(10 + number)).hello()
            XCTAssertEqual(try connection.greet(hello).kind, .welcome)
        }
    }
}
