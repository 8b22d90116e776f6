import XCTest

/// What reads of a key may find: each contradiction is found, and the closest legal read is not.
final class KeyHistoryTests: XCTestCase {
    /// `a` was acknowledged at revision 5 and `b` at 8, each by one call.
    private func history() -> KeyHistory {
        var history = KeyHistory()
        history.begin("a")
        XCTAssertNil(history.acknowledge("a", 5))
        history.begin("b")
        XCTAssertNil(history.acknowledge("b", 8))
        return history
    }

    private func read(_ history: KeyHistory, _ revision: UInt64, _ value: String, from: KeyHistory? = nil) -> String? {
        var history = history
        return history.violation(of: .init(revision: revision, value: value), begun: (from ?? history).beginRead())
    }

    func testRead_whatWasAcknowledgedLast_isLegal() {
        XCTAssertNil(read(history(), 8, "b"))
    }

    func testRead_olderThanAcknowledgedBeforeItBegan_isFound() {
        XCTAssertEqual(read(history(), 5, "a"), "revision 5 was read, though 8 had been acknowledged")
        XCTAssertEqual(read(history(), 0, ""), "revision 0 was read, though 8 had been acknowledged")
        var earlier = KeyHistory()
        earlier.begin("a")
        XCTAssertNil(read(history(), 5, "a", from: earlier), "it began before")
    }

    func testRead_anotherValueOfTheRevision_isFound() {
        XCTAssertEqual(read(history(), 8, "a"), "a was read at revision 8, and written once, at 5")
        XCTAssertEqual(read(history(), 8, "c"), "c was read at revision 8, and was never written")
    }

    func testRead_laterRevisionThanTheOneCallHad_isFound() {
        XCTAssertEqual(read(history(), 9, "b"), "b was read at revision 9, and written once, at 8")
    }

    func testRead_writeUnderWay_isLegalAtALaterRevisionOnly() {
        var history = history()
        history.begin("c")
        XCTAssertNil(read(history, 9, "c"))
        XCTAssertNil(read(history, 8, "b"))
        XCTAssertEqual(read(history, 7, "c"), "revision 7 was read, though 8 had been acknowledged")
    }

    func testRead_valueOfSeveralCalls_isLegalAtEachOfTheirRevisions() {
        var history = history()
        history.begin("c")
        history.begin("c")
        XCTAssertNil(history.acknowledge("c", 12))
        XCTAssertNil(read(history, 14, "c"), "the call that was not acknowledged came later")
        XCTAssertEqual(read(history, 10, "c"), "revision 10 was read, though 12 had been acknowledged")
    }

    func testRead_twoValuesOfOneRevision_isFound() {
        var history = history()
        history.begin("c")
        let begun = history.beginRead()
        XCTAssertNil(history.violation(of: .init(revision: 9, value: "c"), begun: begun))
        history.begin("d")
        XCTAssertEqual(
            history.violation(of: .init(revision: 9, value: "d"), begun: begun),
            "revision 9 has the value d, and had c"
        )
    }

    func testAcknowledge_revisionThatDoesNotGrow_isFound() {
        var history = history()
        history.begin("c")
        XCTAssertEqual(history.acknowledge("c", 8), "c has the revision 8, and was written after 8")
        XCTAssertEqual(history.acknowledge("b", 9), "b was acknowledged, and is not what is written")
    }
}
