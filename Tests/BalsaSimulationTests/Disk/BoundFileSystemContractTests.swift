import BalsaPlatform
import BalsaSimulation
import Glibc
import XCTest

/// What every file system promises that is bound to a directory, on the simulated disk; a subclass runs it on this
/// machine's files.
class BoundFileSystemContractTests: XCTestCase {
    /// The files by their paths, to change what the bound ones lie in.
    private(set) var files: any FileSystem = SimulatedDisk().mount()
    private(set) var directory = ""

    /// A file system and an empty directory on it.
    func makeFileSystem() throws -> (any FileSystem, directory: String) {
        let files = SimulatedDisk().mount()
        try files.createDirectory("/data")
        return (files, "/data")
    }

    override func setUpWithError() throws { (files, directory) = try makeFileSystem() }

    override func tearDownWithError() throws { try removeAll(directory) }

    private func removeAll(_ path: String) throws {
        for name in try files.list(path) {
            let isDirectory = (try? files.list("\(path)/\(name)")) != nil
            try isDirectory ? removeAll("\(path)/\(name)") : files.remove("\(path)/\(name)")
        }
        try files.remove(path)
    }

    private func at(_ name: String) -> String { "\(directory)/\(name)" }

    private func assertFails<Value>(
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

    private func makeFolders() throws {
        try files.createDirectory(at("root"))
        try files.createDirectory(at("root/below"))
    }

    func testBound_afterItsDirectoryWasRenamed_changesNothingUnderThePath() throws {
        try makeFolders()
        let bound = try files.bound(to: at("root"))
        let file = try bound.open(at("root/below/file"), .create)
        try file.write("text", at: 0)
        try file.sync()
        try files.rename(at("root"), to: at("moved"))
        try makeFolders()
        assertExchanged(bound, file)
        XCTAssertEqual(try files.list(at("root/below")), [])
        XCTAssertEqual(try files.list(at("moved/below")), ["file"])
        // What was open can still be read.
        let held = try bound.open(at("root/below/file"), .read)
        XCTAssertEqual(try held.read(10, at: 0), "text")
        XCTAssertEqual(try bound.list(at("root/below")), ["file"])
    }

    func testBound_afterADirectoryBelowWasExchanged_changesNothing() throws {
        try makeFolders()
        let bound = try files.bound(to: at("root"))
        let file = try bound.open(at("root/below/file"), .create)
        try files.rename(at("root/below"), to: at("moved"))
        try files.createDirectory(at("root/below"))
        assertExchanged(bound, file)
        // Once it is known, it stays so: what happened meanwhile is not.
        try files.remove(at("root/below"))
        try files.rename(at("moved"), to: at("root/below"))
        assertExchanged(bound, file)
        XCTAssertEqual(try files.list(at("root/below")), ["file"])
    }

    func testBound_afterItsDirectoryWasRemoved_changesNothing() throws {
        try makeFolders()
        let bound = try files.bound(to: at("root"))
        let file = try bound.open(at("root/below/file"), .create)
        try files.remove(at("root/below/file"))
        try files.remove(at("root/below"))
        try files.remove(at("root"))
        assertExchanged(bound, file)
    }

    func testBound_changesOfItsOwn_areNoExchange() throws {
        try files.createDirectory(at("root"))
        let bound = try files.bound(to: at("root"))
        for _ in 0..<2 {
            try bound.createDirectory(at("root/below"))
            let file = try bound.open(at("root/below/file"), .create)
            try bound.rename(at("root/below"), to: at("root/other"))
            try bound.open(at("root/other/second"), .create).sync()
            try file.sync()
            try bound.remove(at("root/other/second"))
            try bound.remove(at("root/other/file"))
            try bound.remove(at("root/other"))
            assertFails(.sync, at("root/below/file"), .exchanged) { try file.sync() }
        }
        try bound.syncDirectory(at("root"))
        XCTAssertEqual(try files.list(at("root")), [])
    }

    /// Holds that nothing can be changed below `root`.
    private func assertExchanged(_ bound: any FileSystem, _ file: any File, line: UInt = #line) {
        let (path, new) = (at("root/below/file"), at("root/below/new"))
        assertFails(.sync, path, .exchanged, line: line) { try file.sync() }
        assertFails(.open, new, .exchanged, line: line) { try bound.open(new, .create) }
        assertFails(.rename, path, .exchanged, line: line) { try bound.rename(path, to: new) }
        assertFails(.link, path, .exchanged, line: line) { try bound.link(path, to: new) }
        assertFails(.remove, path, .exchanged, line: line) { try bound.remove(path) }
        assertFails(.createDirectory, new, .exchanged, line: line) { try bound.createDirectory(new) }
        assertFails(.syncDirectory, at("root/below"), .exchanged, line: line) {
            try bound.syncDirectory(at("root/below"))
        }
    }
}

/// The same on the files of this machine.
final class LinuxBoundFileSystemContractTests: BoundFileSystemContractTests {
    override func makeFileSystem() throws -> (any FileSystem, directory: String) {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        let files = LinuxFileSystem()
        let directory = "\(parent)/balsa-contract-\(String(SystemRandom.seed(), radix: 16))"
        try files.createDirectory(directory)
        return (files, directory)
    }

    func testItRunsOnThisMachine() { XCTAssertTrue(files is LinuxFileSystem) }
}

/// The whole contract of file systems, held by a file system that is bound to its directory.
final class BoundFilesKeepTheContractTests: FileSystemContractTests {
    override func makeFileSystem() throws -> (any FileSystem, directory: String) {
        let (files, directory) = try super.makeFileSystem()
        return (try files.bound(to: directory), directory)
    }

    func testItIsBound() { XCTAssertFalse(files is SimulatedFileSystem) }
}

/// The same on the files of this machine.
final class LinuxBoundFilesKeepTheContractTests: FileSystemContractTests {
    override func makeFileSystem() throws -> (any FileSystem, directory: String) {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        let directory = "\(parent)/balsa-contract-\(String(SystemRandom.seed(), radix: 16))"
        try LinuxFileSystem().createDirectory(directory)
        return (try LinuxFileSystem().bound(to: directory), directory)
    }

    func testItRunsOnThisMachine() { XCTAssertTrue(files is LinuxFileSystem) }
}
