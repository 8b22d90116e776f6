import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// A peer believes an opening only of a directory that knows the opening which the peer remembers: however often a member was
/// opened since, it is accepted, and however often a directory that was set back is opened, it is not.
final class OpeningHistoryTests: XCTestCase {
    private var seed: UInt64 = 100

    private func setup(_ member: MemberID) -> MemberSetup {
        seed += 1
        var setup = MemberSetup(
            directory: "m",
            member: member,
            list: [1, 2].map { MemberAddress(member: $0, address: "a:\($0)") },
            seed: seed,
            identitySeed: UniqueID(high: seed, low: member)
        )
        setup.options.log.sectorBytes = 512
        setup.options.log.smallestSegmentBytes = 4_096
        setup.options.log.largestSegmentBytes = 65_536
        return setup
    }

    private func open(
        _ member: MemberID,
        _ disk: SimulatedDisk,
        _ files: SimulatedFileSystem? = nil
    ) throws(ReplicaError) -> Member {
        var effects: [ReplicaEffect] = []
        return try Member.open(
            setup(member),
            fileSystem: files ?? disk.mount(),
            provider: RegisterProvider(),
            at: .zero,
            into: &effects
        )
    }

    /// Opens a member so often, one process after the other, and returns the last.
    private func open(_ member: MemberID, _ disk: SimulatedDisk, times: Int) throws -> Member {
        for _ in 1..<times {
            _ = try open(member, disk)
            disk.processCrash()
        }
        return try open(member, disk)
    }

    /// The disks of two members of a cluster that have never talked to each other since they belong to it.
    private func formed() throws -> [SimulatedDisk] {
        let disks = [SimulatedDisk(), SimulatedDisk()]
        let incarnations = [UniqueID(high: 1, low: 11), UniqueID(high: 2, low: 22)]
        let rows = [0, 1].map { MemberTable.Row(member: MemberID($0 + 1), incarnation: incarnations[$0], address: "a") }
        let cluster = ClusterIdentity(id: UniqueID(high: 5, low: 5), table: try MemberTable(rows))
        for (place, disk) in disks.enumerated() {
            let files = disk.mount()
            try files.createDirectory("m")
            let identity = Identity(
                member: MemberID(place + 1),
                incarnation: incarnations[place],
                state: .established(cluster)
            )
            var boot = BootRecord(incarnation: incarnations[place])
            boot.bump(nonce: 70 + UInt64(place))
            for (name, bytes) in [("m/IDENTITY", try identity.encoded()), ("m/BOOT", try boot.encoded())] {
                let file = try files.open(name, .create)
                try file.write(TwinFile.encoded(bytes), at: 0)
                try file.sync()
            }
            try files.syncDirectory("m")
            try files.syncDirectory(".")
        }
        return disks
    }

    /// How a connection ended that one member began with another.
    private enum Outcome: Equatable {
        case open
        /// The member that was reached refuses the one that connected, or the other way round.
        case refused(IdentityRefusal.Reason, by: MemberID)
    }

    private var attempts = 0

    /// Connects, and again while the reason is that an opening has yet to be shown, as a transport does.
    private func connect(_ member: Member, to peer: Member) -> Outcome {
        attempts = 0
        while true {
            attempts += 1
            XCTAssertLessThan(attempts, 4, "nobody is asked for ever")
            let hello = member.introduction(to: peer.member)
            var effects: [ReplicaEffect] = []
            if case .refuse(let refusal) = peer.connect(hello, into: &effects) {
                member.step(.refused(refusal), at: .zero, into: &effects)
                if refusal.reason == .unproven, attempts < 4 { continue }
                return .refused(refusal.reason, by: peer.member)
            }
            let welcome = peer.introduction(to: member.member)
            if case .refuse(let refusal) = member.connect(welcome, into: &effects) {
                // A welcome answers what the hello said: it never has to be asked for again.
                return .refused(refusal.reason, by: member.member)
            }
            return .open
        }
    }

    /// The peer's process has lost all connections.
    private func disconnect(_ member: Member, from peer: Member) {
        peer.disconnected(member.member, nonce: member.introduction(to: peer.member).nonce)
    }

    func testAMember_thatWasOpenedOftenWhileAPeerWasDown_isAcceptedByThatPeer() throws {
        for times in [1, 3, 7, 8, 9, 300] {
            for connectsItself in [true, false] {
                let disks = try formed()
                XCTAssertEqual(connect(try open(1, disks[0]), to: try open(2, disks[1])), .open)
                for disk in disks { disk.processCrash() }
                let member = try open(1, disks[0], times: times)
                let peer = try open(2, disks[1])
                let label = "\(times) openings, connects \(connectsItself)"
                if connectsItself {
                    XCTAssertEqual(connect(member, to: peer), .open, label)
                    XCTAssertEqual(attempts, times <= 7 ? 1 : 2, label)
                } else {
                    XCTAssertEqual(connect(peer, to: member), .open, label)
                    XCTAssertEqual(attempts, 1, "\(label): the welcome shows it at once")
                }
                XCTAssertEqual(connect(member, to: peer), .open, label)
                XCTAssertEqual(connect(peer, to: member), .open, label)
            }
        }
    }

    func testTwoMembers_thatWereBothOpenedOften_acceptEachOther() throws {
        let disks = try formed()
        XCTAssertEqual(connect(try open(1, disks[0]), to: try open(2, disks[1])), .open)
        for disk in disks { disk.processCrash() }
        let member = try open(1, disks[0], times: 30)
        let peer = try open(2, disks[1], times: 20)
        XCTAssertEqual(connect(member, to: peer), .open)
        XCTAssertEqual(attempts, 2)
    }

    func testADirectory_thatWasSetBack_isRefusedHoweverOftenItWasOpenedSince() throws {
        for times in [1, 2, 7, 8, 9, 10, 20, 100] {
            for connectsItself in [true, false] {
                let disks = try formed()
                XCTAssertEqual(connect(try open(1, disks[0]), to: try open(2, disks[1])), .open)
                disks[0].processCrash()
                let image = disks[0].snapshot()
                // The opening that is forgotten, and that the peer remembers.
                XCTAssertEqual(connect(try open(1, disks[0]), to: try open(2, copyOf(disks[1]))), .open)
                let known = disks[1]
                known.processCrash()
                var peer = try open(2, known)
                disks[0].processCrash()
                let member = try open(1, disks[0])
                XCTAssertEqual(connect(member, to: peer), .open)
                disconnect(member, from: peer)

                let back = SimulatedDisk(image)
                back.processCrash()
                for opening in 1...times {
                    let old = try open(1, back)
                    let label = "\(opening) of \(times), connects \(connectsItself)"
                    let outcome = connectsItself ? connect(old, to: peer) : connect(peer, to: old)
                    let expected: [Outcome] = [.refused(.rolledBack, by: 2), .refused(.cloned, by: 2)]
                    XCTAssertTrue(expected.contains(outcome), "\(label): \(outcome)")
                    XCTAssertEqual(old.failure != nil, connectsItself, label)
                    back.processCrash()
                    if opening % 5 == 0 {
                        known.processCrash()
                        peer = try open(2, known)
                    }
                }
                // The latest directory, which the sentence asks for, is taken back.
                disks[0].processCrash()
                XCTAssertEqual(connect(try open(1, disks[0], times: 2), to: peer), .open)
            }
        }
    }

    private func copyOf(_ disk: SimulatedDisk) -> SimulatedDisk {
        disk.processCrash()
        return disk
    }

    /// Wherever the processes die while one notes the other's opening, or its own, both accept each other afterwards.
    func testACrash_atAnyPointOfNoting_leavesTwoMembersThatAcceptEachOther() throws {
        for victim in [0, 1] {
            let disks = try formed()
            XCTAssertEqual(connect(try open(1, disks[0]), to: try open(2, disks[1])), .open)
            for disk in disks { disk.processCrash() }
            _ = try open(1, disks[0], times: 10)
            disks[0].processCrash()
            let other = disks[1 - victim].snapshot()
            var points = 0
            var cases: Set<[UInt64]> = []
            try disks[victim].forEachCrashPoint { files in
                let disk = SimulatedDisk(other)
                disk.processCrash()
                self.survivor = disk
                let mine = try self.open(MemberID(victim + 1), disks[victim], files)
                let theirs = try self.open(MemberID(2 - victim), disk)
                _ = self.connect(victim == 0 ? mine : theirs, to: victim == 0 ? theirs : mine)
            } check: { crashed, point in
                for image in crashed.crashStates() {
                    points += 1
                    let survivor = SimulatedDisk((self.survivor ?? SimulatedDisk(other)).snapshot())
                    survivor.processCrash()
                    // The crash behind a call and the one before the next leave the same disks.
                    guard cases.insert([image.contentDigest, survivor.contentDigest]).inserted else { continue }
                    let mine = try self.open(MemberID(victim + 1), SimulatedDisk(image))
                    let theirs = try self.open(MemberID(2 - victim), survivor)
                    XCTAssertEqual(self.connect(mine, to: theirs), .open, "\(victim), \(point)")
                    XCTAssertEqual(self.connect(theirs, to: mine), .open, "\(victim), \(point)")
                }
            }
            XCTAssertGreaterThan(points, 20)
        }
    }

    private var survivor: SimulatedDisk?

    /// What a record of 4,096 openings no longer holds is remembered for each peer that has said that it knows it.
    func testAMember_thatWasOpenedMoreOftenThanItsRecordHolds_isAcceptedByAPeerThatWasDown() throws {
        let disks = try formed()
        XCTAssertEqual(connect(try open(1, disks[0]), to: try open(2, disks[1])), .open)
        for disk in disks { disk.processCrash() }
        try addOpenings(5_000, to: disks[0], forgetting: false)
        XCTAssertEqual(connect(try open(1, disks[0]), to: try open(2, disks[1])), .open)

        for disk in disks { disk.processCrash() }
        try addOpenings(5_000, to: disks[0], forgetting: true)
        let member = try open(1, disks[0])
        XCTAssertEqual(connect(member, to: try open(2, disks[1])), .refused(.forgotten, by: 2))
        XCTAssertNil(member.failure, "the others may know it")
    }

    private func addOpenings(_ count: Int, to disk: SimulatedDisk, forgetting: Bool) throws {
        let files = disk.mount()
        var record = try TwinFile.boot(files.open("m/BOOT", .read).read(1 << 20, at: 0))
        for nonce in 1...UInt64(count) { record.bump(nonce: 10_000 + nonce) }
        for place in record.peers.indices where forgetting { record.peers[place].known = nil }
        try files.remove("m/BOOT")
        try files.open("m/BOOT", .create).write(TwinFile.encoded(try record.encoded()), at: 0)
        disk.processCrash()
    }

    // MARK: What the sentences advise

    /// The directory of a member that runs is copied, and the copy is started.
    func testTheAdvice_ofARefusedClone_leavesAMemberThatWorks() throws {
        let disks = try formed()
        let peer = try open(2, disks[1])
        let original = try open(1, disks[0])
        XCTAssertEqual(connect(original, to: peer), .open)
        let copied = SimulatedDisk(disks[0].snapshot())
        copied.processCrash()
        let copy = try open(1, copied)
        XCTAssertEqual(connect(copy, to: peer), .open, "nobody can tell it from a restart")
        XCTAssertEqual(connect(original, to: peer), .refused(.cloned, by: 2))
        let sentence = try XCTUnwrap(original.failure?.message)
        XCTAssertTrue(sentence.contains("stop the one that has failed with this message"), sentence)
        XCTAssertNil(copy.failure, "the other one goes on")
        // Stopped and started, too, also when the peer was.
        disconnect(original, from: peer)
        disconnect(copy, from: peer)
        XCTAssertEqual(connect(copy, to: peer), .open)
        copied.processCrash()
        disks[1].processCrash()
        let again = try open(2, disks[1])
        XCTAssertEqual(connect(try open(1, copied), to: again), .open)
        disks[0].processCrash()
        XCTAssertNotEqual(connect(try open(1, disks[0]), to: again), .open, "never start it again")
    }

    func testTheAdvice_ofARefusedWipedMember_leavesAMemberThatWorks() throws {
        let disks = try formed()
        let peer = try open(2, disks[1])
        let own = try open(1, disks[0])
        XCTAssertEqual(connect(own, to: peer), .open)
        disconnect(own, from: peer)
        let wiped = try open(1, SimulatedDisk())
        XCTAssertEqual(connect(wiped, to: peer), .refused(.wiped, by: 2))
        let sentence = try XCTUnwrap(wiped.failure?.message)
        XCTAssertTrue(sentence.contains("put its own directory back as it was last"), sentence)
        disks[0].processCrash()
        XCTAssertEqual(connect(try open(1, disks[0]), to: peer), .open)
    }

    func testTheAdvice_ofARefusedDuplicate_leavesAMemberThatWorks() throws {
        let disks = try formed()
        let peer = try open(2, disks[1])
        let own = try open(1, disks[0])
        XCTAssertEqual(connect(own, to: peer), .open)
        let other = try open(1, SimulatedDisk())
        XCTAssertEqual(connect(other, to: peer), .refused(.duplicateID, by: 2))
        let sentence = try XCTUnwrap(other.failure?.message)
        XCTAssertTrue(sentence.contains("stop the process whose directory is not the one"), sentence)
        XCTAssertEqual(connect(own, to: peer), .open, "the other one goes on")
    }
}
