import XCTest

@testable import BalsaRaft

/// Appends that are late, doubled, overtaken or empty, and what their answers may prove.
final class AppendTests: XCTestCase {
    private func acceptances(_ messages: [Message]) -> [LogIndex] {
        messages.compactMap { $0.acceptedIndex }
    }

    // MARK: On the follower

    func testALateAppendDoesNotCutOffWhatCameAfterIt() throws {
        var member = try TestMember.follower(term: 1)
        member.hearAppend(from: 2, term: 1, behind: .zero, [1, 1, 1, 1])
        member.takeSent()
        member.hearAppend(from: 2, term: 1, behind: .at(1, 1), [1])
        XCTAssertEqual(member.log.terms, [1, 1, 1, 1])
        XCTAssertEqual(acceptances(member.takeSent()), [2], "it vouches for no more than the append covered")
        member.hearAppend(from: 2, term: 1, behind: .zero)
        XCTAssertEqual(member.log.terms, [1, 1, 1, 1])
        XCTAssertEqual(acceptances(member.takeSent()), [0])
    }

    func testAnAppendThatOverlapsAddsOnlyWhatIsMissing() throws {
        var member = try TestMember.follower(term: 1, log: [1, 1])
        member.holdsPersists = true
        member.hearAppend(from: 2, term: 1, behind: .zero, [1, 1, 1])
        XCTAssertEqual(member.waiting.map(\.persist.entries), [EntryRange(first: 3, last: .at(1, 3))])
        XCTAssertNil(member.waiting[0].persist.truncation)
    }

    func testAnEntryThatAgreesUpToTheConflictStays() throws {
        var member = try TestMember.follower(term: 3, log: [1, 1, 2, 2])
        member.hearAppend(from: 2, term: 3, behind: .at(1, 1), [1, 3])
        XCTAssertEqual(member.log.terms, [1, 1, 3])
        XCTAssertEqual(member.disk.log.terms, [1, 1, 3])
    }

    func testAnAcceptanceLeavesOnlyWhenTheEntriesAreDurable() throws {
        var member = try TestMember.follower(term: 1)
        member.holdsPersists = true
        member.hearAppend(from: 2, term: 1, behind: .zero, [1, 1])
        member.hearAppend(from: 2, term: 1, behind: .at(1, 2))
        XCTAssertTrue(acceptances(member.takeSent()).isEmpty, "not even for an empty append")
        member.completePersist()
        XCTAssertEqual(acceptances(member.takeSent()), [2])
        member.completePersists()
        XCTAssertEqual(acceptances(member.takeSent()), [2])
        member.hearAppend(from: 2, term: 1, behind: .at(1, 2))
        XCTAssertEqual(acceptances(member.takeSent()), [2], "now nothing has to be waited for")
    }

    func testATermIsDurableBeforeAnyEntryOfIt() throws {
        var member = try TestMember.follower(term: 1)
        member.holdsPersists = true
        member.hearAppend(from: 2, term: 5, behind: .zero, [5])
        XCTAssertEqual(member.waiting.count, 1, "term and entry are one persist")
        XCTAssertEqual(member.waiting[0].persist.hardState, HardState(term: 5, vote: 0))
        XCTAssertTrue(member.takeSent().isEmpty)
        // The same where the term came first: the persists complete in their order.
        var other = try TestMember.follower(term: 1)
        other.holdsPersists = true
        other.hearHeartbeat(from: 2, term: 5)
        other.hearAppend(from: 2, term: 5, behind: .zero, [5])
        XCTAssertEqual(other.waiting.first?.persist.hardState?.term, 5)
        XCTAssertEqual(other.waiting.last?.persist.entries?.last, .at(5, 1))
        try other.crash(after: 1)
        XCTAssertEqual(other.raft.term, 5)
    }

    func testAnEmptyAppendBelowTheBeginningOfTheLogMovesNothing() throws {
        var member = try TestMember.follower(term: 3, log: [2, 3], base: .at(2, 10))
        member.hearAppend(from: 2, term: 3, behind: .at(1, 4), commit: 99)
        XCTAssertEqual(member.raft.commitIndex, 10)
        XCTAssertEqual(member.log.terms, [2, 3])
        XCTAssertEqual(acceptances(member.takeSent()), [4])
    }

    func testAnAppendThatBeginsBelowTheLogAddsWhatLiesBehindIt() throws {
        var member = try TestMember.follower(term: 3, log: [3], base: .at(2, 10))
        member.hearAppend(from: 2, term: 3, behind: .at(2, 8), [2, 2, 3, 3])
        XCTAssertEqual(member.log.terms, [3, 3])
        XCTAssertEqual(acceptances(member.takeSent()), [12])
    }

    func testACommitIndexCountsOnlyAsFarAsTheAppendCovers() throws {
        var member = try TestMember.follower(term: 3, log: [1, 2, 2])
        member.hearAppend(from: 2, term: 3, behind: .at(1, 1), commit: 3)
        XCTAssertEqual(member.raft.commitIndex, 1, "what lies behind may be another's")
        member.hearAppend(from: 2, term: 3, behind: .at(1, 1), [3], commit: 9)
        XCTAssertEqual(member.raft.commitIndex, 2)
        XCTAssertEqual(member.log.terms, [1, 3])
    }

    func testWhatIsNotDurableIsNotApplied() throws {
        var member = try TestMember.follower(term: 1)
        member.holdsPersists = true
        member.hearAppend(from: 2, term: 1, behind: .zero, [1, 1], commit: 2)
        XCTAssertEqual(member.raft.commitIndex, 2)
        XCTAssertEqual(member.applied, 0)
        member.completePersists()
        XCTAssertEqual(member.applied, 2)
    }

    func testALeaderThatContradictsACommittedEntryStopsTheFollower() throws {
        var member = try TestMember.follower(term: 1)
        member.hearAppend(from: 2, term: 1, behind: .zero, [1, 1], commit: 2)
        member.hearAppend(from: 2, term: 2, behind: .at(1, 1), [2])
        XCTAssertEqual(member.takeReports(), [.committedEntryContradicted(2)])
        XCTAssertEqual(member.log.terms, [1, 1])
        member.takeSent()
        member.hearAppend(from: 2, term: 2, behind: .at(1, 2), [2])
        member.pass(.seconds(5))
        XCTAssertTrue(member.takeSent().isEmpty, "it takes no more part")
    }

    /// The completion of an old write says nothing about the entries that were written in its place (ABA).
    func testAnOldCompletionVouchesForNothingThatWasWrittenSince() throws {
        var member = try TestMember.follower(term: 1)
        member.holdsPersists = true
        member.hearAppend(from: 2, term: 1, behind: .zero, [1, 1, 1])
        member.hearAppend(from: 3, term: 2, behind: .zero, [2, 2])
        member.hearAppend(from: 2, term: 3, behind: .zero, [3, 3, 3])
        XCTAssertEqual(member.waiting.count, 3)
        member.completePersist()
        XCTAssertEqual(member.raft.durableIndex, 0)
        member.completePersist()
        XCTAssertEqual(member.raft.durableIndex, 0)
        XCTAssertFalse(member.takeSent().contains { $0.term == 3 })
        member.completePersist()
        XCTAssertEqual(member.raft.durableIndex, 3)
        let answers = member.takeSent().filter { $0.term == 3 }
        XCTAssertEqual(answers, [Message(from: 1, to: 2, term: 3, body: .appendResponse(.accepted(through: 3)))])
    }

    func testWhatAgreesBeforeATruncationStaysDurable() throws {
        var member = try TestMember.follower(term: 1, log: [1, 1])
        member.holdsPersists = true
        member.hearAppend(from: 2, term: 1, behind: .at(1, 2), [1, 1])
        member.hearAppend(from: 3, term: 2, behind: .at(1, 3), [2])
        member.completePersist()
        XCTAssertEqual(member.raft.durableIndex, 3, "entry 4 was replaced, entry 3 was not")
        member.completePersists()
        XCTAssertEqual(member.raft.durableIndex, 4)
    }

    func testARejectionOfTheSameTermDoesNotCostTheFollowerItsTimer() throws {
        var member = try TestMember.follower(term: 1)
        let before = member.raft.electionDeadline
        member.sleep(.milliseconds(100))
        member.hearAppend(from: 2, term: 1, behind: .at(1, 7), [1])
        XCTAssertGreaterThan(member.raft.electionDeadline, before, "a leader that asks is a leader that lives")
    }

    // MARK: On the leader

    func testAHeartbeatNeverNamesMoreThanThePeerIsKnownToHold() throws {
        var member = try TestMember.leader(of: 3, term: 2, log: [1, 1])
        member.hearAcceptance(from: [2], through: 3)
        XCTAssertEqual(member.raft.commitIndex, 3)
        member.takeSent()
        member.pass(.milliseconds(50))
        let commits = member.takeSent().compactMap { message -> LogIndex? in
            if case .heartbeat(let heartbeat) = message.body { heartbeat.commit } else { nil }
        }
        XCTAssertEqual(commits, [3, 0], "3 may hold another log")
    }

    func testAStaleAcceptanceDoesNotMoveMatchBack() throws {
        var member = try TestMember.settledLeader()
        member.propose(3)
        member.hearAcceptance(from: [2], through: 4)
        member.hearAcceptance(from: [2], through: 2)
        XCTAssertEqual(member.raft.leadership?.peers[0].match, 4)
        XCTAssertEqual(member.raft.leadership?.peers[0].next, 5)
    }

    func testAStaleRejectionIsNotNews() throws {
        var member = try TestMember.settledLeader()
        member.propose(3)
        member.hearAcceptance(from: [2], through: 4)
        member.takeSent()
        for previous in LogIndex(1)...4 {
            member.hear(.appendResponse(.rejected(previous: previous, hint: .zero)), from: 2, term: 1)
        }
        XCTAssertTrue(member.takeSent().isEmpty)
        XCTAssertEqual(member.raft.leadership?.peers[0].next, 5)
    }

    func testAnAcceptanceOfAnEarlierTermProvesNothing() throws {
        var member = try TestMember.leader(of: 3, term: 3, log: [1, 2])
        member.hear(.appendResponse(.accepted(through: 3)), from: 2, term: 2)
        XCTAssertEqual(member.raft.commitIndex, 0)
        XCTAssertEqual(member.raft.leadership?.peers[0].match, 0)
    }

    func testAnAcceptanceOfWhatThereIsNotIsReported() throws {
        var member = try TestMember.settledLeader()
        member.hearAcceptance(from: [2], through: 9)
        XCTAssertEqual(member.takeReports(), [.malformedMessage(from: 2)])
        XCTAssertEqual(member.raft.commitIndex, 1)
    }

    func testALeaderCountsItselfOnlyWhenItsOwnLogIsDurable() throws {
        var member = try TestMember.settledLeader(of: 3)
        member.holdsPersists = true
        member.propose()
        member.hearAcceptance(from: [2], through: 2)
        XCTAssertEqual(member.raft.commitIndex, 1, "one durable copy of three")
        member.completePersists()
        XCTAssertEqual(member.raft.commitIndex, 2)
    }

    func testFollowersAloneCommitWhatTheLeaderHasNotWrittenYetAndItAppliesLater() throws {
        var member = try TestMember.settledLeader(of: 3)
        member.holdsPersists = true
        member.propose()
        member.hearAcceptance(from: [2, 3], through: 2)
        XCTAssertEqual(member.raft.commitIndex, 2)
        XCTAssertEqual(member.applied, 1)
        member.completePersists()
        XCTAssertEqual(member.applied, 2)
    }

    func testAnEvenNumberNeedsMoreThanHalf() throws {
        for (size, needed) in [(UInt64(2), 1), (4, 2), (6, 3)] {
            var member = try TestMember.settledLeader(of: size)
            member.propose()
            for peer in 2...MemberID(needed) + 1 {
                XCTAssertEqual(member.raft.commitIndex, 1, "\(peer - 2) peers of \(size)")
                member.hearAcceptance(from: [peer], through: 2)
            }
            XCTAssertEqual(member.raft.commitIndex, 2, "\(needed) peers of \(size)")
        }
    }

    func testALeaderThatWasDeposedSendsNoAppendOfItsOldTermAfterwards() throws {
        var member = try TestMember.settledLeader()
        member.holdsPersists = true
        member.propose()
        member.takeSent()
        member.hear(.appendResponse(.stale), from: 2, term: 2)
        member.completePersists()
        XCTAssertFalse(member.takeSent().contains { if case .append = $0.body { true } else { false } })
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: 2, leader: 0))
    }
}
