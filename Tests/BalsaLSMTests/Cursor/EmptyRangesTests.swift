import BalsaPlatform
import XCTest

@testable import BalsaLSM

/// The list of ranges without values, alone.
final class EmptyRangesTests: XCTestCase {
    private let memtable = Memtable()

    private func key(_ number: Int) -> Bytes { Bytes([UInt8(number)]) }

    private func range(_ start: Int, _ end: Int, at sequence: SequenceNumber = 1) -> EmptyRange {
        EmptyRange(start: key(start), end: key(end), sequence: sequence)
    }

    private func text(_ ranges: [EmptyRange]) -> [String] {
        ranges.map { "\($0.start)..<\($0.end)@\($0.sequence)" }
    }

    private func put(_ keys: Bytes...) -> WriteBatch {
        var batch = WriteBatch()
        for key in keys { batch.put(key, "value") }
        return batch
    }

    /// Random additions and puts beside one flag for each key.
    func testList_randomAdditionsAndPuts_knowsAtMostWhatIsEmpty() {
        for seed in 1...20 as ClosedRange<UInt64> {
            var random = RandomSource(seed: seed)
            // Without a limit that is reached the list knows everything; with one it may know less.
            let isLimited = seed % 2 == 0
            var list = EmptyRangeList(capacity: isLimited ? 3 : 200)
            var since = [SequenceNumber?](repeating: nil, count: 100)
            for step in 1...400 as ClosedRange<UInt64> {
                let start = random.draw(0...99)
                if random.chance(1, in: 3) {
                    let end = min(100, start + random.draw(1...12))
                    list.add(range(start, end, at: step))
                    for number in start..<end { since[number] = step }
                } else {
                    key(start).withUnsafeBytes { list.remove($0) }
                    since[start] = nil
                }
                for (before, after) in zip(list.ranges, list.ranges.dropFirst()) {
                    XCTAssertLessThan(before.end, after.start, "seed \(seed)")
                }
                if isLimited { XCTAssertLessThanOrEqual(list.ranges.count, 3) }
                for number in 0..<100 {
                    let found = key(number).withUnsafeBytes { list.index(of: $0) }.map { list.ranges[$0].sequence }
                    if let found {
                        XCTAssertGreaterThanOrEqual(found, since[number] ?? .max, "seed \(seed), key \(number)")
                    } else if !isLimited {
                        XCTAssertNil(since[number], "seed \(seed), key \(number)")
                    }
                }
            }
        }
    }

    func testList_tooManyRanges_forgetsTheOneUsedLeastRecently() {
        var list = EmptyRangeList(capacity: 2)
        list.add(range(1, 2))
        list.add(range(3, 4))
        list.noteUse(of: 0, 7)
        list.noteUse(of: 1, 6)
        var third = range(5, 6)
        third.lastUse = 8
        list.add(third)
        XCTAssertEqual(text(list.ranges), text([range(1, 2), range(5, 6)]))
    }

    func testAdd_batchWasInsertedSince_isRefused() {
        let ranges = EmptyRanges(through: 5, memtable)
        XCTAssertTrue(ranges.isEmpty)
        XCTAssertFalse(ranges.add(range(1, 3, at: 4)), "the engine was opened with a later batch")
        XCTAssertTrue(ranges.add(range(1, 3, at: 5)))
        ranges.inserted(put(key(9)), 6, into: memtable)
        XCTAssertFalse(ranges.add(range(10, 12, at: 5)))
        XCTAssertTrue(ranges.add(range(10, 12, at: 6)))
        XCTAssertEqual(text(ranges.ranges), text([range(1, 3, at: 5), range(10, 12, at: 6)]))
    }

    func testRange_readerBelowItsSequence_isNotTold() throws {
        let ranges = EmptyRanges(through: 5, memtable)
        XCTAssertTrue(ranges.add(range(1, 3, at: 5)))
        key(2).withUnsafeBytes { key in
            XCTAssertNil(ranges.range(around: key, at: 4))
            XCTAssertEqual(ranges.range(around: key, at: 5)?.end, self.key(3))
        }
        key(3).withUnsafeBytes { XCTAssertNil(ranges.range(around: $0, at: 9)) }
    }

    func testInserted_putIntoARange_isTakenOut() {
        let ranges = EmptyRanges(through: 5, memtable)
        XCTAssertTrue(ranges.add(range(1, 9, at: 5)))
        ranges.inserted(put(key(4)), 6, into: memtable)
        let after = EmptyRange(start: Bytes([4, 0]), end: key(9), sequence: 5)
        XCTAssertEqual(text(ranges.ranges), text([range(1, 4, at: 5), after]))
    }

    func testWatch_putIntoIt_endsTheRangeBeforeTheKey() {
        let ranges = EmptyRanges(through: 5, memtable)
        XCTAssertEqual(ranges.watch(range(1, 9), memtable), 5)
        XCTAssertNil(ranges.watch(range(20, 30), memtable), "one range at a time is watched")
        ranges.inserted(put(key(4), key(6)), 6, into: memtable)
        ranges.endWatch(through: key(8))
        XCTAssertEqual(text(ranges.ranges), text([range(1, 4, at: 5)]))
        XCTAssertEqual(ranges.watch(range(20, 30), memtable), 6)
        ranges.endWatch(through: nil)
        XCTAssertEqual(ranges.ranges.count, 1)
    }

    func testWatch_memtableWasReplaced_isRefused() {
        let ranges = EmptyRanges(through: 5, memtable)
        let next = Memtable()
        ranges.inserted(put(key(4)), 6, into: next)
        XCTAssertNil(ranges.watch(range(1, 9), memtable))
        XCTAssertEqual(ranges.watch(range(1, 9), next), 6)
        ranges.endWatch(through: nil)
        XCTAssertTrue(ranges.isEmpty)
    }
}
