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
        _ effects: inout [ReplicaEffect],
        _ hook: (any DiskHook)? = nil
    ) throws(ReplicaError) -> Member {
        try Member.open(setup, fileSystem: disk.mount(hook), provider: RegisterProvider(), at: .zero, into: &effects)
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

    /// A refusal of what member 1 says when it means to reach `peer`.
    private func refusal(
        _ reason: IdentityRefusal.Reason,
        to peer: MemberID,
        of member: Member,
        in cluster: UniqueID = UniqueID(high: 7, low: 7)
    ) -> IdentityRefusal {
        IdentityRefusal(reason, of: member.introduction(to: peer), by: peer, in: cluster)
    }

    func testMember_ofAClusterWhoseDirectoryIsToBlame_failsOfOneRefusal() throws {
        for reason in [IdentityRefusal.Reason.wiped, .rolledBack, .cloned, .duplicateID] {
            let member = try form((1...3).map { _ in SimulatedDisk() }, seed: 1)[0].member
            let own = try XCTUnwrap(member.cluster).id
            var effects: [ReplicaEffect] = []
            member.step(.refused(refusal(reason, to: 2, of: member, in: own)), at: .zero, into: &effects)
            XCTAssertEqual(member.failure?.code, .refused)
            XCTAssertTrue(member.failure?.message.contains("member 1") ?? false)
        }
    }

    /// One wrong address leads to another cluster that has a member of the same id.
    func testNewMember_thatAnotherClusterOfItsIDCallsWiped_isToldAndGoesOn() throws {
        let others = try form((1...3).map { _ in SimulatedDisk() }, seed: 2)
        var effects: [ReplicaEffect] = []
        let member = try open(SimulatedDisk(), setup(1, of: 3), &effects)
        let said = try refusal(member, by: others[1].member)
        XCTAssertEqual(said.reason, .wiped)
        let advice = "; if member 1 is a new one, correct the address that it has for member 2"
        XCTAssertTrue(said.description.hasSuffix(advice), "\(said)")
        let own = others[0].member.introduction(to: 2)
        XCTAssertEqual(others[1].member.connect(own, into: &effects), .accept(isNew: true))
        let duplicate = try refusal(member, by: others[1].member)
        XCTAssertEqual(duplicate.reason, .duplicateID)
        XCTAssertTrue(duplicate.description.hasSuffix(advice), "\(duplicate)")
        for refusal in [said, duplicate] { member.step(.refused(refusal), at: .zero, into: &effects) }
        XCTAssertNil(member.failure, "member 3 may still be there")
        // A directory that was emptied is refused by the others, too.
        let third = try refusal(member.introduction(to: 3), by: others[2].member)
        member.step(.refused(third), at: .zero, into: &effects)
        XCTAssertEqual(member.failure?.code, .refused)
        XCTAssertTrue(member.failure?.message.contains("put its own directory back as it was last") ?? false)
        // Of a member that belongs to a cluster, it is not said.
        XCTAssertFalse(refusal(.wiped, to: 2, of: others[0].member).description.contains("new one"))
    }

    func testANewMemberThatMayHaveAWrongAddressFailsWhenTheOthersAreNoMajority() throws {
        for reason in [
            IdentityRefusal.Reason.otherCluster, .notAddressed, .unknownMember, .malformed, .wiped, .duplicateID,
        ] {
            var effects: [ReplicaEffect] = []
            let member = try open(SimulatedDisk(), setup(1, of: 3), &effects)
            for _ in 1...3 { member.step(.refused(refusal(reason, to: 2, of: member)), at: .zero, into: &effects) }
            XCTAssertNil(member.failure, "member 3 may still be there")
            member.welcomed(by: 2)
            member.step(.refused(refusal(reason, to: 3, of: member)), at: .zero, into: &effects)
            XCTAssertNil(member.failure, "the address of member 2 was corrected")
            member.step(.refused(refusal(reason, to: 2, of: member)), at: .zero, into: &effects)
            XCTAssertEqual(member.failure?.code, .refused)
        }
    }

    /// Two addresses may be swapped for seconds. A new member would look for the wrong cluster; one that has its place finds
    /// the others again, and would not if it had stopped.
    func testAMemberOfAClusterStaysUpWhateverAddressesAreWrong() throws {
        let formed = try form((1...3).map { _ in SimulatedDisk() }, seed: 1)
        let member = formed[0].member
        let own = try XCTUnwrap(member.cluster).id
        for reason in [IdentityRefusal.Reason.otherCluster, .notAddressed, .unknownMember, .malformed] {
            for peer in [2, 3] as [MemberID] {
                var effects: [ReplicaEffect] = []
                for cluster in [own, .none, UniqueID(high: 7, low: 7)] {
                    let refusal = refusal(reason, to: peer, of: member, in: cluster)
                    member.step(.refused(refusal), at: .zero, into: &effects)
                }
                XCTAssertNil(member.failure, "\(reason)")
            }
        }
        var effects: [ReplicaEffect] = []
        XCTAssertEqual(member.connect(formed[1].member.introduction(to: 1), into: &effects), .accept(isNew: true))
    }

    /// A process that was started empty under the id of a member finds that id to be its own, and says so to the member.
    func testOnlyItsOwnClusterStopsAMember() throws {
        let formed = try form((1...3).map { _ in SimulatedDisk() }, seed: 1)
        var effects: [ReplicaEffect] = []
        let newcomer = try open(SimulatedDisk(), setup(1, of: 3, seed: 9), &effects)
        let said = try refusal(formed[0].member, by: newcomer)
        XCTAssertEqual(said.reason, .duplicateID)
        XCTAssertTrue(said.stopsMember)
        formed[0].member.step(.refused(said), at: .zero, into: &effects)
        XCTAssertNil(formed[0].member.failure)

        let own = try XCTUnwrap(formed[0].member.cluster).id
        for (place, reason) in [IdentityRefusal.Reason.wiped, .rolledBack, .cloned].enumerated() {
            let member = formed[place].member
            let peer = MemberID(place == 0 ? 2 : 1)
            for other in [UniqueID.none, UniqueID(high: 7, low: 7)] {
                member.step(.refused(refusal(reason, to: peer, of: member, in: other)), at: .zero, into: &effects)
                XCTAssertNil(member.failure)
            }
            member.step(.refused(refusal(reason, to: peer, of: member, in: own)), at: .zero, into: &effects)
            XCTAssertEqual(member.failure?.code, .refused)
        }
    }

    func testAPeerThatHasFailedIsNoReasonToFail() throws {
        var effects: [ReplicaEffect] = []
        let member = try open(SimulatedDisk(), setup(1, of: 3), &effects)
        for peer in [2, 3] as [MemberID] {
            member.step(.refused(refusal(.unavailable, to: peer, of: member)), at: .zero, into: &effects)
        }
        XCTAssertNil(member.failure)
    }

    func testAMemberThatHasFailedListensToNobody() throws {
        var effects: [ReplicaEffect] = []
        let member = try open(SimulatedDisk(), setup(1, of: 1), &effects)
        let own = try XCTUnwrap(member.cluster).id
        member.step(.refused(refusal(.cloned, to: 2, of: member, in: own)), at: .zero, into: &effects)
        XCTAssertEqual(member.replica?.failure?.code, .refused)
        var introduction = member.introduction(to: 1)
        introduction.from = 2
        guard case .refuse(let refusal) = member.connect(introduction, into: &effects) else {
            return XCTFail("it was accepted")
        }
        XCTAssertEqual(refusal.reason, .unavailable)
        XCTAssertTrue(refusal.description.contains("member 1 has failed"))
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

    /// A table of a later release, which serves more members. No list that this release takes could name all of them.
    func testOpening_clusterOfMoreMembersThanThisReleaseServes_needsAnUpgrade() throws {
        let disk = SimulatedDisk()
        let files = disk.mount()
        try files.createDirectory("m")
        var ids = UniqueIDSource(seed: UniqueID(high: 1, low: 7))
        var store = try IdentityStore(opening: "m", in: files, member: 1, ids: &ids)
        try store.count()
        var identity = store.identity
        let rows = (1...8 as ClosedRange<MemberID>).map { member in
            let incarnation = member == 1 ? identity.incarnation : UniqueID(high: member, low: 3)
            return MemberTable.Row(member: member, incarnation: incarnation, address: "a:\(member)")
        }
        identity.state = .established(ClusterIdentity(id: UniqueID(high: 5, low: 6), table: try MemberTable(rows)))
        try store.write(identity)
        disk.processCrash()
        let before = ["m/IDENTITY", "m/BOOT"].map { disk.contents(of: $0) }
        // What the message advises is another release: it finds every byte.
        defer { XCTAssertEqual(["m/IDENTITY", "m/BOOT"].map { disk.contents(of: $0) }, before) }
        var effects: [ReplicaEffect] = []
        XCTAssertThrowsError(try open(disk, setup(1, of: 7, seed: 2), &effects)) {
            let error = $0 as? ReplicaError
            XCTAssertEqual(error?.code, .upgradeRequired)
            XCTAssertEqual(
                error?.message,
                "m/IDENTITY: the cluster has 8 members, and this release serves at most 7: start the member with the "
                    + "release "
                    + "that the others run"
            )
        }
    }

    // MARK: Several members

    private struct Opened {
        let disk: SimulatedDisk
        let member: Member
    }

    /// Opens members and carries what they say of the first boot until nobody says anything new.
    private func form(_ disks: [SimulatedDisk], seed: UInt64) throws -> [Opened] {
        var queue: [(to: MemberID, frame: Bytes)] = []
        func gather(_ effects: [ReplicaEffect]) {
            for case .send(let peer, let pieces, .control) in effects where pieces[0].withUnsafeBytes({ $0[6] }) == 17 {
                queue.append((peer, Bytes(pieces.flatMap { [UInt8]($0) })))
            }
        }
        var opened: [Opened] = []
        for (place, disk) in disks.enumerated() {
            var effects: [ReplicaEffect] = []
            let id = MemberID(place + 1)
            opened.append(
                Opened(disk: disk, member: try open(disk, setup(id, of: UInt64(disks.count), seed: seed), &effects))
            )
            gather(effects)
        }
        var rounds = 0
        while !queue.isEmpty, rounds < 200 {
            let next = queue.removeFirst()
            var effects: [ReplicaEffect] = []
            opened[Int(next.to) - 1].member.step(.receivedFirstBoot(next.frame), at: .zero, into: &effects)
            gather(effects)
            rounds += 1
        }
        return opened
    }

    private func refusal(_ peer: Member, by member: Member) throws -> IdentityRefusal {
        // Whoever is refused by its namesake meant somebody else.
        try refusal(peer.introduction(to: peer.member == member.member ? 2 : member.member), by: member)
    }

    private func refusal(_ introduction: Introduction, by member: Member) throws -> IdentityRefusal {
        var effects: [ReplicaEffect] = []
        guard case .refuse(let refusal) = member.connect(introduction, into: &effects) else {
            throw ReplicaError(.invalid, "it was accepted")
        }
        return refusal
    }

    func testAMemberOfAnotherClusterIsRefusedAndNobodyStops() throws {
        let ours = try form((1...3).map { _ in SimulatedDisk() }, seed: 1)
        let others = try form((1...3).map { _ in SimulatedDisk() }, seed: 2)
        XCTAssertNotNil(ours[0].member.cluster)
        XCTAssertEqual(ours[0].member.cluster, ours[1].member.cluster)
        XCTAssertNotEqual(ours[0].member.cluster, others[0].member.cluster)
        let refusal = try refusal(others[1].member, by: ours[0].member)
        XCTAssertEqual(refusal.reason, .otherCluster)
        XCTAssertTrue(refusal.description.contains("correct the address"), "\(refusal)")
        var effects: [ReplicaEffect] = []
        others[1].member.step(.refused(refusal), at: .zero, into: &effects)
        XCTAssertNil(others[1].member.failure, "an address may be wrong; its directory is well")
    }

    func testADirectoryOfAnotherClusterLetsNoFirstBootMakeAnotherOne() throws {
        let others = try form([SimulatedDisk(), SimulatedDisk()], seed: 2)
        others[1].disk.processCrash()
        // Member 1 is new; member 2 was given the directory of a cluster that has a member 2 as well.
        let opened = try form([SimulatedDisk(), others[1].disk], seed: 3)
        XCTAssertNil(opened[0].member.cluster)
        XCTAssertNil(opened[0].member.replica)
        XCTAssertEqual(opened[0].member.failure?.code, .refused)
        XCTAssertTrue(opened[0].member.failure?.message.contains("put its own directory back") ?? false)
        XCTAssertEqual(opened[1].member.cluster, others[1].member.cluster)
        XCTAssertNil(opened[1].member.failure)
    }

    func testTheDirectoryOfAnotherMemberIsNotOpened() throws {
        let opened = try form([SimulatedDisk(), SimulatedDisk()], seed: 1)
        opened[1].disk.processCrash()
        var effects: [ReplicaEffect] = []
        XCTAssertThrowsError(try open(opened[1].disk, setup(1, of: 2, seed: 5), &effects)) {
            XCTAssertTrue("\($0)".contains("member 2"), "\($0)")
        }
    }

    func testACopyOfADirectoryIsRefusedWhileTheMemberIsHeard() throws {
        let opened = try form([SimulatedDisk(), SimulatedDisk()], seed: 1)
        opened[1].disk.processCrash()
        let copy = SimulatedDisk(opened[1].disk.snapshot())
        var effects: [ReplicaEffect] = []
        let original = try open(opened[1].disk, setup(2, of: 2, seed: 5), &effects)
        XCTAssertEqual(
            opened[0].member.connect(original.introduction(to: 1), into: &effects),
            .accept(isNew: true)
        )
        let clone = try open(copy, setup(2, of: 2, seed: 6), &effects)
        let refusal = try refusal(clone, by: opened[0].member)
        XCTAssertEqual(refusal.reason, .cloned)
        clone.step(.refused(refusal), at: .zero, into: &effects)
        XCTAssertEqual(clone.failure?.code, .refused)
        XCTAssertTrue(clone.failure?.message.contains("up twice") ?? false)
        XCTAssertEqual(
            opened[0].member.connect(original.introduction(to: 1), into: &effects),
            .accept(isNew: false)
        )
    }

    // MARK: Notes of peers

    /// Two members that were formed and opened again: the one whose notes can be made to fail, and the other.
    private func reopened(_ hook: FailingNote) throws -> (member: Member, disk: SimulatedDisk, peer: Opened) {
        let formed = try form([SimulatedDisk(), SimulatedDisk()], seed: 1)
        formed[0].disk.processCrash()
        var effects: [ReplicaEffect] = []
        return (try open(formed[0].disk, setup(1, of: 2, seed: 2), &effects, hook), formed[0].disk, formed[1])
    }

    func testAPeerThatCannotBeNotedForWantOfRoomWaitsAndNothingHasHappened() throws {
        let wants: [(FileError.Operation, FileError.Number)] = [
            (.write, .noSpace), (.write, .quotaExceeded), (.open, .noSpace), (.sync, .noSpace),
            (.open, .tooManyOpenFiles), (.open, .tooManyOpenFilesInSystem), (.syncDirectory, .tooManyOpenFiles),
        ]
        for (operation, number) in wants {
            let hook = FailingNote(operation, number)
            let (member, disk, peer) = try reopened(hook)
            var effects: [ReplicaEffect] = []
            let earlier = peer.member.introduction(to: 1)
            XCTAssertEqual(member.connect(earlier, into: &effects), .accept(isNew: true))
            peer.disk.processCrash()
            member.disconnected(2, nonce: earlier.nonce)
            let later = try open(peer.disk, setup(2, of: 2, seed: 3), &effects)

            hook.isOn = true
            effects = []
            for _ in 0..<2 {
                guard case .refuse(let refusal) = member.connect(later.introduction(to: 1), into: &effects) else {
                    return XCTFail("what is not noted is accepted: \(operation) \(number)")
                }
                XCTAssertEqual(refusal.reason, .unavailable)
                XCTAssertFalse(refusal.stopsMember, "the peer comes again")
            }
            XCTAssertNil(member.failure, "\(operation) \(number)")
            let told = effects.compactMap { if case .retrying(let text) = $0 { text } else { nil } }
            XCTAssertEqual(told.count, 2)
            XCTAssertTrue(told[0].contains("member 2") && told[0].contains("m"), told[0])
            // It counts as not heard, and the opening before as the latest.
            var wiped = earlier
            wiped.incarnation = UniqueID(high: 9, low: 9)
            XCTAssertEqual(try refusal(wiped, by: member).reason, .wiped)
            XCTAssertEqual(member.connect(earlier, into: &effects), .accept(isNew: false))
            member.disconnected(2, nonce: earlier.nonce)

            hook.isOn = false
            XCTAssertEqual(member.connect(later.introduction(to: 1), into: &effects), .accept(isNew: true))
            disk.powerLoss(salt: 3)
            let again = try open(disk, setup(1, of: 2, seed: 4), &effects)
            let known = later.introduction(to: 1)
            XCTAssertEqual(again.connect(known, into: &effects), .accept(isNew: false))
            again.disconnected(2, nonce: known.nonce)
            XCTAssertEqual(try refusal(earlier, by: again).reason, .rolledBack, "it was noted")
        }
    }

    func testADiskThatIsBrokenFailsTheMember() throws {
        let breaks: [(FileError.Operation, FileError.Number)] = [
            (.write, .inputOutput), (.sync, .inputOutput), (.syncDirectory, .inputOutput), (.syncDirectory, .noSpace),
            (.open, .readOnly),
        ]
        for (operation, number) in breaks {
            let hook = FailingNote(operation, number)
            let (member, _, peer) = try reopened(hook)
            hook.isOn = true
            var effects: [ReplicaEffect] = []
            guard case .refuse = member.connect(peer.member.introduction(to: 1), into: &effects) else {
                return XCTFail("it was accepted")
            }
            XCTAssertEqual(member.failure?.file?.number, number)
        }
    }

    /// Before the first boot is over anybody is answered, under every id that it names.
    func testAgreement_withAnUnknownPeer_isNotNoted() throws {
        var effects: [ReplicaEffect] = []
        let started = try open(SimulatedDisk(), setup(1, of: 3), &effects)
        let established = try XCTUnwrap(try form((1...3).map { _ in SimulatedDisk() }, seed: 1).first).member
        for member in [started, established] {
            for peer in [9, 2, 10, 3, 11] as [MemberID] {
                member.agreed(WireAgreement(version: 1, featureLevel: 7), with: peer)
            }
            XCTAssertEqual(member.agreements.all.map(\.peer), [2, 3])
        }
        XCTAssertEqual(established.replica?.agreements.all.map(\.peer), [2, 3])
    }

    func testAListWithoutTheMemberIsRefused() {
        var effects: [ReplicaEffect] = []
        XCTAssertThrowsError(try open(SimulatedDisk(), setup(4, of: 3), &effects)) {
            XCTAssertEqual(($0 as? ReplicaError)?.code, .invalid)
        }
    }
}
