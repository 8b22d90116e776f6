import Glibc
import XCTest

@testable import BalsaPlatform

/// File systems that lack something, and what the probe says of them.
final class FileSystemProbeTests: XCTestCase {
    private var directory: TemporaryDirectory?

    override func setUpWithError() throws { directory = try TemporaryDirectory() }
    override func tearDownWithError() throws { try directory?.remove() }

    private func path() throws -> String { try XCTUnwrap(directory).file("store") }

    /// What the probe says of a file system with a fault.
    private func failure(_ fault: FaultyFileSystem.Fault) throws -> FileSystemProbe.Failure? {
        let path = try path()
        do {
            try FileSystemProbe.check(path, in: FaultyFileSystem(fault))
            return nil
        } catch {
            XCTAssertTrue(error.description.contains(path), "it names the directory: \(error)")
            return error
        }
    }

    func testAGoodFileSystemPassesAndNothingStaysBehind() throws {
        XCTAssertNil(try failure(.none))
        XCTAssertEqual(try LinuxFileSystem().list(try path()), ["LOCK"])
        XCTAssertNil(try failure(.none), "and passes again")
    }

    func testEachLackIsNamed() throws {
        let lacks: [(FaultyFileSystem.Fault, String)] = [
            (.fails(.link, FileError.Number(rawValue: 1)), "hard links"),
            (.fails(.link, .unsupported), "hard links"),
            (.linkIsACopyOfNothing, "hard links that outlive the first name"),
            (.fails(.rename, .exists), "renaming a file over another"),
            (.renameLeavesTheSource, "renaming a file over another"),
            (.fails(.sync, .invalid), "syncs of files"),
            (.fails(.syncDirectory, .invalid), "syncs of directories"),
            (.createOverwrites, "creating a file only where there is none"),
            (.fails(.lock, .noSystemCall), "locks on files"),
            (.fails(.lock, .noLocks), "locks on files"),
            (.fails(.write, .unsupported), "writing files"),
        ]
        for (fault, lack) in lacks {
            let failure = try failure(fault)
            XCTAssertEqual(failure?.lack, lack)
            XCTAssertTrue(failure?.description.contains("lacks \(lack)") ?? false, "\(String(describing: failure))")
            let left = try LinuxFileSystem().list(try path())
            XCTAssertFalse(left.contains(FileSystemProbe.folderName), "\(lack): \(left)")
        }
    }

    func testProbe_anErrorOfTheProcessOrTheDevice_isReportedAsWhatItIs() throws {
        let operations: [FileError.Operation] = [
            .open, .write, .sync, .rename, .syncDirectory, .createDirectory, .lock,
        ]
        let numbers: [FileError.Number] = [
            .inputOutput, .accessDenied, .readOnly, .tooManyOpenFiles, .tooManyOpenFilesInSystem, .notPermitted,
            FileError.Number(rawValue: ENOMEM),
        ]
        for operation in operations {
            for number in numbers {
                let failure = try failure(.fails(operation, number))
                XCTAssertEqual(failure?.file?.number, number, "\(operation)")
                XCTAssertEqual(failure?.file?.operation, operation)
                XCTAssertNil(failure?.lack)
                let text = failure.map { "\($0)" } ?? ""
                XCTAssertTrue(text.contains("\(operation.rawValue) \(try path())"), text)
                XCTAssertTrue(text.contains("\(number)"), text)
                XCTAssertFalse(text.contains("lacks"), text)
            }
        }
    }

    func testProbe_withoutADescriptorForTheExclusiveCreation_doesNotCallItALack() throws {
        let failure = try failure(.secondCreationFails(.tooManyOpenFiles))
        XCTAssertNil(failure?.lack)
        XCTAssertEqual(failure?.file?.number, .tooManyOpenFiles)
    }

    func testAFullDiskProvesNothing() throws {
        for operation in [.write, .sync, .link, .createDirectory] as [FileError.Operation] {
            for number in [.noSpace, .quotaExceeded] as [FileError.Number] {
                try LinuxFileSystem().createDirectory(try path())
                let found = try failure(.failsBelow(FileSystemProbe.folderName, operation, number))
                XCTAssertNil(found, "what is on it can still be read")
            }
        }
    }

    func testADirectoryThatIsInUseIsNotTouched() throws {
        let path = try path()
        let fileSystem = LinuxFileSystem()
        try FileSystemProbe.check(path, in: fileSystem)
        let lock = try fileSystem.lock(path + "/LOCK")
        let before = try fileSystem.list(path)
        XCTAssertThrowsError(try FileSystemProbe.check(path, in: fileSystem)) { error in
            let failure = error as? FileSystemProbe.Failure
            XCTAssertNil(failure?.lack)
            XCTAssertEqual(failure?.file?.number, .wouldBlock)
            XCTAssertTrue(failure?.description.contains("LOCK") ?? false)
        }
        XCTAssertEqual(try fileSystem.list(path), before)
        lock.release()
    }
}

/// The files of this machine, less something.
private final class FaultyFileSystem: FileSystem {
    enum Fault {
        case none
        case fails(FileError.Operation, FileError.Number)
        case failsBelow(String, FileError.Operation, FileError.Number)
        case secondCreationFails(FileError.Number)
        case linkIsACopyOfNothing
        case renameLeavesTheSource
        case createOverwrites
    }

    private let base = LinuxFileSystem()
    private let fault: Fault

    init(_ fault: Fault) { self.fault = fault }

    fileprivate func check(_ operation: FileError.Operation, _ path: String) throws(FileError) {
        switch fault {
        case .fails(operation, let number):
            // The directory of the store itself is there.
            guard operation != .syncDirectory || path.contains(FileSystemProbe.folderName) else { return }
            throw FileError(operation, path, number)
        case .failsBelow(let folder, operation, let number):
            if path.contains(folder) { throw FileError(operation, path, number) }
        default: return
        }
    }

    func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        if case .createOverwrites = fault, case .create = mode, try base.exists(path) {
            return try base.open(path, .readWrite)
        }
        if case .secondCreationFails(let number) = fault, case .create = mode, try base.exists(path) {
            throw FileError(.open, path, number)
        }
        try check(.open, path)
        return FaultyFile(try base.open(path, mode), self)
    }

    func createDirectory(_ path: String) throws(FileError) {
        try check(.createDirectory, path)
        try base.createDirectory(path)
    }

    func list(_ directory: String) throws(FileError) -> [String] { try base.list(directory) }
    func exists(_ path: String) throws(FileError) -> Bool { try base.exists(path) }

    func rename(_ source: String, to target: String) throws(FileError) {
        try check(.rename, source)
        guard case .renameLeavesTheSource = fault else { return try base.rename(source, to: target) }
        try base.remove(target)
        try base.link(source, to: target)
    }

    func link(_ source: String, to target: String) throws(FileError) {
        try check(.link, source)
        guard case .linkIsACopyOfNothing = fault else { return try base.link(source, to: target) }
        try base.open(target, .create).close()
    }

    func remove(_ path: String) throws(FileError) { try base.remove(path) }

    func syncDirectory(_ directory: String) throws(FileError) {
        try check(.syncDirectory, directory)
        try base.syncDirectory(directory)
    }

    func lock(_ path: String) throws(FileError) -> any FileLock {
        try check(.lock, path)
        return try base.lock(path)
    }

    func availableBytes(at path: String) throws(FileError) -> UInt64 { try base.availableBytes(at: path) }
}

private final class FaultyFile: File {
    private let base: any File
    private let fileSystem: FaultyFileSystem

    init(_ base: any File, _ fileSystem: FaultyFileSystem) {
        self.base = base
        self.fileSystem = fileSystem
    }

    var path: String { base.path }
    func size() throws(FileError) -> UInt64 { try base.size() }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError) -> Int {
        try base.read(into: buffer, at: offset)
    }

    func readWithoutWaiting(
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    ) throws(FileError) -> Int? {
        try base.readWithoutWaiting(into: buffer, at: offset)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) {
        try fileSystem.check(.write, path)
        try base.write(bytes, at: offset)
    }

    func write(gathering pieces: [Bytes], at offset: UInt64) throws(FileError) {
        try fileSystem.check(.write, path)
        try base.write(gathering: pieces, at: offset)
    }

    func writeZeros(_ count: UInt64, at offset: UInt64) throws(FileError) { try base.writeZeros(count, at: offset) }
    func setSize(_ size: UInt64) throws(FileError) { try base.setSize(size) }

    func sync() throws(FileError) {
        try fileSystem.check(.sync, path)
        try base.sync()
    }

    func close() { base.close() }
}
