import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Tables of other engines, and of other openings, under the names of an engine's own.
final class TableIdentityTests: XCTestCase {
    /// An engine with one table, closed, on a disk of its own.
    private func engine(seed: UInt64, value: Bytes) throws -> SimulatedDisk {
        let disk = SimulatedDisk()
        let engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: .tiny, seed: seed)
        var batch = WriteBatch()
        batch.put("key", value)
        try engine.apply(batch, sequence: 1)
        try engine.seal(SealRecord(sequence: 1))
        while try engine.work(budget: 1 << 20) != .idle {}
        engine.close()
        return disk
    }

    private func copyTables(from source: SimulatedDisk, to target: SimulatedDisk) throws {
        let (from, to) = (source.mount(), target.mount())
        for name in try from.list("engine") where name.hasPrefix("table-") {
            let bytes = try XCTUnwrap(source.contents(of: "engine/" + name))
            try to.remove("engine/" + name)
            let file = try to.open("engine/" + name, .create)
            try file.write(Bytes(bytes), at: 0)
            file.close()
        }
    }

    func testATable_ofAnotherEngineOnTheSamePath_isDamage() throws {
        let (mine, other) = (try engine(seed: 1, value: "mine"), try engine(seed: 2, value: "else"))
        // Same directory, same name, same length: only the identity tells them apart.
        try copyTables(from: other, to: mine)
        let engine = try StorageEngine.open("engine", fileSystem: mine.mount(), options: .tiny, seed: 3)
        XCTAssertThrowsError(try engine.get("key")) {
            XCTAssertEqual(($0 as? EngineError)?.code, .damaged)
            XCTAssertEqual(($0 as? EngineError)?.description.contains("table id"), true, "\($0)")
        }
        engine.close()
    }

    func testATable_ofAnotherRecreation_isDamage() throws {
        let (mine, other) = (try engine(seed: 5, value: "aaaa"), try engine(seed: 6, value: "bbbb"))
        try copyTables(from: mine, to: other)
        let engine = try StorageEngine.open("engine", fileSystem: other.mount(), options: .tiny, seed: 7)
        XCTAssertThrowsError(try engine.verifyAll()) { XCTAssertEqual(($0 as? EngineError)?.code, .damaged) }
        engine.close()
    }

    func testIdentities_ofSeveralOpenings_areAllDifferent() throws {
        let disk = SimulatedDisk()
        var identities: [UInt64] = []
        for seed in 1...5 as ClosedRange<UInt64> {
            // A crash between the two gives the number of the table again.
            let copy = SimulatedDisk(disk.snapshot())
            for (disk, seed) in [(disk, seed), (copy, seed + 100)] {
                let engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: .tiny, seed: seed)
                var batch = WriteBatch()
                batch.put("key\(seed)".bytes, "value")
                try engine.apply(batch, sequence: engine.lastSequence + 1)
                try engine.seal(SealRecord(sequence: engine.lastSequence))
                while engine.durableSeal?.sequence != engine.lastSequence { _ = try engine.work(budget: 1 << 20) }
                let newest = try XCTUnwrap(
                    engine.retainedView().version.levels.joined().max { $0.metadata.number < $1.metadata.number }
                )
                identities.append(newest.metadata.id)
                engine.close()
            }
        }
        XCTAssertEqual(identities.count, 10)
        XCTAssertEqual(Set(identities).count, 10)
    }

    func testAnEngine_ofTheSameSeed_isTheSameBytes() throws {
        let disks = try (0..<2).map { _ in try engine(seed: 9, value: "v") }
        let names = try disks[0].mount().list("engine")
        XCTAssertEqual(names, try disks[1].mount().list("engine"))
        for name in names {
            XCTAssertEqual(disks[0].contents(of: "engine/" + name), disks[1].contents(of: "engine/" + name), name)
        }
    }
}
