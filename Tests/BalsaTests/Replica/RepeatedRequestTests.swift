import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// A request that is sent again, to every member, after a crash at any moment of its first attempt.
final class RepeatedRequestTests: ReplicaTestCase {
    private let command = CommandIdentity(session: 7, number: 1)

    /// Sends the request to a follower, lets so many frames arrive, and crashes a member. All other frames of the
    /// attempt are lost.
    private func crashedGroup(_ victim: MemberID, after frames: Int, seals: Bool) throws -> ReplicaGroup {
        let group = ReplicaGroup(members: 3)
        if seals {
            group.options.sealStateAfterBytes = 1
            group.options.entriesKeptBehindSeal = 0
        }
        let leader = try group.start()
        group.advance(by: .milliseconds(200))
        var left = frames
        group.fate = { _ in
            left -= 1
            return left >= 0 ? .arrives : .isLost
        }
        group.write(leader % 3 + 1, "k", "v", as: command, within: .milliseconds(300))
        group.settle()
        group.crash((leader + victim - 1) % 3 + 1, powerLoss: UInt64(frames))
        group.fate = { _ in .arrives }
        return group
    }

    private func index(of reply: Reply) -> LogIndex? {
        guard case .success(let bytes, _) = reply else { return nil }
        return LogIndex(String(bytes).dropFirst("at ".count))
    }

    func testARequest_sentToEveryMemberAfterACrash_takesEffectOnce() throws {
        var survived = 0
        for seals in [false, true] {
            // The leader, the follower that was asked, and the other one.
            for victim in 0..<3 as Range<MemberID> {
                for frames in 0..<10 {
                    let label = "seals \(seals), victim \(victim), \(frames) frames"
                    let group = try crashedGroup(victim, after: frames, seals: seals)
                    _ = try group.elect()
                    group.advance(by: .milliseconds(500))
                    if group.hosts.contains(where: { $0.machine?.state.applied.isEmpty == false }) { survived += 1 }
                    let living = group.hosts.filter { $0.replica != nil }
                    var replies: [Reply?] = []
                    for host in living {
                        let again = group.write(host.id, "k", "v", as: command)
                        group.advance(by: .milliseconds(500))
                        replies.append(host.reply(to: again))
                    }
                    for host in group.hosts where host.replica == nil {
                        try group.open(host.id)
                        group.advance(by: .seconds(1))
                        let again = group.write(host.id, "k", "v", as: command)
                        group.advance(by: .milliseconds(500))
                        replies.append(host.reply(to: again))
                    }
                    let indexes = try replies.map {
                        try XCTUnwrap(index(of: XCTUnwrap($0, label)), "\(label): \($0 as Any)")
                    }
                    XCTAssertEqual(
                        indexes,
                        Array(repeating: indexes[0], count: 3),
                        "\(label): all are told of one effect"
                    )
                    for host in group.hosts {
                        XCTAssertEqual(
                            host.machine?.state.applied,
                            [.init(identity: command, index: indexes[0])],
                            "\(label): member \(host.id)"
                        )
                    }
                }
            }
        }
        print("        the first attempt took effect in \(survived) of 60")
        XCTAssertGreaterThan(survived, 40)
        XCTAssertLessThan(survived, 60, "in some the first attempt was lost")
    }
}
