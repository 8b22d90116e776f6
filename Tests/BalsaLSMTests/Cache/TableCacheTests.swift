import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// An engine of many tables, few of which may be open at a time.
final class TableCacheTests: XCTestCase {
    /// Decides about calls to the disk, once armed.
    private final class Faults: DiskHook {
        var decide: (DiskCall) -> DiskAnswer = { _ in .proceed }
        func answer(_ call: DiskCall) -> DiskAnswer { decide(call) }
    }

    private static let keyCount = 1_600

    private func key(_ number: Int) -> Bytes { Bytes("key\(100_000 + number)") }

    private func value(_ number: Int) -> Bytes { Bytes([UInt8](repeating: UInt8(number % 251), count: 120)) }

    private static var options: EngineOptions {
        var options = EngineOptions.tiny
        options.memtableBytes = 1 << 10
        options.maxOpenTables = 16
        options.tableMemoryBytes = 16 << 10
        return options
    }

    /// About 200 tables, all keys of which are below the first level.
    private func filled(_ faults: Faults? = nil, _ options: EngineOptions = TableCacheTests.options) throws
        -> EngineFixture
    {
        let fixture = try EngineFixture(hook: faults, options: options)
        for number in 0..<TableCacheTests.keyCount {
            try fixture.put(key(number), value(number))
            if fixture.engine.wantsSeal {
                try fixture.flush()
                try fixture.work()
            }
        }
        try fixture.flush()
        try fixture.work()
        XCTAssertGreaterThanOrEqual(fixture.tableCounts.reduce(0, +), 200)
        return fixture
    }

    private func assertWithinLimits(_ fixture: EngineFixture, line: UInt = #line) {
        let metrics = fixture.engine.metrics
        XCTAssertLessThanOrEqual(metrics.openTables, fixture.options.maxOpenTables, line: line)
        XCTAssertLessThanOrEqual(metrics.tableMemoryBytes, fixture.options.tableMemoryBytes, line: line)
    }

    /// The tables whose bodies are not in memory and whose files are not open.
    private func closedTables(_ fixture: EngineFixture) -> [TableHandle] {
        fixture.engine.retainedView().version.levels.joined().filter {
            $0.table.residentBytes == 0 && $0.table.residency.file == nil
        }
    }

    private func assertAllAreThere(_ fixture: EngineFixture, line: UInt = #line) throws {
        for number in 0..<TableCacheTests.keyCount {
            XCTAssertEqual(try fixture.get(key(number)), value(number), line: line)
        }
    }

    // MARK: Limits

    func testManyTables_withFewOpen_areReadWithinTheLimits() throws {
        let fixture = try filled()
        var random = RandomSource(seed: 5)
        for _ in 0..<2_000 {
            let number = random.draw(0...TableCacheTests.keyCount - 1)
            XCTAssertEqual(try fixture.get(key(number)), value(number))
            assertWithinLimits(fixture)
        }
        let pairs = try fixture.pairs()
        XCTAssertEqual(pairs.count, TableCacheTests.keyCount)
        var backward = try fixture.engine.makeCursor()
        XCTAssertEqual(try EngineFixture.backward(&backward), pairs.reversed())
        assertWithinLimits(fixture)
        XCTAssertGreaterThan(fixture.engine.metrics.tableReads, 1_000)
    }

    func testTables_thatAreOftenRead_stayOpen() throws {
        let fixture = try filled()
        _ = try fixture.get(key(7))
        let before = fixture.engine.metrics.tableReads
        var random = RandomSource(seed: 6)
        for _ in 0..<400 {
            _ = try fixture.get(key(random.draw(0...TableCacheTests.keyCount - 1)))
            let reads = fixture.engine.metrics.tableReads
            XCTAssertEqual(try fixture.get(key(7)), value(7))
            XCTAssertEqual(fixture.engine.metrics.tableReads, reads, "the table of the hot key was read again")
        }
        XCTAssertGreaterThan(fixture.engine.metrics.tableReads, before + 100)
    }

    func testCompactions_withFewTablesOpen_leaveNothingBehind() throws {
        let fixture = try filled()
        try fixture.deleteRange(key(0), key(800))
        try fixture.flush(mark: fixture.sequence)
        try fixture.work()
        XCTAssertEqual(try fixture.pairs().count, 800)
        assertWithinLimits(fixture)
        XCTAssertEqual(try fixture.files().count, fixture.tableCounts.reduce(0, +))
        XCTAssertNil(fixture.engine.cache.checkInvariants())
    }

    func testOpening_readsNoTable_withoutRangeDeletions() throws {
        let fixture = try filled()
        let faults = Faults()
        var calls: [String] = []
        faults.decide = { call in
            if call.path.contains("table-") { calls.append("\(call.operation) \(call.path)") }
            return .proceed
        }
        try fixture.reopen(hook: faults)
        XCTAssertEqual(calls, [])
        try assertAllAreThere(fixture)
    }

    func testOpening_readsRangeDeletions_andRefusesDamagedOnes() throws {
        let fixture = try EngineFixture()
        try fixture.put("a", "1")
        try fixture.put("z", "2")
        try fixture.deleteRange("a", "b")
        try fixture.flush()
        try fixture.reopen()
        XCTAssertEqual(try fixture.pairs(), ["z=2"])
        XCTAssertEqual(fixture.engine.metrics.openTables, 1, "only the scan opened the table")
    }

    // MARK: Who holds something

    func testACursor_keepsWhatItIsIn_whileOthersTakeItsPlace() throws {
        var options = TableCacheTests.options
        options.maxOpenTables = 1
        options.tableMemoryBytes = 0
        options.cacheBytes = 0
        let fixture = try filled(nil, options)
        var cursor = try fixture.engine.makeCursor()
        try cursor.seekToFirst()
        var count = 0
        while cursor.isValid {
            XCTAssertEqual(Bytes(copying: cursor.key), key(count))
            XCTAssertEqual(Bytes(copying: cursor.value), value(count))
            _ = try fixture.get(key((count * 7 + 800) % TableCacheTests.keyCount))
            XCTAssertLessThanOrEqual(fixture.engine.metrics.openTables, 1)
            count += 1
            try cursor.next()
        }
        XCTAssertEqual(count, TableCacheTests.keyCount)
    }

    func testAReader_whileItWaitsForTheDisk_keepsNothingFromBeingFreed() throws {
        final class Freed {
            let note: () -> Void
            init(_ note: @escaping () -> Void) { self.note = note }
            deinit { note() }
        }
        let faults = Faults()
        let fixture = try filled(faults)
        var (reads, freed) = (0, 0)
        faults.decide = { [epochs = fixture.engine.epochs] call in
            guard call.operation == .read else { return .proceed }
            reads += 1
            epochs.retire(Freed { freed += 1 })
            epochs.collect()
            return .proceed
        }
        var random = RandomSource(seed: 7)
        for _ in 0..<50 {
            let number = random.draw(0...TableCacheTests.keyCount - 1)
            XCTAssertEqual(try fixture.get(key(number)), value(number))
        }
        XCTAssertGreaterThan(reads, 50)
        XCTAssertEqual(freed, reads)
    }

    func testAReader_thatMustNotWait_isToldSoWhereTheTableIsNotInMemory() throws {
        let fixture = try filled()
        let table = try XCTUnwrap(closedTables(fixture).first)
        let key = table.metadata.smallest
        XCTAssertThrowsError(try fixture.engine.get(key, waiting: .forbidden)) {
            XCTAssertEqual(($0 as? EngineError)?.code, .wouldWait)
        }
        var cursor = try fixture.engine.makeCursor(from: key, waiting: .forbidden)
        do {
            try cursor.seekToFirst()
            XCTFail("a cursor that must not wait read an index")
        } catch { XCTAssertEqual(error.code, .wouldWait) }
        XCTAssertNotNil(try fixture.engine.get(key))
        XCTAssertNotNil(try fixture.engine.get(key, waiting: .forbidden))
    }

    /// One file may be open, and each call for it makes another reader open another one.
    func testAReader_whoseFileIsClosedForAnother_readsOn() throws {
        let faults = Faults()
        var options = TableCacheTests.options
        options.maxOpenTables = 1
        options.tableMemoryBytes = 0
        options.cacheBytes = 0
        let fixture = try filled(faults, options)
        let tables = closedTables(fixture)
        XCTAssertGreaterThan(tables.count, 100)
        var (isNested, count) = (false, 0)
        faults.decide = { [unowned fixture] call in
            guard !isNested, call.operation == .read || call.operation == .size else { return .proceed }
            isNested = true
            defer { isNested = false }
            count += 1
            let others = [tables[count % tables.count], tables[(count + 1) % tables.count]]
            let other = others.first { !call.path.hasSuffix("/\($0.metadata.fileName)") }
            do throws(EngineError) {
                _ = try fixture.get(other?.metadata.smallest ?? Bytes())
            } catch { XCTFail("\(error)") }
            return .proceed
        }
        for number in stride(from: 0, to: TableCacheTests.keyCount, by: 16) {
            XCTAssertEqual(try fixture.get(key(number)), value(number))
        }
        for table in tables.prefix(20) { try table.table.verify() }
        XCTAssertGreaterThan(count, 500)
        XCTAssertGreaterThan(fixture.engine.metrics.tableReads, 500)
        faults.decide = { _ in .proceed }
    }

    // MARK: Failures

    func testReopening_whileNoDescriptorIsLeft_failsByReasonAndLosesNothing() throws {
        let faults = Faults()
        let fixture = try filled(faults)
        faults.decide = { $0.operation == .open ? .fail(.tooManyOpenFiles) : .proceed }
        for table in closedTables(fixture).prefix(20) {
            XCTAssertThrowsError(try fixture.get(table.metadata.smallest)) {
                XCTAssertEqual(($0 as? EngineError)?.code, .file)
                XCTAssertEqual(($0 as? EngineError)?.cause?.number, .tooManyOpenFiles)
            }
        }
        XCTAssertEqual(fixture.engine.metrics.openTables, 0, "files were kept open while one was missing")
        faults.decide = { _ in .proceed }
        try assertAllAreThere(fixture)
        assertWithinLimits(fixture)
    }

    func testReopening_withAllDescriptorsInItsOwnHands_closesOneOfThem() throws {
        let faults = Faults()
        let fixture = try filled(faults)
        var limit = fixture.engine.metrics.openTables
        XCTAssertGreaterThan(limit, 8)
        limit -= 4
        // The process has fewer descriptors than the options allow for.
        faults.decide = { [unowned fixture] call in
            guard call.operation == .open, fixture.engine.tables.fileCount >= limit else { return .proceed }
            return .fail(.tooManyOpenFiles)
        }
        try assertAllAreThere(fixture)
        XCTAssertLessThanOrEqual(fixture.engine.metrics.openTables, limit)
    }

    func testAnEngine_withAllDescriptorsInItsOwnHands_writesByClosingTables() throws {
        let faults = Faults()
        let fixture = try filled(faults)
        try assertAllAreThere(fixture)
        let limit = fixture.engine.tables.fileCount
        XCTAssertGreaterThan(limit, 8)
        // No more than these: each other file that is open takes the descriptor of a table.
        var refusals = 0
        faults.decide = { [unowned fixture] call in
            let takesDescriptor = call.operation == .open || call.operation == .list
            guard takesDescriptor, fixture.engine.tables.fileCount >= limit else { return .proceed }
            refusals += 1
            return .fail(.tooManyOpenFiles)
        }
        for number in 0..<3 {
            try fixture.put("another\(number)".bytes, Bytes([UInt8](repeating: 7, count: 600)))
            try fixture.flush(mark: fixture.sequence)
            try assertAllAreThere(fixture)
        }
        XCTAssertGreaterThan(refusals, 2)
        XCTAssertNotNil(try fixture.get("another2".bytes))
        try fixture.engine.checkpoint(to: "copy")
        XCTAssertGreaterThan(try fixture.disk.mount().list("copy").count, 3)
    }

    /// The log of a member has a file system of the engine's kind, and makes its segments in this way.
    func testAFile_besideAnEngine_getsTheDescriptorOfATable() throws {
        let faults = Faults()
        let disk = SimulatedDisk()
        let files = DescriptorSavingFileSystem.over(disk.mount(faults))
        let engine = try StorageEngine.open("engine", fileSystem: files, options: .tiny, seed: 1)
        var batch = WriteBatch()
        batch.put("k", "v")
        try engine.apply(batch, sequence: 1)
        try engine.seal(SealRecord(sequence: 1))
        while try engine.work(budget: 1 << 20) != .idle {}
        XCTAssertEqual(try engine.get("k")?.value, "v")
        XCTAssertEqual(engine.tables.fileCount, 1)
        faults.decide = { [unowned engine] call in
            call.operation == .open && engine.tables.fileCount > 0 ? .fail(.tooManyOpenFiles) : .proceed
        }
        let bound = try files.bound(to: "/")
        let file = try bound.open("/beside", .create)
        XCTAssertEqual(engine.tables.fileCount, 0)
        faults.decide = { _ in .fail(.tooManyOpenFiles) }
        XCTAssertThrowsError(try bound.open("/another", .create)) {
            XCTAssertEqual($0 as? FileError, FileError(.open, "/another", .tooManyOpenFiles))
        }
        file.close()
        engine.close()
    }

    func testReopening_ofAVanishedFile_failsByReasonAndLeavesTheOthers() throws {
        let fixture = try filled()
        let table = try XCTUnwrap(closedTables(fixture).first { $0.metadata.entryCount > 2 })
        let path = "engine/\(table.metadata.fileName)"
        let files = fixture.disk.mount()
        try files.rename(path, to: "engine/elsewhere")
        XCTAssertThrowsError(try fixture.get(table.metadata.smallest)) {
            XCTAssertEqual(($0 as? EngineError)?.code, .damaged)
            XCTAssertEqual(($0 as? EngineError)?.description.contains("\(path) is missing"), true, "\($0)")
        }
        let missing = try countMissing(fixture)
        XCTAssertEqual(missing, Int(table.metadata.entryCount))
        try files.rename("engine/elsewhere", to: path)
        try assertAllAreThere(fixture)
    }

    func testReopening_ofATableWithADamagedFooter_failsByReasonAndLeavesTheOthers() throws {
        let fixture = try filled()
        let table = try XCTUnwrap(closedTables(fixture).first { $0.metadata.entryCount > 2 })
        let path = "engine/\(table.metadata.fileName)"
        let footer = table.metadata.byteCount - UInt64(TableLayout.footerBytes)
        XCTAssertTrue(fixture.disk.corrupt(path, at: footer + 20, mask: 1))
        XCTAssertThrowsError(try fixture.get(table.metadata.smallest)) {
            XCTAssertEqual(($0 as? EngineError)?.code, .damaged)
            XCTAssertEqual(($0 as? EngineError)?.description.contains(path), true, "\($0)")
            XCTAssertEqual(($0 as? EngineError)?.description.contains("footer checksum"), true, "\($0)")
        }
        XCTAssertEqual(try countMissing(fixture), Int(table.metadata.entryCount))
        XCTAssertTrue(fixture.disk.corrupt(path, at: footer + 20, mask: 1))
        try assertAllAreThere(fixture)
    }

    /// How many keys cannot be read because of damage; all others have their values.
    private func countMissing(_ fixture: EngineFixture) throws -> Int {
        var missing = 0
        for number in 0..<TableCacheTests.keyCount {
            do throws(EngineError) {
                let found = try fixture.get(key(number))
                XCTAssertEqual(found, value(number))
            } catch {
                XCTAssertEqual(error.code, .damaged)
                missing += 1
            }
        }
        return missing
    }

    // MARK: Closing

    /// The owner of a directory that gives it back and removes it may do so while a reader opens a table.
    func testARead_whoseEngineIsClosedWhileItOpensAFile_saysClosed_andNotThatTheFileIsMissing() throws {
        for answer in [DiskAnswer.fail(.notFound), .proceed] {
            let faults = Faults()
            let fixture = try filled(faults)
            let table = try XCTUnwrap(closedTables(fixture).first { $0.metadata.entryCount > 2 })
            let name = table.metadata.fileName
            faults.decide = { [engine = fixture.engine] call in
                guard call.operation == .open, call.path.hasSuffix("/" + name) else { return .proceed }
                engine.close()
                return answer
            }
            XCTAssertThrowsError(try fixture.get(table.metadata.smallest)) {
                XCTAssertEqual(($0 as? EngineError)?.code, .closed, "\($0)")
            }
            XCTAssertEqual(fixture.engine.quarantines, [])
            faults.decide = { _ in .proceed }
        }
    }

    func testACursor_behindTheClosingOfItsEngine_opensNoFile() throws {
        let fixture = try filled()
        var cursor = try fixture.engine.makeCursor()
        try cursor.seekToFirst()
        fixture.engine.close()
        do {
            while cursor.isValid { try cursor.next() }
            XCTFail("a cursor opened a file of a directory that was given back")
        } catch { XCTAssertEqual(error.code, .closed) }
    }
}
