import BalsaPlatform
import BalsaRaft
import BalsaWire
import Glibc
import XCTest

@testable import BalsaTransport

/// What a transport asks of the system for its sockets: families, timeouts, signs of life.
final class SocketOptionTests: XCTestCase {
    private func option(_ descriptor: Int32, _ level: Int32, _ name: Int32) throws -> Int32 {
        var value: Int32 = -1
        var size = socklen_t(MemoryLayout<Int32>.size)
        XCTAssertEqual(getsockopt(descriptor, level, name, &value, &size), 0, "option \(name) of \(descriptor)")
        return value
    }

    /// The port of the other end of a connection; nil where there is none.
    private func peerPort(_ descriptor: Int32) -> UInt16? {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(descriptor, $0, &size) }
        }
        guard result == 0, [AF_INET, AF_INET6].contains(Int32(storage.ss_family)) else { return nil }
        return withUnsafeBytes(of: storage) { UInt16($0[2]) << 8 | UInt16($0[3]) }
    }

    /// The connections of this process that have one of these ports at either end.
    private func connections(of ports: [UInt16]) throws -> [Int32] {
        try (0..<Int32(4_096)).filter { descriptor in
            guard let far = peerPort(descriptor) else { return false }
            let near = try SocketAddress.bound(descriptor).port
            return ports.contains(far) || ports.contains(near)
        }
    }

    func testConnections_onBothSides_haveTheOptionsThatWereAskedFor() throws {
        let change = { (options: inout TCPOptions) in
            options.keepalive = .seconds(7)
            options.userTimeout = .milliseconds(3_250)
        }
        let (one, two) = (try TestMember(1, change), try TestMember(2, change))
        one.connect(to: two)
        two.connect(to: one)
        eventually("both are connected") {
            one.recorder.record.connected == [2] && two.recorder.record.connected == [1]
        }
        let tcp = Int32(IPPROTO_TCP)
        let found = try connections(of: [one.transport.port, two.transport.port])
        XCTAssertEqual(found.count, 4, "a connection in each direction, with two ends")
        for descriptor in found {
            XCTAssertEqual(try option(descriptor, SOL_SOCKET, SO_KEEPALIVE), 1)
            XCTAssertEqual(try option(descriptor, tcp, TCP_KEEPIDLE), 7)
            XCTAssertEqual(try option(descriptor, tcp, TCP_KEEPINTVL), 3)
            XCTAssertEqual(try option(descriptor, tcp, TCP_KEEPCNT), 3)
            XCTAssertEqual(try option(descriptor, tcp, TCP_USER_TIMEOUT), 3_250)
            XCTAssertNotEqual(try option(descriptor, tcp, TCP_NODELAY), 0)
        }
    }

    func testConnecting_toWhoDoesNotAnswer_endsWithTheTimeoutAndIsTriedAgain() throws {
        // Its queue is full, so that the system drops what asks for more.
        let host = NetworkAddress(host: "127.0.0.1", port: 0)
        let loopback = try SocketAddress.resolve(host, isNumeric: true)[0]
        let silent = try Socket.bind(to: loopback, named: host)
        defer { Socket.close(silent) }
        try Socket.listen(silent, named: host, backlog: 0)
        let address = try SocketAddress.bound(silent)
        let fillers = try (0..<4).map { _ in try Socket.make(address.family) }
        defer { for filler in fillers { Socket.close(filler) } }
        for filler in fillers { _ = Socket.connect(filler, to: address) }
        let one = try TestMember(1) {
            $0.connectTimeout = .milliseconds(300)
            $0.handshakeTimeout = .seconds(3_600)
        }
        let began = MonotonicClock().nanoseconds()
        one.transport.setPeers([.init(2, at: NetworkAddress(host: "127.0.0.1", port: address.port))])
        // Had it connected, nothing would be told for an hour.
        eventually("it is given up") { !one.recorder.record.unreachable.isEmpty }
        XCTAssertGreaterThanOrEqual(MonotonicClock().nanoseconds() - began, 300_000_000)
        eventually("and again") { one.recorder.record.unreachable.count >= 2 }
        XCTAssertGreaterThanOrEqual(MonotonicClock().nanoseconds() - began, 600_000_000)
        XCTAssertEqual(one.transport.metrics.connectionsMade, 0)
        XCTAssertEqual(one.recorder.record.connected, [])
    }

    func testAName_thatNobodyKnows_isToldWithItsAddress() throws {
        let one = try TestMember(1)
        let address = NetworkAddress(host: "no-such-host.invalid", port: 7)
        one.transport.setPeers([.init(2, at: address)])
        eventually("it is told") { one.recorder.record.unreachable.contains(2) }
        let failure = try XCTUnwrap(one.transport.metrics.lastFailure)
        XCTAssertEqual(failure.code, .address)
        XCTAssertTrue(failure.message.hasPrefix("look up `no-such-host.invalid:7`: "), "\(failure)")
    }

    func testMembers_onIPv6_exchangeFrames() throws {
        let host = NetworkAddress(host: "::1", port: 0)
        let loopback = try SocketAddress.resolve(host, isNumeric: true)[0]
        XCTAssertEqual(loopback.family, AF_INET6)
        XCTAssertTrue(loopback.isLoopback)
        do throws(TransportError) {
            Socket.close(try Socket.bind(to: loopback, named: host))
        } catch {
            guard [EADDRNOTAVAIL, EAFNOSUPPORT].contains(error.number?.rawValue ?? 0) else { throw error }
            throw XCTSkip("this machine has no address ::1: \(error)")
        }
        let change = { (options: inout TCPOptions) in options.listen = host }
        let (one, two) = (try TestMember(1, change), try TestMember(2, change))
        XCTAssertEqual(one.transport.advertised.description, "[::1]:\(one.transport.port)")
        one.transport.setPeers([.init(2, at: two.transport.advertised)])
        two.transport.setPeers([.init(1, at: one.transport.advertised)])
        eventually("both are connected") {
            one.recorder.record.connected == [2] && two.recorder.record.connected == [1]
        }
        try one.send(0..<1_000, to: 2, .control)
        try one.send(0..<100, to: 2, .bulk, size: 3_000)
        try two.send(0..<1_000, to: 1, .control)
        eventually("all frames") {
            two.recorder.record.count(1, .control) == 1_000 && two.recorder.record.count(1, .bulk) == 100
                && one.recorder.record.count(2, .control) == 1_000
        }
        XCTAssertEqual(two.recorder.record.numbers[1]?[.control], Array(0..<1_000))
        let families = try connections(of: [one.transport.port, two.transport.port]).map {
            try SocketAddress.bound($0).family
        }
        XCTAssertEqual(families, [Int32](repeating: AF_INET6, count: 6))
    }
}
