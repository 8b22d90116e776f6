import BalsaPlatform
import XCTest

@testable import BalsaKeyValue

/// The mark up to which old values may be forgotten.
final class RetentionMarkTests: XCTestCase {
    private func limits(revisions: UInt64, nanoseconds: UInt64, sample: UInt64) -> ReplicatedOptions {
        var limits = ReplicatedOptions()
        limits.retainedRevisions = revisions
        limits.retainedNanoseconds = nanoseconds
        limits.retentionSampleNanoseconds = sample
        return limits
    }

    func testItFollowsTheNumberOfRevisions() {
        let limits = limits(revisions: 10, nanoseconds: 1_000_000, sample: 1_000)
        var mark = RetentionMark()
        for index in 1...10 as ClosedRange<UInt64> { mark.advance(index: index, stamp: 0, options: limits) }
        XCTAssertEqual(mark.index, 0)
        mark.advance(index: 11, stamp: 0, options: limits)
        XCTAssertEqual(mark.index, 1)
    }

    func testItFollowsTheTimeWhereThatKeepsLess() {
        let limits = limits(revisions: 100_000, nanoseconds: 100, sample: 1)
        var mark = RetentionMark()
        for index in 1...30 as ClosedRange<UInt64> { mark.advance(index: index, stamp: index * 10, options: limits) }
        // Entry 20 is as old as may be forgotten.
        XCTAssertEqual(mark.index, 20)
        XCTAssertEqual(mark.samples.first, RetentionMark.Sample(stamp: 200, index: 20))
    }

    func testItNeverFallsAndKeepsAtLeastWhatIsAskedFor() {
        for seed in 1...30 as ClosedRange<UInt64> {
            var random = RandomSource(seed: seed)
            let limits = limits(
                revisions: random.below(60),
                nanoseconds: random.below(500),
                sample: 1 + random.below(40)
            )
            var mark = RetentionMark()
            var stamps: [UInt64] = [0]
            for index in 1...300 as ClosedRange<UInt64> {
                let stamp = stamps[stamps.count - 1] + random.below(20) * random.below(2)
                stamps.append(stamp)
                let before = mark.index
                mark.advance(index: index, stamp: stamp, options: limits)
                XCTAssertGreaterThanOrEqual(mark.index, before)
                let byCount = index > limits.retainedRevisions ? index - limits.retainedRevisions : 0
                let byTime = stamps.lastIndex { $0 + limits.retainedNanoseconds <= stamp } ?? 0
                XCTAssertLessThanOrEqual(mark.index, max(byCount, UInt64(byTime)), "seed \(seed) at \(index)")
                XCTAssertGreaterThanOrEqual(mark.index, byCount, "seed \(seed) at \(index)")
                XCTAssertLessThanOrEqual(UInt64(mark.samples.count), RetentionMark.maxSamples(limits))
            }
        }
    }

    func testAJumpOfTimeLeavesOneSample() {
        let limits = limits(revisions: 100_000, nanoseconds: 100, sample: 1)
        var mark = RetentionMark()
        for index in 1...50 as ClosedRange<UInt64> { mark.advance(index: index, stamp: index, options: limits) }
        mark.advance(index: 51, stamp: .max, options: limits)
        XCTAssertEqual(mark.index, 50)
        XCTAssertEqual(mark.samples.count, 2)
    }

    /// An entry drops a sample when it takes one. With a million of them it must not move the others each time.
    func testDrop_ofOneOfMany_movesNoOther() {
        let limits = limits(revisions: 100_000_000, nanoseconds: 10_000, sample: 1)
        var mark = RetentionMark()
        for index in 1...10_000 as ClosedRange<UInt64> { mark.advance(index: index, stamp: index, options: limits) }
        XCTAssertEqual(mark.placeCount, 10_000)
        var moves = 0
        for index in 10_001...40_000 as ClosedRange<UInt64> {
            let before = mark.placeCount
            mark.advance(index: index, stamp: index, options: limits)
            if mark.placeCount <= before { moves += 1 }
            XCTAssertEqual(mark.samples.count, 10_001)
            XCTAssertLessThanOrEqual(mark.placeCount, 2 * mark.samples.count + 1)
        }
        XCTAssertEqual(moves, 2, "samples are moved once in ten thousand entries")
        XCTAssertEqual(mark, RetentionMark(index: 30_000, samples: Array(mark.samples)), "what is dropped is not there")
        XCTAssertEqual(mark.samples.first?.index, 30_000)
    }
}
