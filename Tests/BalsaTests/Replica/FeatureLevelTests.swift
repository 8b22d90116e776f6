import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// What members agree on with their peers: the version in which they write, and which commands may be proposed.
final class FeatureLevelTests: ReplicaTestCase {
    /// A group whose release knows level 2, and in which commands whose key begins with `n` need it.
    private func group() -> ReplicaGroup {
        let group = ReplicaGroup(members: 3)
        group.options.featureLevel = 2
        for host in group.hosts {
            host.provider.featureLevel = { command in
                let key = (try? RegisterCommand(decoding: command))?.key ?? ""
                return "\(key)".hasPrefix("n") ? 2 : 0
            }
        }
        return group
    }

    private func agree(_ group: ReplicaGroup, _ id: MemberID, with peer: MemberID, level: UInt32) {
        group.host(id).replica?.agreed(WireAgreement(version: 1, featureLevel: level), with: peer)
    }

    func testProposal_levelThatAPeerDoesNotHave_isRefusedUntilAllHaveIt() throws {
        let group = group()
        let leader = try group.start()
        let (one, other) = (leader % 3 + 1, (leader + 1) % 3 + 1)
        func outcome(_ key: Bytes) -> Reply? {
            let write = group.write(leader, key, "v")
            group.advance(by: .milliseconds(100))
            return group.host(leader).reply(to: write)
        }
        XCTAssertEqual(outcome("old")?.isSuccess, true)
        let entries = try XCTUnwrap(group.host(leader).replica?.raft.log.lastIndex)
        XCTAssertEqual(outcome("new"), .failed(.notApplied, .upgradeRequired), "nobody was heard")
        agree(group, leader, with: one, level: 2)
        XCTAssertEqual(outcome("new"), .failed(.notApplied, .upgradeRequired), "one was not heard")
        agree(group, leader, with: other, level: 1)
        XCTAssertEqual(outcome("new"), .failed(.notApplied, .upgradeRequired), "one is older")
        XCTAssertEqual(group.host(leader).replica?.raft.log.lastIndex, entries, "nothing enters the log")
        agree(group, leader, with: other, level: 3)
        XCTAssertEqual(outcome("new")?.isSuccess, true)
        XCTAssertEqual(group.host(leader).replica?.clusterFeatureLevel, 2, "no more than this release knows")
        agree(group, leader, with: one, level: 0)
        XCTAssertEqual(outcome("new"), .failed(.notApplied, .upgradeRequired), "it was replaced by an older one")
    }

    func testProposal_levelThatThisReleaseDoesNotHave_isRefused() throws {
        let group = group()
        group.options.featureLevel = 1
        let leader = try group.start()
        for peer in 1...3 as ClosedRange<MemberID> where peer != leader { agree(group, leader, with: peer, level: 9) }
        let write = group.write(leader, "new", "v")
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(leader).reply(to: write), .failed(.notApplied, .upgradeRequired))
    }

    func testProposal_thatAFollowerPassesOn_isRefusedWithTheReason() throws {
        let group = group()
        let leader = try group.start()
        let follower = leader % 3 + 1
        let write = group.write(follower, "new", "v", as: CommandIdentity(session: 1, number: 1))
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(follower).reply(to: write), .failed(.notApplied, .upgradeRequired, leader: leader))
        XCTAssertEqual(group.host(leader).refusals.map(\.refusal), [.upgradeRequired])
    }

    /// The encoder gets the version that was agreed on with the receiver: here one that this release does not speak, so
    /// that nothing leaves for that peer alone.
    func testFrames_toEachPeer_areEncodedInTheVersionThatWasAgreedOnWithIt() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        let (one, other) = (leader % 3 + 1, (leader + 1) % 3 + 1)
        group.host(leader).replica?.agreed(WireAgreement(version: 2, featureLevel: 0), with: one)
        group.host(leader).sent.removeAll()
        group.write(leader, "k", "v")
        group.advance(by: .milliseconds(100))
        XCTAssertTrue(group.host(leader).sent.allSatisfy { $0.to == other })
        XCTAssertFalse(group.host(leader).sent.isEmpty)
        XCTAssertGreaterThan(group.host(leader).replica?.metrics.framesTooLarge ?? 0, 0)
        group.host(leader).replica?.agreed(WireAgreement(version: 1, featureLevel: 0), with: one)
        group.advance(by: .milliseconds(100))
        XCTAssertTrue(group.host(leader).sent.contains { $0.to == one })
    }
}
