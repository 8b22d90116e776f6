import BalsaPlatform
import XCTest

/// Real members, killed and stopped by the system while they are loaded.
final class KilledMembersTests: ProcessTestCase {
    func testAllMembersKilledAtOnceUnderLoadLoseNothing() async throws {
        let cluster = try ProcessCluster()
        await check {
            try cluster.start()
            try await cluster.leader()
            let load = Load(on: cluster.members)
            for _ in 0..<3 {
                try await load.advance(by: 200, reads: 40)
                for member in cluster.members { member.send(SIGKILL) }
                for member in cluster.members {
                    try await member.ended()
                    XCTAssertEqual(member.signal, SIGKILL)
                }
                try cluster.start()
                try await cluster.leader()
            }
            try await load.advance(by: 200)
            try await eventually("more than 100 values were read") { load.valuesRead > 100 }
            await load.stop()
            try await cluster.converge()
            XCTAssertEqual(load.violations, [])
            let losses = try await load.losses()
            XCTAssertEqual(losses, [])
            XCTAssertGreaterThan(load.valuesRead, 100)
        }
        try await cluster.remove()
    }

    /// Each call adds 1 to a counter of its own: twice would be seen, and so would never. The calls are made through
    /// all members, whose leader is killed again and again; only those of a member that was killed itself may be
    /// unknown.
    func testARequest_whoseLeaderIsKilledMeanwhile_takesEffectOnce() async throws {
        let cluster = try ProcessCluster()
        await check {
            try cluster.start()
            let adds = Adds(on: cluster.members)
            for _ in 0..<5 {
                let leader = try await cluster.leader()
                try await adds.advance(by: 100)
                try await leader.kill()
                try await adds.advance(by: 20)
                try cluster.start()
            }
            await adds.stop()
            try await cluster.converge()
            let (faults, acknowledged) = try await adds.faults(on: cluster.members[0])
            XCTAssertEqual(faults, [])
            XCTAssertGreaterThanOrEqual(acknowledged, 600)
        }
        try await cluster.remove()
    }

    func testALeaderThatIsKilledIsReplacedAndComesBack() async throws {
        let cluster = try ProcessCluster()
        await check {
            try cluster.start()
            let load = Load(on: cluster.members)
            for _ in 0..<3 {
                let leader = try await cluster.leader()
                try await load.advance(by: 100, reads: 20)
                try await leader.kill()
                try await load.advance(by: 100, reads: 20)
                try cluster.start()
            }
            try await cluster.leader()
            try await eventually("more than 100 values were read") { load.valuesRead > 100 }
            await load.stop()
            try await cluster.converge()
            XCTAssertEqual(load.violations, [])
            XCTAssertGreaterThan(load.valuesRead, 100)
            let losses = try await load.losses()
            XCTAssertEqual(losses, [])
        }
        try await cluster.remove()
    }

    /// A leader that the system does not let run thinks that it leads still when it runs again. What it answers then must
    /// not be what was true before.
    func testAStoppedLeaderAnswersNothingStaleWhenItRunsAgain() async throws {
        let cluster = try ProcessCluster()
        await check {
            try cluster.start()
            let leader = try await cluster.leader()
            let others = cluster.members.filter { $0 !== leader }
            let load = Load(on: cluster.members, patience: .seconds(1))
            try await load.advance(by: 100)
            leader.send(SIGSTOP)
            // Questions that it finds when it wakes up, each of which was asked after what it must have seen.
            let revision = try await self.put("before", "1", on: others)
            async let early = leader.read("before", within: .seconds(60))
            try await eventually("another one leads") { others.contains(where: \.isLeader) }
            try await load.advance(by: 300)
            let second = try await self.put("before", "2", on: others)
            XCTAssertGreaterThan(second, revision)
            async let late = leader.read("before", within: .seconds(60))
            // Both questions are in its pipe before it wakes up.
            try await eventually("both questions wait for it") { leader.waitingCount >= 2 }
            leader.send(SIGCONT)
            // Whoever is not answered may ask again; whoever is answered sees the last write.
            if let early = await early { XCTAssertGreaterThanOrEqual(early.revision, revision) }
            if let late = await late { XCTAssertGreaterThanOrEqual(late.revision, second) }
            try await eventually("the woken one answers, with the last write") {
                guard let woken = await leader.read("before", within: .seconds(5)) else { return false }
                XCTAssertGreaterThanOrEqual(woken.revision, second)
                return true
            }
            try await load.advance(by: 200)
            try await cluster.leader()
            try await eventually("more than 100 values were read") { load.valuesRead > 100 }
            await load.stop()
            try await cluster.converge()
            XCTAssertEqual(load.violations, [])
            XCTAssertGreaterThan(load.valuesRead, 100)
            let losses = try await load.losses("get")
            XCTAssertEqual(losses, [])
        }
        try await cluster.remove()
    }

    /// Puts a pair by whichever of the members takes it.
    private func put(_ key: String, _ value: String, on members: [MemberProcess]) async throws -> UInt64 {
        var revision: UInt64?
        try await eventually("\(key) is written") {
            for member in members where revision == nil {
                revision = await member.put(key, value, within: .seconds(3))
            }
            return revision != nil
        }
        guard let revision else { throw Failure("\(key) was not written") }
        return revision
    }
}
