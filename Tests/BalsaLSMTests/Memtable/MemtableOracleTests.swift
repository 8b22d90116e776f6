import BalsaPlatform
import XCTest

@testable import BalsaLSM

/// Random entries in keys of many shapes, against a skip list.
final class MemtableOracleTests: XCTestCase {
    private struct Case {
        let memtable = Memtable()
        var oracle = SkipList()
        /// What was written, and about as much that was not.
        var keys: [Bytes] = []
        var random: RandomSource
        var sequence: SequenceNumber = 0

        init(_ shape: MemtableKeyShape, writes: Int) {
            random = RandomSource(seed: UInt64(writes))
            for number in 0..<writes {
                sequence += 1 + random.below(3)
                let key = shape.draw(&random)
                let kind: ValueKind = random.chance(1, in: 5) ? .deletion : .put
                let value = kind == .put ? Bytes("value \(number)") : ""
                let entry = ModelEntry(key: key, trailer: Trailer(sequence, kind), value: value)
                memtable.insert(entry)
                oracle.insert(entry)
                keys.append(key)
                keys.append(shape.draw(&random))
            }
        }

        /// A place to seek to: a key as it was drawn, or one next to it.
        mutating func drawTarget() -> (key: Bytes, trailer: Trailer) {
            var key = [UInt8](random.pick(keys))
            switch random.below(5) {
            case 0: key.append(0)
            case 1 where !key.isEmpty: key.removeLast()
            case 2 where !key.isEmpty: key[key.count - 1] &+= 1
            case 3 where !key.isEmpty: key[random.draw(0...key.count - 1)] = UInt8(random.below(256))
            default: break
            }
            let trailer = random.chance(1, in: 3) ? Trailer(rawValue: .max) : .seek(random.below(sequence + 2))
            return (Bytes(key), trailer)
        }
    }

    private func forEachShape(writes: Int, _ body: (MemtableKeyShape, inout Case) -> Void) {
        for shape in MemtableKeyShape.allCases {
            var example = Case(shape, writes: writes)
            body(shape, &example)
        }
    }

    func testEveryKeyIsFoundAtEverySnapshotThatHasIt() {
        forEachShape(writes: 400) { shape, example in
            for key in example.keys {
                let snapshots = [
                    0, example.sequence, largestSequenceNumber, example.random.below(example.sequence + 1),
                ]
                for snapshot in snapshots {
                    XCTAssertEqual(
                        example.memtable.entry(of: key, at: snapshot),
                        example.oracle.find(key, at: snapshot),
                        "\(shape), \(key) at \(snapshot)"
                    )
                }
            }
            XCTAssertEqual(example.memtable.entryCount, 400)
        }
    }

    func testACursorVisitsAllVersionsOfAllKeysInBothDirections() {
        forEachShape(writes: 1_000) { shape, example in
            let expected = example.oracle.entries
            XCTAssertEqual(expected.count, 1_000)
            XCTAssertEqual(example.memtable.entries, expected, "\(shape)")
            XCTAssertEqual(example.memtable.entriesBackward, expected.reversed(), "\(shape)")
        }
    }

    func testSeekGoesToTheFirstEntryThatIsNotBefore() {
        forEachShape(writes: 300) { shape, example in
            var cursor = example.memtable.makeCursor()
            for _ in 0..<600 {
                let (key, trailer) = example.drawTarget()
                cursor.seek(key, trailer)
                XCTAssertEqual(cursor.entry, example.oracle.seek(key, trailer), "\(shape), \(key) at \(trailer)")
                cursor.seekBefore(key)
                XCTAssertEqual(cursor.entry, example.oracle.seekBefore(key), "\(shape), before \(key)")
            }
        }
    }

    func testEverythingBehindAndBeforeASeekIsVisited() {
        forEachShape(writes: 150) { shape, example in
            let entries = example.oracle.entries
            var cursor = example.memtable.makeCursor()
            for _ in 0..<15 {
                let (key, trailer) = example.drawTarget()
                let split = entries.firstIndex { !$0.isBefore(key, trailer) } ?? entries.count
                cursor.seek(key, trailer)
                for expected in entries[split...] {
                    XCTAssertEqual(cursor.entry, expected, "\(shape), behind \(key)")
                    guard cursor.isValid else { return }
                    cursor.next()
                }
                XCTAssertFalse(cursor.isValid)
                let before = entries.prefix { $0.key < key }
                cursor.seekBefore(key)
                for expected in before.reversed() {
                    XCTAssertEqual(cursor.entry, expected, "\(shape), before \(key)")
                    guard cursor.isValid else { return }
                    cursor.previous()
                }
                XCTAssertFalse(cursor.isValid)
            }
        }
    }

    func testTheDirectionMayBeTurnedAtEveryPlace() {
        forEachShape(writes: 200) { shape, example in
            let entries = example.oracle.entries
            var cursor = example.memtable.makeCursor()
            cursor.seekToFirst()
            for place in entries.indices.dropLast() {
                cursor.next()
                XCTAssertEqual(cursor.entry, entries[place + 1], "\(shape)")
                cursor.previous()
                XCTAssertEqual(cursor.entry, entries[place], "\(shape)")
                cursor.next()
                XCTAssertEqual(cursor.entry, entries[place + 1], "\(shape)")
            }
            for place in entries.indices.dropFirst().reversed() {
                cursor.previous()
                XCTAssertEqual(cursor.entry, entries[place - 1], "\(shape)")
                cursor.next()
                XCTAssertEqual(cursor.entry, entries[place], "\(shape)")
                cursor.previous()
            }
            cursor.previous()
            XCTAssertFalse(cursor.isValid, "past the first")
        }
    }

    func testARandomWalkNeverLeavesTheOrder() {
        forEachShape(writes: 250) { shape, example in
            let entries = example.oracle.entries
            var cursor = example.memtable.makeCursor()
            var place: Int?
            for _ in 0..<2_000 {
                if let current = place, example.random.chance(49, in: 50) {
                    let isForward = example.random.chance(1, in: 2)
                    if isForward { cursor.next() } else { cursor.previous() }
                    let moved = isForward ? current + 1 : current - 1
                    place = entries.indices.contains(moved) ? moved : nil
                } else {
                    let target = example.drawTarget()
                    cursor.seek(target.key, target.trailer)
                    place = entries.firstIndex { !$0.isBefore(target.key, target.trailer) }
                }
                XCTAssertEqual(cursor.entry, place.map { entries[$0] }, "\(shape)")
                guard cursor.isValid == (place != nil) else { return }
            }
        }
    }
}
