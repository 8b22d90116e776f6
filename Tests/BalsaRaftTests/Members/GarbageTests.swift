import XCTest

@testable import BalsaRaft

/// Messages that no correct member sends: none may trap the core, break what must hold, or be believed.
final class GarbageTests: XCTestCase {
    private static let edges: [UInt64] = [
        0, 1, 2, 3, 4, 5, 7, 100, largestNumber - 1, largestNumber, largestNumber + 1, .max - 1, .max,
    ]

    private func number(_ dice: inout Dice) -> UInt64 {
        dice.chance(3, in: 4) ? UInt64(dice.below(8)) : dice.pick(GarbageTests.edges)
    }

    private func position(_ dice: inout Dice) -> LogPosition { LogPosition(term: number(&dice), index: number(&dice)) }

    private func append(_ dice: inout Dice) -> (Append, [EntryMetadata]) {
        let previous = position(&dice)
        let terms = (0..<dice.below(5)).map { _ in number(&dice) }.sorted()
        let entries = (dice.chance(1, in: 8) ? terms.reversed() : terms).map { EntryMetadata.command(term: $0) }
        let first = dice.chance(3, in: 4) ? previous.index &+ 1 : number(&dice)
        let last = dice.chance(3, in: 4) ? first &+ UInt64(entries.count) &- 1 : number(&dice)
        // A decoder of messages cannot make a range that holds nothing, so neither does this.
        var range: EntryRange?
        if first >= 1, first <= last, dice.chance(7, in: 8) {
            let term = dice.chance(7, in: 8) ? entries.last?.term ?? 0 : number(&dice)
            range = EntryRange(first: first, last: LogPosition(term: term, index: last))
        }
        return (Append(previous: previous, entries: range, commit: number(&dice)), entries)
    }

    private func body(_ dice: inout Dice) -> (Message.Body, [EntryMetadata]) {
        let flags = dice.chance(1, in: 2) ? 0 : UInt8(truncatingIfNeeded: number(&dice))
        let vote = VoteRequest(last: position(&dice), campaign: number(&dice), flags: flags)
        let answer = VoteResponse(isGranted: dice.chance(1, in: 2), campaign: number(&dice))
        let read = ReadID(member: number(&dice), nonce: number(&dice), number: number(&dice))
        let moment = Instant(nanoseconds: number(&dice))
        switch dice.below(17) {
        case 0: return (.preVoteRequest(vote), [])
        case 1: return (.preVoteResponse(answer), [])
        case 2: return (.voteRequest(vote), [])
        case 3: return (.voteResponse(answer), [])
        case 4, 5, 6, 7:
            let (append, entries) = append(&dice)
            return (.append(append), entries)
        case 8: return (.appendResponse(.accepted(through: number(&dice))), [])
        case 9: return (.appendResponse(.rejected(previous: number(&dice), hint: position(&dice))), [])
        case 10: return (.appendResponse(.stale), [])
        case 11: return (.heartbeat(Heartbeat(round: number(&dice), sentAt: moment, commit: number(&dice))), [])
        case 12: return (.heartbeatResponse(HeartbeatResponse(round: number(&dice), sentAt: moment)), [])
        case 13: return (.readRequest(read), [])
        case 14: return (.readResponse(read, dice.chance(1, in: 2) ? .refused : .index(number(&dice))), [])
        case 15: return (.timeoutNow(position(&dice)), [])
        default: return (.snapshot(SnapshotOffer(position: position(&dice))), [])
        }
    }

    /// A member in some role, with a log that begins somewhere.
    private func victim(_ dice: inout Dice) throws -> TestMember {
        let terms = (0..<dice.below(6)).map { _ in Term(1 + dice.below(3)) }.sorted()
        return switch dice.below(5) {
        case 0: try .follower(term: 3, log: terms)
        case 1: try .follower(term: 3, log: terms.map { max($0, 2) }, base: .at(2, 3))
        case 2: try .preCandidate(term: 3, log: terms)
        case 3: try .candidate(term: 4, log: terms)
        default: try .leader(term: 4, log: terms)
        }
    }

    func testNoMessageTrapsOrBreaksWhatMustHold() throws {
        var dice = Dice(seed: 11)
        for _ in 0..<300 {
            var member = try victim(&dice)
            member.holdsPersists = dice.chance(1, in: 2)
            for _ in 0..<40 {
                let (body, entries) = body(&dice)
                // Terms that are believed would soon be at the limit, and nothing else would be tried any more.
                let term = dice.chance(9, in: 10) ? min(member.raft.term + UInt64(dice.below(2)), 50) : number(&dice)
                let message = Message(from: UInt64(dice.below(5)), to: 1, term: term, body: body)
                let before = member.raft.commitIndex
                member.step(.message(message, entries: entries))
                XCTAssertGreaterThanOrEqual(member.raft.commitIndex, before)
                XCTAssertLessThanOrEqual(member.raft.term, largestNumber)
                if dice.chance(1, in: 6) { member.completePersist() }
                if dice.chance(1, in: 6) { member.pass(.milliseconds(UInt64(dice.below(400)))) }
                if dice.chance(1, in: 8) { member.propose() }
                if member.installing != nil, dice.chance(1, in: 4) { member.finishInstall(succeeded: false) }
            }
        }
    }

    func testAnAppendWhosePartsContradictEachOtherIsReportedAndNotHeard() throws {
        let range = EntryRange(first: 2, last: .at(2, 3))
        let cases: [(Append, [Term])] = [
            // Too few entries, too many, none.
            (Append(previous: .at(1, 1), entries: range, commit: 0), [2]),
            (Append(previous: .at(1, 1), entries: range, commit: 0), [2, 2, 2]),
            (Append(previous: .at(1, 1), entries: nil, commit: 0), [2]),
            // Not right behind the position before.
            (Append(previous: .at(1, 2), entries: range, commit: 0), [2, 2]),
            // Falling terms, a term of none, another last term than was announced, terms from the future.
            (Append(previous: .at(1, 1), entries: range, commit: 0), [3, 2]),
            (Append(previous: .at(1, 1), entries: range, commit: 0), [0, 2]),
            (Append(previous: .at(1, 1), entries: range, commit: 0), [1, 1]),
            (Append(previous: .at(2, 1), entries: range, commit: 0), [1, 2]),
            (Append(previous: .at(9, 1), entries: nil, commit: 0), []),
            // An index without a term, and numbers out of bounds.
            (Append(previous: .at(0, 1), entries: nil, commit: 0), []),
            (Append(previous: .at(1, 0), entries: nil, commit: 0), []),
            (Append(previous: .at(1, .max), entries: nil, commit: 0), []),
            (Append(previous: .at(1, 1), entries: nil, commit: .max), []),
        ]
        for (append, terms) in cases {
            let entries = terms.map { EntryMetadata.command(term: $0) }
            var member = try TestMember.follower(term: 2, log: [1])
            member.hear(.append(append), from: 2, term: 4, entries: entries)
            XCTAssertEqual(member.takeReports(), [.malformedMessage(from: 2)], "\(append)")
            XCTAssertEqual(member.raft.term, 2, "not even its term is believed")
            XCTAssertEqual(member.log.terms, [1])
        }
    }

    func testATermOutOfBoundsIsNotAdopted() throws {
        var member = try TestMember.follower(term: 2)
        member.hearHeartbeat(from: 2, term: largestNumber + 1)
        XCTAssertEqual(member.raft.term, 2)
        XCTAssertEqual(member.takeReports(), [.malformedMessage(from: 2)])
    }

    func testAMemberInTheLastTermDoesNotCampaignBeyondIt() throws {
        var member = try TestMember.follower(term: largestNumber)
        member.pass(.seconds(5))
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: largestNumber, leader: 0))
        XCTAssertTrue(member.takeSent().isEmpty)
    }
}
