import XCTest

@testable import BalsaRaft

/// A member that computes another state after each checkpoint that replaces it.
final class VainRebuildTests: DigestTestCase {
    /// A follower of 2 that is rebuilt, and then goes wrong.
    private struct Broken {
        var member: TestMember
        var last: LogIndex = 3

        init() throws {
            member = try TestMember.follower(term: 2, log: [1, 1, 2])
            member.hearAppend(from: 2, term: 2, behind: .at(2, 3), commit: 3)
        }

        /// Records a digest of the last entry.
        mutating func record() { member.step(.digest(StateDigest(index: last, value: 77))) }

        mutating func append() {
            member.hearAppend(from: 2, term: 2, behind: .at(2, last), [2], commit: last + 1)
            last += 1
        }

        /// It is told that the digest that it recorded last is wrong.
        mutating func diverge() {
            record()
            member.hear(.notice(.diverged(StateDigest(index: last, value: 78))), from: 2, term: 2)
        }

        /// It goes wrong, is rebuilt, and goes wrong again: it is in its first pause.
        mutating func divergeAfterARebuild() {
            diverge()
            _ = pause()
            rebuild()
            diverge()
            member.takeSent()
        }

        mutating func rebuild() {
            member.hear(.snapshot(SnapshotOffer(position: .at(2, last))), from: 2, term: 2)
            member.finishInstall()
            append()
        }

        /// How long after now it asks for a checkpoint.
        mutating func pause() -> TimeSpan? {
            member.takeSent()
            let begin = member.now
            while member.now < begin + .seconds(200) {
                member.hearHeartbeat(from: 2, term: 2, commit: last)
                let asks = member.takeSent().contains {
                    if case .checkpointRequest = $0.body { true } else { false }
                }
                if asks { return member.now - begin }
                member.sleep(.milliseconds(500))
            }
            return nil
        }
    }

    func testMember_thatIsRebuiltInVain_asksLessAndLessOftenAndStops() throws {
        var broken = try Broken()
        broken.diverge()
        XCTAssertEqual(broken.pause(), .zero)
        broken.member.takeReports()
        var pause = Raft.firstRebuildPause
        for times in 1...Raft.mostVainRebuilds {
            broken.rebuild()
            broken.member.takeReports()
            broken.diverge()
            XCTAssertEqual(broken.member.takeReports().last, .rebuiltInVain(times: times, pause: pause))
            let read = ReadID(member: 1, nonce: 1, number: times)
            broken.member.step(.read(read))
            XCTAssertEqual(broken.member.takeResponses(), [.readRefused(read, .diverged)], "it serves nothing")
            XCTAssertEqual(broken.pause(), pause)
            pause = pause * 2
        }
        broken.rebuild()
        broken.diverge()
        XCTAssertEqual(
            broken.member.takeReports().last,
            .rebuiltInVain(times: Raft.mostVainRebuilds + 1, pause: nil)
        )
        XCTAssertNil(broken.pause())
        let read = ReadID(member: 1, nonce: 1, number: 100)
        broken.member.step(.read(read))
        XCTAssertEqual(broken.member.takeResponses(), [.readRefused(read, .failed)])
    }

    /// The request also tells a leader that the state differs: one that does not know could send its own at once.
    func testMember_thatIsRebuiltInVain_asksANewLeaderAtOnce() throws {
        var broken = try Broken()
        broken.divergeAfterARebuild()
        for _ in 0..<2 { broken.member.hearHeartbeat(from: 3, term: 3, commit: broken.last) }
        XCTAssertEqual(requests(broken.member.takeSent()).count, 1)
        broken.member.sleep(.milliseconds(1_999))
        broken.member.hearHeartbeat(from: 3, term: 3, commit: broken.last)
        XCTAssertEqual(requests(broken.member.takeSent()).count, 0, "the pause goes on")
        broken.member.sleep(.milliseconds(1))
        broken.member.hearHeartbeat(from: 3, term: 3, commit: broken.last)
        XCTAssertEqual(requests(broken.member.takeSent()).count, 1)
    }

    /// It knows. Each silence would cost it another checkpoint, and the member one of the rebuilds that it has.
    func testMember_thatIsRebuiltInVain_keepsItsPauseWhereTheSameLeaderIsHeardAgain() throws {
        var broken = try Broken()
        broken.divergeAfterARebuild()
        broken.member.pass(broken.member.options.maxElectionTimeout)
        XCTAssertEqual(broken.member.raft.currentStanding.leader, 0)
        broken.member.hearHeartbeat(from: 2, term: 2, commit: broken.last)
        XCTAssertEqual(broken.member.raft.currentStanding.leader, 2)
        XCTAssertEqual(requests(broken.member.takeSent()).count, 0)
        let rest = try XCTUnwrap(broken.pause())
        XCTAssertGreaterThanOrEqual(rest + broken.member.options.maxElectionTimeout, Raft.firstRebuildPause)
    }

    /// What comes long after the rebuild is another error.
    func testMember_thatWasWellForLong_asksAtOnce() throws {
        for wellFor in [7, 8] {
            var broken = try Broken()
            broken.diverge()
            _ = broken.pause()
            broken.rebuild()
            for _ in 0..<wellFor {
                broken.record()
                broken.append()
            }
            broken.diverge()
            XCTAssertEqual(broken.pause(), wellFor == 8 ? .zero : Raft.firstRebuildPause)
        }
    }
}
