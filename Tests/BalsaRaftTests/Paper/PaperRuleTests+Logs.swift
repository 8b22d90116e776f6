import XCTest

@testable import BalsaRaft

/// The rules of the Raft paper about logs (sections 5.3 and 5.4).
extension PaperRuleTests {
    func testALeaderAppendsACommandAndSendsItWithThePositionBefore() throws {
        var member = try TestMember.settledLeader()
        member.holdsPersists = true
        member.propose()
        XCTAssertEqual(member.log.terms, [1, 1])
        XCTAssertEqual(member.raft.commitIndex, 1)
        XCTAssertEqual(member.waiting.map(\.persist.entries), [EntryRange(first: 2, last: .at(1, 2))])
        let sent = member.takeSent()
        XCTAssertEqual(sent.map(\.to), [2, 3])
        for message in sent {
            XCTAssertEqual(message.from, 1)
            XCTAssertEqual(message.term, 1)
            guard case .append(var append) = message.body else { return XCTFail("not an append: \(message)") }
            XCTAssertGreaterThan(append.round, 0)
            XCTAssertEqual(append.sentAt, member.now)
            (append.round, append.sentAt) = (0, .zero)
            XCTAssertEqual(append, .behind(.at(1, 1), [1], commit: 1))
        }
    }

    func testALeaderCommitsAReplicatedEntryAndTellsTheFollowers() throws {
        var member = try TestMember.settledLeader()
        member.propose()
        member.takeSent()
        member.hearAcceptance(from: [2], through: 2)
        XCTAssertEqual(member.raft.commitIndex, 2)
        XCTAssertEqual(member.applied, 2)
        for message in member.takeSent() {
            guard case .append(let append) = message.body else { return XCTFail("not an append: \(message)") }
            XCTAssertEqual(append.commit, 2)
        }
    }

    func testALeaderCommitsWhenAMajorityHasAccepted() throws {
        let cases: [(UInt64, [MemberID], Bool)] = [
            (1, [], true), (3, [], false), (3, [2], true), (3, [2, 3], true), (5, [], false), (5, [2], false),
            (5, [2, 3], true), (5, [2, 3, 4], true), (5, [2, 3, 4, 5], true),
        ]
        for (size, acceptors, isCommitted) in cases {
            var member = try TestMember.settledLeader(of: size)
            member.propose()
            member.hearAcceptance(from: acceptors, through: 2)
            XCTAssertEqual(member.raft.commitIndex, isCommitted ? 2 : 1, "\(acceptors) of \(size)")
        }
    }

    func testCommittingAnEntryCommitsAllBeforeItOfWhateverTerm() throws {
        for terms in [[], [2], [1, 2], [1]] as [[Term]] {
            var member = try TestMember.leader(term: 3, log: terms)
            member.propose()
            let last = LogIndex(terms.count) + 2
            member.hearAcceptance(from: [2], through: last)
            XCTAssertEqual(member.raft.commitIndex, last)
            XCTAssertEqual(member.applied, last, "\(terms)")
        }
    }

    func testAFollowerAppliesWhatItIsToldIsCommitted() throws {
        for (terms, commit) in [([Term(1)], LogIndex(1)), ([1, 1], 2), ([1, 1], 1), ([1, 1, 1], 2)] {
            var member = try TestMember.follower(term: 1)
            member.hearAppend(from: 2, term: 1, behind: .zero, terms, commit: commit)
            XCTAssertEqual(member.raft.commitIndex, commit)
            XCTAssertEqual(member.applied, commit)
        }
    }

    func testAFollowerRefusesEntriesBehindAPositionThatItDoesNotHold() throws {
        let cases: [(LogPosition, AppendResponse)] = [
            (.zero, .accepted(through: 0)), (.at(1, 1), .accepted(through: 1)), (.at(2, 2), .accepted(through: 2)),
            // It holds another entry there.
            (.at(1, 2), .rejected(previous: 2, hint: .at(1, 1))),
            // It holds none there.
            (.at(3, 3), .rejected(previous: 3, hint: .at(2, 2))),
        ]
        for (previous, response) in cases {
            var member = try TestMember.follower(term: 3, log: [1, 2], commit: 1)
            member.takeSent()
            member.hearAppend(from: 2, term: 3, behind: previous)
            XCTAssertEqual(
                member.takeSent(),
                [Message(from: 1, to: 2, term: 3, body: .appendResponse(response))],
                "behind \(previous)"
            )
        }
    }

    func testAFollowerCutsOffAConflictAndAppendsWhatIsMissing() throws {
        let cases: [(LogPosition, [Term], [Term], LogIndex?, LogIndex?)] = [
            (.at(2, 2), [3], [1, 2, 3], nil, 3),
            (.at(1, 1), [3, 4], [1, 3, 4], 1, 2),
            (.zero, [1], [1, 2], nil, nil),
            (.zero, [3], [3], 0, 1),
        ]
        for (previous, terms, expected, truncation, first) in cases {
            var member = try TestMember.follower(term: 4, log: [1, 2])
            member.holdsPersists = true
            member.hearAppend(from: 2, term: 4, behind: previous, terms)
            XCTAssertEqual(member.log.terms, expected)
            let persist = member.waiting.first?.persist
            XCTAssertEqual(persist?.truncation, truncation, "\(terms) behind \(previous)")
            XCTAssertEqual(persist?.entries?.first, first, "\(terms) behind \(previous)")
            member.completePersists()
            XCTAssertEqual(member.disk.log.terms, expected)
        }
    }

    /// The logs of figure 7: followers that miss entries, that have too many, and both.
    func testALeaderBringsEveryFollowersLogIntoItsOwnForm() throws {
        let leading: [Term] = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
        let followers: [[Term]] = [
            [1, 1, 1, 4, 4, 5, 5, 6, 6],
            [1, 1, 1, 4],
            [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
            [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
            [1, 1, 1, 4, 4, 4, 4],
            [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
        ]
        for terms in followers {
            var cluster = try TestCluster(3, term: 7, logs: [leading, terms, []])
            cluster.elect(1)
            cluster.propose(to: 1)
            cluster.deliverAll()
            for id in cluster.ids {
                XCTAssertEqual(cluster[id].disk.log.terms, leading + [8, 8], "\(terms)")
                XCTAssertEqual(cluster[id].applied, 12)
            }
        }
    }

    /// Figure 8: an entry of an older term is committed only along with one of the leader's own.
    func testALeaderCountsReplicasOnlyForEntriesOfItsOwnTerm() throws {
        var member = try TestMember.leader(of: 3, term: 3, log: [1, 2])
        member.hearAcceptance(from: [2, 3], through: 1)
        XCTAssertEqual(member.raft.commitIndex, 0)
        member.hearAcceptance(from: [2, 3], through: 2)
        XCTAssertEqual(member.raft.commitIndex, 0)
        member.hearAcceptance(from: [2], through: 3)
        XCTAssertEqual(member.raft.commitIndex, 3)
    }
}
