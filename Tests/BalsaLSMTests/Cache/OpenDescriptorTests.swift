import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaLSM

/// What the kernel says about the files that an engine has open.
final class OpenDescriptorTests: XCTestCase {
    private var directory = ""

    override func setUpWithError() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-tables-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        directory = url.path
    }

    override func tearDownWithError() throws { try FileManager.default.removeItem(atPath: directory) }

    /// How many descriptors of the process are of tables in the directory.
    private var openTables: Int {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        return names.count { name in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")
            return target?.hasPrefix(directory + "/table-") ?? false
        }
    }

    func testDescriptors_ofManyTables_stayWithinTheLimit() throws {
        try checkDescriptors(maxOpenTables: 8, most: 8)
    }

    func testDescriptors_ofAProcessThatMayHaveFew_areHalfOfThemOfTables() throws {
        var limit = rlimit()
        XCTAssertEqual(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit), 0)
        defer { XCTAssertEqual(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit), 0) }
        var low = limit
        low.rlim_cur = 80
        XCTAssertEqual(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &low), 0)
        try checkDescriptors(maxOpenTables: 512, most: 40)
    }

    /// Reads more tables than may be open, and counts those that are.
    private func checkDescriptors(maxOpenTables: Int, most: Int) throws {
        var options = EngineOptions.tiny
        options.memtableBytes = 1 << 10
        options.maxOpenTables = maxOpenTables
        let engine = try StorageEngine.open(directory, fileSystem: LinuxFileSystem(), options: options, seed: 1)
        for number in 0..<600 {
            var batch = WriteBatch()
            batch.put(Bytes("key\(1_000 + number)"), Bytes([UInt8](repeating: 7, count: 120)))
            try engine.apply(batch, sequence: engine.lastSequence + 1)
            guard engine.wantsSeal else { continue }
            try engine.seal(SealRecord(sequence: engine.lastSequence))
            while try engine.work(budget: 1 << 20) != .idle {}
        }
        XCTAssertGreaterThan(engine.metrics.levels.reduce(0) { $0 + $1.tableCount }, 60)
        for number in 0..<600 {
            XCTAssertNotNil(try engine.get(Bytes("key\(1_000 + number * 7 % 600)")))
            if number % 10 == 9 { XCTAssertLessThanOrEqual(openTables, most) }
        }
        XCTAssertGreaterThan(openTables, most / 2)
        engine.close()
    }
}
