import BalsaPlatform
import BalsaRaft
import BalsaWire
import Foundation
import XCTest

@testable import BalsaTransport

/// What an operator is told of a peer that cannot be reached: why, as long as it is so.
final class PeerTroubleTests: XCTestCase {
    private let anyPort = NetworkAddress(host: "127.0.0.1", port: 0)

    /// How the connections of a member stand.
    private func connections(of member: TestMember) -> [PeerConnection] {
        let answer = Locked<[PeerConnection]?>(nil)
        let transport = member.transport
        let answered = DispatchSemaphore(value: 0)
        member.loop.post {
            answer.withLock { $0 = transport.status.connections }
            answered.signal()
        }
        answered.wait()
        return answer.withLock { $0 ?? [] }
    }

    private func trouble(of member: TestMember) -> String? { connections(of: member).first?.trouble }

    private func socket(listening: Bool) throws -> (descriptor: Int32, address: NetworkAddress) {
        let descriptor = try Socket.bind(to: try SocketAddress.resolve(anyPort, isNumeric: true)[0], named: anyPort)
        if listening { try Socket.listen(descriptor, named: anyPort, backlog: 4) }
        return (descriptor, NetworkAddress(host: "127.0.0.1", port: try SocketAddress.bound(descriptor).port))
    }

    func testTrouble_nobodyListens_isWhatTheSystemSaysUntilSomebodyDoes() throws {
        let (descriptor, address) = try socket(listening: false)
        let one = try TestMember(1)
        one.transport.setPeers([.init(2, at: address)])
        eventually("it is told") { trouble(of: one) == "Connection refused (errno 111)" }
        let two = try TestMember(.sample(2), port: address.port)
        Socket.close(descriptor)
        eventually("it is connected, and there is no trouble") {
            let connection = connections(of: one).first
            return connection?.control == .connected && connection?.trouble == nil
        }
        two.stop()
        let again = ["the connection was lost", "Connection refused (errno 111)"]
        eventually("the loss is told") { trouble(of: one).map { again.contains($0) } ?? false }
    }

    func testTrouble_unknownName_namesIt() throws {
        let one = try TestMember(1)
        one.transport.setPeers([.init(2, at: NetworkAddress(host: "no-such-host.invalid", port: 7))])
        eventually("it is told") { trouble(of: one)?.hasPrefix("look up `no-such-host.invalid:7`: ") ?? false }
    }

    /// Somebody else listens there.
    func testTrouble_somebodyWhoIsNoMember_saysWhatWasMissing() throws {
        let answers: [(bytes: Bytes?, trouble: String)] = [
            ("", "it closed the connection before it said who it is"),
            ("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "what answers there is no member"),
            (Bytes(Handshake.magicBytes + [2, 0]), "it speaks a newer handshake: upgrade this member"),
            (nil, "it did not say who it is within 0.1 seconds"),
        ]
        for (bytes, expected) in answers {
            let (listener, address) = try socket(listening: true)
            defer { Socket.close(listener) }
            let one = try TestMember(1) { $0.handshakeTimeout = .milliseconds(100) }
            one.transport.setPeers([.init(2, at: address)])
            var accepted: [Int32] = []
            defer { for descriptor in accepted { Socket.close(descriptor) } }
            eventually(expected) {
                if case .connection(let descriptor) = Socket.accept(listener) {
                    if let bytes {
                        // All that a member says first is taken, or the system would reset the connection.
                        var room = [UInt8](repeating: 0, count: 4_096)
                        eventually("it has said hello") {
                            room.withUnsafeMutableBytes { Socket.receive(descriptor, into: $0) != .wouldBlock }
                        }
                        _ = Socket.sendAll(descriptor, bytes)
                        Socket.close(descriptor)
                    } else {
                        accepted.append(descriptor)
                    }
                }
                return trouble(of: one) == expected
            }
            one.stop()
        }
    }

    /// What the troubles of a wrong address and of an older release advise: then the connection is made.
    func testTrouble_ownAddressOrNewerHandshake_isOverOnceTheAdviceIsTaken() throws {
        let one = try TestMember(1)
        one.transport.setPeers([.init(2, at: one.address)])
        eventually("it is told: \(trouble(of: one) ?? "")") {
            trouble(of: one)?.hasSuffix(
                "the address is the member's own, or one that only repeats what is sent to it: correct it"
            ) ?? false
        }
        let (listener, address) = try socket(listening: true)
        one.transport.setPeers([.init(2, at: address)])
        eventually("the newer handshake is told") {
            if case .connection(let descriptor) = Socket.accept(listener) {
                var room = [UInt8](repeating: 0, count: 4_096)
                eventually("it has said hello") {
                    room.withUnsafeMutableBytes { Socket.receive(descriptor, into: $0) != .wouldBlock }
                }
                _ = Socket.sendAll(descriptor, Bytes(Handshake.magicBytes + [2, 0]))
                Socket.close(descriptor)
            }
            return trouble(of: one) == "it speaks a newer handshake: upgrade this member"
        }
        // Two of one release speak one handshake.
        Socket.close(listener)
        let two = try TestMember(2)
        one.connect(to: two)
        eventually("it is connected") { connections(of: one).first?.control == .connected }
        XCTAssertNil(trouble(of: one))
        one.stop()
        two.stop()
    }

    /// Member 1 with member 2 at a port at which nobody listens yet.
    private func refusedConnect(
        _ change: (inout TCPOptions) -> Void = { _ in }
    ) throws -> (one: TestMember, descriptor: Int32) {
        let (descriptor, address) = try socket(listening: false)
        let one = try TestMember(1, change)
        one.transport.setPeers([.init(2, at: address)])
        eventually("it is told") { trouble(of: one) == "Connection refused (errno 111)" }
        try Socket.listen(descriptor, named: address, backlog: 4)
        return (one, descriptor)
    }

    func testTrouble_refusedConnect_isOverOnceAConnectionIsMade() throws {
        // The system connects, and nobody answers the hello.
        let (one, descriptor) = try refusedConnect { $0.handshakeTimeout = .seconds(600) }
        defer { Socket.close(descriptor) }
        eventually("it waits for the answer, without a trouble") {
            let connection = connections(of: one).first
            return connection?.control == .connecting && connection?.trouble == nil
        }
        one.stop()
    }

    func testTrouble_refusalInPassingAfterARefusedConnect_isTheRefusal() throws {
        let own = Introduction.sample(2)
        for isOurs in [true, false] {
            let (one, descriptor) = try refusedConnect()
            defer { Socket.close(descriptor) }
            if isOurs { one.recorder.refuse { _ in .unproven } }
            let expected = isOurs ? "this member refused the peer: member 1" : "the peer refused this member: member 2"
            var accepted: [RawConnection] = []
            try eventually(expected) {
                if case .connection(let descriptor) = Socket.accept(descriptor) {
                    let connection = RawConnection(accepted: descriptor)
                    accepted.append(connection)
                    let hello = try Handshake(decoding: Bytes(connection.receive(Handshake.encodedByteCount).bytes))
                    let refusal = Recorder.refusal(.unproven, of: hello.introduction, by: own)
                    let answer = HandshakeTerms().answer(to: hello, own, isOurs ? nil : .identity(refusal))
                    connection.send([UInt8](answer.encoded()))
                }
                let trouble = trouble(of: one) ?? ""
                return trouble.hasPrefix(expected) && trouble.contains("nothing is to be done")
            }
            one.stop()
        }
    }

    func testTrouble_connectionForCheckpointsAlone_saysSo() throws {
        let own = Introduction.sample(2)
        let (listener, address) = try socket(listening: true)
        defer { Socket.close(listener) }
        let one = try TestMember(1)
        one.transport.setPeers([.init(2, at: address)])
        var welcomed: [RawConnection] = []
        var hasSent = false
        try eventually("the trouble is told") {
            if case .connection(let descriptor) = Socket.accept(listener) {
                let connection = RawConnection(accepted: descriptor)
                let hello = try Handshake(decoding: Bytes(connection.receive(Handshake.encodedByteCount).bytes))
                // The other one is closed without an answer.
                if hello.path == .control {
                    connection.send([UInt8](HandshakeTerms().answer(to: hello, own, nil).encoded()))
                    welcomed.append(connection)
                }
            }
            let connection = connections(of: one).first
            guard connection?.control == .connected else { return false }
            if !hasSent { try one.send(0..<1, to: 2, .bulk) }
            hasSent = true
            return connection?.trouble
                == "the connection for checkpoints: it closed the connection before it said who it is"
        }
        one.stop()
    }

    func testTrouble_memberOfAnotherCluster_isTheRefusal() throws {
        let one = try TestMember(1)
        let two = try TestMember(2)
        two.recorder.refuse { _ in .otherCluster }
        one.connect(to: two)
        eventually("it is told") { trouble(of: one)?.contains("correct the address by which one of them") ?? false }
    }
}
