import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Crashes of an engine that has a write-ahead log of its own.
final class StandaloneCrashTests: XCTestCase {
    private var options: EngineOptions {
        var options = EngineOptions.cramped
        options.hasWriteAheadLog = true
        options.memtableBytes = 500
        return options
    }

    /// What was written, and how much of it was acknowledged.
    private struct Knowledge {
        var model = EngineModel()
        var last: SequenceNumber = 0
        var durable: SequenceNumber = 0
    }

    private func write(_ engine: StorageEngine, _ knowledge: inout Knowledge, _ writes: [ModelWrite]) throws {
        knowledge.last += 1
        knowledge.model.apply(writes, sequence: knowledge.last)
        let ticket = try engine.write(WriteBatch(writes), syncing: true)
        XCTAssertEqual(ticket.number, knowledge.last)
        if knowledge.last % 3 == 0 {
            try engine.waitForCommit(of: ticket)
            XCTAssertEqual(engine.commitState(of: ticket), .durable)
            knowledge.durable = knowledge.last
        }
    }

    func testAcknowledgedBatchesSurviveACrashAtEveryCall() throws {
        var knowledge = Knowledge()
        var found: [UInt64: SequenceNumber] = [:]
        let calls = try CrashCheck.makeDisk().forEachCrashPoint { files in
            knowledge = Knowledge()
            let engine = try StorageEngine.open("engine", fileSystem: files, options: options, seed: 1)
            for number in 0..<14 {
                let value = Bytes([UInt8](repeating: UInt8(number), count: 20 + 7 * number))
                var writes: [ModelWrite] = [.put(Bytes("key\(number % 5)"), value)]
                if number == 6 { writes.append(.deleteRange("key2", "key4")) }
                if number == 9 { writes = [.delete("key1")] }
                try write(engine, &knowledge, writes)
                if number % 4 == 3 { while try engine.work(budget: 500) != .idle {} }
            }
        } check: { crashed, point in
            for image in crashed.crashStates() {
                let digest = image.contentDigest
                if let last = found[digest] {
                    XCTAssertGreaterThanOrEqual(last, knowledge.durable, "\(point)")
                    continue
                }
                let disk = SimulatedDisk(image)
                let engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: options, seed: 1)
                let last = engine.lastSequence
                XCTAssertTrue((knowledge.durable...max(knowledge.durable, knowledge.last)).contains(last), "\(point)")
                XCTAssertEqual(try engine.pairs(), knowledge.model.pairs(at: last), "\(point)")
                found[digest] = last
                // What has been found stays, whatever is lost behind the opening, and the engine goes on.
                let again = SimulatedDisk(disk.image())
                let second = try StorageEngine.open("engine", fileSystem: again.mount(), options: options, seed: 1)
                XCTAssertEqual(second.lastSequence, last, "\(point)")
                XCTAssertEqual(try second.pairs(), knowledge.model.pairs(at: last), "\(point)")
                try second.waitForCommit(of: second.write(WriteBatch([.put("more", "x")]), syncing: true))
                while try second.work(budget: 10_000) != .idle {}
                XCTAssertEqual(try second.get("more")?.sequence, last + 1)
            }
        }
        XCTAssertGreaterThan(calls, 60)
        XCTAssertGreaterThan(found.count, 1_000)
    }
}
