import BalsaPlatform
import BalsaSimulation
import XCTest

/// What every file system promises, the numbers of its errors included.
///
/// The class runs on the simulated disk; a subclass runs the same tests on another file system. A subclass needs a test
/// of its own to be found by the test runner on Linux.
class FileSystemContractTests: XCTestCase {
    private(set) var files: any FileSystem = SimulatedDisk().mount()
    private(set) var directory = ""

    /// A file system and an empty directory on it.
    func makeFileSystem() throws -> (any FileSystem, directory: String) {
        let files = SimulatedDisk().mount()
        try files.createDirectory("/data")
        return (files, "/data")
    }

    override func setUpWithError() throws { (files, directory) = try makeFileSystem() }

    override func tearDownWithError() throws { try removeAll(in: directory) }

    // MARK: Opening

    func testAFileThatDoesNotExistIsNotFound() {
        for mode in [OpenMode.read, .readWrite] {
            assertFails(.open, at("absent"), .notFound) { try files.open(at("absent"), mode) }
        }
        assertFails(.open, at("absent/file"), .notFound) { try files.open(at("absent/file"), .create) }
    }

    func testCreatingIsExclusive() throws {
        try create("file", "old")
        assertFails(.open, at("file"), .exists) { try files.open(at("file"), .create) }
        XCTAssertEqual(try text("file"), "old")
    }

    func testADirectoryIsNotAFile() throws {
        try files.createDirectory(at("directory"))
        assertFails(.open, at("directory"), .isDirectory) { try files.open(at("directory"), .read) }
        assertFails(.open, at("directory"), .isDirectory) { try files.open(at("directory"), .readWrite) }
        assertFails(.open, at("directory"), .exists) { try files.open(at("directory"), .create) }
    }

    func testAFileIsNotADirectory() throws {
        try create("file", "text")
        assertFails(.open, at("file/below"), .notDirectory) { try files.open(at("file/below"), .read) }
        assertFails(.list, at("file"), .notDirectory) { try files.list(at("file")) }
        assertFails(.syncDirectory, at("file"), .notDirectory) { try files.syncDirectory(at("file")) }
        assertFails(.createDirectory, at("file"), .exists) { try files.createDirectory(at("file")) }
        XCTAssertFalse(try files.exists(at("file/below")))
    }

    func testANameHasABound() {
        let name = String(repeating: "n", count: 256)
        assertFails(.open, at(name), FileError.Number(rawValue: 36)) { try files.open(at(name), .create) }
        assertFails(.open, at("zero\0byte"), .invalid) { try files.open(at("zero\0byte"), .create) }
    }

    func testAFileOpenedToReadCannotBeChanged() throws {
        try create("file", "text")
        let file = try files.open(at("file"), .read)
        defer { file.close() }
        assertFails(.write, at("file"), .closed) { try file.write("x", at: 0) }
        assertFails(.write, at("file"), .closed) { try file.writeZeros(1, at: 0) }
        assertFails(.size, at("file"), .invalid) { try file.setSize(0) }
        XCTAssertNoThrow(try file.sync())
        XCTAssertEqual(try file.read(10, at: 0), "text")
    }

    func testAClosedFileThrows() throws {
        let file = try create("file", "text")
        file.close()
        file.close()
        assertFails(.read, at("file"), .closed) { try file.read(1, at: 0) }
        assertFails(.write, at("file"), .closed) { try file.write("x", at: 0) }
        assertFails(.sync, at("file"), .closed) { try file.sync() }
        assertFails(.size, at("file"), .closed) { try file.size() }
        assertFails(.size, at("file"), .closed) { try file.setSize(1) }
    }

    // MARK: Bytes

    func testReadingEndsWhereTheFileDoes() throws {
        let file = try create("file", "0123456789")
        XCTAssertEqual(file.path, at("file"))
        XCTAssertEqual(try file.size(), 10)
        XCTAssertEqual(try file.read(4, at: 3), "3456")
        XCTAssertEqual(try file.read(20, at: 8), "89")
        XCTAssertEqual(try file.read(20, at: 10), "")
        XCTAssertEqual(try file.read(20, at: 1_000_000), "")
    }

    func testReadingWithoutWaitingGivesWhatIsThereOrNothing() throws {
        let file = try create("file", "0123456789")
        var buffer = [UInt8](repeating: 0, count: 4)
        let count = try buffer.withUnsafeMutableBytes { try file.readWithoutWaiting(into: $0, at: 3) }
        guard let count else { return }
        XCTAssertEqual(Bytes([UInt8](buffer.prefix(count))), Bytes("3456").slice(0..<count))
    }

    func testAWriteBehindTheEndLeavesZerosBetween() throws {
        let file = try create("file", "ab")
        try file.write("z", at: 9000)
        XCTAssertEqual(try file.size(), 9001)
        XCTAssertEqual(try file.read(3, at: 0), Bytes([UInt8(ascii: "a"), UInt8(ascii: "b"), 0]))
        XCTAssertEqual([UInt8](try file.read(10_000, at: 2)), [UInt8](repeating: 0, count: 8998) + [UInt8(ascii: "z")])
    }

    func testPiecesAreWrittenOneBehindTheOther() throws {
        let file = try create("file", "----------")
        let long = Bytes([UInt8](repeating: 7, count: 5000))
        try file.write(gathering: ["ab", "", long, "cd"], at: 1)
        XCTAssertEqual(try file.read(3, at: 0), Bytes("-ab"))
        XCTAssertEqual(try file.read(5000, at: 3), long)
        XCTAssertEqual(try file.read(10, at: 5003), "cd")
        try file.write(gathering: [], at: 90_000)
        try file.write("", at: 90_000)
        XCTAssertEqual(try file.size(), 5005)
    }

    func testZerosReplaceBytesAndGrowTheFile() throws {
        let file = try create("file", "0123456789")
        try file.writeZeros(3, at: 2)
        XCTAssertEqual([UInt8](try file.read(10, at: 0)), [48, 49, 0, 0, 0, 53, 54, 55, 56, 57])
        try file.writeZeros(20_000, at: 8)
        XCTAssertEqual(try file.size(), 20_008)
        XCTAssertEqual([UInt8](try file.read(4, at: 6)), [54, 55, 0, 0])
    }

    func testCutBytesDoNotComeBack() throws {
        let file = try create("file", "0123456789")
        try file.setSize(4)
        XCTAssertEqual(try file.size(), 4)
        try file.setSize(6)
        XCTAssertEqual([UInt8](try file.read(10, at: 0)), [48, 49, 50, 51, 0, 0])
    }

    func testPlacesThatNoFileHasAreRefused() throws {
        let file = try create("file", "text")
        assertFails(.write, at("file"), .invalid) { try file.write("x", at: UInt64(Int64.max)) }
        assertFails(.write, at("file"), .invalid) { try file.write(gathering: ["x"], at: .max) }
        assertFails(.write, at("file"), .invalid) { try file.writeZeros(.max, at: 1) }
        assertFails(.size, at("file"), .invalid) { try file.setSize(.max) }
        assertFails(.read, at("file"), .invalid) { try file.read(1, at: .max) }
        XCTAssertEqual(try text("file"), "text")
    }

    // MARK: Names

    func testNamesAreListedInTheOrderOfTheirBytes() throws {
        for name in ["b", "B", "é", "a1", "a", "ab", "_", "e\u{301}"] { try create(name, "") }
        try files.createDirectory(at("aa"))
        XCTAssertEqual(try files.list(directory), ["B", "_", "a", "a1", "aa", "ab", "b", "e\u{301}", "é"])
        assertFails(.list, at("absent"), .notFound) { try files.list(at("absent")) }
    }

    func testExistenceIsOfFilesAndDirectories() throws {
        try files.createDirectory(at("directory"))
        try create("directory/file", "")
        XCTAssertTrue(try files.exists(at("directory")))
        XCTAssertTrue(try files.exists(at("directory/file")))
        XCTAssertFalse(try files.exists(at("directory/absent")))
        XCTAssertFalse(try files.exists(at("absent/file")))
    }

    func testADirectoryIsCreatedOnce() throws {
        try files.createDirectory(at("directory"))
        try create("directory/file", "kept")
        try files.createDirectory(at("directory"))
        XCTAssertEqual(try text("directory/file"), "kept")
        assertFails(.createDirectory, at("absent/directory"), .notFound) {
            try files.createDirectory(at("absent/directory"))
        }
    }

    func testRenamingReplacesTheTarget() throws {
        try create("new", "new")
        let old = try create("name", "old")
        try files.rename(at("new"), to: at("name"))
        XCTAssertEqual(try files.list(directory), ["name"])
        XCTAssertEqual(try text("name"), "new")
        XCTAssertEqual(try old.read(10, at: 0), "old", "an open file outlives its name")
        assertFails(.rename, at("absent"), .notFound) { try files.rename(at("absent"), to: at("name")) }
        assertFails(.rename, at("name"), .notFound) { try files.rename(at("name"), to: at("absent/name")) }
        try files.rename(at("name"), to: at("name"))
        XCTAssertEqual(try text("name"), "new")
    }

    func testRenamingMovesBetweenDirectories() throws {
        try files.createDirectory(at("a"))
        try files.createDirectory(at("b"))
        try create("a/file", "text")
        try files.rename(at("a/file"), to: at("b/other"))
        XCTAssertEqual(try files.list(at("a")), [])
        XCTAssertEqual(try text("b/other"), "text")
        try files.rename(at("b"), to: at("a"))
        XCTAssertEqual(try files.list(directory), ["a"])
        XCTAssertEqual(try text("a/other"), "text")
    }

    func testRenamingKeepsFilesAndDirectoriesApart() throws {
        try files.createDirectory(at("directory"))
        try files.createDirectory(at("full"))
        try create("full/file", "")
        try create("file", "text")
        assertFails(.rename, at("file"), .isDirectory) { try files.rename(at("file"), to: at("directory")) }
        assertFails(.rename, at("directory"), .notDirectory) { try files.rename(at("directory"), to: at("file")) }
        assertFails(.rename, at("directory"), .notEmpty) { try files.rename(at("directory"), to: at("full")) }
        assertFails(.rename, at("full"), .invalid) { try files.rename(at("full"), to: at("full/below")) }
        XCTAssertEqual(try files.list(directory), ["directory", "file", "full"])
    }

    func testALinkIsOneMoreNameOfTheFile() throws {
        let file = try create("file", "text")
        try files.link(at("file"), to: at("other"))
        try file.write("next", at: 0)
        XCTAssertEqual(try text("other"), "next")
        assertFails(.link, at("file"), .exists) { try files.link(at("file"), to: at("other")) }
        assertFails(.link, at("absent"), .notFound) { try files.link(at("absent"), to: at("third")) }
        try files.rename(at("file"), to: at("other"))
        XCTAssertEqual(try files.list(directory), ["file", "other"], "two names of one file stay as they are")
        try files.remove(at("file"))
        XCTAssertEqual(try text("other"), "next")
    }

    func testADirectoryCannotBeLinked() throws {
        try files.createDirectory(at("directory"))
        assertFails(.link, at("directory"), FileError.Number(rawValue: 1)) {
            try files.link(at("directory"), to: at("other"))
        }
    }

    func testAnOpenFileSurvivesItsRemoval() throws {
        let file = try create("file", "text")
        try files.remove(at("file"))
        XCTAssertFalse(try files.exists(at("file")))
        XCTAssertEqual(try file.read(10, at: 0), "text")
        try file.write("more", at: 4)
        // Nobody finds again what is written to it.
        assertFails(.sync, at("file"), .exchanged) { try file.sync() }
        try create("file", "other")
        XCTAssertEqual(try file.read(10, at: 0), "textmore")
        assertFails(.remove, at("absent"), .notFound) { try files.remove(at("absent")) }
    }

    func testOnlyAnEmptyDirectoryIsRemoved() throws {
        try files.createDirectory(at("directory"))
        try create("directory/file", "")
        assertFails(.remove, at("directory"), .notEmpty) { try files.remove(at("directory")) }
        try files.remove(at("directory/file"))
        try files.remove(at("directory"))
        XCTAssertEqual(try files.list(directory), [])
    }

    func testADirectoryIsSynced() throws {
        try create("file", "")
        XCTAssertNoThrow(try files.syncDirectory(directory))
        assertFails(.syncDirectory, at("absent"), .notFound) { try files.syncDirectory(at("absent")) }
    }

    // MARK: Locks and space

    func testALockHasOneHolder() throws {
        let lock = try files.lock(at("lock"))
        assertFails(.lock, at("lock"), .wouldBlock) { try files.lock(at("lock")) }
        assertFails(.lock, at("other"), .wouldBlock) { try files.lock(at("other")) }
        XCTAssertEqual(try files.list(directory), ["lock"], "nothing is created where the directory is locked")
        try files.createDirectory(at("below"))
        XCTAssertNoThrow(try files.lock(at("below/lock")).release())
        try files.remove(at("below/lock"))
        try files.remove(at("below"))
        lock.release()
        lock.release()
        let next = try files.lock(at("lock"))
        lock.release()
        assertFails(.lock, at("lock"), .wouldBlock) { try files.lock(at("lock")) }
        next.release()
        XCTAssertEqual(try files.list(directory), ["lock"])
        assertFails(.lock, at("absent/lock"), .notFound) { try files.lock(at("absent/lock")) }
    }

    func testALock_whoseFileWasRemovedOrRenamed_stillHasOneHolder() throws {
        let lock = try files.lock(at("lock"))
        try files.remove(at("lock"))
        assertFails(.lock, at("lock"), .wouldBlock) { try files.lock(at("lock")) }
        XCTAssertEqual(try files.list(directory), [])
        lock.release()
        let next = try files.lock(at("lock"))
        try files.rename(at("lock"), to: at("moved"))
        assertFails(.lock, at("lock"), .wouldBlock) { try files.lock(at("lock")) }
        next.release()
        try files.lock(at("lock")).release()
    }

    func testSpaceIsToldWhereThereIsAFile() throws {
        XCTAssertGreaterThan(try files.availableBytes(at: directory), 0)
        assertFails(.status, at("absent"), .notFound) { try files.availableBytes(at: at("absent")) }
    }

    // MARK: Helpers

    func at(_ name: String) -> String { "\(directory)/\(name)" }

    @discardableResult
    private func create(_ name: String, _ text: Bytes) throws -> any File {
        let file = try files.open(at(name), .create)
        try file.write(text, at: 0)
        return file
    }

    func text(_ name: String) throws -> String {
        let file = try files.open(at(name), .read)
        defer { file.close() }
        return String(try file.read(100, at: 0))
    }

    private func removeAll(in directory: String) throws {
        for name in try files.list(directory) {
            do {
                try files.remove("\(directory)/\(name)")
            } catch {
                try removeAll(in: "\(directory)/\(name)")
            }
        }
        try files.remove(directory)
    }

    func assertFails<Value>(
        _ operation: FileError.Operation,
        _ path: String,
        _ number: FileError.Number,
        line: UInt = #line,
        _ body: () throws -> Value
    ) {
        XCTAssertThrowsError(try body(), line: line) { error in
            XCTAssertEqual(error as? FileError, FileError(operation, path, number), line: line)
        }
    }
}
