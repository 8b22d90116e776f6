import XCTest

@testable import BalsaLSM

/// The rule by which small tables of the first level are merged with each other, by their lengths alone.
final class FirstLevelRunTests: XCTestCase {
    func testLength_ofTables_endsBeforeTheFirstThatIsMoreThanTwiceTheNewer() {
        XCTAssertEqual(FirstLevelRun.length(of: []), 0)
        XCTAssertEqual(FirstLevelRun.length(of: [7]), 1)
        XCTAssertEqual(FirstLevelRun.length(of: [1, 1, 1, 1]), 4)
        XCTAssertEqual(FirstLevelRun.length(of: [1, 2, 6]), 3)
        XCTAssertEqual(FirstLevelRun.length(of: [1, 2, 7]), 2)
        XCTAssertEqual(FirstLevelRun.length(of: [0, 0, 9]), 2)
        // Those behind are not too long for all newer ones, but for the newest alone: it does not pay for them.
        XCTAssertEqual(FirstLevelRun.length(of: [1, 24, 60, 60]), 1)
    }

    func testMerged_shortRun_waitsUntilItIsLongOrTheLevelIsFull() {
        var options = EngineOptions()
        options.levelZeroTables = 3
        options.levelZeroTablesToPause = 7
        XCTAssertEqual(options.levelZeroTablesToSlow, 5)
        XCTAssertEqual(FirstLevelRun.merged(of: [1, 2, 7, 60], options), 0)
        XCTAssertEqual(FirstLevelRun.merged(of: [1, 1, 2, 60], options), 3)
        XCTAssertEqual(FirstLevelRun.merged(of: [1, 2, 7, 60, 60], options), 2)
        // The two oldest stay, though they are the cheapest: two may always wait.
        XCTAssertEqual(FirstLevelRun.merged(of: [1, 3, 9, 60, 60], options), 3)
        XCTAssertEqual(FirstLevelRun.merged(of: [1, 3, 20, 60, 60], options), 2)
        XCTAssertEqual(FirstLevelRun.merged(of: [0, 9, 25, 100, 300], options), 3)
        options.levelZeroTablesToPause = 4
        XCTAssertEqual(FirstLevelRun.merged(of: [1, 3, 20], options), 0, "nothing but to go down")
    }

    /// A level that may have one table alone merges or goes down before writers are stopped.
    func testMerged_levelOfOneTable_mergesTwoOnceItIsFull() {
        var options = EngineOptions()
        (options.levelZeroTables, options.levelZeroTablesToPause) = (1, 5)
        XCTAssertEqual(options.levelZeroTablesToSlow, 3)
        XCTAssertEqual(FirstLevelRun.merged(of: [1, 9], options), 0)
        XCTAssertEqual(FirstLevelRun.merged(of: [1, 1], options), 2)
        XCTAssertEqual(FirstLevelRun.merged(of: [1, 9, 99], options), 2)
    }

    func testLast_ofTables_areThoseBehindTheLastThatIsTooLongForItsNewer() {
        XCTAssertEqual(FirstLevelRun.last(of: []), 0)
        XCTAssertEqual(FirstLevelRun.last(of: [1, 2, 6]), 3)
        XCTAssertEqual(FirstLevelRun.last(of: [1, 3, 8, 24, 60, 60]), 2)
        XCTAssertEqual(FirstLevelRun.last(of: [60, 1, 60, 60]), 4)
    }

    /// A day of a flush a minute: what is copied grows with the logarithm of the level's length. So it does on top of
    /// what a load has left, which is not copied at all.
    func testRuns_ofAThousandFlushes_copyEachByteAFewTimes() {
        let options = EngineOptions()
        for left in [[], [40 << 20], [24 << 20, 60 << 20, 60 << 20]] as [[UInt64]] {
            for spread in [0, 3, 40] as [UInt64] {
                var sizes = left
                var flushed: UInt64 = 0
                var copied: UInt64 = 0
                var most = 0
                for number in 0..<3_000 as Range<UInt64> where flushed < 12 << 20 {
                    let size = 12_000 + number * 7_919 % (12_000 * spread + 1)
                    sizes.insert(size, at: 0)
                    flushed += size
                    while sizes.count >= options.levelZeroTables {
                        let length = FirstLevelRun.merged(of: sizes, options)
                        guard length > 1 else { break }
                        let sum = sizes.prefix(length).reduce(0, +)
                        copied += sum
                        sizes.replaceSubrange(..<length, with: [sum])
                    }
                    most = max(most, sizes.count)
                }
                let what = "spread \(spread) on \(left.count) tables"
                XCTAssertEqual(sizes.reduce(0, +), left.reduce(flushed, +), what)
                XCTAssertEqual(sizes.suffix(left.count), left[...], what)
                XCTAssertLessThan(copied, 10 * flushed, "\(what): \(copied) of \(flushed)")
                XCTAssertLessThanOrEqual(most, options.levelZeroTablesToSlow, what)
            }
        }
    }
}
