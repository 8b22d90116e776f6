import BalsaPlatform
import BalsaSimulation
import XCTest

/// The states that a power loss may leave, enumerated, and the crash points of a sequence of calls.
final class DiskCrashStateTests: XCTestCase {
    private var options = DiskOptions()

    override func setUp() {
        options.sectorBytes = 2
        options.tornSectorsLimit = 0
    }

    // MARK: States

    func testOneWriteIsKeptOrNot() throws {
        let disk = SimulatedDisk(options: options)
        try disk.mount().makeDurable("f", "ab").write("XY", at: 0)
        try expect(disk, ["f=ab", "f=XY"])
    }

    func testOneSectorMayBeTorn() throws {
        options.tornSectorsLimit = 1
        let disk = SimulatedDisk(options: options)
        try disk.mount().makeDurable("f", "ab").write("XY", at: 0)
        try expect(disk, ["f=ab", "f=XY", "f=Xb"])
    }

    func testSectorsOfTheLastWriteAreKeptSingly() throws {
        let disk = SimulatedDisk(options: options)
        try disk.mount().makeDurable("f", "aabbc").write("XXYYZ", at: 0)
        try expect(disk, ["f=aabbc", "f=XXYYZ", "f=XXbbc", "f=aaYYc", "f=aabbZ", "f=XXYYc", "f=XXbbZ", "f=aaYYZ"])
    }

    func testAWriteAndACutAreIndependent() throws {
        let disk = SimulatedDisk(options: options)
        let file = try disk.mount().makeDurable("f", "aabb")
        try file.write("XX", at: 0)
        try file.setSize(2)
        try expect(disk, ["f=aabb", "f=XXbb", "f=aa", "f=XX"])
    }

    func testANewFileThatReplacesAnOldOne() throws {
        options.sectorBytes = 512
        let disk = SimulatedDisk(options: options)
        let files = disk.mount()
        try files.makeDurable("f", "old")
        try files.make("f.new", "new")
        try files.rename("f.new", to: "f")
        try expect(disk, ["f=old", "f=old f.new=", "f=old f.new=new", "f=", "f=new", "f=000"])
    }

    func testSyncedOperationsAreInEveryState() throws {
        let disk = SimulatedDisk(options: options)
        let files = disk.mount()
        try files.makeDurable("f", "old")
        let file = try files.make("f.new", "new")
        try file.sync()
        try files.rename("f.new", to: "f")
        try expect(disk, ["f=old", "f=old f.new=new", "f=new"])
        try files.syncDirectory("/")
        try expect(disk, ["f=new"])
    }

    /// The states are enumerated once for crash points that leave the same disk.
    func testCrashStates_ofEachCrashPoint_areThoseOfTheDiskByItself() throws {
        let disk = SimulatedDisk(options: options)
        try disk.mount().makeDurable("f", "aabbcc")
        var counts: [Int] = []
        try disk.forEachCrashPoint { files in
            let file = try files.open("f", .readWrite)
            try file.write("X", at: 0)
            _ = try file.read(2, at: 0)
            try file.write("YY", at: 1)
            try file.write("YY", at: 1)
            try file.sync()
            try files.make("g", "new").sync()
            try files.rename("g", to: "f")
            try files.syncDirectory("/")
            try files.remove("f")
        } check: { crashed, point in
            for limit in [3, 1_000] {
                let alone = SimulatedDisk(crashed.snapshot()).crashStates(limit: limit).map(\.contentDigest)
                XCTAssertEqual(crashed.crashStates(limit: limit).map(\.contentDigest), alone, "\(point), \(limit)")
                counts.append(alone.count)
            }
        }
        XCTAssertGreaterThan(Set(counts).count, 3, "\(counts)")
    }

    func testTheNumberOfStatesIsLimited() throws {
        let disk = SimulatedDisk(options: options)
        let file = try disk.mount().makeDurable("f", "")
        for place in 0..<40 as Range<UInt64> { try file.write("x", at: place * 2) }
        let some = disk.crashStates(limit: 10)
        let all = disk.crashStates()
        XCTAssertEqual(some.count, 10)
        XCTAssertEqual(some.map(\.contentDigest), all.prefix(10).map(\.contentDigest))
        XCTAssertGreaterThan(all.count, 100)
        XCTAssertEqual(Set(all.map(\.contentDigest)).count, all.count)
        XCTAssertEqual(try some[0].text(), "f=")
        XCTAssertEqual(some[1].contentDigest, disk.contentDigest)
        XCTAssertEqual(disk.pendingOperationCount, 40, "the disk itself stays as it is")
    }

    // MARK: Images

    func testASnapshotKeepsWhatIsPending() throws {
        let disk = SimulatedDisk(options: options)
        let file = try disk.mount().makeDurable("f", "old")
        try file.write("new", at: 0)
        let snapshot = disk.snapshot()
        try file.write("XXX", at: 0)
        let fork = SimulatedDisk(snapshot)
        XCTAssertEqual(try fork.text(), "f=new")
        XCTAssertEqual(try fork.image().text(), "f=old")
        try fork.mount().open("f", .readWrite).write("YYY", at: 0)
        XCTAssertEqual(try disk.text(), "f=XXX")
        XCTAssertEqual(try SimulatedDisk(snapshot).text(), "f=new")
    }

    func testDigestsTellContentApartAndNothingElse() throws {
        func digest(_ body: (SimulatedFileSystem) throws -> Void) throws -> UInt64 {
            let disk = SimulatedDisk(options: options)
            try body(disk.mount())
            XCTAssertEqual(disk.contentDigest, disk.snapshot().contentDigest)
            return disk.contentDigest
        }
        let one = try digest { try $0.make("f", "text") }
        let same = try digest { files in
            try files.make("other", "other").close()
            try files.remove("other")
            try files.make("f", "tttt").write("ext", at: 1)
        }
        XCTAssertEqual(one, same)
        let zeros = try digest { try $0.make("f", "text").setSize(10_000) }
        let written = try digest { files in
            let file = try files.make("f", "text")
            try file.writeZeros(4000, at: 4)
            try file.write(Bytes([UInt8](repeating: 0, count: 9000)), at: 1000)
        }
        XCTAssertEqual(zeros, written)
        let others = [
            try digest { _ in },
            try digest { try $0.make("g", "text") },
            try digest { try $0.make("f", "texu") },
            try digest { try $0.make("f", "text\0") },
            try digest { try $0.createDirectory("f") },
            try digest { files in
                try files.make("f", "text")
                try files.make("g", "text")
            },
            try digest { files in
                try files.make("f", "text")
                try files.link("f", to: "g")
            },
            one, zeros,
        ]
        XCTAssertEqual(Set(others).count, others.count)
    }

    func testTheDigestFollowsEveryChange() throws {
        let disk = SimulatedDisk()
        let file = try disk.mount().make("f", Bytes([UInt8](repeating: 1, count: 10_000)))
        let before = disk.contentDigest
        try file.write("x", at: 5000)
        let written = disk.contentDigest
        try file.writeZeros(1, at: 5000)
        let cleared = disk.contentDigest
        XCTAssertEqual(Set([before, written, cleared]).count, 3)
        try file.write("\u{1}", at: 5000)
        XCTAssertEqual(disk.contentDigest, before)
        try file.setSize(9000)
        try file.setSize(10_000)
        XCTAssertNotEqual(disk.contentDigest, before)
    }

    func testTheDigestIsTheSameInEveryProcess() throws {
        let disk = SimulatedDisk()
        let files = disk.mount()
        try files.createDirectory("directory")
        try files.make("directory/file", "The same on every machine.")
        XCTAssertEqual(String(disk.contentDigest, radix: 16), "c1cdd4c2ccce8693")
    }

    func testADecayedByteIsDecayedForGood() throws {
        let disk = SimulatedDisk()
        try disk.mount().makeDurable("f", "abc")
        XCTAssertTrue(disk.corrupt("f", at: 1, mask: 1))
        XCTAssertEqual(try disk.text(), "f=acc")
        disk.powerLoss(salt: 0)
        XCTAssertEqual(try disk.text(), "f=acc")
        XCTAssertFalse(disk.corrupt("f", at: 3, mask: 1))
        XCTAssertFalse(disk.corrupt("g", at: 0, mask: 1))
    }

    // MARK: Crash points

    func testEveryCallIsACrashPointOnBothSides() throws {
        let disk = SimulatedDisk(options: options)
        try disk.mount().makeDurable("f", "old")
        var seen: [String] = []
        let calls = try disk.forEachCrashPoint { files in
            try files.make("f.new", "new").sync()
            try files.rename("f.new", to: "f")
        } check: { crashed, point in
            seen.append("\(point): \(try crashed.text())")
        }
        XCTAssertEqual(calls, 4)
        XCTAssertEqual(
            seen,
            [
                "before call 1: f=old", "after call 1: f=old f.new=", "before call 2: f=old f.new=",
                "after call 2: f=old f.new=new", "before call 3: f=old f.new=new", "after call 3: f=old f.new=new",
                "before call 4: f=old f.new=new", "after call 4: f=new",
            ]
        )
        XCTAssertEqual(try disk.text(), "f=old")
    }

    func testAWrongOrderIsFoundAndARightOneIsNot() throws {
        func replace(_ files: SimulatedFileSystem, syncing: Bool) throws {
            let file = try files.make("f.new", "new")
            if syncing { try file.sync() }
            try files.rename("f.new", to: "f")
            try files.syncDirectory("/")
        }
        for syncing in [false, true] {
            let disk = SimulatedDisk()
            try disk.mount().makeDurable("f", "old")
            var isDamaged = false
            try disk.forEachCrashPoint {
                try replace($0, syncing: syncing)
            } check: { crashed, _ in
                for image in crashed.crashStates() {
                    let text = SimulatedDisk(image).contents(of: "f").map { String(decoding: $0, as: UTF8.self) }
                    if text != "old", text != "new" { isDamaged = true }
                }
            }
            XCTAssertEqual(isDamaged, !syncing)
        }
    }

    func testAnErrorWithoutACrashEndsTheRun() throws {
        XCTAssertThrowsError(
            try SimulatedDisk().forEachCrashPoint {
                _ = try $0.list("/")
                _ = try $0.open("absent", .read)
            } check: { _, _ in
            }
        ) { XCTAssertEqual(($0 as? FileError)?.number, .notFound) }
    }

    /// Asserts that exactly these states are found.
    private func expect(_ disk: SimulatedDisk, _ states: Set<String>, line: UInt = #line) throws {
        let found = try disk.crashStates().map { try $0.text() }
        XCTAssertEqual(Set(found), states, line: line)
        XCTAssertEqual(found.count, states.count, "each state once", line: line)
    }
}
