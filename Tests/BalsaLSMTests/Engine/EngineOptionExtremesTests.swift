import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Every figure of an engine's options, as small and as large as it can be: it is refused with a sentence, or flushes,
/// compactions, reads and another opening work with it.
final class EngineOptionExtremesTests: XCTestCase {
    private typealias Path<Value> = WritableKeyPath<EngineOptions, Value>

    private let numbers: [Path<Int>] = [
        \.memtableBytes, \.maxSealedMemtables, \.maxRangeDeletionsPerMemtable, \.maxRangeDeletionsPerBatch,
        \.blockBytes, \.tableBytes, \.filterBitsPerKey, \.filterBitsPerKeyInLastLevel, \.cacheBytes, \.maxOpenTables,
        \.tableMemoryBytes, \.levelZeroTables, \.levelZeroTablesToPause, \.levels, \.manifestBytes, \.maxKeyBytes,
        \.maxValueBytes, \.maxBatchBytes,
    ]
    private let counts: [Path<UInt64>] = [\.levelBaseBytes, \.levelRatio, \.writeAheadLogBytes]

    func testFigures_allOfThem_areNamedHere() {
        let figures = Mirror(reflecting: EngineOptions()).children.filter { $0.value is Int || $0.value is UInt64 }
        XCTAssertEqual(figures.count, numbers.count + counts.count)
    }

    /// Three tables of the same keys, which a compaction merges that nobody waits for.
    private func tryOut(_ options: EngineOptions) throws {
        let fixture = try EngineFixture(options: options)
        for round in 0..<3 {
            for number in 10..<40 { try fixture.put("k\(number)".bytes, "\(round)".bytes) }
            try fixture.deleteRange("k20", "k22")
            try fixture.flush(mark: fixture.sequence)
            try fixture.workThatEnds()
        }
        let expected = (10..<40).filter { !(20..<22).contains($0) }.map { "k\($0)=2" }
        XCTAssertEqual(try fixture.pairs(), expected)
        try fixture.reopen()
        XCTAssertEqual(try fixture.pairs(), expected)
        try fixture.workThatEnds()
        XCTAssertEqual(try fixture.pairs(), expected)
    }

    private func tryOutLogged(_ options: EngineOptions) throws {
        var options = options
        options.hasWriteAheadLog = true
        let disk = SimulatedDisk()
        for round in 0..<2 {
            let engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: options, seed: 1)
            for number in 10..<40 {
                var batch = WriteBatch()
                batch.put("k\(number)".bytes, "\(round)".bytes)
                try engine.waitForCommit(of: try engine.write(batch, syncing: true))
                _ = try engine.work(budget: 1 << 20)
            }
            var cursor = try engine.makeCursor()
            XCTAssertEqual(try EngineFixture.forward(&cursor), (10..<40).map { "k\($0)=\(round)" })
            engine.close()
        }
    }

    private enum Outcome { case refused, works }

    /// Tries a change of one figure out.
    private func outcome(_ name: String, _ change: (inout EngineOptions) -> Void) throws -> Outcome {
        var options = EngineOptions.tiny
        options.levelZeroTablesToPause = 20
        change(&options)
        do {
            try tryOut(options)
            try tryOutLogged(options)
            return .works
        } catch let error as EngineError where error.code == .invalid {
            // What is written may be longer than the limits allow, which says so.
            XCTAssertTrue("\(error)".contains(" must be ") || "\(error)".contains(" is longer than "), "\(error)")
            return .refused
        } catch {
            XCTFail("\(name): \(error)")
            return .refused
        }
    }

    func testFigure_asSmallOrAsLargeAsItCanBe_isRefusedOrWorks() throws {
        var outcomes: [Outcome] = []
        for path in numbers {
            for value in [Int.min, 0, 1, .max] {
                outcomes.append(try outcome("\(path) is \(value)") { $0[keyPath: path] = value })
            }
        }
        for path in counts {
            for value in [0, 1, UInt64.max] {
                outcomes.append(try outcome("\(path) is \(value)") { $0[keyPath: path] = value })
            }
        }
        XCTAssertGreaterThan(outcomes.filter { $0 == .refused }.count, 20)
        XCTAssertGreaterThan(outcomes.filter { $0 == .works }.count, 20)
    }

    func testMemtable_asLargeAsAllowed_holdsNoCompactionBackAndLargerIsRefused() throws {
        var options = EngineOptions.tiny
        options.levelZeroTablesToPause = 20
        options.memtableBytes = 1 << 40
        try tryOut(options)
        options.memtableBytes += 1
        assertFails(.invalid, naming: "memtableBytes must be 1 to 1099511627776, not 1099511627777") {
            try self.tryOut(options)
        }
    }

    func testTargets_ofARatioThatNoNumberHolds_areTheLargestNumber() {
        var options = EngineOptions.tiny
        options.levelRatio = .max
        let targets = LevelTargets(sizes: [0, 1, 0, 0, 0], levelCount: 5, options: options)
        XCTAssertEqual(targets.byteCounts, [0, 4 << 10, .max, .max, .max])
    }
}
