import BalsaPlatform
import BalsaSimulation
import XCTest

/// What a power loss may leave and what it never touches.
final class DiskPowerLossTests: XCTestCase {
    private static let salts = 0..<400 as Range<UInt64>

    func testTheSameSaltDoesTheSame() throws {
        let disk = SimulatedDisk()
        let files = disk.mount()
        for name in ["a", "b", "c"] { try files.make(name, Bytes([UInt8](repeating: 1, count: 3000))) }
        var digests: [UInt64] = []
        for salt in 0..<20 as Range<UInt64> {
            let one = SimulatedDisk(disk.snapshot())
            let other = SimulatedDisk(disk.snapshot())
            XCTAssertEqual(one.powerLoss(salt: salt), other.powerLoss(salt: salt))
            XCTAssertEqual(one.contentDigest, other.contentDigest)
            XCTAssertEqual(one.pendingOperationCount, 0)
            XCTAssertEqual(one.contentDigest, one.image().contentDigest, "all that is left is durable")
            digests.append(one.contentDigest)
        }
        XCTAssertGreaterThan(Set(digests).count, 5)
    }

    func testOneNumberIsDrawnHoweverMuchIsPending() throws {
        var first = RandomSource(seed: 9)
        var second = RandomSource(seed: 9)
        let disk = SimulatedDisk()
        let file = try disk.mount().make("file", "text")
        for place in 0..<50 as Range<UInt64> { try file.write("more", at: place * 1000) }
        disk.powerLoss(choosing: &first)
        SimulatedDisk().powerLoss(choosing: &second)
        XCTAssertEqual(first.next(), second.next())
    }

    func testEverySubsetOfIndependentWritesOccurs() throws {
        let disk = SimulatedDisk()
        let file = try disk.mount().makeDurable("file", Bytes([UInt8](repeating: 0, count: 2048)))
        for sector in 0..<3 as Range<UInt64> { try file.write("x", at: sector * 512) }
        var seen = Set<[Bool]>()
        try forEachLoss(of: disk) { lost, _ in
            let bytes = try XCTUnwrap(lost.contents(of: "file"))
            seen.insert([bytes[0] != 0, bytes[512] != 0, bytes[1024] != 0])
        }
        XCTAssertEqual(seen.count, 8)
    }

    func testSectorsOfAWriteAreKeptInAnySubset() throws {
        let disk = SimulatedDisk()
        let file = try disk.mount().makeDurable("file", Bytes([UInt8](repeating: 1, count: 1536)))
        try file.write(Bytes([UInt8](repeating: 2, count: 1536)), at: 0)
        var seen = Set<[UInt8]>()
        try forEachLoss(of: disk) { lost, report in
            let bytes = try XCTUnwrap(lost.contents(of: "file"))
            if report.tornSectors == 0 { seen.insert([bytes[0], bytes[512], bytes[1024]]) }
            XCTAssertEqual(report.keptWrites + report.droppedWrites + report.partialWrites, 1)
        }
        XCTAssertEqual(seen.count, 8)
    }

    func testATornSectorHasANewBeginningAndAnOldRest() throws {
        let disk = SimulatedDisk()
        let file = try disk.mount().makeDurable("file", Bytes([UInt8](repeating: 1, count: 4096)))
        try file.write(Bytes([UInt8](repeating: 2, count: 1000)), at: 700)
        var torn = 0
        try forEachLoss(of: disk) { lost, report in
            let bytes = try XCTUnwrap(lost.contents(of: "file"))
            XCTAssertEqual(bytes.count, 4096)
            XCTAssertTrue(bytes[..<700].allSatisfy { $0 == 1 })
            XCTAssertTrue(bytes[1700...].allSatisfy { $0 == 1 })
            var changes = 0
            for sector in [700..<1024, 1024..<1536, 1536..<1700] {
                let part = bytes[sector]
                let new = part.prefix { $0 == 2 }
                XCTAssertTrue(part.dropFirst(new.count).allSatisfy { $0 == 1 })
                if !new.isEmpty, new.count < part.count { changes += 1 }
            }
            XCTAssertLessThanOrEqual(changes, report.tornSectors)
            XCTAssertLessThanOrEqual(report.tornSectors, DiskOptions().tornSectorsLimit)
            torn += changes
        }
        XCTAssertGreaterThan(torn, 10)
    }

    func testGarbageStaysInTheSectorsThatWereBeingWritten() throws {
        var options = DiskOptions()
        options.tornSectorsHoldGarbage = true
        let disk = SimulatedDisk(options: options)
        let file = try disk.mount().makeDurable("file", Bytes([UInt8](repeating: 1, count: 4096)))
        try file.write(Bytes([UInt8](repeating: 2, count: 1000)), at: 700)
        var garbage = 0
        try forEachLoss(of: disk) { lost, _ in
            let bytes = try XCTUnwrap(lost.contents(of: "file"))
            XCTAssertEqual(bytes.count, 4096)
            XCTAssertTrue(bytes[..<512].allSatisfy { $0 == 1 })
            XCTAssertTrue(bytes[2048...].allSatisfy { $0 == 1 })
            if bytes.contains(where: { $0 > 2 }) { garbage += 1 }
        }
        XCTAssertGreaterThan(garbage, 10)
    }

    func testGrowthMayBeDurableWithZeros() throws {
        let disk = SimulatedDisk()
        let file = try disk.mount().makeDurable("file", "old")
        try file.write("new", at: 3)
        var seen = Set<String>()
        try forEachLoss(of: disk) { lost, report in
            if report.tornSectors == 0 { seen.insert(try lost.text()) }
        }
        XCTAssertEqual(seen, ["file=old", "file=oldnew", "file=old000"])
    }

    func testARenameHasHappenedOrNot() throws {
        let disk = SimulatedDisk()
        let files = disk.mount()
        try files.makeDurable("file", "old")
        try files.make("file.new", "new").sync()
        try files.rename("file.new", to: "file")
        var seen = Set<String>()
        try forEachLoss(of: disk) { lost, _ in seen.insert(try lost.text()) }
        XCTAssertEqual(seen, ["file=old", "file=old file.new=new", "file=new"])
    }

    func testEntriesOfOneDirectoryAreIndependent() throws {
        let disk = SimulatedDisk()
        let files = disk.mount()
        try files.makeDurable("a", "1")
        try files.remove("a")
        try files.make("b", "").close()
        var seen = Set<String>()
        try forEachLoss(of: disk) { lost, report in
            seen.insert(try lost.text())
            XCTAssertEqual(report.keptEntries + report.droppedEntries, 2)
        }
        XCTAssertEqual(seen, ["a=1", "", "b=", "a=1 b="])
    }

    func testWhatIsBelowALostDirectoryIsLost() throws {
        let disk = SimulatedDisk()
        let files = disk.mount()
        try files.createDirectory("directory")
        try files.make("directory/file", "text").sync()
        try files.syncDirectory("directory")
        var seen = Set<String>()
        try forEachLoss(of: disk) { lost, _ in seen.insert(try lost.text()) }
        XCTAssertEqual(seen, ["", "directory/ directory/file=text"])
    }

    func testADirectoryKeepsOneName() throws {
        let disk = SimulatedDisk()
        let files = disk.mount()
        try files.createDirectory("a")
        try files.syncDirectory("/")
        try files.rename("a", to: "b")
        try files.rename("b", to: "c")
        var seen = Set<String>()
        try forEachLoss(of: disk) { lost, _ in seen.insert(try lost.text()) }
        XCTAssertEqual(seen, ["a/", "b/", "c/"])
    }

    func testALinkOutlivesThePowerLossAsOneFile() throws {
        let disk = SimulatedDisk()
        let files = disk.mount()
        try files.makeDurable("a", "text")
        try files.link("a", to: "b")
        try files.syncDirectory("/")
        disk.powerLoss(salt: 3)
        try disk.mount().open("a", .readWrite).write("next", at: 0)
        XCTAssertEqual(try disk.text(), "a=next b=next")
    }

    func testAFileRemovedAfterAPowerLossMayComeBack() throws {
        let disk = SimulatedDisk()
        try disk.mount().makeDurable("a", "text").close()
        disk.powerLoss(salt: 0)
        let files = disk.mount()
        try files.remove("a")
        try files.make("b", "other").sync()
        XCTAssertEqual(try disk.text(), "b=other")
        XCTAssertEqual(try disk.image().text(), "a=text")
        try files.syncDirectory("/")
        XCTAssertEqual(try disk.image().text(), "b=other")
    }

    func testTheDiskGoesOnAfterAPowerLoss() throws {
        let disk = SimulatedDisk()
        var salt: UInt64 = 0
        for round in 0..<50 {
            let files = disk.mount()
            try files.makeDurable("file\(round)", "durable")
            try files.make("temporary\(round)", "lost or not")
            if round > 0 { try files.remove("file\(round - 1)") }
            disk.powerLoss(salt: salt)
            salt += 1
            XCTAssertEqual(disk.contents(of: "file\(round)"), Array("durable".utf8))
        }
        let sizes = try disk.mount().list("/").map { UInt64(disk.contents(of: $0)?.count ?? 0) }
        let used = DiskOptions().capacityBytes - (try disk.mount().availableBytes(at: "/"))
        XCTAssertEqual(used, sizes.reduce(0, +))
    }

    /// Loses the power of copies of a disk with many salts.
    private func forEachLoss(
        of disk: SimulatedDisk,
        _ body: (SimulatedDisk, PowerLossReport) throws -> Void
    ) rethrows {
        let image = disk.snapshot()
        for salt in DiskPowerLossTests.salts {
            let copy = SimulatedDisk(image)
            let report = copy.powerLoss(salt: salt)
            try body(copy, report)
        }
    }
}
