import XCTest

@testable import BalsaRaft

/// How a leader paces what it sends, and how it goes on after losses.
final class FlowTests: XCTestCase {
    private func appends(_ messages: [Message], to peer: MemberID) -> [Append] {
        messages.compactMap { message in
            guard message.to == peer, case .append(let append) = message.body else { return nil }
            return append
        }
    }

    private func options(_ change: (inout RaftOptions) -> Void) -> RaftOptions {
        var options = RaftOptions()
        change(&options)
        return options
    }

    // MARK: Admission

    func testAProposalIsRefusedWhileTooMuchIsUncommitted() throws {
        var member = try TestMember.settledLeader(options: options { $0.maxUncommittedBytes = 250 })
        for id in UInt64(1)...3 { member.propose(byteCount: 100, id: id) }
        member.takeResponses()
        member.propose(byteCount: 1, id: 4)
        XCTAssertEqual(member.takeResponses(), [.proposalRefused(4, .overloaded)])
        member.hearAcceptance(from: [2], through: 2)
        member.propose(byteCount: 100, id: 5)
        XCTAssertEqual(member.takeResponses(), [.proposed(5, first: 5, term: 1)])
    }

    func testTheUncommittedLimitDoesNotLeak() throws {
        var cluster = try TestCluster(3, options: options { $0.maxUncommittedBytes = 500 })
        for round in 0..<30 {
            // Entries that are cut off, committed by another leader, compacted: none may count for ever.
            let id = MemberID(round % 3 + 1)
            cluster.elect(id)
            cluster.isCut = { from, _ in from == id }
            cluster.propose(to: id, 4)
            cluster.isCut = { _, _ in false }
            cluster.deliverAll()
            let applied = cluster[id].applied
            if round % 4 == 3, applied > cluster[id].log.base.index {
                cluster.with(id) { $0.compact(through: applied) }
            }
        }
        cluster.pass(.seconds(2))
        let leader = try XCTUnwrap(cluster.leader)
        cluster.with(leader) { $0.takeResponses() }
        cluster.propose(to: leader, 4)
        XCTAssertEqual(cluster[leader].responses.count, 1)
        guard case .proposed = cluster[leader].responses.first else { return XCTFail("\(cluster[leader].responses)") }
    }

    func testAProposalToAFollowerIsRefusedAndNamesTheLeader() throws {
        var member = try TestMember.follower(term: 1)
        member.propose(id: 1)
        member.hearHeartbeat(from: 2, term: 1)
        member.propose(id: 2)
        XCTAssertEqual(
            member.takeResponses(),
            [.proposalRefused(1, .notLeader(leader: 0)), .proposalRefused(2, .notLeader(leader: 2))]
        )
        XCTAssertTrue(member.log.terms.isEmpty)
    }

    func testTheCommandsOfAProposalLieNextToEachOther() throws {
        var member = try TestMember.settledLeader()
        member.holdsPersists = true
        member.propose(5, id: 9)
        XCTAssertEqual(member.takeResponses(), [.proposed(9, first: 2, term: 1)])
        XCTAssertEqual(member.waiting.map(\.persist.source), [.proposal(9)])
        XCTAssertEqual(member.waiting.map(\.persist.entries), [EntryRange(first: 2, last: .at(1, 6))])
    }

    // MARK: Window

    func testAPeerIsProbedOneAppendAtATimeUntilTheLogsAgree() throws {
        var member = try TestMember.leader(of: 3, term: 2, log: [1])
        for _ in 0..<5 { member.propose() }
        XCTAssertTrue(appends(member.takeSent(), to: 2).isEmpty, "the first question is not answered yet")
        member.hearAcceptance(from: [2], through: 2)
        let sent = appends(member.takeSent(), to: 2)
        XCTAssertEqual(sent.compactMap(\.entries), [EntryRange(first: 3, last: .at(2, 7))])
        member.propose()
        member.propose()
        XCTAssertEqual(appends(member.takeSent(), to: 2).count, 2, "now appends follow each other")
    }

    func testAppendsAreCutAtTheirLimitButAnEntryAlwaysGoes() throws {
        var member = try TestMember.settledLeader(options: options { $0.maxAppendBytes = 250 })
        member.propose(5)
        member.propose(byteCount: 1_000)
        let ranges = appends(member.takeSent(), to: 2).compactMap(\.entries)
        XCTAssertEqual(ranges.map(\.count), [2, 2, 1, 1])
    }

    func testNoMoreBytesAreSentThanTheWindowHolds() throws {
        var member = try TestMember.settledLeader(options: options { $0.maxInflightBytes = 300 })
        for _ in 0..<10 { member.propose() }
        XCTAssertEqual(appends(member.takeSent(), to: 2).count, 3)
        member.hearAcceptance(from: [2], through: 3)
        let sent = appends(member.takeSent(), to: 2).compactMap(\.entries)
        XCTAssertEqual(sent.map(\.count), [2], "two entries were acknowledged, two more fit")
    }

    func testNoMoreMessagesAreSentThanTheWindowHolds() throws {
        var member = try TestMember.settledLeader(options: options { $0.maxInflightMessages = 3 })
        for _ in 0..<10 { member.propose() }
        XCTAssertEqual(appends(member.takeSent(), to: 2).compactMap(\.entries).map(\.count), [1, 1, 1])
        member.hearAcceptance(from: [2], through: 2)
        let sent = appends(member.takeSent(), to: 2).compactMap(\.entries)
        XCTAssertEqual(sent.map(\.count), [7], "what waited goes together")
        member.propose()
        XCTAssertTrue(appends(member.takeSent(), to: 2).isEmpty)
    }

    func testAWindowThatIsSmallerThanAnEntryStillMoves() throws {
        var cluster = try TestCluster(3, options: options { $0.maxInflightBytes = 10 })
        cluster.elect(1)
        for _ in 0..<5 { cluster.propose(to: 1, 3, byteCount: 1_000) }
        cluster.deliverAll()
        XCTAssertEqual(cluster.members.map(\.raft.commitIndex), [16, 16, 16])
    }

    /// The window is full and everything in it is lost: the answer to a heartbeat must bring it to light.
    func testAFullWindowOfLostAppendsRecovers() throws {
        var cluster = try TestCluster(3, options: options { $0.maxInflightMessages = 4 })
        cluster.elect(1)
        cluster.pass(.milliseconds(100))
        cluster.isCut = { _, to in to == 2 }
        for _ in 0..<20 { cluster.propose(to: 1) }
        cluster.deliverAll()
        XCTAssertEqual(cluster[2].log.lastIndex, 1)
        cluster.isCut = { _, _ in false }
        cluster.pass(.milliseconds(100))
        XCTAssertEqual(cluster.members.map(\.raft.commitIndex), [21, 21, 21])
    }

    func testAppendsThatAreLostBehindAnIdleLeaderAreSentAgain() throws {
        var cluster = try TestCluster(3)
        cluster.elect(1)
        cluster.pass(.milliseconds(100))
        cluster.propose(to: 1)
        cluster.drop { $0.to == 3 }
        cluster.pass(.milliseconds(100))
        XCTAssertEqual(cluster[3].raft.commitIndex, 2)
    }

    func testALostProbeIsSentAgain() throws {
        var cluster = try TestCluster(3)
        cluster.sleep(.seconds(1))
        cluster.with(1) { $0.step(.timer) }
        cluster.deliverAll { if case .append = $0.body { false } else { true } }
        XCTAssertEqual(cluster.leaders, [1])
        cluster.drop()
        cluster.pass(.milliseconds(100))
        XCTAssertEqual(cluster.members.map(\.raft.commitIndex), [1, 1, 1])
    }

    func testAPeerThatWasUnreachableAndIsCaughtUpLeavesProbing() throws {
        var cluster = try TestCluster(3)
        cluster.elect(1)
        cluster.pass(.milliseconds(100))
        cluster.with(1) { $0.step(.peerUnreachable(2)) }
        XCTAssertNotEqual(cluster[1].raft.leadership?.peers[0].mode, .streaming)
        cluster.pass(.milliseconds(100))
        XCTAssertEqual(cluster[1].raft.leadership?.peers[0].mode, .streaming)
    }

    func testReorderedAppendsAllArrive() throws {
        var cluster = try TestCluster(3)
        cluster.elect(1)
        cluster.pass(.milliseconds(100))
        for _ in 0..<8 { cluster.propose(to: 1) }
        cluster.network.reverse()
        cluster.deliverAll()
        cluster.pass(.milliseconds(200))
        XCTAssertEqual(cluster.members.map(\.raft.commitIndex), [9, 9, 9])
    }

    /// Logs that differ in a hundred terms are brought together in as many questions as there are terms, at most.
    func testManyDivergentTermsAreFoundInFewQuestions() throws {
        // 2 and 3 disagree from entry 2 on, every term with two entries, the one the odd terms, the other the even ones.
        var odd: [Term] = [1]
        var even: [Term] = [1]
        for term in Term(1)...50 {
            odd += [term * 2 + 1, term * 2 + 1]
            even += [term * 2, term * 2]
        }
        var cluster = try TestCluster(3, term: 101, logs: [odd, even, [1]])
        cluster.elect(1)
        XCTAssertEqual(cluster[2].disk.log.terms, odd + [102])
        XCTAssertLessThan(cluster.deliveries, 150)
    }

    func testADivergenceOfManyEntriesOfOneTermTakesOneQuestionMore() throws {
        let mine = [Term(1)] + Array(repeating: 3, count: 400)
        let theirs = [Term(1)] + Array(repeating: 2, count: 500)
        var cluster = try TestCluster(3, term: 3, logs: [mine, theirs, [1]])
        cluster.elect(1)
        XCTAssertEqual(cluster[2].disk.log.terms, mine + [4])
        XCTAssertLessThan(cluster.deliveries, 40)
    }

    /// Ten proposals on three members cost no more than the bound of the MIT course: (10 + 1 + 3) * 3 messages each way.
    func testAgreementTakesFewMessages() throws {
        var cluster = try TestCluster(3)
        cluster.elect(1)
        cluster.pass(.milliseconds(100))
        let before = cluster.deliveries
        for _ in 0..<10 { cluster.propose(to: 1) }
        cluster.deliverAll()
        XCTAssertEqual(cluster.members.map(\.raft.commitIndex), [11, 11, 11])
        XCTAssertLessThanOrEqual(cluster.deliveries - before, 84)
    }
}
