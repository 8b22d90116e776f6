import BalsaKeyValue
import BalsaPlatform
import XCTest

/// Reads of keys and ranges, now and at earlier revisions.
final class ReadingTests: XCTestCase {
    private func store(_ keys: [Bytes]) throws -> MachineFixture {
        let store = try MachineFixture()
        for key in keys { try store.apply(.put(key: key, value: key)) }
        return store
    }

    func testAKeyIsReadAsOfEachRevision() throws {
        let store = try MachineFixture()
        try store.apply(.put(key: "a", value: "1"))
        try store.apply(.put(key: "b", value: "1"))
        try store.apply(.put(key: "a", value: "2"))
        try store.apply(.delete(key: "a"))
        try store.skip()
        let seen = try (0...5).map { try store.machine.get("a", at: $0)?.value }
        XCTAssertEqual(seen, [nil, "1", "1", "2", nil, nil])
    }

    func testARevisionThatIsNotAppliedIsAheadOfTheMachine() throws {
        let store = try store(["a"])
        XCTAssertEqual(errorOf { _ = try store.machine.get("a", at: 2) }?.code, .futureRevision)
        XCTAssertEqual(errorOf { _ = try store.machine.scan(at: 2) }?.code, .futureRevision)
        try store.skip()
        XCTAssertEqual(try store.machine.get("a", at: 2)?.revision, 1)
        XCTAssertEqual(try store.machine.scan(at: 2).pairs.count, 1)
    }

    func testARevisionBelowTheMarkIsRefused() throws {
        var options = MachineOptions()
        options.limits.retainedRevisions = 2
        let store = try MachineFixture(options)
        for value in 0..<5 as Range<UInt8> { try store.apply(.put(key: "a", value: [value])) }
        XCTAssertEqual(store.machine.retentionMark, 3)
        XCTAssertEqual(errorOf { _ = try store.machine.get("a", at: 2) }?.code, .compacted)
        XCTAssertEqual(errorOf { _ = try store.machine.scan(at: 0) }?.code, .compacted)
        XCTAssertEqual(try store.machine.get("a", at: 3)?.value, [2])
        try store.seal()
        try store.restart()
        XCTAssertEqual(errorOf { _ = try store.machine.get("a", at: 2) }?.code, .compacted)
        XCTAssertEqual(try store.machine.get("a", at: 3)?.value, [2])
    }

    func testWhatWasWrittenLastIsReadHoweverLongAgoItWas() throws {
        var options = MachineOptions()
        options.limits.retainedRevisions = 0
        let store = try MachineFixture(options)
        try store.apply(.put(key: "a", value: "1"))
        for _ in 0..<5 { try store.skip() }
        XCTAssertEqual(store.machine.retentionMark, 6)
        XCTAssertEqual(try store.value("a"), "1")
        XCTAssertEqual(try store.machine.get("a", at: 6)?.value, "1")
        let page = try store.machine.scan()
        XCTAssertEqual(page.pairs.map(\.key), ["a"])
        XCTAssertEqual(try store.machine.scan(at: page.revision).pairs, page.pairs)
    }

    func testABorrowedValueIsTheCopiedOne() throws {
        let store = try store(["key"])
        let copy = try store.machine.withValue(of: "key") { value, revision in ([UInt8](value), revision) }
        XCTAssertEqual(copy?.0, [UInt8]("key".utf8))
        XCTAssertEqual(copy?.1, 1)
        XCTAssertNil(try store.machine.withValue(of: "other") { value, _ in value.count })
    }

    func testAScanGivesTheRangeInOrder() throws {
        let store = try store(["d", "b", "a", "c", ""])
        XCTAssertEqual(try store.machine.scan().pairs.map(\.key), ["", "a", "b", "c", "d"])
        XCTAssertEqual(try store.machine.scan(from: "b", to: "d").pairs.map(\.key), ["b", "c"])
        XCTAssertEqual(try store.machine.scan(to: "b", order: .descending).pairs.map(\.key), ["a", ""])
        XCTAssertEqual(try store.machine.scan(from: "c").pairs.map(\.revision), [4, 1])
        XCTAssertEqual(try store.machine.scan(from: "b", to: "b").pairs, [])
        XCTAssertEqual(try store.machine.scan(from: "x").pairs, [])
    }

    func testAReversedRangeIsAnError() throws {
        let store = try store(["a"])
        XCTAssertEqual(errorOf { _ = try store.machine.scan(from: "b", to: "a") }?.code, .invalid)
        XCTAssertEqual(errorOf { _ = try store.machine.scan(limit: 0) }?.code, .invalid)
        let long = Bytes([UInt8](repeating: 0, count: ReplicatedOptions.largestKeyBytes + 1))
        XCTAssertEqual(errorOf { _ = try store.machine.scan(from: long) }?.code, .invalid)
        XCTAssertEqual(errorOf { _ = try store.machine.get(long) }?.code, .invalid)
    }

    func testPagesFollowEachOtherInBothOrders() throws {
        let keys = (0..<20 as Range<UInt8>).map { Bytes([$0 / 4, $0 % 4]) }
        let store = try store(keys)
        for limit in [1, 3, 19, 20, 21] {
            var found: [Bytes] = []
            var from: Bytes?
            repeat {
                let page = try store.machine.scan(from: from, limit: limit)
                found += page.pairs.map(\.key)
                from = page.continuation
            } while from != nil
            XCTAssertEqual(found, keys, "ascending, \(limit) a page")

            found = []
            var to: Bytes?
            repeat {
                let page = try store.machine.scan(to: to, limit: limit, order: .descending)
                found += page.pairs.map(\.key)
                to = page.continuation
            } while to != nil
            XCTAssertEqual(found, keys.reversed(), "descending, \(limit) a page")
        }
    }

    func testAPageEndsWithItsBytes() throws {
        let store = try store(["aa", "bb", "cc"])
        XCTAssertEqual(try store.machine.scan(maxBytes: 8).pairs.map(\.key), ["aa", "bb"])
        XCTAssertEqual(try store.machine.scan(maxBytes: 8).continuation, "cc")
        XCTAssertEqual(try store.machine.scan(maxBytes: 7).pairs.map(\.key), ["aa"])
        let page = try store.machine.scan(order: .descending, maxBytes: 0)
        XCTAssertEqual(page.pairs.map(\.key), ["cc"], "a page has a pair, however small it is to be")
        XCTAssertEqual(page.continuation, "cc")
    }

    /// A caller looks at its deadline between pages, so one page does not pass all that was deleted.
    func testPage_manyDeletedKeys_endsEarlyAndSaysWhereToGoOn() throws {
        for order in [ScanOrder.ascending, .descending] {
            // A store of its own: the second look jumps over what the first one has passed.
            let store = try store(["a", "z"])
            for number in 0..<1_050 { try store.apply(.delete(key: Bytes("k\(100_000 + number)"))) }
            let isAscending = order == .ascending
            var (from, to): (Bytes?, Bytes?) = (isAscending ? "b" : nil, isAscending ? nil : "y")
            let first = try store.machine.scan(from: from, to: to, order: order)
            XCTAssertEqual(first.pairs, [], "\(order)")
            let next = try XCTUnwrap(first.continuation, "\(order)")
            if isAscending { from = next } else { to = next }
            let second = try store.machine.scan(from: from, to: to, order: order)
            XCTAssertEqual(second.pairs.map(\.key), [isAscending ? "z" : "a"])
            XCTAssertNil(second.continuation)
        }
    }

    /// The front of a queue is found by one page, whatever was taken from the queue.
    func testPage_deletedKeysThatWerePassedBefore_areJumpedOver() throws {
        let store = try store(["a", "z"])
        for number in 0..<2_050 { try store.apply(.delete(key: Bytes("k\(100_000 + number)"))) }
        var pages = 1
        while try store.machine.scan(from: "b", limit: 1).pairs.isEmpty, pages < 10 { pages += 1 }
        XCTAssertEqual(pages, 3)
        XCTAssertEqual(try store.machine.scan(from: "b", limit: 1).pairs.map(\.key), ["z"])
        XCTAssertEqual(try store.machine.scan(from: "k1", limit: 1).pairs.map(\.key), ["z"])
    }

    func testTheLaterPagesSeeTheRevisionOfTheFirst() throws {
        let store = try store(["a", "b", "c"])
        let first = try store.machine.scan(limit: 1)
        XCTAssertEqual(first.revision, 3)
        try store.apply(.put(key: "b", value: "new"))
        try store.apply(.delete(key: "c"))
        try store.apply(.put(key: "d", value: "d"))
        let rest = try store.machine.scan(from: first.continuation, at: first.revision)
        XCTAssertEqual(
            rest.pairs,
            [
                KeyValuePair(key: "b", value: "b", revision: 2), KeyValuePair(key: "c", value: "c", revision: 3),
            ]
        )
        XCTAssertEqual(try store.machine.scan().pairs.map(\.key), ["a", "b", "d"])
        XCTAssertEqual(try store.machine.scan().revision, 6)
    }
}
