import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// A list of everything that was ever written, which answers any question about the past by going through it.
struct WriteHistory {
    enum Write {
        case put(Bytes, Bytes)
        case delete(Bytes)
        case deleteRange(Bytes, Bytes)
    }

    private var history: [(sequence: SequenceNumber, writes: [Write])] = []

    mutating func apply(_ writes: [Write], sequence: SequenceNumber) { history.append((sequence, writes)) }

    /// Forgets the batches above `sequence`, as a crash does.
    mutating func truncate(after sequence: SequenceNumber) { history.removeAll { $0.sequence > sequence } }

    func value(_ key: Bytes, at sequence: SequenceNumber) -> Bytes? {
        var value: Bytes?
        for batch in history where batch.sequence <= sequence {
            // Range deletions hide what is older than their batch, so that they come first in it.
            for case .deleteRange(let start, let end) in batch.writes where start <= key && key < end { value = nil }
            for write in batch.writes {
                switch write {
                case .put(key, let new): value = new
                case .delete(key): value = nil
                case .put, .delete, .deleteRange: break
                }
            }
        }
        return value
    }

    func pairs(at sequence: SequenceNumber, from: Bytes? = nil, to: Bytes? = nil, among keys: [Bytes]) -> [String] {
        keys.compactMap { key in
            guard key >= from ?? Bytes(), to.map({ key < $0 }) ?? true else { return nil }
            return value(key, at: sequence).map { "\(key)=\($0)" }
        }
    }
}

/// Random writes, seals, work, snapshots and restarts, against the model.
final class EngineHistoryTests: XCTestCase {
    private static let keys: [Bytes] = (0..<24).map { "key/\($0 / 10)\($0 % 10)".bytes }.sorted()

    private func draw(_ random: inout RandomSource) -> [WriteHistory.Write] {
        var writes: [WriteHistory.Write] = []
        var start = random.draw(0...EngineHistoryTests.keys.count - 1)
        for _ in 0..<random.draw(1...3) where start < EngineHistoryTests.keys.count {
            let key = EngineHistoryTests.keys[start]
            switch random.draw(0...9) {
            case 0...5:
                let value = "\(random.draw(0...999))" + String(repeating: "-", count: random.draw(0...60))
                writes.append(.put(key, value.bytes))
            case 6...7: writes.append(.delete(key))
            default:
                let end = min(start + random.draw(1...8), EngineHistoryTests.keys.count - 1)
                writes.append(.deleteRange(key, EngineHistoryTests.keys[end]))
            }
            start += random.draw(1...4)
        }
        return writes
    }

    private func check(_ fixture: EngineFixture, _ model: WriteHistory, _ sequence: SequenceNumber) throws {
        let keys = EngineHistoryTests.keys
        let expected = model.pairs(at: sequence, among: keys)
        var cursor = try fixture.engine.makeCursor(at: sequence)
        XCTAssertEqual(try EngineFixture.forward(&cursor), expected)
        XCTAssertEqual(try EngineFixture.backward(&cursor), expected.reversed())
        for key in keys { XCTAssertEqual(try fixture.get(key, at: sequence), model.value(key, at: sequence)) }
    }

    private func run(seed: UInt64, steps: Int, options: EngineOptions) throws {
        var random = RandomSource(seed: seed)
        let fixture = try EngineFixture(options: options)
        var model = WriteHistory()
        var snapshots: [EngineSnapshot] = []
        for _ in 0..<steps {
            switch random.draw(0...19) {
            case 0...11:
                let writes = draw(&random)
                let sequence = try fixture.write { batch in
                    for write in writes {
                        switch write {
                        case .put(let key, let value): batch.put(key, value)
                        case .delete(let key): batch.delete(key)
                        case .deleteRange(let start, let end): batch.deleteRange(from: start, to: end)
                        }
                    }
                }
                model.apply(writes, sequence: sequence)
            case 12...13:
                let mark = UInt64(max(0, Int(fixture.sequence) - random.draw(0...20)))
                try fixture.seal(mark: mark)
            case 14...16: _ = try fixture.engine.work(budget: random.draw(1...2_000))
            case 17: snapshots.append(fixture.engine.snapshot())
            case 18: if !snapshots.isEmpty { snapshots.remove(at: random.draw(0...snapshots.count - 1)) }
            default:
                guard random.chance(1, in: 4) else { break }
                snapshots = []
                try fixture.reopen()
                model.truncate(after: fixture.sequence)
            }
            XCTAssertNil(fixture.engine.checkInvariants())
        }
        try check(fixture, model, fixture.sequence)
        try fixture.work()
        XCTAssertNil(fixture.engine.checkInvariants())
        let lowest = max(fixture.engine.retentionMark, fixture.engine.floor)
        for sequence in [lowest, (lowest + fixture.sequence) / 2, fixture.sequence] {
            try check(fixture, model, sequence)
        }
        for snapshot in snapshots {
            var cursor = try fixture.engine.makeCursor(in: snapshot)
            let expected = model.pairs(at: snapshot.sequence, among: EngineHistoryTests.keys)
            XCTAssertEqual(try EngineFixture.forward(&cursor), expected)
            XCTAssertEqual(try EngineFixture.backward(&cursor), expected.reversed())
        }
        try fixture.engine.verifyAll()
    }

    func testRandomWorkloadsAgreeWithTheirHistory() throws {
        for seed in 1...40 as ClosedRange<UInt64> {
            var random = RandomSource(seed: seed)
            var options = EngineOptions.tiny
            options.memtableBytes = 1_024
            options.tableBytes = random.draw(100...2_000)
            options.levelBaseBytes = UInt64(random.draw(500...4_000))
            options.levels = random.draw(2...6)
            options.levelZeroTables = random.draw(1...4)
            options.cacheBytes = random.pick([0, 300, 100_000])
            try run(seed: seed, steps: 150, options: options)
            if testRun?.failureCount ?? 0 > 0 { return XCTFail("seed \(seed)") }
        }
    }
}
