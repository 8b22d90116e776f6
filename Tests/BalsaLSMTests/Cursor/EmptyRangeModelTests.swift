import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Puts, deletions, range deletions, flushes and scans of all kinds on a few keys, most of which are deleted, beside a
/// model. Cursors note and use ranges without values after very few entries.
final class EmptyRangeModelTests: XCTestCase {
    /// A cursor that stays while other things happen, or is moved again at once.
    private final class Held {
        var cursor: EngineCursor
        let expected: [ModelPair]

        init(_ cursor: consuming EngineCursor, _ expected: [ModelPair]) {
            self.cursor = cursor
            self.expected = expected
        }

        func check(isBackward: Bool) throws -> Bool {
            try (isBackward ? cursor.pairsBackward() : cursor.pairs()) == expected
        }
    }

    private struct Run {
        var random: RandomSource
        let fixture: EngineFixture
        var model = EngineModel()
        var held: [Held] = []
        var mark: SequenceNumber = 0

        init(seed: UInt64) throws {
            random = RandomSource(seed: seed)
            fixture = try EngineFixture()
            fixture.engine.emptyRanges.limits = EmptyRanges.Limits(
                entriesBeforeLooking: random.draw(1...2),
                entriesBeforeAdding: random.draw(1...3)
            )
        }

        private mutating func key() -> Bytes { Bytes("k\(10 + random.draw(0...59))") }

        private mutating func bounds() -> (Bytes?, Bytes?) {
            let ends = [key(), key()].sorted()
            return (random.chance(1, in: 2) ? nil : ends[0], random.chance(1, in: 2) ? nil : ends[1])
        }

        mutating func write() throws {
            var writes: [ModelWrite] = []
            switch random.below(10) {
            case 0..<3: writes.append(.put(key(), Bytes("\(fixture.sequence)")))
            case 3..<8:
                // Neighbours, so that there is something to jump over.
                let first = random.draw(10...60)
                for number in first..<first + 8 { writes.append(.delete(Bytes("k\(number)"))) }
            default:
                let ends = [key(), key()].sorted()
                writes.append(.deleteRange(ends[0], ends[1]))
                if random.chance(1, in: 3) { writes.append(.put(key(), "beside")) }
            }
            try fixture.engine.apply(WriteBatch(writes), sequence: fixture.sequence + 1)
            fixture.sequence += 1
            model.apply(writes, sequence: fixture.sequence)
        }

        mutating func scan() throws -> Bool {
            let (from, to) = bounds()
            let last = fixture.sequence
            let sequence = random.chance(1, in: 3) ? mark + random.below(last - mark + 1) : last
            let expected = model.pairs(from: from, to: to, at: sequence)
            let scan = Held(try fixture.engine.makeCursor(from: from, to: to, at: sequence), expected)
            if random.chance(1, in: 4) { held.append(scan) }
            if random.chance(1, in: 4) {
                // In pages, which note what they have passed as well.
                return try pages(from, to, sequence) == expected
            }
            return try scan.check(isBackward: random.chance(1, in: 2))
        }

        private mutating func pages(_ from: Bytes?, _ to: Bytes?, _ sequence: SequenceNumber) throws -> [ModelPair] {
            var from = from
            var found: [ModelPair] = []
            while true {
                var cursor = try fixture.engine.makeCursor(from: from, to: to, at: sequence)
                cursor.limitHiddenEntries(to: random.draw(1...6))
                found += try cursor.pairs()
                guard let pause = cursor.pause else { return found }
                from = pause
            }
        }

        /// Cursors that were made before writes, and are moved only now.
        mutating func scanLate() throws -> Bool {
            guard !held.isEmpty else { return true }
            let cursor = random.pick(held)
            if held.count > 5 || random.chance(1, in: 3) { held.removeFirst() }
            return try cursor.check(isBackward: random.chance(1, in: 2))
        }

        mutating func work() throws {
            if random.chance(1, in: 4) { mark += random.below(fixture.sequence - mark + 1) }
            try fixture.seal(mark: mark)
            mark = max(mark, fixture.engine.retentionMark)
            for _ in 0..<random.draw(0...20) { _ = try fixture.engine.work(budget: 2_000) }
        }
    }

    func testScans_rangesAreNotedEarly_seeWhatTheModelSees() throws {
        var uses: UInt64 = 0
        for seed in 1...20 as ClosedRange<UInt64> {
            var run = try Run(seed: seed)
            for step in 0..<300 {
                let isRight: Bool
                switch run.random.below(20) {
                case 0..<9:
                    try run.write()
                    isRight = true
                case 9..<16: isRight = try run.scan()
                case 16..<19: isRight = try run.scanLate()
                default:
                    try run.work()
                    isRight = true
                }
                if !isRight { return XCTFail("seed \(seed), step \(step): a scan and the model differ") }
            }
            uses += run.fixture.engine.emptyRanges.useCount
        }
        XCTAssertGreaterThan(uses, 1_500)
    }
}
