import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import BalsaTransport

/// What the transport decides by itself; who is a member is the receiver's to say.
final class HandshakeTermsTests: XCTestCase {
    private var terms = HandshakeTerms()
    private let own = Introduction.sample(1, to: 2)

    /// What member 1 says to a hello of member 2 that was changed.
    private func refusal(
        _ introduction: Introduction = .sample(2),
        _ change: (inout Handshake) -> Void = { _ in }
    ) -> HandshakeRefusal.Reason? {
        var hello = introduction.hello()
        change(&hello)
        return terms.refusal(of: hello, own: own)
    }

    func testWhoSaysHelloIsForOthersToJudge() {
        XCTAssertNil(refusal())
        XCTAssertNil(refusal { $0.introduction.cluster = UniqueID(high: 9, low: 9) })
        XCTAssertNil(refusal { $0.introduction.to = 3 })
    }

    func testRangesOfTheProtocolNeedOneVersionInCommon() {
        terms.protocols = 3...5
        XCTAssertEqual(refusal { $0.protocols = 1...2 }, .protocolRange)
        XCTAssertEqual(refusal { $0.protocols = 6...9 }, .protocolRange)
        XCTAssertEqual(
            refusal { $0.protocols = 1...2 }?.description,
            "the two speak no common version of the protocol: upgrade the older one"
        )
        // What the sentence advises: the older one speaks a version of the other one then.
        XCTAssertNil(refusal { $0.protocols = 1...3 })
        XCTAssertNil(refusal { $0.protocols = 5...9 })
    }

    func testAgreement_rangesThatOverlap_isTheHighestVersionOfBothAndThePeersLevel() {
        let cases: [(own: ClosedRange<UInt16>, other: ClosedRange<UInt16>, version: UInt16?)] = [
            (1...3, 2...5, 3), (2...5, 1...3, 3), (1...9, 4...4, 4), (1...1, 1...1, 1), (1...2, 3...4, nil),
        ]
        for (own, other, version) in cases {
            terms.protocols = own
            var hello = Introduction.sample(2).hello()
            hello.protocols = other
            hello.featureLevel = 7
            let expected = version.map { WireAgreement(version: $0, featureLevel: 7) }
            XCTAssertEqual(terms.agreement(with: hello), expected, "\(own) and \(other)")
        }
    }

    func testAMemberKnowsItself() {
        XCTAssertEqual(refusal(own.said(to: 3)), .ownAddress)
        XCTAssertEqual(refusal { $0.kind = .welcome }, .ownAddress, "somebody sends back what it is sent")
        XCTAssertNil(refusal(.sample(1, origin: 7)), "another one of its id is not the member itself")
    }

    // MARK: Answers

    private func judge(_ change: (inout Handshake) -> Void) -> HandshakeRefusal? {
        let hello = own.hello(.bulk)
        var answer = HandshakeTerms().answer(to: hello, .sample(2), nil)
        change(&answer)
        return terms.refusal(of: answer, to: hello)
    }

    func testAWelcomeOfWhoWasMeantIsForOthersToJudge() {
        XCTAssertNil(judge { _ in })
        XCTAssertEqual(judge { $0.protocols = 7...7 }, HandshakeRefusal(.here, .protocolRange))
    }

    func testAWelcomeOfSomebodyElseIsRefusedWithTheAddressToCorrect() throws {
        let refusal = try XCTUnwrap(judge { $0.introduction.from = 3 })
        XCTAssertEqual(refusal.side, .here)
        XCTAssertNil(refusal.ofThisMember)
        XCTAssertTrue(
            refusal.description.contains("member 1 meant to reach member 2 and reached member 3"),
            "\(refusal)"
        )
    }

    func testAnAnswerToAnotherHelloIsNone() {
        XCTAssertEqual(judge { $0.answeredNonce += 1 }, HandshakeRefusal(.here, .ownAddress))
        XCTAssertEqual(judge { $0.path = .control }, HandshakeRefusal(.here, .ownAddress))
        XCTAssertEqual(judge { $0.kind = .hello }, HandshakeRefusal(.here, .ownAddress))
    }

    /// A reason travels as a number, and is the same sentence on both sides.
    func testTheRefusedReadsTheSentenceOfWhoRefuses() {
        let hello = own.hello()
        for code in 1...11 as ClosedRange<UInt16> {
            let reason = IdentityRefusal.Reason(rawValue: code)
            let refusal = IdentityRefusal(reason, of: hello.introduction, by: 2, in: .sampleCluster, remembering: 33)
            var refuser = Introduction.sample(2)
            refuser.remembered = 33
            let answer = terms.answer(to: hello, refuser, .identity(refusal))
            XCTAssertEqual(answer.kind, .refusal)
            XCTAssertEqual(terms.refusal(of: answer, to: hello), HandshakeRefusal(.peer, .identity(refusal)))
            XCTAssertEqual(terms.refusal(of: answer, to: hello)?.ofThisMember, refusal)
            XCTAssertTrue(refusal.description.contains(": "), "it says what to do")
        }
        for reason in [HandshakeRefusal.Reason.protocolRange, .ownAddress] {
            let answer = terms.answer(to: hello, .sample(2), reason)
            XCTAssertEqual(terms.refusal(of: answer, to: hello), HandshakeRefusal(.peer, reason))
            XCTAssertNil(terms.refusal(of: answer, to: hello)?.ofThisMember)
        }
    }

    func testAReasonThatThisReleaseDoesNotKnowIsShownByItsNumber() throws {
        let refusal = try XCTUnwrap(
            judge {
                $0.kind = .refusal
                $0.refusalCode = 4_000
            }
        )
        XCTAssertTrue(refusal.description.hasPrefix("the peer refused this member: member 2"), "\(refusal)")
        // What the sentence advises is to read what the other one says of the same number.
        XCTAssertTrue(
            refusal.description.hasSuffix(
                "member 2 does not listen to member 1 for a reason that this release does not know (4000): see what "
                    + "member 2 "
                    + "says"
            ),
            "\(refusal)"
        )
        XCTAssertEqual(refusal.ofThisMember?.reason.rawValue, 4_000)
        XCTAssertEqual(refusal.ofThisMember?.stopsMember, false)
    }
}
