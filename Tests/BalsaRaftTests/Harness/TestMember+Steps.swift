import XCTest

@testable import BalsaRaft

/// The steps of a script: what a member hears, and how time passes.
extension TestMember {
    mutating func hear(_ body: Message.Body, from peer: MemberID, term: Term, entries: [EntryMetadata] = []) {
        step(.message(Message(from: peer, to: id, term: term, body: body), entries: entries))
    }

    mutating func hear(_ packet: Packet) {
        step(.message(packet.message, entries: packet.entries))
    }

    /// An append of entries of `terms` behind `previous`.
    mutating func hearAppend(
        from leader: MemberID,
        term: Term,
        behind previous: LogPosition,
        _ terms: [Term] = [],
        commit: LogIndex = 0
    ) {
        hear(
            .append(.behind(previous, terms, commit: commit)),
            from: leader,
            term: term,
            entries: terms.map { .command(term: $0) }
        )
    }

    mutating func hearHeartbeat(from leader: MemberID, term: Term, round: UInt64 = 1, commit: LogIndex = 0) {
        hear(.heartbeat(Heartbeat(round: round, sentAt: .zero, commit: commit)), from: leader, term: term)
    }

    /// Peers answer the campaign that is under way.
    mutating func hearVotes(_ isGranted: Bool = true, from peers: [MemberID]) {
        for peer in peers {
            guard let campaign = raft.campaign else { return }
            let response = VoteResponse(isGranted: isGranted, campaign: campaign.number)
            hear(
                campaign.role == .candidate ? .voteResponse(response) : .preVoteResponse(response),
                from: peer,
                term: raft.term
            )
        }
    }

    /// Peers have the leader's log through `index`.
    mutating func hearAcceptance(from peers: [MemberID], through index: LogIndex) {
        for peer in peers { hear(.appendResponse(.accepted(through: index)), from: peer, term: raft.term) }
    }

    /// Peers answer the newest heartbeat that they were sent.
    mutating func hearHeartbeatAnswers(from peers: [MemberID]) {
        for peer in peers {
            guard let heartbeat = lastHeartbeats[peer] else { return XCTFail("no heartbeat was sent to \(peer)") }
            let response = HeartbeatResponse(round: heartbeat.round, sentAt: heartbeat.sentAt)
            hear(.heartbeatResponse(response), from: peer, term: raft.term)
        }
    }

    mutating func propose(_ count: Int = 1, byteCount: UInt32 = 100, id: UInt64 = 1) {
        step(.propose(Proposal(id: id, byteCounts: Array(repeating: byteCount, count: count))))
    }

    /// Time passes, and every timer fires when it was asked for.
    mutating func pass(_ span: TimeSpan) { pass(until: now + span) }

    mutating func pass(until moment: Instant) {
        var fired = 0
        while let wake = wakeAt, wake <= moment {
            now = max(now, wake)
            wakeAt = nil
            step(.timer)
            fired += 1
            guard fired < 10_000 else { return XCTFail("a timer is asked for without end") }
        }
        now = max(now, moment)
    }

    /// Time passes in a process that does not run.
    mutating func sleep(_ span: TimeSpan) { now = now + span }

    /// Nobody was heard for so long that the member campaigns.
    mutating func timeOut() {
        pass(until: raft.electionDeadline)
    }

    /// All messages since the last time, in order.
    @discardableResult
    mutating func takeSent() -> [Message] {
        defer { sent.removeAll() }
        return sent.map(\.message)
    }

    /// All messages since the last time, without those that only show that the leader lives.
    mutating func takeSentButHeartbeats() -> [Message] {
        takeSent().filter { if case .heartbeat = $0.body { false } else { true } }
    }

    @discardableResult
    mutating func takeResponses() -> [Response] {
        defer { responses.removeAll() }
        return responses
    }

    @discardableResult
    mutating func takeReports() -> [Anomaly] {
        defer { reports.removeAll() }
        return reports
    }
}

extension Append {
    /// Entries of `terms` behind `previous`.
    static func behind(_ previous: LogPosition, _ terms: [Term] = [], commit: LogIndex = 0) -> Append {
        let entries = terms.last.map {
            EntryRange(
                first: previous.index + 1,
                last: LogPosition(term: $0, index: previous.index + UInt64(terms.count))
            )
        }
        return Append(previous: previous, entries: entries, commit: commit)
    }
}

extension LogPosition {
    /// `at(2, 5)` is the entry 5 of term 2.
    static func at(_ term: Term, _ index: LogIndex) -> LogPosition { LogPosition(term: term, index: index) }
}

extension Message {
    /// The index that an acceptance covers; nil for every other message.
    var acceptedIndex: LogIndex? {
        guard case .appendResponse(let response) = body, case .accepted(let index) = response.answer else { return nil }
        return index
    }
}
