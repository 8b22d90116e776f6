import BalsaPlatform
import XCTest

@testable import BalsaCommand

/// Whatever strangers send to a member's port: it lives, its memory stays bounded, it says what happened, and writes go on.
final class GarbageTests: ProcessTestCase {
    /// Three members, of which the first is reached by way of a relay. It is the one that is attacked, at its own port.
    private struct Scene {
        let cluster: ProcessCluster
        let relay: Relay
        let port: UInt16

        var victim: MemberProcess { cluster.members[0] }
        var others: [MemberProcess] { Array(cluster.members[1...]) }
    }

    private func withScene(_ body: (Scene) async throws -> Void) async throws {
        let reserved = try ReservedPorts(4)
        let ports = reserved.ports
        let cluster = try ProcessCluster(ports: reserved, listening: [1: ports[3]])
        let scene = Scene(cluster: cluster, relay: try Relay(at: ports[0], to: ports[3]), port: ports[3])
        await check {
            try cluster.start()
            try await cluster.leader()
            // What a member needs once, it has taken when the attack begins.
            let load = Load(on: cluster.members)
            try await load.advance(by: 300)
            await load.stop()
            try await body(scene)
            try await cluster.leader()
            try await cluster.converge()
            try cluster.checkThatNobodyTrapped()
        }
        scene.relay.end()
        try await cluster.remove()
    }

    /// Attacks the first member while pairs are put through the others, and holds what must hold then.
    private func attack(
        _ scene: Scene,
        expecting notice: String?,
        _ body: @escaping @Sendable (UInt16, [Relay.Recording]) throws -> Void
    ) async throws {
        let pid = scene.victim.pid
        let told = scene.victim.notices.count
        try "5".write(toFile: "/proc/\(pid)/clear_refs", atomically: false, encoding: .utf8)
        let memory = try scene.victim.memory().now
        let load = Load(on: scene.others, writers: 4, readers: 2, patience: .seconds(60))
        try await load.advance(by: 5, reads: 5)
        let (port, recordings) = (scene.port, scene.relay.recordings)
        XCTAssertFalse(recordings.isEmpty, "the members have spoken by way of the relay")
        // The attack goes on until so much was written and read beside it. The limit is for a hang only.
        let before = (writes: load.acknowledged, reads: load.valuesRead)
        let during = try await onThread {
            let end = ContinuousClock.now + .seconds(120)
            while true {
                try body(port, recordings)
                let done = (writes: load.acknowledged - before.writes, reads: load.valuesRead - before.reads)
                if done.writes >= 20 && done.reads >= 5 || ContinuousClock.now > end { return done }
            }
        }
        if let notice {
            try await eventually("the member says '\(notice)': \(scene.victim.notices.dropFirst(told))") {
                scene.victim.notices.dropFirst(told).contains { $0.contains(notice) }
            }
        }
        await load.stop()
        XCTAssertEqual(scene.victim.pid, pid, "the member lives: \(scene.victim.notices.suffix(5))")
        XCTAssertLessThan(try scene.victim.memory().peak - memory, 16 << 20, "its memory stays bounded")
        XCTAssertGreaterThanOrEqual(during.writes, 20, "writes through the others go on while it is attacked")
        XCTAssertGreaterThanOrEqual(during.reads, 5, "and reads")
        XCTAssertEqual(load.violations, [])
        // Every member is asked what it has: one that follows learns a moment later what is committed.
        try await scene.cluster.converge()
        let losses = try await load.losses()
        XCTAssertEqual(losses, [])
    }

    func testRandomBytes() async throws {
        try await withScene { scene in
            try await attack(scene, expecting: "not the hello of a member") { port, _ in
                var random = RandomSource(seed: 11)
                for _ in 0..<50 {
                    let socket = try PlainSocket(to: port)
                    var bytes: [UInt8] = []
                    while bytes.count < 64 << 10 { withUnsafeBytes(of: random.next()) { bytes += $0 } }
                    socket.send(bytes)
                }
            }
        }
    }

    /// The header of a wire frame, sound but for the length that it claims.
    private static func header(claiming count: UInt32) -> [UInt8] {
        var header: [UInt8] = [0x42, 0x41, 0x4c, 0x57, 1, 0, 15, 0]
        for number in [1, 2, 1, 1] as [UInt64] { withUnsafeBytes(of: number.littleEndian) { header += $0 } }
        for number in [count, 0] { withUnsafeBytes(of: number.littleEndian) { header += $0 } }
        let checksum = header.withUnsafeBytes { CRC32C.checksum($0) }
        withUnsafeBytes(of: checksum.littleEndian) { header += $0 }
        return header
    }

    func testAFrameThatClaimsTwoGibibytesInPlaceOfAHello() async throws {
        try await withScene { scene in
            try await attack(scene, expecting: "not the hello of a member") { port, _ in
                for _ in 0..<20 {
                    let socket = try PlainSocket(to: port)
                    socket.send(GarbageTests.header(claiming: 1 << 31))
                    socket.send([UInt8](repeating: 7, count: 256 << 10))
                }
            }
        }
    }

    func testAFrameThatClaimsTwoGibibytesBehindAReplayedHello() async throws {
        try await withScene { scene in
            try await attack(scene, expecting: "not a frame") { port, recordings in
                for recording in recordings {
                    let socket = try PlainSocket(to: port)
                    socket.send(recording.hello + GarbageTests.header(claiming: 1 << 31))
                    socket.send([UInt8](repeating: 7, count: 256 << 10))
                }
            }
        }
    }

    func testAByteNowAndThen() async throws {
        try await withScene { scene in
            try await attack(scene, expecting: "no whole hello came in time") { port, recordings in
                let sockets = try (0..<8).map { _ in try PlainSocket(to: port) }
                // A byte now and then, until the member ends the first of them. It has to end all.
                for byte in recordings[0].hello.prefix(80) where !sockets[0].isEnded(within: .milliseconds(100)) {
                    for socket in sockets { socket.send([byte]) }
                }
                for socket in sockets {
                    guard socket.isEnded(within: .seconds(60)) else { throw Failure("a connection stays open") }
                }
            }
        }
    }

    func testAThousandHalfOpenConnections() async throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = min(limit.rlim_max, 4_096)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        guard limit.rlim_cur >= 1_500 else {
            return XCTFail("the system allows \(limit.rlim_cur) descriptors; the test needs 1500")
        }
        try await withScene { scene in
            try await attack(scene, expecting: "too many others were open") { port, recordings in
                let sockets = try (0..<1_000).map { number in
                    let socket = try PlainSocket(to: port)
                    if number % 2 == 0 { socket.send(recordings[0].hello.prefix(number % 90)) }
                    return socket
                }
                // They stay open on this side, and the member ends all but the few that may be half open.
                var left = sockets[...]
                while left.count > 100 {
                    guard let ended = left.firstIndex(where: { $0.isEnded(within: .zero) }) else {
                        guard left.contains(where: { $0.isEnded(within: .seconds(10)) }) else {
                            throw Failure("\(left.count) half-open connections stay")
                        }
                        continue
                    }
                    left.remove(at: ended)
                }
            }
        }
    }

    /// Everything that a member said in its last life, said again by somebody else in its present one.
    func testAReplayedHandshakeOfAPastLife() async throws {
        try await withScene { scene in
            let ofPast = scene.relay.recordings
            for member in scene.others {
                try await member.kill()
                try member.start()
            }
            try await scene.cluster.leader()
            try await attack(scene, expecting: "refused") { port, _ in
                for recording in ofPast {
                    let socket = try PlainSocket(to: port)
                    socket.send(recording.hello + recording.rest)
                    _ = socket.receive()
                }
            }
        }
    }

    /// The same within one life: the member cannot know that it is somebody else, and must bear it.
    func testAReplayedHandshakeOfThePresentLife() async throws {
        try await withScene { scene in
            try await attack(scene, expecting: nil) { port, recordings in
                for _ in 0..<5 {
                    for recording in recordings {
                        let socket = try PlainSocket(to: port)
                        socket.send(recording.hello + recording.rest)
                        _ = socket.receive()
                    }
                }
            }
        }
    }
}
