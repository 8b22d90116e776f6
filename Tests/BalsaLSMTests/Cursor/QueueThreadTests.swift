import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// A writer moves a queue on while readers look at its front, and note ranges without values beside it.
final class QueueThreadTests: XCTestCase {
    private enum Write {
        case put(Int)
        case delete(Int)
        case deleteRange(Int, Int)
    }

    /// What is written, and the front of the queue after each of the writes; nil for an empty queue.
    private struct Plan {
        private(set) var writes: [Write] = []
        private(set) var fronts: [Int?] = [nil]

        init(_ count: Int, seed: UInt64) {
            var random = RandomSource(seed: seed)
            var isLive = [Bool](repeating: false, count: count)
            var (front, tail) = (0, 0)
            for _ in 0..<count {
                switch random.below(20) {
                case 0..<8:
                    writes.append(.put(tail))
                    isLive[tail] = true
                    tail += 1
                case 8..<16 where front < tail:
                    writes.append(.delete(front))
                    isLive[front] = false
                case 16 where front < tail:
                    let end = min(front + random.draw(1...5), tail)
                    writes.append(.deleteRange(0, end))
                    for number in 0..<end { isLive[number] = false }
                default:
                    // Something that was taken is put back.
                    let number = random.draw(0...max(tail, 1) - 1)
                    writes.append(.put(number))
                    isLive[number] = true
                    tail = max(tail, number + 1)
                    front = min(front, number)
                }
                while front < tail, !isLive[front] { front += 1 }
                fronts.append(front < tail ? front : nil)
            }
        }
    }

    /// What the threads share besides the engine.
    private final class Progress: @unchecked Sendable {
        let reads = Locked(0)
        let fault = Locked<String?>(nil)
        let isDone = Locked(false)

        var isOver: Bool { isDone.withLock { $0 } || fault.withLock { $0 != nil } }

        func fail(_ text: String) { fault.withLock { $0 = $0 ?? text } }

        /// Waits for reads that begin from now on.
        func waitForReads() {
            let before = reads.withLock { $0 }
            let giveUp = ContinuousClock.now + .seconds(60)
            while reads.withLock({ $0 }) < before + 6, !isOver {
                if ContinuousClock.now > giveUp { fail("nobody reads") }
                sched_yield()
            }
        }
    }

    private static func key(_ number: Int) -> Bytes { Bytes("queue/\(1_000_000 + number)") }

    private static func write(_ plan: Plan, _ engine: StorageEngine, _ progress: Progress) throws {
        for (index, write) in plan.writes.enumerated() where !progress.isOver {
            var batch = WriteBatch()
            switch write {
            case .put(let number): batch.put(key(number), "value")
            case .delete(let number): batch.delete(key(number))
            case .deleteRange(let start, let end): batch.deleteRange(from: key(start), to: key(end))
            }
            let sequence = SequenceNumber(index + 1)
            try engine.apply(batch, sequence: sequence)
            if index % 50 == 49 { progress.waitForReads() }
            if index % 1_500 == 1_499 { try engine.seal(SealRecord(sequence: sequence, retentionMark: sequence)) }
        }
        progress.isDone.withLock { $0 = true }
    }

    private static func read(_ plan: Plan, _ engine: StorageEngine, _ progress: Progress) throws {
        while !progress.isOver {
            var cursor = try engine.makeCursor()
            try cursor.seekToFirst()
            let found = cursor.isValid ? "\(Bytes(copying: cursor.key))" : "nothing"
            let expected = plan.fronts[Int(cursor.readSequence)].map { "\(key($0))" } ?? "nothing"
            if found != expected {
                progress.fail("at \(cursor.readSequence) the front is \(found) in place of \(expected)")
            }
            progress.reads.withLock { $0 += 1 }
        }
    }

    func testFront_readersBesideAWriter_seeTheFrontOfTheirSequence() throws {
        let plan = Plan(12_000, seed: 3)
        var options = EngineOptions.tiny
        options.memtableBytes = 1 << 20
        let engine = try StorageEngine.open(
            "engine",
            fileSystem: SimulatedDisk().mount(),
            options: options,
            seed: 1
        )
        engine.emptyRanges.limits = EmptyRanges.Limits(entriesBeforeLooking: 1, entriesBeforeAdding: 4)
        let progress = Progress()
        ThreadGroup.run(4) { number in
            do {
                switch number {
                case 0: try QueueThreadTests.write(plan, engine, progress)
                case 1: while !progress.isOver { if try engine.work(budget: 20_000) == .idle { sched_yield() } }
                default: try QueueThreadTests.read(plan, engine, progress)
                }
            } catch { progress.fail("\(error)") }
        }
        XCTAssertNil(progress.fault.withLock { $0 })
        XCTAssertGreaterThan(progress.reads.withLock { $0 }, 1_000)
        XCTAssertGreaterThan(engine.emptyRanges.useCount, 500)
        XCTAssertGreaterThan(engine.metrics.flushes, 3)
        engine.close()
    }
}
