import BalsaPlatform
import XCTest

@testable import BalsaCommand

/// What the demo takes for a loss. A demo that finds none is worth as much as this.
final class ReadBackTests: XCTestCase {
    private func words(_ line: String) -> ChildMember.Answer {
        Array(line.utf8).split(separator: UInt8(ascii: " "))
    }

    func testAPairIsThereOnlyByteForByte() {
        XCTAssertEqual(ReadBack(words("value 7 hello"), expecting: "hello"), .there)
        XCTAssertEqual(ReadBack(words("value 7 hell"), expecting: "hello"), .lost)
        XCTAssertEqual(ReadBack(words("value 7 hello%0D"), expecting: "hello"), .lost)
        XCTAssertEqual(ReadBack(words("value 7 hello%0D"), expecting: "hello\r"), .there)
        XCTAssertEqual(ReadBack(words("value 7 %00%FF"), expecting: Bytes([0, 255])), .there)
        XCTAssertEqual(ReadBack(words("value 7 %"), expecting: ""), .there)
        XCTAssertEqual(ReadBack(words("none"), expecting: ""), .lost, "no value is not an empty one")
    }

    func testAValueThatIsGoneIsLost() {
        XCTAssertEqual(ReadBack(words("none"), expecting: "hello"), .lost)
    }

    func testWhatIsNoAnswerSaysNothing() {
        XCTAssertEqual(ReadBack(nil, expecting: "hello"), .unanswered)
        XCTAssertEqual(ReadBack([], expecting: "hello"), .unanswered)
        XCTAssertEqual(ReadBack(words("error not-applied closed"), expecting: "hello"), .unanswered)
        XCTAssertEqual(ReadBack(words("ok 7"), expecting: "7"), .unanswered)
    }

    private func figures(_ applied: UInt64, _ digest: String) -> MemberFigures? {
        MemberFigures(words("status member=1 role=leader applied=\(applied) digest=\(digest) pid=3"))
    }

    func testMembersAgreeWhenTheyHaveAppliedTheSameAndItGaveTheSame() {
        XCTAssertEqual(figures(5, "ab")?.applied, 5)
        XCTAssertEqual(figures(5, "ab")?.digest, "ab")
        let all = [figures(5, "ab"), figures(5, "ab"), figures(5, "ab")]
        XCTAssertEqual(Agreement(all), all[0].map { .agreed($0) })
        XCTAssertEqual(Agreement([figures(5, "ab"), figures(4, "ab")]), .pending)
        XCTAssertEqual(Agreement([figures(5, "ab"), nil]), .pending)
        XCTAssertEqual(Agreement([figures(0, "0"), figures(0, "0")]), .pending, "nothing was loaded yet")
        XCTAssertEqual(Agreement([]), .pending)
    }

    func testOneOtherDigestIsAContradiction() {
        let all = [figures(5, "ab"), figures(5, "ab"), figures(5, "ac")]
        guard case .contradiction(let found) = Agreement(all) else { return XCTFail("it was not seen") }
        XCTAssertEqual(found.map(\.digest), ["ab", "ab", "ac"])
    }

    func testFiguresThatLackSomethingAreNone() {
        XCTAssertNil(MemberFigures(words("status applied=5")))
        XCTAssertNil(MemberFigures(words("status applied=five digest=ab")))
        XCTAssertNil(MemberFigures(words("error not-applied closed")))
        XCTAssertNil(MemberFigures(nil))
    }

    func testSilence_afterAnAcknowledgementThatIsLaterThanTheMoment_isNone() {
        var figures = LoadFigures(at: 100)
        XCTAssertEqual(figures.silence(at: 130), 30)
        figures.acknowledge(since: 100, at: 150)
        XCTAssertEqual(figures.silence(at: 149), 0, "another worker read the clock later")
        XCTAssertEqual(figures.silence(at: 170), 20)
    }

    func testTheLongestTimeWithoutAnAcknowledgementIsCountedFromEachKill() {
        var figures = LoadFigures(at: 100)
        figures.acknowledge(since: 100, at: 150)
        figures.noteKill()
        figures.acknowledge(since: 120, at: 160)
        figures.acknowledge(since: 140, at: 460)
        figures.noteKill()
        figures.acknowledge(since: 460, at: 500)
        XCTAssertEqual(figures.longestGap, 300)
        XCTAssertEqual(figures.gapsOfKills, [300, 40])
        XCTAssertEqual(figures.latencies, [50, 40, 320, 40])
        XCTAssertEqual(LoadFigures.quantile(0.5, of: [30, 10, 20]), 20)
        XCTAssertEqual(LoadFigures.quantile(0.99, of: [30, 10, 20]), 30)
        XCTAssertEqual(LoadFigures.quantile(0.5, of: []), 0)
    }
}
