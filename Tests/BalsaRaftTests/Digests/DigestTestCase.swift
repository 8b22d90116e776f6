import XCTest

@testable import BalsaRaft

/// What scripts about live digests begin with.
class DigestTestCase: XCTestCase {
    func digest(_ index: LogIndex, _ value: UInt64) -> StateDigest { StateDigest(index: index, value: value) }

    /// A peer says that it holds the log through `index`, what its state is, and from which checkpoint it has that.
    func report(_ digest: StateDigest, through index: LogIndex, received: LogIndex = 0) -> Message.Body {
        var response = AppendResponse.accepted(through: index)
        response.digest = digest
        response.receivedIndex = received
        return .appendResponse(response)
    }

    func notices(_ messages: [Message]) -> [MemberID: LeaderNotice] {
        var notices: [MemberID: LeaderNotice] = [:]
        for case (let to, .notice(let notice)) in messages.map({ ($0.to, $0.body) }) { notices[to] = notice }
        return notices
    }

    /// Who was told to campaign, in order.
    func told(_ messages: [Message]) -> [MemberID] {
        messages.compactMap { if case .timeoutNow = $0.body { $0.to } else { nil } }
    }

    func requests(_ messages: [Message]) -> [CheckpointRequest] {
        messages.compactMap { if case .checkpointRequest(let request) = $0.body { request } else { nil } }
    }

    /// A leader of three with five entries that all have.
    func leader(of size: UInt64 = 3) throws -> TestMember {
        var member = try TestMember.settledLeader(of: size)
        member.propose(4)
        member.hearAcceptance(from: Array(2...size), through: 5)
        member.takeSent()
        return member
    }

    /// Time passes, in which some peers answer heartbeats, and one of them does something else besides.
    func pass(
        _ member: inout TestMember,
        _ timeouts: UInt64,
        heard: [MemberID],
        also act: (inout TestMember) -> Void = { _ in }
    ) {
        let end = member.now + member.options.maxElectionTimeout * timeouts
        while member.now < end, member.raft.role == .leader {
            member.pass(member.options.heartbeatInterval)
            guard member.raft.role == .leader else { break }
            member.hearHeartbeatAnswers(from: heard)
            act(&member)
        }
        XCTAssertEqual(member.raft.role, .leader)
    }

    /// A leader of `size` whose log begins after the entry 5, which members other than `lagging` hold.
    func compactedLeader(of size: UInt64, lagging: MemberID) throws -> TestMember {
        var member = try TestMember.leader(of: size)
        member.propose(4)
        member.hearAcceptance(from: (2...size).filter { $0 != lagging }, through: 5)
        member.compact(through: 5)
        member.takeSent()
        return member
    }

    func lag(_ member: inout TestMember, _ peer: MemberID) {
        member.hear(.appendResponse(.rejected(previous: 1, hint: .zero)), from: peer, term: 1)
        member.hear(.appendResponse(.rejected(previous: 0, hint: .zero)), from: peer, term: 1)
    }
}
