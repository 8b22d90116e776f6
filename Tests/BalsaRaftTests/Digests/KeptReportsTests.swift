import XCTest

@testable import BalsaRaft

/// What a leader goes on knowing of the states while it alone records digests: more of them than it keeps.
final class KeptReportsTests: DigestTestCase {
    private let diverged = Message.Body.checkpointRequest(CheckpointRequest(.diverged, atLeast: 5))
    private let unreadable = Message.Body.checkpointRequest(CheckpointRequest(.unreadable, atLeast: 5))

    /// The leader records as many digests as it keeps, and more. Nobody else reports.
    private func recordMany(_ member: inout TestMember) {
        let first = (member.raft.leadership?.digests.newestIndex ?? 0) + 1
        for index in first...first + 70 { member.step(.digest(digest(index, 100 + index))) }
        XCTAssertEqual(member.raft.leadership?.digests.count, 64)
    }

    /// A transfer to the one that differs is under way when the other one goes down, and writes go on.
    func testLeader_whoseStateWasThatOfTheMajority_isConfirmedStill() throws {
        var member = try leader()
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 7), through: 5), from: 3, term: 1)
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        member.hear(diverged, from: 2, term: 1)
        XCTAssertEqual(member.wantedSnapshots, [2])
        recordMany(&member)
        XCTAssertTrue(member.raft.isConfirmed)
        XCTAssertTrue(member.raft.mayOffer(to: 2))
        // The other one is back, and its state is another one.
        let index = member.raft.leadership?.digests.newestIndex ?? 0
        member.propose(Int(index - 5))
        member.hear(report(digest(index, 9), through: 5), from: 3, term: 1)
        XCTAssertFalse(member.raft.mayOffer(to: 2))
        recordMany(&member)
        XCTAssertFalse(member.raft.mayOffer(to: 2), "that is kept as well")
    }

    /// The states of the others may be right: they get none that may be wrong.
    func testDispute_thatNothingHasDecided_isNotForgotten() throws {
        var member = try leader(of: 5)
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        // The same by a state that was received, which decides nothing.
        member.step(.digest(digest(6, 7)))
        member.propose()
        for peer in [3, 4] as [MemberID] {
            member.hear(report(digest(6, 7), through: 5, received: 5), from: peer, term: 1)
        }
        XCTAssertTrue(member.raft.isInDispute)
        recordMany(&member)
        XCTAssertTrue(member.raft.isInDispute)
        member.hear(unreadable, from: 5, term: 1)
        XCTAssertEqual(member.wantedSnapshots, [])
    }

    /// The comparison that made one of them a witness is forgotten.
    func testDispute_thatWasDecided_staysDecided() throws {
        var member = try leader(of: 5)
        member.propose(3)
        member.hearAcceptance(from: [2, 3, 4, 5], through: 8)
        member.step(.digest(digest(5, 7)))
        for peer in [2, 3, 4] as [MemberID] {
            member.hear(report(digest(5, 7), through: 8, received: peer == 2 ? 4 : 0), from: peer, term: 1)
        }
        member.step(.digest(digest(8, 17)))
        member.hear(report(digest(8, 17), through: 8, received: 4), from: 2, term: 1)
        member.hear(report(digest(8, 17), through: 8), from: 3, term: 1)
        member.hear(report(digest(8, 18), through: 8), from: 4, term: 1)
        XCTAssertEqual(member.takeReports(), [.stateDiverged(4, own: 18, majority: digest(8, 17))])
        recordMany(&member)
        XCTAssertFalse(member.raft.isInDispute)
        XCTAssertTrue(member.raft.isConfirmed)
        member.hear(report(digest(8, 19), through: 8), from: 5, term: 1)
        XCTAssertEqual(member.takeReports(), [.stateDiverged(5, own: 19, majority: digest(8, 17))], "nor for others")
        XCTAssertFalse(member.raft.isInDispute)
    }

    /// The one that received its state was of one mind with the one that differs, and with nobody else.
    func testDispute_thatWasDecidedAgainstOneMember_staysDecided() throws {
        var member = try leader(of: 5)
        member.propose(3)
        member.hearAcceptance(from: [2, 3, 4, 5], through: 8)
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 6), through: 8, received: 4), from: 2, term: 1)
        member.hear(report(digest(5, 6), through: 8), from: 4, term: 1)
        member.step(.digest(digest(8, 17)))
        member.hear(report(digest(8, 17), through: 8, received: 4), from: 2, term: 1)
        member.hear(report(digest(8, 17), through: 8), from: 3, term: 1)
        member.hear(report(digest(8, 18), through: 8), from: 4, term: 1)
        XCTAssertEqual(member.takeReports().last, .stateDiverged(4, own: 18, majority: digest(8, 17)))
        XCTAssertFalse(member.raft.isInDispute)
        recordMany(&member)
        XCTAssertFalse(member.raft.isInDispute)
        XCTAssertTrue(member.raft.isConfirmed)
    }

    /// One that is older than all that may go pushes nothing out.
    func testReport_ofAnIndexThatIsTooOld_isNotKept() throws {
        var member = try leader()
        member.propose(200)
        member.hearAcceptance(from: [2, 3], through: 205)
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 7), through: 205), from: 3, term: 1)
        for index in LogIndex(100)...162 { member.step(.digest(digest(index, index))) }
        XCTAssertEqual(member.raft.leadership?.digests.count, 64)
        member.hear(report(digest(50, 1), through: 205), from: 2, term: 1)
        member.step(.digest(digest(163, 163)))
        XCTAssertEqual(member.raft.leadership?.digests.count, 64)
        member.hear(report(digest(101, 1), through: 205), from: 2, term: 1)
        XCTAssertTrue(member.raft.isInDispute, "the entry 101 is compared still")
        member.hear(report(digest(5, 8), through: 205), from: 2, term: 1)
        XCTAssertEqual(
            member.takeReports(),
            [.stateDiverged(2, own: 8, majority: digest(5, 7))],
            "and the one at which there was a majority"
        )
    }
}
