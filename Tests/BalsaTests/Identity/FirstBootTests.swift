import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// The first boot, step by step.
final class FirstBootTests: XCTestCase {
    private func room(_ count: UInt64 = 3) -> FirstBootRoom {
        var room = FirstBootRoom(count)
        for member in 1...count { room.start(member) }
        return room
    }

    func testThreeMembersBecomeOneCluster() throws {
        var room = room()
        room.settle()
        XCTAssertEqual(room.established, [1, 2, 3])
        XCTAssertEqual(room.clusters.count, 1)
        let table = try XCTUnwrap(room.clusters.first).table
        XCTAssertEqual(table.members, [1, 2, 3])
        XCTAssertEqual(table[2]?.incarnation, FirstBootRoom.incarnation(2))
        XCTAssertEqual(table[3]?.address, "10.0.0.3:7001")
    }

    func testASingleMemberNeedsNobodyElse() {
        var room = room(1)
        XCTAssertNotNil(room[1].writing?.established)
        XCTAssertTrue(room.letters.isEmpty)
        room.write(1)
        XCTAssertEqual(room.established, [1])
    }

    func testNothingIsProposedBeforeEverybodyWasHeard() {
        var room = room()
        room.letters.removeAll { $0.from == 3 }
        room.settleOnce()
        XCTAssertEqual(room[1].disk.state, .prepared)
        room.step(3, .timer)
        room.settleOnce()
        XCTAssertNotNil(room[1].disk.cluster)
    }

    func testTheLowestIsNotEstablishedBeforeAllHaveNoted() {
        var room = room()
        room.settleOnce(dropping: { letter in
            if case .noted = letter.message { letter.from == 3 } else { false }
        })
        XCTAssertNotNil(room[3].disk.cluster)
        XCTAssertEqual(room.established, [])
        room.settle()
        XCTAssertEqual(room.established, [1, 2, 3])
    }

    func testANoteLeavesOnlyOnceItIsDurable() {
        var room = room()
        while room[2].writing == nil {
            for member in [MemberID(1), 3] { room.write(member) }
            room.deliver(0)
        }
        XCTAssertFalse(room.letters.contains { $0.from == 2 && isNote($0.message) })
        room.write(2)
        XCTAssertTrue(room.letters.contains { $0.from == 2 && isNote($0.message) })
    }

    private func isNote(_ message: FirstBootMessage) -> Bool { if case .noted = message { true } else { false } }

    func testNobodyIsToldBeforeTheLowestIsDurablyEstablished() {
        var room = room()
        while room[1].writing?.established == nil {
            for member in [MemberID(2), 3] { room.write(member) }
            if room[1].writing?.established == nil { room.write(1) }
            room.deliver(0)
        }
        XCTAssertFalse(room.letters.contains { if case .established = $0.message { true } else { false } })
        room.write(1)
        XCTAssertEqual(room.letters.filter { if case .established = $0.message { true } else { false } }.count, 2)
    }

    func testAfterACrashTheSameProposalIsGoneOnWith() throws {
        var room = room()
        room.settleOnce(dropping: { if case .noted = $0.message { true } else { false } })
        let noted = try XCTUnwrap(room[1].disk.cluster)
        room.start(1)
        room.settle()
        XCTAssertEqual(room.clusters, [noted])
        XCTAssertEqual(room.established, [1, 2, 3])
    }

    func testAMemberThatWasEmptiedBeforeAnybodyWasEstablishedGetsAnotherProposal() throws {
        var room = room()
        room.settleOnce(dropping: { if case .noted = $0.message { true } else { false } })
        let before = try XCTUnwrap(room[1].disk.cluster)
        room.wipe(3)
        room.start(3)
        room.settle()
        XCTAssertEqual(room.established, [1, 2, 3])
        XCTAssertNotEqual(room.clusters, [before])
        XCTAssertEqual(room.clusters.first?.table[3]?.incarnation, FirstBootRoom.incarnation(3, 2))
    }

    func testAMemberThatWasEmptiedLaterIsRefusedAndTold() {
        for wiped in [MemberID(1), 2, 3] {
            var room = room()
            room.settle()
            room.wipe(wiped)
            room.start(wiped)
            room.settle()
            XCTAssertEqual(room[wiped].refusal?.reason, .wiped, "member \(wiped)")
            XCTAssertTrue(room[wiped].refusal?.description.contains("member \(wiped)") ?? false)
            XCTAssertEqual(room.clusters.count, 1)
        }
    }

    func testTwoOfThreeThatWereEmptiedMakeNoClusterWithoutTheThird() {
        for survivor in [MemberID(1), 2, 3] {
            var room = room()
            room.settle()
            for member in [MemberID(1), 2, 3] where member != survivor {
                room.wipe(member)
                room.start(member)
            }
            room.settle()
            XCTAssertEqual(room.clusters.count, 1)
            XCTAssertEqual(room.established, [survivor])
        }
    }

    func testTheLowestThatWasEmptiedWhileOthersHaveOnlyNotedMakesNoOtherCluster() {
        var room = room()
        room.settleOnce(dropping: { if case .established = $0.message { true } else { false } })
        XCTAssertEqual(room.established, [1])
        room.wipe(1)
        room.start(1)
        room.settle()
        XCTAssertEqual(room.clusters.count, 1)
        XCTAssertEqual(room.established, [])
        XCTAssertTrue(room[2].problems.contains(.otherProposer(1)))
        // What the sentence advises: when all are empty nothing is left that could be lost.
        for member in [MemberID(2), 3] {
            room.wipe(member)
            room.start(member)
        }
        room.settle()
        XCTAssertEqual(room.established, [1, 2, 3])
    }

    func testALateProposalDoesNoHarm() throws {
        var room = room()
        room.settleOnce(dropping: { if case .noted = $0.message { true } else { false } })
        let old = try XCTUnwrap(room[1].disk.cluster)
        room.wipe(3)
        room.start(3)
        room.settleOnce(dropping: { if case .established = $0.message { true } else { false } })
        XCTAssertEqual(room.established, [1])
        room.letters.append(.init(from: 1, to: 2, message: .proposal(old)))
        room.deliver(room.letters.count - 1)
        room.write(2)
        XCTAssertEqual(room[2].disk.cluster, old)
        room.settle()
        XCTAssertEqual(room.established, [1, 2, 3])
        XCTAssertEqual(room.clusters.count, 1)
    }

    func testAMemberThatIsNotListedIsReportedAndIgnored() {
        var room = room()
        room.step(1, .received(.hello(incarnation: UniqueID(high: 9, low: 9)), from: 4))
        XCTAssertEqual(room[1].problems, [.unknownPeer(4)])
        XCTAssertEqual(
            room[1].problems.first?.description,
            "member 4 takes part in the first boot and is not listed: start all members with the same list"
        )
        XCTAssertNil(room[1].writing)
        // What the sentence advises: without member 4 in any list, it says nothing to these.
        room.settle()
        XCTAssertEqual(room.established, [1, 2, 3])
    }

    func testHello_ofTheIncarnationOfAnotherMember_isReportedAndNothingIsProposed() {
        var room = room()
        let incarnation = FirstBootRoom.incarnation(2)
        for member in [2, 3] as [MemberID] {
            room.step(1, .received(.hello(incarnation: incarnation), from: member))
        }
        XCTAssertEqual(room[1].problems, [.sameIncarnation([2, 3])])
        XCTAssertNil(room[1].writing)
        XCTAssertEqual(
            room[1].problems.first?.description,
            "the directories of the members [2, 3] are copies of one: stop all of these members but one, empty the "
                + "directories of those that are stopped, and start them again"
        )
        room.step(1, .received(.hello(incarnation: FirstBootRoom.incarnation(1)), from: 3))
        XCTAssertEqual(room[1].problems.last, .sameIncarnation([1, 3]), "that of the lowest itself")
        // What the sentence advises.
        room.step(1, .received(.hello(incarnation: FirstBootRoom.incarnation(3, 2)), from: 3))
        XCTAssertNotNil(room[1].writing?.cluster)
        XCTAssertEqual(room[1].problems.count, 2)
    }

    func testAProposalOfOtherMembersIsReportedAndNotNoted() throws {
        var room = room()
        let rows = [MemberID(1), 2].map {
            MemberTable.Row(member: $0, incarnation: FirstBootRoom.incarnation($0), address: "a")
        }
        let cluster = ClusterIdentity(id: UniqueID(high: 1, low: 1), table: try MemberTable(rows))
        room.step(2, .received(.proposal(cluster), from: 1))
        XCTAssertEqual(room[2].problems, [.otherList([1, 2], listed: [1, 2, 3])])
        XCTAssertNil(room[2].writing)
    }

    func testAProposalOfAnotherThanTheLowestIsIgnored() throws {
        var room = room()
        let rows = [MemberID(1), 2, 3].map {
            MemberTable.Row(member: $0, incarnation: FirstBootRoom.incarnation($0), address: "a")
        }
        let cluster = ClusterIdentity(id: UniqueID(high: 1, low: 1), table: try MemberTable(rows))
        room.step(2, .received(.proposal(cluster), from: 3))
        XCTAssertNil(room[2].writing)
    }

    func testTwoMachinesStartedAsTheLowestMakeNoTwoClusters() throws {
        var room = room()
        var rows = [MemberID(1), 2, 3].map {
            MemberTable.Row(member: $0, incarnation: FirstBootRoom.incarnation($0), address: "a")
        }
        rows[0].incarnation = UniqueID(high: 77, low: 77)
        let other = ClusterIdentity(id: UniqueID(high: 1, low: 1), table: try MemberTable(rows))
        room.step(3, .received(.proposal(other), from: 1))
        room.write(3)
        room.settle()
        XCTAssertEqual(room.established, [], "member 3 has noted the proposal of the other one")
        XCTAssertTrue(room[3].problems.contains(.otherProposer(1)))
        XCTAssertEqual(
            room[3].problems.last?.description,
            "two directories make proposals as member 1: if it was started twice, stop the second one; if that does "
                + "not "
                + "help, or its directory was emptied, and no member has joined a cluster, empty the directories of "
                + "all "
                + "members"
        )
        // What the sentence advises. The second one is gone already, which does not help here.
        for member in [MemberID(1), 2, 3] {
            room.wipe(member)
            room.start(member)
        }
        room.settle()
        XCTAssertEqual(room.established, [1, 2, 3])
        XCTAssertEqual(room.clusters.count, 1)
    }

    /// What the sentence of two directories advises, where the first one has been noted by all.
    func testASecondMachineStartedAsTheLowest_isStoppedAndTheFirstGoesOn() throws {
        var room = room()
        room.settleOnce(dropping: { if case .established = $0.message { true } else { false } })
        var rows = [MemberID(1), 2, 3].map {
            MemberTable.Row(member: $0, incarnation: FirstBootRoom.incarnation($0), address: "a")
        }
        rows[0].incarnation = UniqueID(high: 77, low: 77)
        let other = ClusterIdentity(id: UniqueID(high: 1, low: 1), table: try MemberTable(rows))
        for member in [MemberID(2), 3] { room.step(member, .received(.proposal(other), from: 1)) }
        XCTAssertEqual(room[2].problems, [.otherProposer(1)])
        XCTAssertEqual(room[3].problems, [.otherProposer(1)])
        room.settle()
        XCTAssertEqual(room.established, [1, 2, 3])
        XCTAssertEqual(room.clusters.count, 1)
        XCTAssertFalse(room.clusters.contains(other))
    }

    func testAClusterWithoutThisMemberIsRefused() throws {
        var room = room()
        let rows = [MemberTable.Row(member: 1, incarnation: FirstBootRoom.incarnation(1), address: "a")]
        let cluster = ClusterIdentity(id: UniqueID(high: 1, low: 1), table: try MemberTable(rows))
        room.step(2, .received(.established(cluster), from: 1))
        XCTAssertEqual(room[2].refusal?.reason, .unknownMember)
    }

    func testAnEstablishedMemberAnswersEverythingButWhatIsAnAnswer() throws {
        let rows = [MemberTable.Row(member: 1, incarnation: FirstBootRoom.incarnation(1), address: "a")]
        let cluster = ClusterIdentity(id: UniqueID(high: 1, low: 1), table: try MemberTable(rows))
        let hello = FirstBootMessage.hello(incarnation: UniqueID(high: 3, low: 4))
        XCTAssertEqual(FirstBoot.answer(to: hello, of: cluster), .established(cluster))
        XCTAssertEqual(FirstBoot.answer(to: .proposal(cluster), of: cluster), .established(cluster))
        XCTAssertNil(FirstBoot.answer(to: .established(cluster), of: cluster))
    }
}

extension FirstBootRoom {
    /// Delivers what is on its way, and what follows from it, once, but for what `isDropped`.
    mutating func settleOnce(dropping isDropped: (Letter) -> Bool = { _ in false }) {
        while true {
            for station in stations { write(station.disk.member) }
            letters.removeAll(where: isDropped)
            guard !letters.isEmpty else { return }
            deliver(0)
        }
    }
}
