import BalsaPlatform
import XCTest

@testable import BalsaLSM

final class MemtableTests: XCTestCase {
    func testAnEmptyMemtableHasNothing() {
        let memtable = Memtable()
        XCTAssertTrue(memtable.isEmpty)
        XCTAssertEqual(memtable.entryCount, 0)
        XCTAssertEqual(memtable.smallestSequence, 0)
        XCTAssertEqual(memtable.largestSequence, 0)
        XCTAssertNil(memtable.entry(of: "", at: largestSequenceNumber))
        XCTAssertNil(memtable.entry(of: "a", at: largestSequenceNumber))
        XCTAssertTrue(memtable.tombstones.isEmpty)
        var cursor = memtable.makeCursor()
        XCTAssertFalse(cursor.isValid)
        cursor.seekToFirst()
        XCTAssertFalse(cursor.isValid)
        cursor.seekToLast()
        XCTAssertFalse(cursor.isValid)
        cursor.seek("", .seek(9))
        XCTAssertFalse(cursor.isValid)
        cursor.seekBefore("a")
        XCTAssertFalse(cursor.isValid)
    }

    func testAReaderSeesTheNewestEntryUpToItsSequence() {
        let memtable = Memtable()
        memtable.put("key", "one", at: 10)
        memtable.delete("key", at: 20)
        memtable.put("key", "three", at: 30)
        XCTAssertNil(memtable.entry(of: "key", at: 9))
        XCTAssertEqual(memtable.entry(of: "key", at: 10)?.value, "one")
        XCTAssertEqual(memtable.entry(of: "key", at: 19)?.value, "one")
        XCTAssertEqual(memtable.entry(of: "key", at: 20)?.trailer, Trailer(20, .deletion))
        XCTAssertEqual(memtable.entry(of: "key", at: 29)?.trailer, Trailer(20, .deletion))
        XCTAssertEqual(memtable.entry(of: "key", at: largestSequenceNumber)?.value, "three")
        XCTAssertEqual(memtable.entries.map(\.trailer.sequence), [30, 20, 10])
        XCTAssertEqual(memtable.entryCount, 3)
        XCTAssertEqual(memtable.smallestSequence, 10)
        XCTAssertEqual(memtable.largestSequence, 30)
    }

    func testKeysThatBeginOtherKeysHaveValuesOfTheirOwn() {
        let memtable = Memtable()
        let keys: [Bytes] = ["abc", "", "abcdefgh", "a", "abcd", "ab", "b", [0x61, 0], [0x61, 0, 0]]
        for (number, key) in keys.enumerated() {
            XCTAssertNil(memtable.entry(of: key, at: 100), "\(key)")
            memtable.put(key, Bytes("value \(number)"), at: SequenceNumber(number + 1))
        }
        for (number, key) in keys.enumerated() {
            XCTAssertEqual(memtable.entry(of: key, at: 100)?.value, Bytes("value \(number)"))
        }
        for missing: Bytes in ["abcde", "abcdefghi", "c", [0x61, 0, 0, 0], [0], "bb"] {
            XCTAssertNil(memtable.entry(of: missing, at: 100), "\(missing)")
        }
        XCTAssertEqual(memtable.entries.map(\.key), keys.sorted())
        XCTAssertEqual(memtable.entriesBackward.map(\.key), keys.sorted().reversed())
    }

    func testAnEmptyKeyAloneIsAnEntryLikeOthers() {
        let memtable = Memtable()
        memtable.put("", "", at: 1)
        XCTAssertEqual(memtable.entry(of: "", at: 1)?.value, "")
        XCTAssertNil(memtable.entry(of: "a", at: 1))
        XCTAssertEqual(memtable.entries.count, 1)
        var cursor = memtable.makeCursor()
        cursor.seekBefore("")
        XCTAssertFalse(cursor.isValid)
        cursor.seekBefore([0])
        XCTAssertEqual(cursor.entry?.key, "")
    }

    func testANodeGrowsThroughAllItsKindsInAnyOrderOfBytes() {
        var random = RandomSource(seed: 11)
        for prefix: Bytes in ["", "a long common prefix of all the keys"] {
            var bytes = Array(UInt8.min...UInt8.max)
            for place in bytes.indices { bytes.swapAt(place, random.draw(place...255)) }
            let memtable = Memtable()
            var keys: [Bytes] = []
            for (number, byte) in bytes.enumerated() {
                let key = Bytes([UInt8](prefix) + [byte])
                memtable.put(key, Bytes([byte]), at: SequenceNumber(number + 1))
                keys.append(key)
                // Before and after each change of the node's kind.
                guard [1, 2, 4, 5, 16, 17, 48, 49, 256].contains(keys.count) else { continue }
                XCTAssertEqual(memtable.entries.map(\.key), keys.sorted())
                XCTAssertEqual(memtable.entriesBackward.map(\.key), keys.sorted().reversed())
                for key in keys { XCTAssertEqual(memtable.entry(of: key, at: 1_000)?.key, key) }
            }
            XCTAssertNil(memtable.entry(of: prefix, at: 1_000))
            memtable.put(prefix, "ends here", at: 1_000)
            XCTAssertEqual(memtable.entry(of: prefix, at: 1_000)?.value, "ends here")
            XCTAssertEqual(memtable.entries.map(\.key), (keys + [prefix]).sorted())
        }
    }

    func testValuesOfAnySizeStayWhole() {
        let memtable = Memtable()
        // Less than a word, more than what is left of a region, and more than a region.
        let sizes = [0, 1, 7, 8, 60_000, 10_000, 200_000, 300_000, 5 << 20, 3, 4 << 20, 200_000]
        for (number, size) in sizes.enumerated() {
            let value = Bytes([UInt8](repeating: UInt8(number + 1), count: size))
            memtable.put(Bytes("key \(number)"), value, at: SequenceNumber(number + 1))
        }
        for (number, size) in sizes.enumerated() {
            let value = memtable.entry(of: Bytes("key \(number)"), at: 100)?.value
            XCTAssertEqual(value, Bytes([UInt8](repeating: UInt8(number + 1), count: size)))
        }
        let data = sizes.reduce(0, +)
        XCTAssertGreaterThanOrEqual(memtable.byteCount, data)
        XCTAssertLessThan(memtable.byteCount, data + 2_000)
    }

    func testTheSizeCountsKeysValuesAndVersions() {
        let memtable = Memtable()
        var before = memtable.byteCount
        XCTAssertLessThan(before, 100, "a memtable that holds nothing is not nearly full")
        for number in 1...1_000 {
            memtable.put(Bytes("key \(number % 10)"), Bytes([UInt8](repeating: 1, count: 100)), at: UInt64(number))
            XCTAssertGreaterThanOrEqual(memtable.byteCount, before + 100)
            before = memtable.byteCount
        }
        XCTAssertLessThan(memtable.byteCount, 1_000 * 130)
        XCTAssertEqual(memtable.entryCount, 1_000)
    }

    func testRangeDeletionsAreKeptBesideTheEntries() {
        let memtable = Memtable()
        memtable.put("b", "1", at: 3)
        memtable.deleteRange(RangeDeletion(start: "a", end: "c", sequence: 5))
        let early = memtable.tombstones
        let size = memtable.byteCount
        memtable.deleteRange(RangeDeletion(start: "b", end: "d", sequence: 9))
        XCTAssertGreaterThan(memtable.byteCount, size)
        XCTAssertEqual(memtable.covering("b", at: 4), 0)
        XCTAssertEqual(memtable.covering("b", at: 5), 5)
        XCTAssertEqual(memtable.covering("b", at: 9), 9)
        XCTAssertEqual(memtable.covering("a", at: 9), 5)
        XCTAssertEqual(memtable.covering("d", at: 9), 0)
        XCTAssertEqual(memtable.tombstones.count, 3)
        XCTAssertEqual(early.count, 1, "a list that a reader holds does not change")
        XCTAssertEqual(memtable.entry(of: "b", at: 9)?.value, "1", "the entry is there; who asks compares")
        XCTAssertEqual(memtable.entryCount, 1)
        XCTAssertEqual(memtable.rangeDeletionCount, 2)
        XCTAssertEqual(memtable.smallestSequence, 3)
        XCTAssertEqual(memtable.largestSequence, 9)
    }

    func testThousandsOfRangeDeletions_oneAtATime_takeMemoryInProportion() {
        let memtable = Memtable()
        var mostRetired = 0
        for number in 0..<5_000 {
            let key = "key \(100_000 + number)"
            memtable.deleteRange(RangeDeletion(start: Bytes(key), end: Bytes(key + "x"), sequence: UInt64(number + 1)))
            mostRetired = max(mostRetired, memtable.epochs.retiredCount)
        }
        // Two boundaries of ten bytes each, with one sequence number.
        XCTAssertLessThan(memtable.byteCount, 5_000 * 100)
        XCTAssertLessThan(mostRetired, 40, "old sets are released while no reader is in one")
        XCTAssertLessThan(memtable.tombstoneLists.count, 12)
        XCTAssertEqual(memtable.tombstones.count, 5_000)
        XCTAssertEqual(memtable.covering("key 104999", at: 5_000), 5_000)
        XCTAssertEqual(memtable.covering("key 100000", at: 5_000), 1)
        XCTAssertEqual(memtable.covering("key 104999", at: 4_999), 0)
    }

    func testRangeDeletionsOfOneBatch_areOneList() {
        let memtable = Memtable()
        let deletions = (0..<20_000).map { number in
            RangeDeletion(start: Bytes("k\(number)"), end: Bytes("k\(number)~"), sequence: 7)
        }
        memtable.deleteRanges(deletions)
        XCTAssertEqual(memtable.tombstoneLists.count, 1)
        XCTAssertEqual(memtable.rangeDeletionCount, 20_000)
        // "k1~" ends behind all keys that begin with "k1", so ten ranges are left.
        XCTAssertEqual(memtable.tombstones.count, 10)
        XCTAssertLessThan(memtable.byteCount, 2_000)
    }

    func testAReplacedSetOfRangeDeletions_staysWhileAReaderIsInIt() {
        let memtable = Memtable()
        memtable.deleteRange(RangeDeletion(start: "a", end: "b", sequence: 1))
        let pin = memtable.epochs.pin()
        for sequence in 2...100 as ClosedRange<UInt64> {
            memtable.deleteRange(RangeDeletion(start: "a", end: "b", sequence: sequence))
        }
        XCTAssertEqual(memtable.epochs.retiredCount, 99)
        memtable.epochs.unpin(pin)
        memtable.epochs.collect()
        XCTAssertEqual(memtable.epochs.retiredCount, 0)
    }

    func testACursorKeepsItsMemtableAlive() {
        weak var released: Memtable?
        var cursor: MemtableCursor? = {
            let memtable = Memtable()
            memtable.put("a", "b", at: 1)
            released = memtable
            return memtable.makeCursor()
        }()
        cursor?.seekToFirst()
        XCTAssertEqual(cursor?.entry?.value, "b")
        cursor = nil
        XCTAssertNil(released)
    }

    func testACursorFindsWhatWasThereWhenItsNodesAreReplaced() {
        let memtable = Memtable()
        let early = (0..<40).map { Bytes("prefix \(100 + $0 * 7)") }
        for (number, key) in early.enumerated() { memtable.put(key, "early", at: UInt64(number + 1)) }
        for stop in early.indices {
            var cursor = memtable.makeCursor()
            cursor.seek(early[stop], .seek(100))
            // Between the steps of the cursor all nodes are grown, and their prefixes cut.
            for number in 0..<300 {
                memtable.put(Bytes("prefix \(number)"), "late", at: UInt64(1_000 + stop * 1_000 + number))
            }
            memtable.put(Bytes("p\(stop)"), "late", at: UInt64(999_000 + stop))
            var found: [Bytes] = []
            while let entry = cursor.entry {
                if entry.trailer.sequence <= 100 { found.append(entry.key) }
                cursor.next()
            }
            XCTAssertEqual(found, Array(early[stop...]))
        }
    }
}
