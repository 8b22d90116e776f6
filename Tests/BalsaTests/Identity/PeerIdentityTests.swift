import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// Whom a member listens to.
final class PeerIdentityTests: XCTestCase {
    private let cluster = UniqueID(high: 1, low: 2)

    private func identity(_ peers: [BootRecord.Peer] = []) throws -> PeerIdentity {
        let rows = [MemberID(1), 2, 3].map {
            MemberTable.Row(member: $0, incarnation: FirstBootRoom.incarnation($0), address: "a")
        }
        let cluster = ClusterIdentity(id: cluster, table: try MemberTable(rows))
        return PeerIdentity(member: 1, cluster: cluster, peers: peers)
    }

    /// The introduction of member 2 in its opening `boot`, of which the nonces are counted from `origin`.
    private func introduction(_ boot: UInt64 = 5, origin: UInt64 = 100) -> Introduction {
        Introduction(
            cluster: cluster,
            from: 2,
            to: 1,
            incarnation: FirstBootRoom.incarnation(2),
            boot: boot,
            nonces: (0..<min(boot, 8)).map { origin + boot - $0 }
        )
    }

    private func assertRefused(
        _ introduction: Introduction,
        _ reason: IdentityRefusal.Reason,
        by peers: [BootRecord.Peer] = [],
        stops: Bool = false,
        line: UInt = #line
    ) throws {
        var identity = try identity(peers)
        guard case .refuse(let refusal) = identity.connect(introduction) else {
            return XCTFail("it was accepted", line: line)
        }
        XCTAssertEqual(refusal.reason, reason, line: line)
        XCTAssertEqual(refusal.stopsMember, stops, line: line)
        XCTAssertTrue(refusal.description.contains("member"), line: line)
        XCTAssertTrue(refusal.description.contains(": "), "it says what to do", line: line)
        XCTAssertEqual(identity.peers, peers, "what is remembered does not change", line: line)
    }

    func testAPeerOfTheTableIsAcceptedAndRemembered() throws {
        var identity = try identity()
        XCTAssertEqual(identity.connect(introduction()), .accept(isNew: true))
        XCTAssertEqual(identity.peers, [.init(member: 2, boot: 5, nonce: 105)])
        XCTAssertEqual(
            identity.connect(introduction()),
            .accept(isNew: false),
            "a second connection of the same opening"
        )
    }

    func testALaterOpeningTakesThePlaceOfTheOneBefore() throws {
        var identity = try identity()
        _ = identity.connect(introduction(5))
        XCTAssertEqual(identity.connect(introduction(6)), .accept(isNew: true))
        XCTAssertEqual(identity.connect(introduction(13)), .accept(isNew: true), "as far as it looks back")
        XCTAssertEqual(identity.peers, [.init(member: 2, boot: 13, nonce: 113)])
    }

    /// Opening 60 says the numbers of the openings 53 to 60, and opening 6 is remembered.
    func testAnOpeningBeyondTheNonces_isAcceptedWithTheProofAndRefusedWithout() throws {
        let known = BootRecord.Peer(member: 2, boot: 6, nonce: 106)
        let proofs: [(Opening?, IdentityRefusal.Reason?)] = [
            (nil, .unproven), (Opening(boot: 5, nonce: 105), .unproven), (Opening(boot: 7, nonce: 106), .unproven),
            (Opening(boot: 6, nonce: 107), .rolledBack), (Opening(boot: 6, nonce: 0), .forgotten),
            (Opening(boot: 6, nonce: 106), nil),
        ]
        for (proof, reason) in proofs {
            var later = introduction(60)
            later.proof = proof
            if let reason {
                try assertRefused(later, reason, by: [known], stops: reason == .rolledBack)
            } else {
                var identity = try identity([known])
                XCTAssertEqual(identity.connect(later), .accept(isNew: true))
                XCTAssertEqual(identity.peers, [.init(member: 2, boot: 60, nonce: 160)])
                XCTAssertEqual(
                    identity.connect(introduction(60)),
                    .accept(isNew: false),
                    "nothing is to be shown any more"
                )
            }
        }
    }

    func testARefusal_ofAnOpening_namesTheOneThatIsRemembered() throws {
        var identity = try identity([.init(member: 2, boot: 6, nonce: 106)])
        for (boot, reason) in [(60, IdentityRefusal.Reason.unproven), (5, .rolledBack)] {
            guard case .refuse(let refusal) = identity.connect(introduction(UInt64(boot))) else {
                return XCTFail("accepted")
            }
            XCTAssertEqual(refusal.reason, reason)
            XCTAssertEqual(refusal.opening, 6)
            XCTAssertTrue(refusal.description.contains("opening 6"), refusal.description)
        }
    }

    /// Every check fails at first; then what fails is put right, one thing after the other.
    func testTheChecks_ofAnIntroduction_areMadeInTheOrderOfThePage() throws {
        var identity = try identity([.init(member: 2, boot: 6, nonce: 106)])
        var said = introduction(60)
        said.cluster = UniqueID(high: 9, low: 9)
        said.from = 1
        said.to = 3
        said.incarnation = FirstBootRoom.incarnation(2, 2)
        said.boot = 0
        let rights: [(inout Introduction) -> Void] = [
            { $0.cluster = UniqueID(high: 1, low: 2) }, { $0.from = 4 }, { $0.to = 1 }, { $0.from = 2 },
            { $0.incarnation = FirstBootRoom.incarnation(2) }, { $0.boot = 60 },
            { $0.proof = Opening(boot: 6, nonce: 0) },
            { $0.proof = Opening(boot: 6, nonce: 107) },
        ]
        var found: [String] = []
        for place in 0...rights.count {
            if place > 0 { rights[place - 1](&said) }
            guard case .refuse(let refusal) = identity.connect(said) else { return XCTFail("accepted at \(place)") }
            found.append("\(refusal.reason.rawValue)")
        }
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let page = try String(contentsOf: package.appendingPathComponent("Docs/HandshakeFormat.md"), encoding: .utf8)
        let rows = page.components(separatedBy: "\n").drop { !$0.hasPrefix("| reason |") }.dropFirst(2)
            .prefix { $0.hasPrefix("|") }
        let numbers = rows.map { $0.split(separator: "|")[0].trimmingCharacters(in: .whitespaces) }
        // The transport's own, a member that has failed, and a copy that is up, which is what *rolled back* is while it is.
        XCTAssertEqual(numbers.filter { !["256", "257", "9", "7"].contains($0) }, found)
        XCTAssertEqual(numbers.firstIndex(of: "9"), 3, "the member looks at itself first")
        XCTAssertEqual(Array(numbers.suffix(2)), ["7", "6"])
    }

    func testWhatAPeerRemembers_isWantedFromTheNextIntroduction_unlessItIsOfAnotherCluster() throws {
        var identity = try identity()
        XCTAssertNil(identity.wanted(by: 2))
        var said = introduction()
        said.remembered = 4
        said.cluster = UniqueID(high: 9, low: 9)
        _ = identity.connect(said)
        XCTAssertNil(identity.wanted(by: 2))
        said.cluster = cluster
        XCTAssertEqual(identity.connect(said), .accept(isNew: true))
        XCTAssertEqual(identity.wanted(by: 2), 4)
        said.remembered = 0
        _ = identity.connect(said)
        XCTAssertNil(identity.wanted(by: 2))
    }

    func testPeersAreRememberedInTheOrderOfTheirIDs() throws {
        var identity = try identity()
        var third = introduction()
        third.from = 3
        third.incarnation = FirstBootRoom.incarnation(3)
        _ = identity.connect(third)
        _ = identity.connect(introduction())
        XCTAssertEqual(identity.peers.map(\.member), [2, 3])
    }

    func testAnotherClusterIsRefused() throws {
        var other = introduction()
        other.cluster = UniqueID(high: 9, low: 9)
        try assertRefused(other, .otherCluster)
    }

    func testAMemberThatTheClusterDoesNotHaveIsRefused() throws {
        var other = introduction()
        other.from = 4
        try assertRefused(other, .unknownMember)
    }

    func testWhoMeantSomebodyElseIsRefused() throws {
        var other = introduction()
        other.to = 3
        try assertRefused(other, .notAddressed)
    }

    func testWhoHasThisMembersIDIsRefused() throws {
        var other = introduction()
        other.from = 1
        try assertRefused(other, .duplicateID, stops: true)
        other.to = 2
        try assertRefused(other, .duplicateID, stops: true)
    }

    func testAnotherDirectoryUnderAnIDThatIsHeardIsNoWipedOne() throws {
        var other = introduction()
        other.incarnation = FirstBootRoom.incarnation(2, 2)
        var identity = try identity()
        _ = identity.connect(introduction())
        for cluster in [cluster, .none] {
            other.cluster = cluster
            guard case .refuse(let refusal) = identity.connect(other) else { return XCTFail("accepted") }
            XCTAssertEqual(refusal.reason, .duplicateID)
            XCTAssertTrue(refusal.description.contains("started twice"))
        }
        identity.disconnected(2, nonce: 105)
        guard case .refuse(let refusal) = identity.connect(other) else { return XCTFail("accepted") }
        XCTAssertEqual(refusal.reason, .wiped)
    }

    /// The copy was opened once more than the original, and nobody can tell it from a restart. The original goes on.
    func testOfTwoCopiesTheEarlierIsRefusedWhenItComesBack() throws {
        var identity = try identity()
        _ = identity.connect(introduction(5))
        XCTAssertEqual(identity.connect(introduction(6)), .accept(isNew: true))
        guard case .refuse(let refusal) = identity.connect(introduction(5)) else { return XCTFail("accepted") }
        XCTAssertEqual(refusal.reason, .cloned)
        var apart = introduction(7)
        apart.nonces[1] += 1_000
        guard case .refuse(let later) = identity.connect(apart) else { return XCTFail("accepted") }
        XCTAssertEqual(later.reason, .cloned, "however often it is opened again")
    }

    func testWhatTheOpeningsOfOneMemberAreSaysNothingOfAnother() throws {
        var identity = try identity()
        var third = introduction(1)
        third.from = 3
        third.incarnation = FirstBootRoom.incarnation(3)
        _ = identity.connect(introduction(9))
        XCTAssertEqual(identity.connect(third), .accept(isNew: true))
    }

    func testAWipedMemberIsRefused() throws {
        var other = introduction()
        other.incarnation = FirstBootRoom.incarnation(2, 2)
        try assertRefused(other, .wiped, stops: true)
    }

    func testAWipedMemberThatSaysItBelongsToNothingIsRefusedWithWhatToDo() throws {
        var other = introduction()
        other.incarnation = FirstBootRoom.incarnation(2, 2)
        other.cluster = .none
        try assertRefused(other, .wiped, stops: true)
    }

    func testAMemberThatWasNotToldYetIsHeardForItsFirstBoot() throws {
        var other = introduction()
        other.cluster = .none
        var identity = try identity()
        XCTAssertEqual(identity.connect(other), .firstBootOnly)
        XCTAssertEqual(identity.peers, [], "it has promised nothing")
    }

    /// The hello that a member said before it had joined comes once more. Were it heard, the member's own connections
    /// would end, as they would be those of another opening.
    func testHelloOfAFirstBoot_afterALaterOpeningWasHeard_isRefused() throws {
        var early = introduction(5)
        early.cluster = .none
        var identity = try identity()
        XCTAssertEqual(identity.connect(introduction(6)), .accept(isNew: true))
        guard case .refuse(let refusal) = identity.connect(early) else { return XCTFail("accepted") }
        XCTAssertEqual(refusal.reason, .cloned)
        identity.disconnected(2, nonce: 106)
        guard case .refuse(let again) = identity.connect(early) else { return XCTFail("accepted") }
        XCTAssertEqual(again.reason, .rolledBack)
        // Of the opening that is heard it may be late, and nothing else.
        var same = introduction(6)
        same.cluster = .none
        XCTAssertEqual(identity.connect(same), .firstBootOnly)
    }

    func testALowerCounterIsRefused() throws {
        let known = BootRecord.Peer(member: 2, boot: 6, nonce: 106)
        try assertRefused(introduction(5), .rolledBack, by: [known], stops: true)
    }

    func testTheSameCounterWithAnotherNonceIsARollbackOnceTheFirstIsGone() throws {
        let known = BootRecord.Peer(member: 2, boot: 5, nonce: 105)
        try assertRefused(introduction(5, origin: 200), .rolledBack, by: [known], stops: true)
    }

    func testTheSameCounterWithAnotherNonceIsACloneWhileTheFirstIsHeard() throws {
        var identity = try identity()
        _ = identity.connect(introduction())
        guard case .refuse(let refusal) = identity.connect(introduction(5, origin: 200)) else {
            return XCTFail("accepted")
        }
        XCTAssertEqual(refusal.reason, .cloned)
        XCTAssertTrue(refusal.stopsMember)
        identity.disconnected(2, nonce: 205)
        guard case .refuse(let again) = identity.connect(introduction(5, origin: 200)) else {
            return XCTFail("accepted")
        }
        XCTAssertEqual(again.reason, .cloned, "the first is still heard")
        identity.disconnected(2, nonce: 105)
        guard case .refuse(let last) = identity.connect(introduction(5, origin: 200)) else {
            return XCTFail("accepted")
        }
        XCTAssertEqual(last.reason, .rolledBack)
        XCTAssertEqual(identity.connect(introduction()), .accept(isNew: false), "the first may come back")
    }

    func testAnOpeningThatComesBackAfterALaterOneIsAClone() throws {
        var identity = try identity()
        _ = identity.connect(introduction(5))
        // A copy that was made while the member ran counts on from where it was.
        XCTAssertEqual(identity.connect(introduction(6)), .accept(isNew: true))
        guard case .refuse(let refusal) = identity.connect(introduction(5)) else { return XCTFail("accepted") }
        XCTAssertEqual(refusal.reason, .cloned)
        identity.disconnected(2, nonce: 105)
        guard case .refuse(let again) = identity.connect(introduction(5)) else { return XCTFail("accepted") }
        XCTAssertEqual(again.reason, .cloned)
        // The same after a restart of this member, which only remembers the latest.
        try assertRefused(introduction(5), .rolledBack, by: identity.peers, stops: true)
    }

    func testADirectoryThatWasSetBackIsKnownHoweverOftenItIsOpenedAgain() throws {
        // Remembered is opening 9. The directory was set back to before opening 7.
        let known = BootRecord.Peer(member: 2, boot: 9, nonce: 109)
        for boot in UInt64(7)...16 {
            var other = introduction(boot)
            for place in other.nonces.indices where boot - UInt64(place) >= 7 { other.nonces[place] += 1_000 }
            try assertRefused(other, .rolledBack, by: [known], stops: true)
            var honest = try identity([known])
            if boot > 9 { XCTAssertEqual(honest.connect(introduction(boot)), .accept(isNew: true)) }
        }
    }

    func testAnIntroductionThatNoMemberMakesIsRefused() throws {
        for change: (inout Introduction) -> Void in [
            { $0.boot = 0 }, { $0.boot = .max }, { $0.nonces = [] }, { $0.nonces[1] = 0 }, { $0.nonces.removeLast() },
            { $0.nonces.append(7) }, { $0.proof = Opening(boot: 5, nonce: 105) },
            { $0.proof = Opening(boot: 1, nonce: 101) },
        ] {
            var other = introduction()
            change(&other)
            try assertRefused(other, .malformed)
        }
        for change: (inout Introduction) -> Void in [
            { $0.proof = Opening(boot: 0, nonce: 1) }, { $0.proof = Opening(boot: 53, nonce: 1) },
            { $0.proof = Opening(boot: .max, nonce: 1) },
        ] {
            var other = introduction(60)
            change(&other)
            try assertRefused(other, .malformed)
        }
    }
}
