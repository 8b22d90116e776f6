import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Checkpoints, as directories and as files that are sent.
final class EngineCheckpointTests: XCTestCase {
    private func filled() throws -> EngineFixture {
        let fixture = try EngineFixture()
        for round in 0..<3 {
            for number in 100..<120 { try fixture.put("k\(number)".bytes, "v\(round)".bytes) }
            try fixture.deleteRange("k105", "k110")
            try fixture.flush(mark: fixture.sequence - 4)
        }
        try fixture.work()
        try fixture.put("after", "the checkpoint")
        return fixture
    }

    private func pairs(_ engine: StorageEngine) throws -> [String] {
        var cursor = try engine.makeCursor()
        return try EngineFixture.forward(&cursor)
    }

    func testACheckpointOpensWithTheStateOfTheDurableSeal() throws {
        let fixture = try filled()
        try fixture.engine.checkpoint(to: "checkpoint")
        let copy = try StorageEngine.open("checkpoint", fileSystem: fixture.disk.mount(), options: .tiny, seed: 1)
        XCTAssertEqual(copy.durableSeal, fixture.engine.durableSeal)
        XCTAssertEqual(copy.lastSequence, fixture.sequence - 1)
        XCTAssertEqual(copy.floor, fixture.engine.floor)
        XCTAssertEqual(try pairs(copy), try fixture.pairs().filter { !$0.hasPrefix("after") })
        try copy.verifyAll()
        // Each goes its own way from there.
        try copy.apply(WriteBatch(), sequence: fixture.sequence)
        for _ in 0..<2 {
            try fixture.deleteRange("a", "z")
            try fixture.flush(mark: fixture.sequence)
        }
        try fixture.work()
        XCTAssertEqual(try fixture.pairs(), [])
        XCTAssertEqual(try pairs(copy).count, 15)
        try copy.verifyAll()
    }

    func testACheckpointIsDurableWhenTheCallReturns() throws {
        let fixture = try filled()
        try fixture.engine.checkpoint(to: "checkpoint")
        for image in fixture.disk.crashStates(limit: 50) {
            let copy = try StorageEngine.open(
                "checkpoint",
                fileSystem: SimulatedDisk(image).mount(),
                options: .tiny,
                seed: 1
            )
            XCTAssertEqual(try pairs(copy).count, 15)
        }
    }

    func testACrashInTheMiddleLeavesNothingThatOpensAsSomethingElse() throws {
        let start = try filled()
        start.disk.processCrash()
        var states = 0
        try start.disk.forEachCrashPoint { files in
            let engine = try StorageEngine.open("engine", fileSystem: files, options: .tiny, seed: 1)
            try engine.checkpoint(to: "checkpoint")
        } check: { crashed, point in
            for image in crashed.crashStates(limit: 8) {
                states += 1
                let disk = SimulatedDisk(image)
                let engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: .tiny, seed: 1)
                XCTAssertEqual(try pairs(engine).count, 15)
                guard try disk.mount().exists("checkpoint"), try disk.mount().list("checkpoint") != [] else { continue }
                do throws(EngineError) {
                    let copy = try StorageEngine.open("checkpoint", fileSystem: disk.mount(), options: .tiny, seed: 1)
                    XCTAssertEqual(copy.durableSeal, engine.durableSeal, "\(point)")
                } catch { XCTAssertEqual(error.code, .damaged, "\(point)") }
            }
        }
        XCTAssertGreaterThan(states, 50)
    }

    func testTheFilesOfACheckpointCanBeSentWhileTheEngineGoesOn() throws {
        let fixture = try filled()
        let source = try fixture.engine.checkpoint()
        XCTAssertEqual(source.position, fixture.engine.durableSeal)
        for _ in 0..<3 {
            try fixture.deleteRange("a", "z")
            try fixture.flush(mark: fixture.sequence)
            try fixture.work()
        }
        let files = fixture.disk.mount()
        try files.createDirectory("received")
        for (index, info) in source.files.enumerated() {
            let file = try files.open("received/" + info.name, .create)
            var offset: UInt64 = 0
            while offset < info.byteCount {
                let piece = try source.read(file: index, offset: offset, count: 100)
                try file.write(piece, at: offset)
                offset += UInt64(piece.count)
            }
        }
        XCTAssertEqual(try source.read(file: 0, offset: source.files[0].byteCount, count: 10), Bytes())
        assertFails(.invalid, naming: "no such place") {
            try source.read(file: 0, offset: source.files[0].byteCount + 1, count: 10)
        }
        assertFails(.invalid, naming: "no such place") { try source.read(file: 99, offset: 0, count: 10) }
        let copy = try StorageEngine.open("received", fileSystem: files, options: .tiny, seed: 1)
        XCTAssertEqual(try pairs(copy).count, 15)
        try copy.verifyAll()
    }

    /// A directory with copies of the files of a checkpoint, as another member receives them.
    private func received(_ engine: StorageEngine) throws -> SimulatedDisk {
        let source = try engine.checkpoint()
        let disk = SimulatedDisk()
        let files = disk.mount()
        try files.createDirectory("received")
        for (index, info) in source.files.enumerated() {
            let bytes = try source.read(file: index, offset: 0, count: Int(info.byteCount))
            try files.open("received/" + info.name, .create).write(bytes, at: 0)
        }
        return disk
    }

    func testAReceivedCheckpointIsVerifiedRightBehindItsOpeningAndTheCacheStaysEmpty() throws {
        let disk = try received(filled().engine)
        let hook = FailingCalls()
        let engine = try StorageEngine.open("received", fileSystem: disk.mount(hook), options: .tiny, seed: 1)
        let tables = engine.retainedView().version.levels.joined().map(\.table)
        let blocks = tables.reduce(0) { $0 + $1.index.count }
        XCTAssertGreaterThan(blocks, 3)
        var reads = 0
        hook.fault = { call in
            if call.operation == .read { reads += 1 }
            return nil
        }
        try engine.verifyAll()
        // Header, footer, filter, index, tombstones and properties of each table, and all of its blocks.
        XCTAssertEqual(reads, 6 * tables.count + blocks)
        XCTAssertEqual(engine.metrics.cacheBytes, 0)
        XCTAssertEqual(engine.metrics.cacheMisses, 0)
        // What the cache holds takes the place of no read.
        XCTAssertEqual(try pairs(engine).count, 15)
        let cached = engine.metrics.cacheBytes
        XCTAssertGreaterThan(cached, 0)
        reads = 0
        try engine.verifyAll()
        XCTAssertEqual(reads, 6 * tables.count + blocks)
        XCTAssertEqual(engine.metrics.cacheBytes, cached)
    }

    func testARottenBlockOfAReceivedCheckpointIsFoundWhereverItIs() throws {
        let disk = try received(filled().engine)
        let image = disk.snapshot()
        let engine = try StorageEngine.open("received", fileSystem: disk.mount(), options: .tiny, seed: 1)
        var blocks = 0
        for table in engine.retainedView().version.levels.joined().map(\.table) {
            for number in 0..<table.index.count {
                blocks += 1
                let rotten = SimulatedDisk(image)
                let place = table.index.place(number)
                rotten.corrupt("received/" + table.metadata.fileName, at: place.offset + place.byteCount / 2, mask: 1)
                // Blocks are not read by the opening, which therefore does not see it.
                let copy = try StorageEngine.open("received", fileSystem: rotten.mount(), options: .tiny, seed: 1)
                XCTAssertThrowsError(try copy.verifyAll()) {
                    XCTAssertEqual(($0 as? EngineError)?.code, .damaged)
                    XCTAssertTrue("\($0)".contains(table.metadata.fileName), "\($0)")
                }
            }
        }
        XCTAssertGreaterThan(blocks, 3)
    }

    func testACheckpointNeedsASealAndAnEmptyDirectory() throws {
        let fixture = try EngineFixture()
        assertFails(.invalid, naming: "nothing has been sealed") { try fixture.engine.checkpoint(to: "checkpoint") }
        try fixture.flush()
        try fixture.engine.checkpoint(to: "checkpoint")
        assertFails(.invalid, naming: "checkpoint is not empty") { try fixture.engine.checkpoint(to: "checkpoint") }
    }
}
