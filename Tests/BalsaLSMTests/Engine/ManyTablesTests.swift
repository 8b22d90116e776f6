import BalsaPlatform
import BalsaSimulation
import Foundation
import XCTest

@testable import BalsaLSM

/// Levels of many tables, and edits of few of them.
final class ManyTablesTests: XCTestCase {
    private func table(
        _ number: UInt64,
        _ smallest: Bytes,
        _ largest: Bytes,
        sequences: ClosedRange<UInt64> = 1...1
    ) -> TableMetadata {
        TableMetadata(
            number: number,
            id: number,
            byteCount: 100,
            smallest: smallest,
            largest: largest,
            // A table that is about nothing has no place among the others.
            largestIsExclusive: number % 3 == 0 && smallest != largest,
            smallestSequence: sequences.lowerBound,
            largestSequence: sequences.upperBound,
            entryCount: 1,
            deletionCount: 0,
            rangeDeletionCount: 0,
            keyCount: 1,
            largestEntrySequence: sequences.upperBound,
            deadBytes: 0,
            deadSequence: 0
        )
    }

    private func key(_ number: Int) -> Bytes { Bytes("k\(1_000_000 + number)") }

    /// What the levels are after an edit, by sorting everything; nil where that contradicts itself.
    private func sortedAfter(_ edit: VersionEdit, _ levels: [[TableMetadata]]) -> [[TableMetadata]]? {
        var levels = levels
        for removed in edit.removed {
            guard removed.level < levels.count,
                let index = levels[removed.level].firstIndex(where: { $0.number == removed.number })
            else { return nil }
            levels[removed.level].remove(at: index)
        }
        for placed in edit.added {
            while levels.count <= placed.level { levels.append([]) }
            levels[placed.level].append(placed.table)
        }
        for level in levels.indices {
            levels[level].sort {
                level == 0
                    ? ($0.largestSequence, $0.number) > ($1.largestSequence, $1.number) : $0.smallest < $1.smallest
            }
        }
        return Version.checkInvariants(levels) == nil ? levels : nil
    }

    func testAnEditOfFewTables_leavesTheLevelsAsSortingAllOfThemWould() {
        var random = RandomSource(seed: 31)
        var (accepted, refused) = (0, 0)
        for _ in 0..<30 {
            var state = ManifestState()
            state.seal = SealRecord(sequence: 1_000)
            state.nextFileNumber = 500
            for _ in 0..<60 {
                var edit = VersionEdit()
                for _ in 0..<random.draw(0...2) {
                    let level = random.draw(0...2)
                    guard level < state.levels.count, !state.levels[level].isEmpty else { continue }
                    let number = random.chance(1, in: 15) ? 77 : random.pick(state.levels[level]).number
                    edit.removed.append(VersionEdit.Removed(level: level, number: number))
                }
                for _ in 0..<random.pick([0, 1, 1, 2, 3, 20]) {
                    let start = random.draw(0...200)
                    let first = 1 + random.below(500)
                    let table = table(
                        1 + random.below(400),
                        key(start),
                        key(start + random.draw(-1...6)),
                        sequences: first...first + random.below(4)
                    )
                    edit.added.append(VersionEdit.Placed(level: random.draw(0...2), table: table))
                }
                var after = state
                let fault = after.apply(edit)
                let expected = sortedAfter(edit, state.levels)
                XCTAssertEqual(fault == nil, expected != nil, "\(fault ?? "accepted"): \(edit)")
                guard let expected, fault == nil else {
                    refused += 1
                    continue
                }
                accepted += 1
                XCTAssertEqual(after.levels, expected)
                state = after
            }
        }
        XCTAssertGreaterThan(accepted, 300)
        XCTAssertGreaterThan(refused, 300)
    }

    /// How long this thread computes for `body`: what other threads and processes do does not count.
    private func time(_ body: () throws -> Void) rethrows -> Double {
        func now() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        }
        let start = now()
        try body()
        return now() - start
    }

    /// Replaces `count` tables of a level of 10,000, each by an edit of its own.
    private func replaceTables(_ count: Int, of state: inout ManifestState, from first: UInt64) {
        for number in 0..<count {
            let index = (number * 7_919) % state.levels[6].count
            let old = state.levels[6][index]
            var edit = VersionEdit()
            edit.removed = [VersionEdit.Removed(level: 6, number: old.number)]
            let new = table(first + UInt64(number), old.smallest, old.largest)
            edit.added = [VersionEdit.Placed(level: 6, table: new)]
            XCTAssertNil(state.apply(edit))
        }
    }

    func testThousandsOfEdits_ofAStateOfThousandsOfTables_costMuchLessThanSortingAll() {
        var image = VersionEdit()
        for number in 0..<10_000 {
            let table = table(UInt64(number + 1), key(10 * number), key(10 * number + 4))
            image.added.append(VersionEdit.Placed(level: 6, table: table))
        }
        image.seal = SealRecord(sequence: 1)
        image.nextFileNumber = 100_000
        var state = ManifestState()
        XCTAssertNil(state.apply(image))
        let edits = time { replaceTables(20, of: &state, from: 20_000) }
        var sorting = 0.0
        for _ in 0..<4 {
            sorting += time {
                var tables = state.levels[6]
                tables.sort { $0.smallest < $1.smallest }
                XCTAssertNil(Version.checkInvariants([[], tables]))
            }
        }
        XCTAssertLessThan(edits / 20, sorting / 16, "each edit sorts or checks all tables")
        replaceTables(300, of: &state, from: 30_000)
        XCTAssertEqual(state.levels[6].count, 10_000)
        XCTAssertNil(Version.checkInvariants(state.levels))
    }

    /// How long it takes to find the orphans among `count` files, half of which are tables of the state.
    private func timeOfOrphans(among count: Int) -> Double {
        var state = ManifestState()
        state.levels = [[], (0..<count / 2).map { table(UInt64(2 * $0 + 2), key($0), key($0)) }]
        let names = (1...count).map { TableMetadata.fileName(UInt64($0)) } + ["LOCK", "table-x"]
        let removals = FileRemovals(directory: "engine", fileSystem: SimulatedDisk().mount())
        let time = time { StorageEngine.addOrphans(names, state, replaced: 7, to: removals) }
        XCTAssertEqual(removals.count, count / 2 + 1)
        XCTAssertEqual(removals.first, "MANIFEST-7")
        return time
    }

    func testOrphans_amongThousandsOfTables_areFoundInTimeThatGrowsWithTheirNumber() {
        let (few, many) = (timeOfOrphans(among: 4_000), timeOfOrphans(among: 32_000))
        // Each name against each table would take 64 times as long.
        XCTAssertLessThan(many, 24 * few)
    }
}
