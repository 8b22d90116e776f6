import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaLSM

/// A writer, a worker and readers at the same time, on real files.
final class EngineThreadTests: XCTestCase {
    private var directory = ""

    override func setUpWithError() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-engine-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        directory = url.path
    }

    override func tearDownWithError() throws { try FileManager.default.removeItem(atPath: directory) }

    /// What the threads share besides the engine.
    private final class Progress: @unchecked Sendable {
        private let faults = Locked<[String]>([])
        private let finished = Locked(false)
        private let scanned = Locked(0)
        private let pairsFound = Locked(0)
        let threads = DispatchGroup()

        var isFinished: Bool { finished.withLock { $0 } }
        func finish() { finished.withLock { $0 = true } }
        func fault(_ text: String) { faults.withLock { $0.append(text) } }
        var found: [String] { faults.withLock { $0 } }
        /// How many scans came to their end and found keys.
        var scans: Int { scanned.withLock { $0 } }
        func noteScan() { scanned.withLock { $0 += 1 } }
        /// How many look-ups of pairs found both keys.
        var pairs: Int { pairsFound.withLock { $0 } }
        func notePair() { pairsFound.withLock { $0 += 1 } }

        /// Waits until a scan that found keys ends that has not ended yet.
        func waitForScan() {
            let before = scans
            var waits = 0
            while scans == before, found.isEmpty, waits < 600_000 {
                usleep(100)
                waits += 1
            }
            if scans == before { fault("no reader came to the end of a scan") }
        }

        /// Runs `body` on a thread of its own.
        func start(_ body: @escaping @Sendable () throws -> Void) {
            threads.enter()
            Thread.detachNewThread {
                do { try body() } catch { self.fault("\(error)") }
                self.threads.leave()
            }
        }
    }

    private static let keyCount = 50

    private static func key(_ side: String, _ number: Int) -> Bytes { Bytes("\(side)/\(1_000 + number)") }

    /// Both keys of a pair have the same value at every sequence number.
    private static func checkPair(_ engine: StorageEngine, _ random: inout RandomSource, _ progress: Progress) throws {
        let number = random.draw(0...keyCount - 1)
        let snapshot = engine.snapshot()
        let left = try engine.get(key("left", number), in: snapshot)
        let right = try engine.get(key("right", number), in: snapshot)
        if left != nil, right != nil { progress.notePair() }
        if left?.value != right?.value || left?.sequence != right?.sequence {
            progress.fault(
                "pair \(number) at \(snapshot.sequence): \(String(describing: left)) and \(String(describing: right))"
            )
        }
        if let left, !String(left.value).hasPrefix("\(left.sequence) ") || left.sequence > snapshot.sequence {
            progress.fault("pair \(number) at \(snapshot.sequence): \(left)")
        }
        // The newest value is never older than one that was seen before.
        let again = try engine.get(key("left", number))
        if let left, let again, again.sequence < left.sequence { progress.fault("\(again) after \(left)") }
    }

    /// Both halves of a scan are alike.
    private static func checkScan(_ engine: StorageEngine, _ progress: Progress) throws {
        var cursor = try engine.makeCursor()
        var values: [[Bytes]] = [[], []]
        try cursor.seekToFirst()
        while cursor.isValid {
            values[cursor.key[0] == UInt8(ascii: "l") ? 0 : 1].append(Bytes(copying: cursor.value))
            try cursor.next()
        }
        if values[0] != values[1] { progress.fault("a scan at \(cursor.readSequence) is torn") }
        var backward = 0
        try cursor.seekToLast()
        while cursor.isValid {
            backward += 1
            try cursor.previous()
        }
        if backward != values[0].count + values[1].count { progress.fault("\(backward) keys backward") }
        if backward > 0 { progress.noteScan() }
    }

    func testReadersSeeWholeBatchesWhileTablesComeAndGo() throws {
        var options = EngineOptions.tiny
        options.memtableBytes = 32 << 10
        options.tableBytes = 8 << 10
        options.levelBaseBytes = 16 << 10
        let engine = try StorageEngine.open(
            directory + "/engine",
            fileSystem: LinuxFileSystem(),
            options: options,
            seed: 1
        )
        let progress = Progress()
        for seed in 1...3 as ClosedRange<UInt64> {
            progress.start {
                var random = RandomSource(seed: seed)
                while !progress.isFinished {
                    for _ in 0..<50 { try EngineThreadTests.checkPair(engine, &random, progress) }
                    try EngineThreadTests.checkScan(engine, progress)
                }
            }
        }
        progress.start {
            while !progress.isFinished || engine.hasWork { _ = try engine.work(budget: 20_000) }
        }
        var random = RandomSource(seed: 9)
        var batch = WriteBatch()
        for sequence in 1...6_000 as ClosedRange<UInt64> {
            batch.removeAll()
            let number = random.draw(0...EngineThreadTests.keyCount - 1)
            let value = Bytes("\(sequence) " + String(repeating: "-", count: random.draw(0...100)))
            for side in ["left", "right"] {
                if sequence % 50 == 0 {
                    let end = EngineThreadTests.key(side, number + 5)
                    batch.deleteRange(from: EngineThreadTests.key(side, number), to: end)
                } else {
                    batch.put(EngineThreadTests.key(side, number), value)
                }
            }
            try engine.apply(batch, sequence: sequence)
            // However busy the machine is, the readers read at many moments of the writing.
            if sequence % 250 == 0 { progress.waitForScan() }
            if engine.wantsSeal {
                try engine.seal(SealRecord(sequence: sequence, retentionMark: sequence))
                while engine.pressure == .stopped, progress.found.isEmpty { usleep(100) }
            }
        }
        progress.finish()
        progress.threads.wait()
        // The last reader may have let go of a table when the worker had gone.
        while try engine.work(budget: 1 << 20) != .idle {}
        XCTAssertEqual(progress.found.prefix(3), [])
        XCTAssertGreaterThanOrEqual(progress.scans, 24)
        XCTAssertGreaterThan(progress.pairs, 100)
        XCTAssertGreaterThan(engine.metrics.flushes, 5)
        XCTAssertGreaterThan(engine.metrics.compactions, 3)
        XCTAssertNil(engine.checkInvariants())
        engine.close()
        let files = try LinuxFileSystem().list(directory + "/engine").filter { $0.hasPrefix("table-") }
        XCTAssertEqual(files.count, engine.metrics.levels.reduce(0) { $0 + $1.tableCount })
    }
}
