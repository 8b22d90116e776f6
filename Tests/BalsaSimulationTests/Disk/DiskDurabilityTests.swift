import BalsaPlatform
import BalsaSimulation
import XCTest

/// What is durable after which sync, told by the image that keeps nothing else.
final class DiskDurabilityTests: XCTestCase {
    private let disk = SimulatedDisk()
    private lazy var files = disk.mount()

    func testBytesThatWereNotSyncedAreLost() throws {
        let file = try files.makeDurable("file", "old text")
        try file.write("new", at: 0)
        XCTAssertEqual(disk.contents(of: "file"), Array("new text".utf8))
        XCTAssertEqual(try durable("file"), "old text")
        XCTAssertEqual(disk.pendingOperationCount, 1)
    }

    func testSyncedBytesAreKept() throws {
        let file = try files.makeDurable("file", "old text")
        try file.write("new", at: 0)
        try file.sync()
        XCTAssertEqual(disk.pendingOperationCount, 0)
        for salt in 0..<100 as Range<UInt64> {
            let copy = SimulatedDisk(disk.snapshot())
            copy.powerLoss(salt: salt)
            XCTAssertEqual(copy.contents(of: "file"), Array("new text".utf8))
        }
    }

    func testAnOwnSyncDoesNotServeOtherFiles() throws {
        let one = try files.makeDurable("one", "old")
        let other = try files.makeDurable("other", "old")
        try one.write("new", at: 0)
        try other.write("new", at: 0)
        try other.sync()
        XCTAssertEqual(try durable("one"), "old")
        XCTAssertEqual(try durable("other"), "new")
    }

    func testANameIsLostWithoutADirectorySync() throws {
        let file = try files.open("file", .create)
        try file.write("text", at: 0)
        try file.sync()
        XCTAssertNil(try durable("file"))
        try files.syncDirectory("/")
        XCTAssertEqual(try durable("file"), "text")
    }

    func testADirectorySyncDoesNotServeTheBytes() throws {
        let file = try files.open("file", .create)
        try file.write("text", at: 0)
        try files.syncDirectory("/")
        XCTAssertEqual(try durable("file"), "")
    }

    func testARenameWithoutADataSyncPublishesAnEmptyFile() throws {
        try files.makeDurable("file", "old")
        let file = try files.open("file.new", .create)
        try file.write("new", at: 0)
        try files.rename("file.new", to: "file")
        try files.syncDirectory("/")
        XCTAssertEqual(try durable("file"), "")
        XCTAssertNil(try durable("file.new"))
    }

    func testARenameIsDurableAfterADirectorySyncOnly() throws {
        try files.makeDurable("file", "text")
        try files.rename("file", to: "name")
        XCTAssertEqual(try durable("file"), "text")
        XCTAssertNil(try durable("name"))
        try files.syncDirectory("/")
        XCTAssertNil(try durable("file"))
        XCTAssertEqual(try durable("name"), "text")
    }

    func testARemovalIsDurableAfterADirectorySyncOnly() throws {
        try files.makeDurable("file", "text").close()
        try files.remove("file")
        XCTAssertEqual(try durable("file"), "text")
        try files.syncDirectory("/")
        XCTAssertNil(try durable("file"))
    }

    func testARenameBetweenDirectoriesIsDurableInBothAtOnce() throws {
        try files.createDirectory("a")
        try files.createDirectory("b")
        try files.syncDirectory("/")
        let file = try files.open("a/file", .create)
        try file.write("text", at: 0)
        try file.sync()
        try files.rename("a/file", to: "b/file")
        try files.syncDirectory("b")
        XCTAssertEqual(try durable("b/file"), "text")
        XCTAssertNil(try durable("a/file"), "the creation, which was pending there, must not come back")
        for image in disk.crashStates() { XCTAssertNil(SimulatedDisk(image).contents(of: "a/file")) }
    }

    func testWhatIsInALostDirectoryIsLost() throws {
        try files.createDirectory("directory")
        let file = try files.open("directory/file", .create)
        try file.write("text", at: 0)
        try file.sync()
        try files.syncDirectory("directory")
        XCTAssertEqual(try SimulatedDisk(disk.image()).mount().list("/"), [])
        try files.syncDirectory("/")
        XCTAssertEqual(try durable("directory/file"), "text")
    }

    func testACutIsDurableAfterASyncOnly() throws {
        let file = try files.makeDurable("file", "0123456789")
        try file.setSize(4)
        XCTAssertEqual(try durable("file"), "0123456789")
        try file.sync()
        XCTAssertEqual(try durable("file"), "0123")
    }

    func testASyncInFlightCoversWhatWasWrittenBeforeIt() throws {
        let file = try files.makeDurable("file", "......")
        try file.write("1", at: 0)
        let first = try files.beginSync(file)
        try file.write("2", at: 1)
        let second = try files.beginSync(file)
        try file.write("3", at: 2)
        XCTAssertEqual(try durable("file"), "......")
        try files.endSync(first)
        XCTAssertEqual(try durable("file"), "1.....")
        try files.endSync(second)
        XCTAssertEqual(try durable("file"), "12....")
        try files.endSync(first)
        XCTAssertEqual(try durable("file"), "12....")
    }

    func testBytesOfAFailedSyncAreShownAndNeverDurable() throws {
        let hook = ScriptedHook()
        let files = disk.mount(hook)
        let file = try files.open("file", .create)
        try files.syncDirectory("/")
        try file.write("lost", at: 0)
        hook.script = { $0.operation == .sync ? .fail(.inputOutput) : .proceed }
        XCTAssertThrowsError(try file.sync()) {
            XCTAssertEqual($0 as? FileError, FileError(.sync, "file", .inputOutput))
        }
        hook.script = { _ in .proceed }
        XCTAssertNoThrow(try file.sync(), "the second sync succeeds")
        XCTAssertEqual(disk.contents(of: "file"), Array("lost".utf8))
        XCTAssertEqual(try durable("file"), "")
        try file.write("kept", at: 4)
        try file.sync()
        XCTAssertEqual(try durable("file"), "\0\0\0\0kept")
        disk.powerLoss(salt: 1)
        XCTAssertEqual(disk.contents(of: "file"), [0, 0, 0, 0] + Array("kept".utf8))
    }

    func testWhatWaitsIsBounded() throws {
        var options = DiskOptions()
        options.dirtyBytesLimit = 10_000
        let disk = SimulatedDisk(options: options)
        let file = try disk.mount().open("file", .create)
        for place in 0..<100 as Range<UInt64> {
            try file.write(Bytes([UInt8](repeating: 1, count: 1000)), at: place * 1000)
        }
        XCTAssertLessThan(disk.pendingOperationCount, 12)
        XCTAssertGreaterThan(disk.pendingOperationCount, 1)
    }

    // MARK: Helpers

    private func durable(_ path: String) throws -> String? {
        SimulatedDisk(disk.image()).contents(of: path).map { String(decoding: $0, as: UTF8.self) }
    }
}

/// A hook that answers by a closure.
final class ScriptedHook: DiskHook {
    var script: (DiskCall) -> DiskAnswer = { _ in .proceed }

    func answer(_ call: DiskCall) -> DiskAnswer { script(call) }
}
