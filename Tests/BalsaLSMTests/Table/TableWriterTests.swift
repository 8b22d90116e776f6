import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// How a table gets onto the disk, and what is left where it does not.
final class TableWriterTests: XCTestCase {
    private func entry(_ number: Int, valueBytes: Int = 100) -> TestEntry {
        TestEntry(
            key: Array("key\(100_000 + number)".utf8),
            sequence: 3,
            value: [UInt8](repeating: 7, count: valueBytes)
        )
    }

    func testItWritesInLargePiecesAndSyncsOnceAtTheEnd() throws {
        let calls = RecordedCalls()
        let fixture = TableFixture(blockBytes: 4_096, hook: calls)
        let writer = try fixture.writer()
        for number in 0..<5_000 { try writer.add(entry(number)) }
        XCTAssertFalse(calls.operations.contains(.sync))
        let metadata = try writer.finish()
        let writes = calls.calls.filter { $0.operation == .write }
        XCTAssertGreaterThan(writes.count, 3)
        for write in writes.dropLast() { XCTAssertGreaterThanOrEqual(write.count, 64 << 10) }
        var end: UInt64 = 0
        for write in writes {
            XCTAssertEqual(write.offset, end, "every byte is written once, front to back")
            end += write.count
        }
        XCTAssertEqual(end, metadata.byteCount)
        XCTAssertEqual(calls.operations.last, .sync)
        XCTAssertEqual(calls.operations.filter { $0 == .sync }.count, 1)
        XCTAssertFalse(calls.operations.contains(.syncDirectory), "the directory is the caller's business")
    }

    func testItDoesNotSyncWhereItIsToldNotTo() throws {
        let calls = RecordedCalls()
        let fixture = TableFixture(hook: calls)
        let writer = try fixture.writer()
        try writer.add(entry(1))
        _ = try writer.finish(syncing: false)
        XCTAssertFalse(calls.operations.contains(.sync))
    }

    func testItsProgressCanBeAsked() throws {
        let fixture = TableFixture(blockBytes: 512)
        let writer = try fixture.writer()
        XCTAssertTrue(writer.isEmpty)
        XCTAssertNil(writer.lastKey)
        var previous = writer.byteCount
        for number in 0..<100 {
            try writer.add(entry(number))
            XCTAssertFalse(writer.isEmpty)
            XCTAssertEqual(writer.lastKey, Bytes(entry(number).key))
            XCTAssertGreaterThan(writer.byteCount, previous)
            previous = writer.byteCount
        }
        let metadata = try writer.finish()
        XCTAssertGreaterThan(metadata.byteCount, previous)
        XCTAssertLessThan(metadata.byteCount, previous + 3_000, "the index and the filter are small")
        XCTAssertEqual(metadata.number, 1)
        XCTAssertEqual(metadata.entryCount, 100)
    }

    func testARangeDeletionAloneMakesATable() throws {
        let writer = try TableFixture().writer()
        writer.add(RangeDeletion(start: "b", end: "b", sequence: 1))
        XCTAssertTrue(writer.isEmpty, "a deletion of no keys is none")
        writer.add(RangeDeletion(start: "b", end: "c", sequence: 1))
        XCTAssertFalse(writer.isEmpty)
    }

    func testAFileThatExistsIsNotWrittenOver() throws {
        let fixture = TableFixture()
        let metadata = try fixture.write([entry(1)])
        XCTAssertThrowsError(try fixture.writer()) { XCTAssertEqual(($0 as? EngineError)?.cause?.number, .exists) }
        XCTAssertNoThrow(try fixture.open(metadata).verify())
    }

    func testAFailedWriteStaysFailed() throws {
        for operation in [FileError.Operation.write, .sync] {
            let failure = FailOnce(operation)
            let fixture = TableFixture(hook: failure)
            let writer = try fixture.writer()
            var thrown: EngineError?
            do {
                for number in 0..<2_000 { try writer.add(entry(number)) }
                _ = try writer.finish()
            } catch {
                thrown = error as? EngineError
            }
            XCTAssertEqual(thrown?.cause?.number, .noSpace)
            XCTAssertEqual(thrown?.cause?.operation, operation)
            XCTAssertThrowsError(try writer.add(entry(9_999))) { XCTAssertEqual($0 as? EngineError, thrown) }
            XCTAssertThrowsError(try writer.finish()) { XCTAssertEqual($0 as? EngineError, thrown) }
            let number = failure.calls
            writer.abandon()
            XCTAssertEqual(failure.calls, number, "nothing is retried on the file")
        }
    }

    func testTheSameEntriesMakeTheSameBytes() throws {
        var random = RandomSource(seed: 3)
        let entries = KeyShape.sharedPrefix.entries(300, &random)
        let contents = try (0..<2).map { _ in
            let fixture = TableFixture()
            _ = try fixture.write(entries, [RangeDeletion(start: "a", end: "b", sequence: 2)])
            return try XCTUnwrap(fixture.disk.contents(of: fixture.path(1)))
        }
        XCTAssertEqual(contents[0], contents[1])
    }

    func testASyncedTableSurvivesAPowerLoss() throws {
        let fixture = TableFixture()
        let entries = (0..<50).map { entry($0) }
        let metadata = try fixture.write(entries)
        try fixture.files.syncDirectory("/")
        fixture.disk.powerLoss(salt: 1)
        let table = try Table.open(
            directory: "",
            metadata: metadata,
            fileSystem: fixture.disk.mount(),
            cache: fixture.cache
        )
        XCTAssertEqual(try table.entries(), entries)
        XCTAssertNoThrow(try table.verify())
    }
}

/// Notes what is asked of the disk.
private final class RecordedCalls: DiskHook {
    var calls: [DiskCall] = []
    var operations: [FileError.Operation] { calls.map(\.operation) }

    func answer(_ call: DiskCall) -> DiskAnswer {
        calls.append(call)
        return .proceed
    }
}

/// Lets the first call of a kind fail for want of space.
private final class FailOnce: DiskHook {
    private let operation: FileError.Operation
    private var hasFailed = false
    private(set) var calls = 0

    init(_ operation: FileError.Operation) { self.operation = operation }

    func answer(_ call: DiskCall) -> DiskAnswer {
        calls += 1
        guard call.operation == operation, !hasFailed else { return .proceed }
        hasFailed = true
        return .fail(.noSpace)
    }
}
