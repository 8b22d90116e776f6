import XCTest

@testable import BalsaLSM

/// The rule by which small tables of the first level are merged with each other, by their lengths alone.
final class FirstLevelRunTests: XCTestCase {
    func testLength_ofFewTables_isOfTheOldestThatIsAtMostTwiceTheNewer() {
        XCTAssertEqual(FirstLevelRun.length(of: [], isFull: true), 0)
        XCTAssertEqual(FirstLevelRun.length(of: [7], isFull: true), 0)
        XCTAssertEqual(FirstLevelRun.length(of: [1, 1, 1, 1], isFull: false), 4)
        XCTAssertEqual(FirstLevelRun.length(of: [1, 2, 6], isFull: false), 3)
        XCTAssertEqual(FirstLevelRun.length(of: [1, 2, 7], isFull: false), 2)
        // One that is too long alone is not in the way where those behind it are not too long for all.
        XCTAssertEqual(FirstLevelRun.length(of: [1, 5, 7], isFull: false), 3)
        XCTAssertEqual(FirstLevelRun.length(of: [0, 0, 9], isFull: false), 2)
    }

    func testLength_everyTableIsTooLong_waitsUntilTheLevelIsFull() {
        XCTAssertEqual(FirstLevelRun.length(of: [1, 3, 20], isFull: false), 0)
        XCTAssertEqual(FirstLevelRun.length(of: [1, 3, 20], isFull: true), 2)
        XCTAssertEqual(FirstLevelRun.length(of: [1, 9, 25], isFull: true), 3)
        XCTAssertEqual(FirstLevelRun.length(of: [0, 9, 25], isFull: true), 3)
    }

    /// A day of a flush a minute, and more: what is copied grows with the logarithm of the level's length.
    func testRuns_ofAThousandFlushes_copyEachByteAFewTimes() {
        let options = EngineOptions()
        for spread in [0, 3, 40] as [UInt64] {
            var sizes: [UInt64] = []
            var flushed: UInt64 = 0
            var copied: UInt64 = 0
            var most = 0
            for number in 0..<3_000 as Range<UInt64> {
                let size = 12_000 + number * 7_919 % (12_000 * spread + 1)
                sizes.insert(size, at: 0)
                flushed += size
                while sizes.count >= options.levelZeroTables {
                    let isFull = sizes.count >= options.levelZeroTablesToSlow
                    let length = FirstLevelRun.length(of: sizes, isFull: isFull)
                    guard length > 1 else { break }
                    let sum = sizes.prefix(length).reduce(0, +)
                    copied += sum
                    sizes.replaceSubrange(..<length, with: [sum])
                }
                most = max(most, sizes.count)
            }
            XCTAssertEqual(sizes.reduce(0, +), flushed)
            XCTAssertLessThan(copied, 10 * flushed, "spread \(spread): \(copied) of \(flushed)")
            XCTAssertLessThanOrEqual(most, options.levelZeroTablesToSlow, "spread \(spread)")
        }
    }
}
