import BalsaPlatform
import XCTest

final class RandomSourceTests: XCTestCase {
    func testTheSequenceOfSeedZeroIsThePublishedOne() {
        var source = RandomSource(seed: 0)
        XCTAssertEqual(source.next(), 0xe220_a839_7b1d_cdaf)
        XCTAssertEqual(source.next(), 0x6e78_9e6a_a1b9_65f4)
        XCTAssertEqual(source.next(), 0x06c4_5d18_8009_454f)
    }

    func testACopyGoesOnAsTheOriginal() {
        var source = RandomSource(seed: 7)
        _ = source.next()
        var copy = source
        for _ in 0..<10 { XCTAssertEqual(source.next(), copy.next()) }
    }

    func testAForkIsAnotherSequenceAndItsDrawsShiftNothing() {
        var one = RandomSource(seed: 7)
        var other = RandomSource(seed: 7)
        var fork = one.fork()
        _ = other.fork()
        let drawn = (0..<100).map { _ in fork.next() }
        let following = (0..<100).map { _ in one.next() }
        XCTAssertEqual(following, (0..<100).map { _ in other.next() })
        XCTAssertNotEqual(drawn, following)
    }

    func testDrawsStayInRangeAndReachItsEnds() {
        var source = RandomSource(seed: 3)
        for bound in [1, 2, 3, 10] as [UInt64] {
            var hits = [Int](repeating: 0, count: Int(bound))
            for _ in 0..<1000 { hits[Int(source.below(bound))] += 1 }
            XCTAssertGreaterThan(hits.min() ?? 0, 1000 / Int(bound) / 2, "far from even: \(hits)")
        }
        let drawn = (0..<200).map { _ in source.draw(-2...2) }
        XCTAssertEqual(drawn.min(), -2)
        XCTAssertEqual(drawn.max(), 2)
        XCTAssertEqual(source.draw(5...5), 5)
    }

    func testRangesWiderThanAnIntegerAreDrawnFrom() {
        var source = RandomSource(seed: 3)
        let drawn = (0..<64).map { _ in source.draw(Int.min...Int.max) }
        XCTAssertTrue(drawn.contains { $0 < Int.min / 2 } && drawn.contains { $0 > Int.max / 2 })
        for _ in 0..<64 { XCTAssertGreaterThanOrEqual(source.draw(-10...Int.max), -10) }
        for _ in 0..<64 { XCTAssertLessThan(source.draw(Int.min...(-1)), 0) }
    }

    func testChanceKeepsItsProportion() {
        var source = RandomSource(seed: 11)
        XCTAssertFalse((0..<100).contains { _ in source.chance(0, in: 10) })
        XCTAssertTrue((0..<100).allSatisfy { _ in source.chance(10, in: 10) })
        let hits = (0..<10_000).count { _ in source.chance(1, in: 4) }
        XCTAssertTrue((2300...2700).contains(hits), "\(hits) of 10,000")
    }

    func testEveryChoiceIsPicked() {
        var source = RandomSource(seed: 5)
        let picked = (0..<100).map { _ in source.pick(["a", "b", "c"]) }
        XCTAssertEqual(Set(picked), ["a", "b", "c"])
    }

    func testTheFinalizerIsTheOneOfTheSequence() {
        XCTAssertEqual(RandomSource.mix(0), 0)
        XCTAssertEqual(RandomSource.mix(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf)
    }
}
