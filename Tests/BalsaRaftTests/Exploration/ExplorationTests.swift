import XCTest

@testable import BalsaRaft

/// Small situations, followed in every order in which things can happen.
final class ExplorationTests: XCTestCase {
    private func isVote(_ message: Message) -> Bool {
        switch message.body {
        case .voteRequest, .voteResponse: true
        default: false
        }
    }

    private func isVoteOrAppend(_ message: Message) -> Bool {
        switch message.body {
        case .voteRequest, .voteResponse, .append, .appendResponse: true
        default: false
        }
    }

    /// Three members of which 1 and 2 have just begun to ask for votes, in the term `term` + 1; nothing is durable yet.
    private func twoCandidates(term: Term, logs: [[Term]] = []) throws -> TestCluster {
        var cluster = try TestCluster(3, term: term, logs: logs)
        cluster.sleep(.milliseconds(600))
        for id in cluster.ids { cluster.holdPersists(of: id) }
        for id in [MemberID(1), 2] {
            cluster.with(id) {
                $0.step(.timer)
                $0.hearVotes(from: [3])
            }
            XCTAssertEqual(cluster[id].raft.role, .candidate)
        }
        return cluster
    }

    func testTwoCandidatesOfATermAreNeverBothElectedWhateverIsForgotten() throws {
        var exploration = Exploration(from: try twoCandidates(term: 1), crashes: 2, limit: 30_000, isWanted: isVote)
        try exploration.run()
        XCTAssertTrue(exploration.isComplete)
        XCTAssertEqual(exploration.leaders, [1, 2], "each of them can win")
        XCTAssertGreaterThan(exploration.count, 500)
    }

    /// 1 leads and proposes. 2 has not heard of that and asks for votes; the others had time to forget the leader.
    private func leaderAndCandidate() throws -> TestCluster {
        var cluster = try TestCluster(3)
        cluster.elect(1)
        for id in cluster.ids { cluster.holdPersists(of: id) }
        cluster.drop()
        cluster.propose(to: 1)
        cluster.sleep(.milliseconds(700))
        cluster.with(2) {
            $0.step(.timer)
            $0.hearVotes(from: [3])
        }
        XCTAssertEqual(cluster[2].raft.role, .candidate)
        return cluster
    }

    func testWhatALeaderCommitsSurvivesACandidateOfTheNextTerm() throws {
        let start = try leaderAndCandidate()
        var exploration = Exploration(from: start, crashes: 0, limit: 30_000, isWanted: isVoteOrAppend)
        try exploration.run()
        XCTAssertTrue(exploration.isComplete)
        XCTAssertTrue(exploration.leaders.isSuperset(of: [1, 2]))
        XCTAssertEqual(exploration.maxCommit, 2)
    }

    /// The same with a crash anywhere; more states than there is time for, so that only a part of them is seen.
    func testWhatALeaderCommitsSurvivesACrashInBetween() throws {
        let start = try leaderAndCandidate()
        var exploration = Exploration(from: start, crashes: 1, limit: 15_000, isWanted: isVoteOrAppend)
        try exploration.run()
        XCTAssertTrue(exploration.leaders.isSuperset(of: [1, 2]))
        XCTAssertEqual(exploration.maxCommit, 2)
    }
}
