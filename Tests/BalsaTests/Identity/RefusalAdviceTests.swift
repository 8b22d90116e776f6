import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// What the sentences of refusals advise where more than one peer has listened, and which refusals need none.
final class RefusalAdviceTests: XCTestCase {
    private let cluster = UniqueID(high: 5, low: 5)
    private var seed: UInt64 = 500

    private func open(
        _ member: MemberID,
        _ disk: SimulatedDisk,
        _ hook: (any DiskHook)? = nil
    ) throws(ReplicaError) -> Member {
        seed += 1
        var setup = MemberSetup(
            directory: "m",
            member: member,
            list: (1...3).map { MemberAddress(member: $0, address: "a:\($0)") },
            seed: seed,
            identitySeed: UniqueID(high: seed, low: member)
        )
        setup.options.log.sectorBytes = 512
        setup.options.log.smallestSegmentBytes = 4_096
        setup.options.log.largestSegmentBytes = 65_536
        var effects: [ReplicaEffect] = []
        return try Member.open(
            setup,
            fileSystem: disk.mount(hook),
            provider: RegisterProvider(),
            at: .zero,
            into: &effects
        )
    }

    /// The disks of three members of a cluster that have never talked to each other since they belong to it.
    private func formed() throws -> [SimulatedDisk] {
        let rows = (1...3 as ClosedRange<UInt64>).map {
            MemberTable.Row(member: $0, incarnation: UniqueID(high: $0, low: $0 * 11), address: "a")
        }
        let cluster = ClusterIdentity(id: cluster, table: try MemberTable(rows))
        return try rows.map { row in
            let disk = SimulatedDisk()
            let files = disk.mount()
            try files.createDirectory("m")
            let identity = Identity(member: row.member, incarnation: row.incarnation, state: .established(cluster))
            var boot = BootRecord(incarnation: row.incarnation)
            boot.bump(nonce: 70 + row.member)
            for (name, bytes) in [("m/IDENTITY", try identity.encoded()), ("m/BOOT", try boot.encoded())] {
                let file = try files.open(name, .create)
                try file.write(TwinFile.encoded(bytes), at: 0)
                try file.sync()
            }
            try files.syncDirectory("m")
            try files.syncDirectory(".")
            return disk
        }
    }

    /// Connects a member to a peer; nil where both accept.
    private func connect(_ member: Member, to peer: Member) -> IdentityRefusal.Reason? {
        var effects: [ReplicaEffect] = []
        for _ in 0..<3 {
            if case .refuse(let refusal) = peer.connect(member.introduction(to: peer.member), into: &effects) {
                member.step(.refused(refusal), at: .zero, into: &effects)
                if refusal.isPassing { continue }
                return refusal.reason
            }
            if case .refuse(let refusal) = member.connect(peer.introduction(to: member.member), into: &effects) {
                peer.step(.refused(refusal), at: .zero, into: &effects)
                return refusal.reason
            }
            return nil
        }
        return .unproven
    }

    private func disconnect(_ member: Member, from peers: Member...) {
        for peer in peers {
            peer.disconnected(member.member, nonce: member.introduction(to: peer.member).nonce)
        }
    }

    func testTheAdvice_ofARefusedOldDirectory_saysWhenTheLatestIsRefusedToo() throws {
        for oldIsHeard in [false, true] {
            let disks = try formed()
            var member = try open(1, disks[0])
            let second = try open(2, disks[1])
            var third = try open(3, disks[2])
            XCTAssertNil(connect(member, to: second))
            XCTAssertNil(connect(member, to: third))
            disconnect(member, from: second)
            disks[0].processCrash()
            let image = disks[0].snapshot()
            disks[2].processCrash()
            // The third member is down during the opening that the image has forgotten.
            member = try open(1, disks[0])
            XCTAssertNil(connect(member, to: second))
            disconnect(member, from: second)
            disks[0].processCrash()

            let back = SimulatedDisk(image)
            back.processCrash()
            third = try open(3, disks[2])
            let old = try open(1, back)
            if oldIsHeard { XCTAssertNil(connect(old, to: third), "it cannot know") }
            XCTAssertEqual(connect(old, to: second), .rolledBack)
            let sentence = try XCTUnwrap(old.failure?.message)
            for part in [
                "put the latest directory back",
                "refused as well because some member has listened to this one, the others go on without the member",
            ] { XCTAssertTrue(sentence.contains(part), sentence) }
            disconnect(old, from: second, third)

            // What the sentence advises: the latest directory. It is right about both cases.
            let latest = try open(1, disks[0])
            XCTAssertNil(connect(latest, to: second))
            XCTAssertEqual(connect(latest, to: third), oldIsHeard ? .rolledBack : nil)
            XCTAssertEqual(latest.failure != nil, oldIsHeard)
            XCTAssertNil(connect(second, to: third), "the others go on")
        }
    }

    func testTheAdvice_ofACopy_saysWhatToDoIfBothProcessesHaveFailed() throws {
        let disks = try formed()
        let stopped = try open(1, disks[0])
        let second = try open(2, disks[1])
        let third = try open(3, disks[2])
        XCTAssertNil(connect(stopped, to: second))
        XCTAssertNil(connect(stopped, to: third))
        disconnect(stopped, from: second, third)
        disks[0].processCrash()
        let copied = SimulatedDisk(disks[0].snapshot())
        copied.processCrash()
        let original = try open(1, disks[0])
        let copy = try open(1, copied)
        XCTAssertNil(connect(original, to: second))
        XCTAssertNil(connect(copy, to: third))
        XCTAssertEqual(connect(original, to: third), .cloned)
        XCTAssertEqual(connect(copy, to: second), .cloned)
        for failed in [original, copy] {
            let sentence = try XCTUnwrap(failed.failure?.message)
            XCTAssertTrue(sentence.contains("if both have failed, the others go on without the member"), sentence)
        }
        // As the sentence advises.
        XCTAssertNil(connect(second, to: third))
    }

    /// Item 8 of a trial: the directory of a running member is copied, and the copy is started. Then it is the original
    /// that fails, and that must stay stopped.
    func testTheAdvice_ofACopyOfARunningMember_isRightForTheOneThatHasFailed() throws {
        let disks = try formed()
        let original = try open(1, disks[0])
        let second = try open(2, disks[1])
        let third = try open(3, disks[2])
        XCTAssertNil(connect(original, to: second))
        XCTAssertNil(connect(original, to: third))
        let copied = SimulatedDisk(disks[0].snapshot())
        copied.processCrash()
        let copy = try open(1, copied)
        XCTAssertNil(connect(copy, to: second))
        XCTAssertEqual(connect(original, to: second), .cloned)
        XCTAssertEqual(
            original.failure?.message,
            "member 1 is up twice, on copies of one directory: stop the one that has failed with this message, and "
                + "never start "
                + "it again; the other one goes on as member 1, and has lost what the first promised after the copy "
                + "was made; "
                + "if both have failed, the others go on without the member, which cannot be replaced yet"
        )
        XCTAssertNil(copy.failure)
        // What the sentence advises.
        disconnect(original, from: second, third)
        XCTAssertNil(connect(copy, to: third))
        // And after it is started again.
        disconnect(copy, from: second, third)
        copied.processCrash()
        let again = try open(1, copied)
        for peer in [second, third] { XCTAssertNil(connect(again, to: peer)) }
        // The original is refused whenever it is started.
        disks[0].processCrash()
        let back = try open(1, disks[0])
        XCTAssertEqual(connect(back, to: second), .cloned)
        XCTAssertNotNil(back.failure)
        XCTAssertNil(again.failure)
    }

    func testTheAdvice_ofAMemberThatIsUnavailable_isToFreeSpaceOrToOpenItAgain() throws {
        for number in [FileError.Number.noSpace, .inputOutput] {
            let disks = try formed()
            let hook = FailingNote(.write, number)
            let member = try open(1, disks[0], hook)
            let peer = try open(2, disks[1])
            hook.isOn = true
            var effects: [ReplicaEffect] = []
            guard case .refuse(let refusal) = member.connect(peer.introduction(to: 1), into: &effects) else {
                return XCTFail("\(number): it has listened")
            }
            XCTAssertEqual(
                refusal.description,
                "member 1 has failed or has no space on its disk: see what it says, and open it again if it has failed"
            )
            // What the sentence advises: it says what is wrong.
            let says = effects.compactMap { effect -> String? in
                switch effect {
                case .retrying(let text): text
                case .failed(let error): "\(error)"
                default: nil
                }
            }
            XCTAssertEqual(says.count, 1)
            XCTAssertTrue(says.first?.contains("m/BOOT.new: \(number)") ?? false, "\(says)")
            XCTAssertEqual(member.failure != nil, number == .inputOutput)
            hook.isOn = false
            guard member.failure != nil else {
                XCTAssertNil(connect(peer, to: member), "there is space again")
                continue
            }
            XCTAssertEqual(connect(peer, to: member), .unavailable)
            disks[0].processCrash()
            XCTAssertNil(connect(peer, to: try open(1, disks[0])))
        }
    }

    func testTheAdvice_ofAMalformedIntroduction_isAReleaseThatFits() throws {
        let disks = try formed()
        let member = try open(1, disks[0])
        let peer = try open(2, disks[1])
        var other = peer.introduction(to: 1)
        other.nonces = []
        var effects: [ReplicaEffect] = []
        guard case .refuse(let refusal) = member.connect(other, into: &effects) else {
            return XCTFail("it has listened")
        }
        XCTAssertEqual(
            refusal.description,
            "what member 2 said to introduce itself is not what a member says: check that it is of a release that fits"
        )
        // What the sentence advises: this release.
        XCTAssertNil(connect(peer, to: member))
    }

    /// What a peer remembers is needed when the record of openings is full. If there was no space to note it, the next
    /// connection notes it.
    func testAnOpening_thatCouldNotBeNotedAsKnown_isNotedByTheNextConnection() throws {
        let disks = try formed()
        let hook = FailingNote(.write, .noSpace)
        let member = try open(1, disks[0], hook)
        let peer = try open(2, disks[1])
        var effects: [ReplicaEffect] = []
        XCTAssertEqual(member.connect(peer.introduction(to: 1), into: &effects), .accept(isNew: true))
        XCTAssertEqual(peer.connect(member.introduction(to: 2), into: &effects), .accept(isNew: true))
        hook.isOn = true
        for _ in 0..<2 {
            XCTAssertEqual(member.connect(peer.introduction(to: 1), into: &effects), .accept(isNew: false))
        }
        hook.isOn = false
        XCTAssertEqual(try boot(disks[0]).peers.map(\.known), [nil])
        XCTAssertEqual(member.connect(peer.introduction(to: 1), into: &effects), .accept(isNew: false))
        let noted = try boot(disks[0])
        XCTAssertEqual(noted.peers.map(\.known), [noted.opening(2)])
        XCTAssertNotNil(noted.opening(2))
    }

    private func boot(_ disk: SimulatedDisk) throws -> BootRecord {
        try TwinFile.boot(Bytes(try XCTUnwrap(disk.contents(of: "m/BOOT"))))
    }

    /// Whatever answers at an address may ask for anything.
    func testAMember_thatIsAskedByAnotherThanItMeant_showsNothing() throws {
        let disks = try formed()
        let member = try open(1, disks[0])
        for _ in 0..<20 {
            disks[0].processCrash()
            _ = try open(1, disks[0])
        }
        disks[0].processCrash()
        let again = try open(1, disks[0])
        _ = member
        func ask(_ refuser: MemberID, meant: MemberID) -> IdentityRefusal {
            let refusal = IdentityRefusal(
                .unproven,
                of: again.introduction(to: meant),
                by: refuser,
                in: cluster,
                remembering: 1
            )
            var effects: [ReplicaEffect] = []
            again.step(.refused(refusal), at: .zero, into: &effects)
            return refusal
        }
        XCTAssertFalse(ask(3, meant: 2).isPassing)
        for meant in [2, 3] as [MemberID] { XCTAssertNil(again.introduction(to: meant).proof) }
        _ = ask(1_000, meant: 1_000)
        XCTAssertNil(again.introduction(to: 1_000).proof, "it is not in the table")
        XCTAssertTrue(ask(2, meant: 2).isPassing)
        XCTAssertEqual(again.introduction(to: 2).proof?.boot, 1)
        let repeated = ask(2, meant: 2)
        XCTAssertFalse(repeated.isPassing, "it was shown")
        XCTAssertTrue(
            repeated.description.hasSuffix(
                "correct the address that member 1 has for member 2; if it is right, check that both are of releases "
                    + "that fit"
            ),
            repeated.description
        )
        // What the sentence advises: the right address, and both of this release.
        XCTAssertNil(connect(again, to: try open(2, disks[1])))
        let other = IdentityRefusal(
            .unproven,
            of: again.introduction(to: 3),
            by: 3,
            in: UniqueID(high: 9, low: 9),
            remembering: 1
        )
        XCTAssertFalse(other.isPassing)
    }

    func testAMember_thatHasListenedToOthersAndLostGroupsAndLog_isRefused() throws {
        let disks = try formed()
        XCTAssertNil(connect(try open(1, disks[0]), to: try open(2, disks[1])))
        disks[0].processCrash()
        let files = disks[0].mount()
        for name in ["groups/1/state-1", "groups/1", "groups", "log"] { try files.removeDirectory("m/\(name)") }
        try files.syncDirectory("m")
        disks[0].processCrash()
        let digest = disks[0].contentDigest
        XCTAssertThrowsError(try open(1, disks[0])) {
            XCTAssertEqual(($0 as? ReplicaError)?.code, .damaged)
            XCTAssertTrue("\($0)".contains("m/groups/1/ROOT is missing"), "\($0)")
        }
        disks[0].processCrash()
        XCTAssertEqual(disks[0].contentDigest, digest)
    }
}
