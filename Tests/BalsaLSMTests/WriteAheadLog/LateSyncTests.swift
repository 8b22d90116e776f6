import BalsaPlatform
import BalsaSimulation
import Foundation
import XCTest

@testable import BalsaLSM

/// Syncs of the write-ahead log that begin, and end after other threads have done something to the log.
final class LateSyncTests: XCTestCase {
    private func append(_ log: CommitLog, _ sequence: SequenceNumber) throws -> CommitTicket {
        try Bytes("batch").withUnsafeBytes { try log.append($0, sequence: sequence, syncing: true) }
    }

    func testASync_ofAFileThatWasFlushedAndRemovedMeanwhile_succeeds() throws {
        // On a real file system, whose files know that they have no name any more.
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: directory) }
        var options = EngineOptions.tiny
        options.hasWriteAheadLog = true
        let engine = try StorageEngine.open(
            directory.path,
            fileSystem: LinuxFileSystem().bound(to: FileManager.default.temporaryDirectory.path),
            options: options,
            seed: 1
        )
        defer { engine.close() }
        func logFiles() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: directory.path).filter { $0.hasPrefix("wal-") }
        }
        var batch = WriteBatch()
        batch.put("a", "1")
        let ticket = try engine.write(batch, syncing: true)
        let log = try XCTUnwrap(engine.commitLog)
        // The thread that waits for the batch has begun its sync, and does not run for a while.
        let sync = try XCTUnwrap(log.beginSync())
        let before = try logFiles()
        try engine.seal(SealRecord(sequence: engine.lastSequence, retentionMark: engine.lastSequence))
        while try engine.work(budget: 1 << 20) != .idle {}
        XCTAssertEqual(try logFiles().filter(before.contains), [], "the file that the sync is of is gone")
        XCTAssertEqual(engine.commitState(of: ticket), .durable)

        try log.perform(sync)
        XCTAssertEqual(engine.commitState(of: ticket), .durable)
        let next = try engine.write(batch, syncing: true)
        try engine.waitForCommit(of: next)
        XCTAssertEqual(engine.commitState(of: next), .durable)
    }

    func testASync_thatFailsInTheFileBeingWritten_countsThoughItsBatchesAreDurable() throws {
        let hook = FailingCalls()
        let log = CommitLog(try OpenedLog(SimulatedDisk().mount(hook)).log)
        let ticket = try append(log, 1)
        let sync = try XCTUnwrap(log.beginSync())
        try log.withLog { log throws(EngineError) in try log.sync() }
        // What is written now may be what the system could not write, and only this sync is told.
        let later = try append(log, 2)
        hook.fault = { $0.operation == .sync ? .fail(.inputOutput) : nil }
        assertFails(.file, .sync, .inputOutput, naming: "wal-") { try log.perform(sync) }
        hook.fault = { _ in nil }
        XCTAssertEqual(log.state(of: ticket), .durable)
        guard case .failed(let error) = log.state(of: later) else { return XCTFail("\(log.state(of: later))") }
        XCTAssertEqual(error.code, .failed)
        assertFails(.failed) { try append(log, 3) }
    }

    func testASync_duringWhichTheLogFails_endsAndMakesItsBatchesDurable() throws {
        let hook = FailingCalls()
        let log = CommitLog(try OpenedLog(SimulatedDisk().mount(hook)).log)
        let ticket = try append(log, 1)
        let sync = try XCTUnwrap(log.beginSync())
        // It becomes unknown whether the log goes on in another file.
        hook.fault = { $0.operation == .syncDirectory ? .fail(.inputOutput) : nil }
        assertFails(.file, .syncDirectory, .inputOutput, naming: "engine") { try log.rotate() }
        hook.fault = { _ in nil }
        try log.perform(sync)
        XCTAssertEqual(log.state(of: ticket), .durable)
        XCTAssertFalse(try log.step())
        assertFails(.failed) { try append(log, 2) }
    }
}
