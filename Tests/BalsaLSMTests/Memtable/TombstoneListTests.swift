import BalsaPlatform
import XCTest

@testable import BalsaLSM

final class TombstoneListTests: XCTestCase {
    private typealias Fragment = TombstoneList.Fragment

    /// All keys of up to three letters of a tiny alphabet.
    private static let universe: [Bytes] = {
        var keys: [[UInt8]] = [[]]
        var longest: [[UInt8]] = [[]]
        for _ in 0..<3 {
            longest = longest.flatMap { key in [0, 97, 255].map { key + [$0] } }
            keys += longest
        }
        return keys.map { Bytes($0) }.sorted()
    }()

    private func deletion(_ start: Bytes, _ end: Bytes, _ sequence: SequenceNumber) -> RangeDeletion {
        RangeDeletion(start: start, end: end, sequence: sequence)
    }

    private func covering(_ list: TombstoneList, _ key: Bytes, at sequence: SequenceNumber) -> SequenceNumber {
        key.withUnsafeBytes { list.covering($0, at: sequence) }
    }

    /// The same by looking at every deletion.
    private func modelCovering(_ deletions: [RangeDeletion], _ key: Bytes, at sequence: SequenceNumber) -> UInt64 {
        deletions.filter { $0.start <= key && key < $0.end && $0.sequence <= sequence }.map(\.sequence).max() ?? 0
    }

    private func drawDeletions(_ random: inout RandomSource, _ count: Int, sequences: UInt64) -> [RangeDeletion] {
        (0..<count).map { _ in
            let ends = [random.pick(TombstoneListTests.universe), random.pick(TombstoneListTests.universe)].sorted()
            return deletion(ends[0], ends[1], 1 + random.below(sequences))
        }
    }

    /// Holds a list against deletions: what it covers, and its own form.
    private func check(_ list: TombstoneList, _ deletions: [RangeDeletion], _ message: String, line: UInt = #line) {
        for key in TombstoneListTests.universe {
            for sequence: SequenceNumber in [0, 1, 2, 3, 5, 8, 13, largestSequenceNumber] {
                let expected = modelCovering(deletions, key, at: sequence)
                let found = covering(list, key, at: sequence)
                XCTAssertEqual(found, expected, "\(message), \(key) at \(sequence)", line: line)
            }
        }
        let fragments = list.fragments
        XCTAssertEqual(list.count, fragments.count, line: line)
        XCTAssertEqual(list.isEmpty, fragments.isEmpty, line: line)
        for fragment in fragments {
            XCTAssertLessThan(fragment.start, fragment.end, message, line: line)
            XCTAssertFalse(fragment.sequences.isEmpty, message, line: line)
            XCTAssertTrue(zip(fragment.sequences, fragment.sequences.dropFirst()).allSatisfy(>), message, line: line)
        }
        for (left, right) in zip(fragments, fragments.dropFirst()) {
            XCTAssertLessThanOrEqual(left.end, right.start, message, line: line)
            XCTAssertFalse(left.end == right.start && left.sequences == right.sequences, "not one", line: line)
        }
    }

    func testAnEmptyListCoversNothing() {
        for list in [TombstoneList.empty, TombstoneList([]), TombstoneList.merging([])] {
            XCTAssertTrue(list.isEmpty)
            check(list, [], "empty")
        }
    }

    func testAnEmptyOrReversedRangeDeletesNothing() {
        XCTAssertTrue(TombstoneList([deletion("b", "b", 3), deletion("c", "a", 4)]).isEmpty)
        let merged = TombstoneList.merging([
            TombstoneList([deletion("a", "c", 5)]), TombstoneList([deletion("b", "b", 9)]),
        ])
        XCTAssertEqual(merged.count, 1)
    }

    func testTheStartIsDeletedAndTheEndIsNot() {
        let list = TombstoneList([deletion("b", "d", 5)])
        XCTAssertEqual(covering(list, "a", at: 9), 0)
        XCTAssertEqual(covering(list, [0x61, 0xff], at: 9), 0)
        XCTAssertEqual(covering(list, "b", at: 9), 5)
        XCTAssertEqual(covering(list, [0x63, 0xff, 0xff], at: 9), 5)
        XCTAssertEqual(covering(list, "d", at: 9), 0)
        XCTAssertEqual(covering(list, "b", at: 5), 5)
        XCTAssertEqual(covering(list, "b", at: 4), 0)
    }

    func testOverlappingRangesAreCutAtEachOthersEnds() {
        let list = TombstoneList([deletion("a", "m", 5), deletion("e", "s", 8)])
        XCTAssertEqual(
            list.fragments,
            [
                Fragment(start: "a", end: "e", sequences: [5]),
                Fragment(start: "e", end: "m", sequences: [8, 5]),
                Fragment(start: "m", end: "s", sequences: [8]),
            ]
        )
    }

    func testNestedRangesAreCutAtTheInnerOnes() {
        let list = TombstoneList([deletion("c", "d", 9), deletion("a", "z", 2)])
        XCTAssertEqual(
            list.fragments,
            [
                Fragment(start: "a", end: "c", sequences: [2]),
                Fragment(start: "c", end: "d", sequences: [9, 2]),
                Fragment(start: "d", end: "z", sequences: [2]),
            ]
        )
    }

    func testRangesThatTouchAreOneWhereTheyAreTheSameDeletion() {
        let list = TombstoneList([deletion("c", "e", 3), deletion("a", "c", 3), deletion("e", "f", 4)])
        XCTAssertEqual(
            list.fragments,
            [Fragment(start: "a", end: "e", sequences: [3]), Fragment(start: "e", end: "f", sequences: [4])]
        )
    }

    func testARangeMayBeginAtTheEmptyKey() {
        let list = TombstoneList([deletion("", [0], 3)])
        XCTAssertEqual(covering(list, "", at: 3), 3)
        XCTAssertEqual(covering(list, [0], at: 3), 0)
    }

    func testRandomDeletionsCoverWhatTheyShould() {
        var random = RandomSource(seed: 5)
        for round in 0..<60 {
            let deletions = drawDeletions(&random, random.draw(0...12), sequences: 14)
            check(TombstoneList(deletions), deletions, "round \(round)")
        }
    }

    func testASet_thatGetsDeletionsOneByOne_coversWhatOneListDoes() {
        var random = RandomSource(seed: 6)
        for round in 0..<40 {
            let deletions = drawDeletions(&random, 25, sequences: 20)
            var set = TombstoneSet.empty
            for deletion in deletions { set = set.adding(TombstoneList([deletion])) }
            let merged = TombstoneList.merging(set.lists)
            XCTAssertEqual(merged.fragments, TombstoneList(deletions).fragments)
            check(merged, deletions, "round \(round)")
            for key in TombstoneListTests.universe {
                for sequence: SequenceNumber in [0, 5, 12, largestSequenceNumber] {
                    let found = key.withUnsafeBytes { set.covering($0, at: sequence) }
                    XCTAssertEqual(found, modelCovering(deletions, key, at: sequence), "round \(round), \(key)")
                }
            }
        }
    }

    func testTheListsOfASet_areEachMoreThanTwiceAsLongAsTheNext() {
        var random = RandomSource(seed: 8)
        var set = TombstoneSet.empty
        var largest = 0
        for number in 0..<400 {
            let count = random.chance(1, in: 20) ? 60 : 1
            let deletions = (0..<count).map { piece in
                deletion(Bytes("k\(10_000 + 100 * number + piece)"), Bytes("k\(10_000 + 100 * number + piece)x"), 1)
            }
            set = set.adding(TombstoneList(deletions))
            for (left, right) in zip(set.lists, set.lists.dropFirst()) {
                XCTAssertGreaterThan(left.byteCount, 2 * right.byteCount, "after \(number)")
            }
            largest = max(largest, set.lists.count)
        }
        XCTAssertGreaterThan(largest, 2)
    }

    func testDeletionsInAnyForm_giveTheSameListAsOneAtATime() {
        var random = RandomSource(seed: 9)
        for round in 0..<80 {
            let drawn = drawDeletions(&random, random.draw(1...12), sequences: round % 2 == 0 ? 1 : 9)
            let oneByOne = TombstoneList.merging(drawn.map { TombstoneList([$0]) })
            // All at once, of one sequence number or of several; and piece by piece, as tables hold them.
            XCTAssertEqual(TombstoneList(drawn).fragments, oneByOne.fragments, "round \(round)")
            let pieces = oneByOne.fragments.flatMap { fragment in
                fragment.sequences.map { deletion(fragment.start, fragment.end, $0) }
            }
            XCTAssertEqual(TombstoneList(pieces).fragments, oneByOne.fragments, "round \(round)")
        }
    }

    /// A queue whose front is deleted again and again, always from the beginning.
    func testNestedDeletions_takeMemoryInProportionToTheirNumber_andAreFoundAtEachSequence() {
        let count = 5_000
        func key(_ number: Int) -> Bytes { Bytes("queue/\(10_000 + number)") }
        let list = TombstoneList((1...count).map { deletion("queue/", key($0), UInt64($0)) })
        XCTAssertLessThan(list.byteCount, 200 * count)
        XCTAssertEqual(list.deletions.count, count)
        for number in stride(from: 0, to: count, by: 97) {
            for sequence in stride(from: 1, to: count, by: 61) {
                let expected = sequence > number ? SequenceNumber(sequence) : 0
                XCTAssertEqual(covering(list, key(number), at: UInt64(sequence)), expected, "\(number) at \(sequence)")
            }
        }
        let end = key(7).withUnsafeBytes {
            list.edge(of: $0, coveredBy: 4_000, at: 4_000, isForward: true).map { Bytes(copying: $0) }
        }
        XCTAssertEqual(end, key(4_000))
    }

    func testManyOverlappingDeletions_coverWhatTheyShould() {
        var random = RandomSource(seed: 11)
        for _ in 0..<3 {
            let deletions = drawDeletions(&random, 700, sequences: 900)
            let list = TombstoneList(deletions)
            for key in TombstoneListTests.universe {
                for _ in 0..<20 {
                    let sequence = random.below(1_000)
                    let expected = modelCovering(deletions, key, at: sequence)
                    XCTAssertEqual(covering(list, key, at: sequence), expected, "\(key) at \(sequence)")
                }
            }
        }
    }

    func testMergedListsCoverWhatAnyOfThemCovers() {
        var random = RandomSource(seed: 7)
        for round in 0..<40 {
            let parts = (0..<random.draw(1...5)).map { _ in
                drawDeletions(&random, random.draw(0...5), sequences: 14)
            }
            let merged = TombstoneList.merging(parts.map { TombstoneList($0) })
            check(merged, parts.flatMap { $0 }, "round \(round)")
            XCTAssertEqual(merged.fragments, TombstoneList(parts.flatMap { $0 }).fragments)
        }
    }

    func testAClippedListCoversWithinItsBoundsOnly() {
        var random = RandomSource(seed: 8)
        for round in 0..<40 {
            let deletions = drawDeletions(&random, 8, sequences: 14)
            let list = TombstoneList(deletions)
            let from = random.chance(1, in: 4) ? nil : random.pick(TombstoneListTests.universe)
            let to = random.chance(1, in: 4) ? nil : random.pick(TombstoneListTests.universe)
            let clipped = deletions.map { whole in
                deletion(max(whole.start, from ?? ""), min(whole.end, to ?? whole.end), whole.sequence)
            }
            check(list.clipped(from: from, to: to), clipped, "round \(round)")
        }
    }

    func testThePartsOfAListMakeTheWhole() {
        var random = RandomSource(seed: 9)
        for _ in 0..<40 {
            let list = TombstoneList(drawDeletions(&random, 8, sequences: 14))
            let cut = random.pick(TombstoneListTests.universe)
            let parts = [list.clipped(from: nil, to: cut), list.clipped(from: cut, to: nil)]
            XCTAssertEqual(TombstoneList.merging(parts).fragments, list.fragments)
        }
    }
}
