import XCTest

@testable import BalsaRaft

/// The states that scripts begin with. The member under test is 1; the others are 2 and up.
extension TestMember {
    /// A follower that has been up long enough to help a candidate, and knows no leader.
    static func follower(
        of size: UInt64 = 3,
        term: Term = 1,
        vote: MemberID = 0,
        log terms: [Term] = [],
        base: LogPosition = .zero,
        commit: LogIndex? = nil,
        options: RaftOptions = RaftOptions(),
        seed: UInt64 = 1
    ) throws -> TestMember {
        var member = try TestMember(
            1,
            of: Array(1...size),
            state: HardState(term: term, vote: vote),
            log: ShellLog(base: base, terms: terms),
            commit: commit,
            options: options,
            seed: seed
        )
        // Exactly the time for which a voter that was just started helps nobody; no timeout is shorter.
        member.sleep(options.minElectionTimeout)
        return member
    }

    /// A member that asks tentatively, in `term`.
    static func preCandidate(
        of size: UInt64 = 3,
        term: Term = 1,
        log terms: [Term] = [],
        options: RaftOptions = RaftOptions()
    ) throws -> TestMember {
        var member = try follower(of: size, term: term, log: terms, options: options)
        member.timeOut()
        XCTAssertEqual(member.raft.role, .preCandidate)
        return member
    }

    /// A member that asks for votes, in `term`.
    static func candidate(
        of size: UInt64 = 3,
        term: Term = 1,
        log terms: [Term] = [],
        options: RaftOptions = RaftOptions()
    ) throws -> TestMember {
        var member = try preCandidate(of: size, term: term - 1, log: terms, options: options)
        for peer in 2...size where member.raft.role == .preCandidate { member.hearVotes(from: [peer]) }
        XCTAssertEqual(member.raft.role, .candidate)
        XCTAssertEqual(member.raft.term, term)
        return member
    }

    /// The leader of `term`. Behind `terms` its log has the empty entry of its own term; nothing of that was heard by
    /// anybody, and what it sent when it took office is not among ``sent`` any more.
    static func leader(
        of size: UInt64 = 3,
        term: Term = 1,
        log terms: [Term] = [],
        base: LogPosition = .zero,
        options: RaftOptions = RaftOptions()
    ) throws -> TestMember {
        var member = try follower(of: size, term: term - 1, log: terms, base: base, options: options)
        if size > 1 {
            member.timeOut()
            for peer in 2...size where member.raft.role == .preCandidate { member.hearVotes(from: [peer]) }
            for peer in 2...size where member.raft.role == .candidate { member.hearVotes(from: [peer]) }
        }
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .leader, term: term, leader: 1))
        member.takeSent()
        return member
    }

    /// A leader all of whose entries are committed and known to all.
    static func settledLeader(
        of size: UInt64 = 3,
        term: Term = 1,
        log terms: [Term] = [],
        options: RaftOptions = RaftOptions()
    ) throws -> TestMember {
        var member = try leader(of: size, term: term, log: terms, options: options)
        if size > 1 { member.hearAcceptance(from: Array(2...size), through: member.log.lastIndex) }
        XCTAssertEqual(member.raft.commitIndex, member.log.lastIndex)
        member.takeSent()
        member.takeResponses()
        return member
    }
}
