import BalsaRaft
import BalsaWire
import XCTest

@testable import BalsaTransport

final class HandshakePolicyTests: XCTestCase {
    private var policy = HandshakePolicy.sample(.sample(1), members: [1, 2, 3])

    /// What the policy of member 1 says to a hello that was changed.
    private func judge(
        _ from: MemberIdentity = .sample(2),
        _ change: (inout Handshake) -> Void = { _ in }
    ) -> HandshakeRefusal.Reason? {
        var hello = HandshakePolicy.sample(from, members: [1, 2, 3]).hello(to: 1, .control)
        change(&hello)
        return policy.judge(hello: hello)
    }

    func testAMemberOfTheConfigurationIsAccepted() {
        XCTAssertNil(judge())
        XCTAssertNil(judge(.sample(3)))
    }

    func testEachMistakeHasItsReason() {
        XCTAssertEqual(judge { $0.from.cluster = ClusterID(rawValue: 0xc2) }, .unknownCluster)
        XCTAssertEqual(judge { $0.from.cluster = .none }, .unknownCluster)
        XCTAssertEqual(judge { $0.to = 3 }, .notAddressed)
        XCTAssertEqual(judge(.sample(4)), .unknownMember)
        XCTAssertEqual(judge { $0.protocols = 2...3 }, .protocolRange)
        XCTAssertEqual(judge { $0.from.incarnation = Incarnation(rawValue: 5) }, .wrongIncarnation)
        XCTAssertEqual(judge(.sample(1)), .ownAddress)
        XCTAssertEqual(judge(.sample(1, nonce: 5)), .duplicateID)
        XCTAssertEqual(judge { $0.kind = .welcome }, .ownAddress)
        XCTAssertNil(judge(), "none of these was remembered as the member's life")
    }

    func testRangesOfTheProtocolNeedOneVersionInCommon() {
        policy.protocols = 3...5
        XCTAssertEqual(judge { $0.protocols = 1...2 }, .protocolRange)
        XCTAssertEqual(judge { $0.protocols = 6...9 }, .protocolRange)
        XCTAssertNil(judge { $0.protocols = 1...3 })
        XCTAssertNil(judge { $0.protocols = 5...9 })
    }

    func testALaterLifeTakesOver() {
        XCTAssertNil(judge(.sample(2, boot: 4)))
        XCTAssertNil(judge(.sample(2, boot: 4)), "the second connection of the same life")
        XCTAssertNil(judge(.sample(2, boot: 7)))
        XCTAssertEqual(policy.peers[0].latest?.bootCounter, 7)
    }

    func testADiskThatWasSetBackIsNoticed() {
        XCTAssertNil(judge(.sample(2, boot: 4)))
        XCTAssertEqual(judge(.sample(2, boot: 3)), .rolledBack)
        XCTAssertNil(judge(.sample(2, boot: 4)))
    }

    func testTwoProcessesOnCopiesOfOneDiskAreNoticed() {
        XCTAssertNil(judge(.sample(2, boot: 4, nonce: 1)))
        XCTAssertEqual(judge(.sample(2, boot: 4, nonce: 2)), .cloned, "the same number of openings, another life")
        XCTAssertNil(judge(.sample(2, boot: 5, nonce: 3)), "a restart, as far as anybody can tell")
        XCTAssertEqual(judge(.sample(2, boot: 4, nonce: 1)), .cloned, "but it is still there")
    }

    func testTheLivesOfOneMemberSayNothingOfAnother() {
        XCTAssertNil(judge(.sample(2, boot: 9)))
        XCTAssertNil(judge(.sample(3, boot: 1)))
    }

    func testWhatIsRememberedOutlivesAConfigurationUnlessTheDiskIsAnother() {
        XCTAssertNil(judge(.sample(2, boot: 9)))
        let disk = MemberIdentity.sample(2).incarnation
        policy.setPeers([.init(2, incarnation: disk), .init(5)])
        XCTAssertEqual(judge(.sample(2, boot: 8)), .rolledBack)
        XCTAssertEqual(judge(.sample(3)), .unknownMember)
        policy.setPeers([.init(2, incarnation: Incarnation(rawValue: 77))])
        XCTAssertNil(judge(.sample(2, boot: 1)) { $0.from.incarnation = Incarnation(rawValue: 77) })
    }

    func testOnlyWhileAClusterIsFormedOneMayHaveNone() {
        policy.isForming = true
        XCTAssertNil(judge { $0.from.cluster = .none })
        XCTAssertEqual(judge { $0.from.cluster = ClusterID(rawValue: 0xc2) }, .unknownCluster)
        policy.own.cluster = .none
        XCTAssertNil(judge { $0.from.cluster = ClusterID(rawValue: 0xc2) })
        policy.isForming = false
        XCTAssertEqual(judge { $0.from.cluster = .none }, .unknownCluster)
    }

    // MARK: Answers

    private func judgeAnswer(_ change: (inout Handshake) -> Void) -> HandshakeRefusal? {
        let hello = policy.hello(to: 2, .control)
        var answer = HandshakePolicy.sample(.sample(2), members: [1, 2, 3]).answer(to: hello, nil)
        change(&answer)
        return policy.judge(answer: answer, to: hello)
    }

    func testAWelcomeIsHeldAgainstWhatIsKnownAsAHelloIs() {
        XCTAssertNil(judgeAnswer { _ in })
        XCTAssertEqual(judgeAnswer { $0.from.member = 3 }, HandshakeRefusal(.here, .notAddressed))
        XCTAssertEqual(judgeAnswer { $0.to = 3 }, HandshakeRefusal(.here, .notAddressed))
        XCTAssertEqual(judgeAnswer { $0.from.bootCounter = 0 }, HandshakeRefusal(.here, .rolledBack))
        XCTAssertEqual(judgeAnswer { $0.protocols = 7...7 }, HandshakeRefusal(.here, .protocolRange))
        XCTAssertEqual(
            judgeAnswer { $0.from.cluster = ClusterID(rawValue: 1) },
            HandshakeRefusal(.here, .unknownCluster)
        )
    }

    func testAnAnswerToAnotherHelloIsNone() {
        XCTAssertNotNil(judgeAnswer { $0.answeredNonce += 1 })
        XCTAssertNotNil(judgeAnswer { $0.path = .bulk })
        XCTAssertNotNil(judgeAnswer { $0.kind = .hello })
    }

    func testTheReasonOfARefusalReachesTheRefused() {
        let refusal = judgeAnswer {
            $0.kind = .refusal
            $0.reason = HandshakeRefusal.Reason(rawValue: 4_000)
        }
        XCTAssertEqual(refusal, HandshakeRefusal(.peer, HandshakeRefusal.Reason(rawValue: 4_000)))
        XCTAssertEqual(refusal?.description, "the peer refused this member: reason 4000")
    }
}
