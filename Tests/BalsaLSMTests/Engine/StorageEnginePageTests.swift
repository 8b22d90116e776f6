import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaLSM

/// `Docs/StorageEngine.md` against the code: what it shows stands below, line by line and in its order, and does what it says.
final class StorageEnginePageTests: XCTestCase {
    private struct Entry {
        var index: UInt64
        var key: Bytes
        var value: Bytes
    }

    private static let source = URL(fileURLWithPath: #filePath)
    private var directory = ""

    override func setUpWithError() throws {
        let parent = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        directory = parent.path + "/engine"
    }

    override func tearDownWithError() throws {
        try FileManager.default.removeItem(atPath: String(directory.dropLast("/engine".count)))
    }

    private func pause() { Thread.sleep(forTimeInterval: 0.001) }

    // MARK: What the page shows

    func testAnEngineThatStandsAlone() throws {
        let report: @Sendable (any Error) -> Void = { XCTFail("\($0)") }

        var options = EngineOptions()
        options.hasWriteAheadLog = true
        let seed = UInt64.random(in: 0 ... .max)
        let engine = try StorageEngine.open(directory, fileSystem: LinuxFileSystem(), options: options, seed: seed)

        var batch = WriteBatch()
        batch.put("user/ada", "Ada Lovelace")
        batch.put("user/alan", "Alan Turing")
        batch.delete("user/nobody")
        let ticket = try engine.write(batch, syncing: true)
        try engine.waitForCommit(of: ticket)
        XCTAssertEqual(engine.commitState(of: ticket), .durable)

        let found = try engine.get("user/ada")
        let byteCount = try engine.get("user/ada") { value, sequence in value.count }
        XCTAssertEqual(found?.value, "Ada Lovelace")
        XCTAssertEqual(found?.sequence, ticket.number)
        XCTAssertEqual(byteCount, 12)

        var names: [String] = []
        var cursor = try engine.makeCursor(from: "user/", to: "user0")
        try cursor.seekToFirst()
        while cursor.isValid {
            names.append(String(Bytes(copying: cursor.value)))
            try cursor.next()
        }
        XCTAssertEqual(names, ["Ada Lovelace", "Alan Turing"])

        let before = engine.snapshot()
        batch.removeAll()
        batch.deleteRange(from: "user/", to: "user0")
        _ = try engine.write(batch, syncing: false)
        let now = try engine.get("user/ada")
        let then = try engine.get("user/ada", in: before)
        before.close()
        XCTAssertNil(now)
        XCTAssertEqual(then?.value, "Ada Lovelace")

        let worker = try BackgroundThread {
            do {
                return try engine.work(budget: 1 << 20) == .idle ? .wait : .again
            } catch {
                report(error)
                return .wait
            }
        }

        if engine.hasWork { worker.wake() }
        let pressure = engine.pressure
        XCTAssertEqual(pressure, .none)
        batch.removeAll()
        batch.put("user/grace", "Grace Hopper")
        _ = try engine.write(batch, syncing: false)

        try engine.seal(SealRecord(sequence: engine.lastSequence, retentionMark: engine.lastSequence))
        worker.wake()
        while engine.durableSeal?.sequence != engine.lastSequence { pause() }
        try engine.checkpoint(to: directory + "-copy")

        worker.stop()
        engine.close()

        for place in [directory, directory + "-copy"] {
            let seed = UInt64.random(in: 0 ... .max)
            let again = try StorageEngine.open(place, fileSystem: LinuxFileSystem(), options: options, seed: seed)
            XCTAssertEqual(try again.get("user/grace")?.value, "Grace Hopper", place)
            XCTAssertNil(try again.get("user/ada"), place)
            again.close()
        }
    }

    /// One life of a process that applies a log, and the sequence number behind which it began.
    private func apply(_ log: [Entry], _ options: EngineOptions) throws -> (engine: StorageEngine, sealed: UInt64) {
        let seed = UInt64.random(in: 0 ... .max)
        let engine = try StorageEngine.open(directory, fileSystem: LinuxFileSystem(), options: options, seed: seed)
        let sealed = engine.durableSeal?.sequence ?? 0
        for entry in log where entry.index > sealed {
            var batch = WriteBatch()
            batch.put(entry.key, entry.value)
            try engine.apply(batch, sequence: entry.index)
            if engine.wantsSeal {
                try engine.seal(SealRecord(sequence: entry.index, retentionMark: entry.index / 2))
            }
        }
        return (engine, sealed)
    }

    func testAnEngineUnderALogOfYours() throws {
        var options = EngineOptions()
        options.memtableBytes = 16 << 10
        let log = (1...300 as ClosedRange<UInt64>).map { index in
            Entry(index: index, key: Bytes("key-\(index % 7)"), value: Bytes([UInt8](repeating: 1, count: 200)))
        }
        let first = try apply(log, options)
        XCTAssertEqual(first.sealed, 0)
        while try first.engine.work(budget: 1 << 20) != .idle {}
        first.engine.close()

        let second = try apply(log, options)
        XCTAssertGreaterThan(second.sealed, 0, "the log is gone on with behind the seal")
        XCTAssertLessThan(second.sealed, 300)
        XCTAssertEqual(second.engine.lastSequence, 300)
        XCTAssertEqual(try second.engine.get("key-1")?.sequence, 295)
        XCTAssertEqual(try second.engine.get("key-1", at: 290)?.sequence, 288)
        XCTAssertThrowsError(try second.engine.get("key-1", at: 1)) {
            XCTAssertEqual(($0 as? EngineError)?.code, .compacted)
        }
        second.engine.close()
    }

    // MARK: The page itself

    /// The lines of a text without their indentation.
    private func lines(_ text: String) -> [String] {
        text.components(separatedBy: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
    }

    func testThePageShowsWhatIsRunHere() throws {
        var package = StorageEnginePageTests.source
        for _ in 0..<4 { package.deleteLastPathComponent() }
        let page = try String(contentsOf: package.appendingPathComponent("Docs/StorageEngine.md"), encoding: .utf8)
        let blocks = page.components(separatedBy: "```swift\n").dropFirst().map {
            $0.components(separatedBy: "\n```")[0]
        }
        XCTAssertEqual(blocks.count, 10)
        var rest = lines(try String(contentsOf: StorageEnginePageTests.source, encoding: .utf8))[...]
        for block in blocks {
            let wanted = lines(block)
            let place = rest.indices.first { rest[$0...].starts(with: wanted) }
            guard let place else { return XCTFail("not run here, or not in this order:\n\(block)") }
            rest = rest[(place + wanted.count)...]
        }
    }

    func testThePageListsEveryFolderOfTheSources() throws {
        var package = StorageEnginePageTests.source
        for _ in 0..<4 { package.deleteLastPathComponent() }
        let page = try String(contentsOf: package.appendingPathComponent("Docs/StorageEngine.md"), encoding: .utf8)
        let sources = package.appendingPathComponent("Sources/BalsaLSM").path
        for folder in try FileManager.default.contentsOfDirectory(atPath: sources) {
            XCTAssertTrue(page.contains("| `\(folder)` |"), folder)
        }
    }
}
