import BalsaPlatform
import BalsaSimulation
import Foundation
import XCTest

@testable import BalsaLSM

/// Who waits for which sync.
final class GroupCommitTests: XCTestCase {
    private let lost = EngineError(.failed, "the disk is gone")

    func testNothingIsSyncedThatNobodyWantsSynced() {
        var commits = GroupCommit(durableThrough: 4)
        let ticket = commits.wrote(5, syncing: false)
        XCTAssertFalse(commits.wantsSync)
        XCTAssertEqual(commits.state(of: ticket), .pending)
        commits.want(ticket)
        XCTAssertTrue(commits.wantsSync)
    }

    func testOneSyncCoversAllThatGatheredDuringTheLast() {
        var commits = GroupCommit(durableThrough: 0)
        let first = commits.wrote(1, syncing: true)
        commits.begin()
        XCTAssertFalse(commits.wantsSync, "one at a time")
        let gathered = [
            commits.wrote(2, syncing: true), commits.wrote(3, syncing: false), commits.wrote(5, syncing: true),
        ]
        commits.finish()
        XCTAssertEqual(commits.state(of: first), .durable)
        XCTAssertEqual(gathered.map { commits.state(of: $0) }, [.pending, .pending, .pending])
        XCTAssertTrue(commits.wantsSync)
        commits.begin()
        commits.finish()
        XCTAssertEqual(gathered.map { commits.state(of: $0) }, [.durable, .durable, .durable])
        XCTAssertFalse(commits.wantsSync)
    }

    func testABatchThatWantsNoSyncTakesPartInTheNext() {
        var commits = GroupCommit(durableThrough: 0)
        let before = commits.wrote(1, syncing: false)
        _ = commits.wrote(2, syncing: true)
        let behind = commits.wrote(3, syncing: false)
        commits.begin()
        let late = commits.wrote(4, syncing: false)
        commits.finish()
        XCTAssertEqual([before, behind, late].map { commits.state(of: $0) }, [.durable, .durable, .pending])
    }

    func testAFailedSyncFailsAllThatWaitAndAllThatCome() {
        var commits = GroupCommit(durableThrough: 0)
        let durable = commits.wrote(1, syncing: true)
        commits.begin()
        commits.finish()
        let covered = commits.wrote(2, syncing: true)
        commits.begin()
        let gathered = commits.wrote(3, syncing: true)
        commits.fail(lost)
        XCTAssertEqual(commits.state(of: durable), .durable)
        XCTAssertEqual(commits.state(of: covered), .failed(lost))
        XCTAssertEqual(commits.state(of: gathered), .failed(lost))
        XCTAssertFalse(commits.wantsSync, "nothing is retried")
        XCTAssertEqual(commits.state(of: commits.wrote(4, syncing: true)), .failed(lost))
        commits.fail(EngineError(.closed, "later"))
        XCTAssertEqual(commits.state(of: covered), .failed(lost), "the first failure is the reason")
    }

    // MARK: The log that is shared

    private func append(_ log: CommitLog, _ sequence: SequenceNumber, _ content: Bytes) throws -> CommitTicket {
        try content.withUnsafeBytes { try log.append($0, sequence: sequence, syncing: true) }
    }

    func testAStepSyncsForAllTickets() throws {
        let hook = FailingCalls()
        let log = CommitLog(try OpenedLog(SimulatedDisk().mount(hook)).log)
        XCTAssertFalse(try log.step())
        let tickets = try (1...5).map { try append(log, $0, "batch") }
        let syncs = hook.calls.count { $0.hasPrefix("sync ") }
        XCTAssertTrue(log.wantsSync)
        XCTAssertTrue(try log.step())
        XCTAssertFalse(try log.step())
        XCTAssertEqual(hook.calls.count { $0.hasPrefix("sync ") }, syncs + 1)
        XCTAssertEqual(tickets.map { log.state(of: $0) }, tickets.map { _ in .durable })
    }

    func testRotatingMakesTicketsDurable() throws {
        let log = CommitLog(try OpenedLog(SimulatedDisk().mount()).log)
        let ticket = try append(log, 1, "batch")
        try log.withLog { log throws(EngineError) in try log.rotate() }
        XCTAssertEqual(log.state(of: ticket), .durable)
        XCTAssertFalse(try log.step())
        try log.wait(for: ticket)
    }

    func testAFailedSyncIsToldToAllThatWait() throws {
        let hook = FailingCalls()
        let log = CommitLog(try OpenedLog(SimulatedDisk().mount(hook)).log)
        let first = try append(log, 1, "batch")
        let second = try append(log, 2, "batch")
        hook.fault = { $0.operation == .sync ? .fail(.inputOutput) : nil }
        XCTAssertThrowsError(try log.wait(for: first)) { XCTAssertEqual(($0 as? EngineError)?.code, .file) }
        hook.fault = { _ in nil }
        XCTAssertThrowsError(try log.wait(for: second)) { XCTAssertEqual(($0 as? EngineError)?.code, .failed) }
        assertFails(.failed) { try append(log, 3, "batch") }
        XCTAssertFalse(try log.step())
        guard case .failed = log.state(of: second) else { return XCTFail("the second waits for ever") }
    }

    func testThreadsThatWaitShareTheirSyncs() throws {
        // On a real file system: a simulated one belongs to one thread.
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: directory) }
        let files = LinuxFileSystem()
        let options = EngineOptions()
        let opened = try WriteAheadLog.open(
            directory.path,
            engineID: 1,
            flushedThrough: 0,
            fileSystem: files,
            options: options
        ) { _, _ in XCTFail("the log is new") }
        let log = CommitLog(opened)
        // The number and the append belong together, as they do under an engine's writer.
        let last = Locked<SequenceNumber>(0)
        let failures = Locked<[String]>([])
        DispatchQueue.concurrentPerform(iterations: 4) { thread in
            for round in 0..<25 {
                do {
                    let ticket = try last.withLock { sequence in
                        sequence += 1
                        let content = Bytes("\(thread) \(round)")
                        return try content.withUnsafeBytes { try log.append($0, sequence: sequence, syncing: true) }
                    }
                    try log.wait(for: ticket)
                    if log.state(of: ticket) != .durable { throw EngineError(.failed, "not durable") }
                } catch {
                    failures.withLock { $0.append("\(error)") }
                }
            }
        }
        XCTAssertEqual(failures.withLock { $0 }, [])
        try log.withLog { log throws(EngineError) in log.close() }
        var found: [SequenceNumber] = []
        _ = try WriteAheadLog.open(
            directory.path,
            engineID: 1,
            flushedThrough: 0,
            fileSystem: files,
            options: options
        ) { sequence, _ in found.append(sequence) }
        XCTAssertEqual(found, Array(1...100))
    }
}
