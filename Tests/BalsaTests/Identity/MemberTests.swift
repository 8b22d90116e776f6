import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// A member from an empty directory on, by itself.
final class MemberTests: XCTestCase {
    private func setup(_ member: MemberID, of members: UInt64, seed: UInt64 = 1) -> MemberSetup {
        MemberSetup(
            directory: "m",
            member: member,
            list: (1...members).map { MemberAddress(member: $0, address: "a:\($0)") },
            seed: seed,
            identitySeed: UniqueID(high: seed, low: member)
        )
    }

    private func open(
        _ disk: SimulatedDisk,
        _ setup: MemberSetup,
        _ effects: inout [ReplicaEffect]
    ) throws(ReplicaError) -> Member {
        try Member.open(setup, fileSystem: disk.mount(), provider: RegisterProvider(), at: .zero, into: &effects)
    }

    func testTheOnlyMemberHasAReplicaAtOnce() throws {
        let disk = SimulatedDisk()
        var effects: [ReplicaEffect] = []
        let member = try open(disk, setup(1, of: 1), &effects)
        XCTAssertNotNil(member.replica)
        XCTAssertEqual(member.cluster?.table.members, [1])
        let cluster = member.cluster
        member.close()
        disk.processCrash()
        let again = try open(disk, setup(1, of: 1, seed: 2), &effects)
        XCTAssertEqual(again.cluster, cluster)
        XCTAssertEqual(again.introduction(to: 2).boot, 2)
    }

    func testOneOfThreeSaysHelloAndAnswersThatItIsStartingUp() throws {
        var effects: [ReplicaEffect] = []
        let member = try open(SimulatedDisk(), setup(2, of: 3), &effects)
        XCTAssertNil(member.replica)
        XCTAssertEqual(member.introduction(to: 1).cluster, .none)
        var greeted: [MemberID] = []
        for case .send(let peer, let pieces, .control) in effects {
            XCTAssertEqual(pieces[0].withUnsafeBytes { $0[6] }, 17, "nothing but the first boot is spoken of")
            greeted.append(peer)
        }
        XCTAssertEqual(greeted, [1, 3])
        effects = []
        member.step(.submit([Submission(RequestID(7), "x", deadline: .never)]), at: .zero, into: &effects)
        member.step(.read(RequestID(8), .linearizable, deadline: .never), at: .zero, into: &effects)
        let replies = effects.compactMap { if case .reply(let id, let reply) = $0 { (id.number, reply) } else { nil } }
        XCTAssertEqual(replies.map(\.0), [7, 8])
        for (_, reply) in replies { XCTAssertEqual(reply, .failure(RequestError(.notApplied, .startingUp))) }
    }

    func testThePeerOfARefusedMemberIsBelievedOnlyWhereTheDirectoryIsMeant() throws {
        var effects: [ReplicaEffect] = []
        let member = try open(SimulatedDisk(), setup(1, of: 1), &effects)
        let cluster = try XCTUnwrap(member.cluster).id
        member.step(.refused(.notAddressed(3, 1, 2)), at: .zero, into: &effects)
        XCTAssertNil(member.failure)
        member.step(.refused(.wiped(1, cluster)), at: .zero, into: &effects)
        XCTAssertEqual(member.failure?.code, .refused)
        XCTAssertTrue(member.failure?.message.contains("member 1") ?? false)
    }

    func testASecondOpenerIsToldThatTheDirectoryIsLocked() throws {
        let disk = SimulatedDisk()
        var effects: [ReplicaEffect] = []
        let member = try open(disk, setup(1, of: 3), &effects)
        XCTAssertThrowsError(try open(disk, setup(1, of: 3, seed: 2), &effects)) {
            XCTAssertEqual(($0 as? ReplicaError)?.code, .locked)
        }
        member.close()
        XCTAssertNoThrow(try open(disk, setup(1, of: 3, seed: 3), &effects))
    }

    func testAListWithoutTheMemberIsRefused() {
        var effects: [ReplicaEffect] = []
        XCTAssertThrowsError(try open(SimulatedDisk(), setup(4, of: 3), &effects)) {
            XCTAssertEqual(($0 as? ReplicaError)?.code, .invalid)
        }
    }
}
