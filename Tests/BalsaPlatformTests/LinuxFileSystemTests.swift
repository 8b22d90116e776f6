import BalsaPlatform
import Glibc
import XCTest

final class LinuxFileSystemTests: XCTestCase {
    private var directory: TemporaryDirectory!
    private let fileSystem = LinuxFileSystem()

    override func setUpWithError() throws { directory = try TemporaryDirectory() }
    override func tearDownWithError() throws { try directory.remove() }

    /// Holds that `body` fails just so.
    private func assertFails(
        _ operation: FileError.Operation,
        _ path: String,
        _ number: FileError.Number,
        line: UInt = #line,
        _ body: () throws -> Void
    ) {
        XCTAssertThrowsError(try body(), line: line) { error in
            XCTAssertEqual(error as? FileError, FileError(operation, path, number), line: line)
        }
    }

    // MARK: Opening

    func testAFileHoldsWhatWasWritten() throws {
        let path = directory.file("a")
        let file = try fileSystem.open(path, .create)
        try file.write("hello", at: 3)
        XCTAssertEqual(try file.read(100, at: 0), Bytes([0, 0, 0] + Array("hello".utf8)))
        XCTAssertEqual(try file.size(), 8)
        try file.sync()
        try fileSystem.syncDirectory(directory.path)
        file.close()
        XCTAssertEqual(try fileSystem.open(path, .read).read(5, at: 3), "hello")
    }

    func testAFileIsCreatedOnceAndForItsOwnerOnly() throws {
        let path = directory.file("a")
        assertFails(.open, path, .notFound) { _ = try fileSystem.open(path, .read) }
        assertFails(.open, path, .notFound) { _ = try fileSystem.open(path, .readWrite) }
        let file = try fileSystem.open(path, .create)
        XCTAssertEqual(file.path, path)
        assertFails(.open, path, .exists) { _ = try fileSystem.open(path, .create) }
        var status = stat()
        XCTAssertEqual(stat(path, &status), 0)
        XCTAssertEqual(status.st_mode & 0o777, 0o600)
    }

    func testOnlyRegularFilesAreOpened() throws {
        assertFails(.open, directory.path, .isDirectory) { _ = try fileSystem.open(directory.path, .read) }
        assertFails(.open, directory.path, .isDirectory) { _ = try fileSystem.open(directory.path, .readWrite) }
        assertFails(.open, "/dev/null", .invalid) { _ = try fileSystem.open("/dev/null", .read) }
    }

    func testAPathWithAZeroByteIsRefused() throws {
        let path = directory.file("a\0b")
        assertFails(.open, path, .invalid) { _ = try fileSystem.open(path, .create) }
        assertFails(.rename, path, .invalid) { try fileSystem.rename(directory.file("x"), to: path) }
        XCTAssertEqual(try fileSystem.list(directory.path), [], "not even the part before it was taken for a name")
    }

    func testAFileOpenedForReadingCannotBeWritten() throws {
        let path = directory.file("a")
        _ = try fileSystem.open(path, .create)
        let file = try fileSystem.open(path, .read)
        assertFails(.write, path, FileError.Number(rawValue: EBADF)) { try file.write("x", at: 0) }
        assertFails(.size, path, .invalid) { try file.setSize(5) }
    }

    func testDescriptorsAreNotInheritedAndNoneIsLeftOpen() throws {
        let file = try fileSystem.open(directory.file("a"), .create)
        let lock = try fileSystem.lock(directory.file("b"))
        _ = try fileSystem.list(directory.path)
        try fileSystem.syncDirectory(directory.path)
        assertFails(.open, directory.path, .isDirectory) { _ = try fileSystem.open(directory.path, .read) }
        assertFails(.lock, directory.file("b"), .wouldBlock) { _ = try fileSystem.lock(directory.file("b")) }
        XCTAssertEqual(try descriptorsInDirectory().map { fcntl($0, F_GETFD) }, [FD_CLOEXEC, FD_CLOEXEC, FD_CLOEXEC])
        file.close()
        lock.release()
        XCTAssertEqual(try descriptorsInDirectory(), [])
    }

    /// The descriptors of this process that lead to the test's directory or into it.
    private func descriptorsInDirectory() throws -> [Int32] {
        try fileSystem.list("/proc/self/fd").filter { name in
            let link = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")
            return link?.hasPrefix(directory.path) ?? false
        }.compactMap { Int32($0) }
    }

    // MARK: Reading and writing

    func testReadingEndsWhereTheFileDoes() throws {
        let file = try fileSystem.open(directory.file("a"), .create)
        XCTAssertEqual(try file.read(10, at: 0), "")
        try file.write("0123456789", at: 0)
        XCTAssertEqual(try file.read(4, at: 0), "0123")
        XCTAssertEqual(try file.read(4, at: 8), "89")
        XCTAssertEqual(try file.read(4, at: 10), "")
        XCTAssertEqual(try file.read(4, at: 1 << 40), "")
        XCTAssertEqual(try file.read(0, at: 0), "")
    }

    func testReadingWithoutWaitingGivesTheSameBytesOrNone() throws {
        let file = try fileSystem.open(directory.file("a"), .create)
        try file.write("0123456789", at: 0)
        var buffer = [UInt8](repeating: 0, count: 20)
        let count = try buffer.withUnsafeMutableBytes { try file.readWithoutWaiting(into: $0, at: 2) }
        if let count {
            XCTAssertEqual(count, 8, "what was just written is in memory as a whole")
            XCTAssertEqual(Array(buffer[..<8]), Array("23456789".utf8))
        }
        XCTAssertEqual(try file.readWithoutWaiting(into: UnsafeMutableRawBufferPointer(start: nil, count: 0), at: 0), 0)
    }

    func testPlacesBeyondTheSystemsRangeAreRefused() throws {
        let path = directory.file("a")
        let file = try fileSystem.open(path, .create)
        var buffer = [UInt8](repeating: 0, count: 8)
        for offset in [UInt64(Int64.max) + 1, .max, UInt64(Int64.max) - 7] {
            try buffer.withUnsafeMutableBytes { buffer in
                assertFails(.read, path, .invalid) {
                    _ = try file.read(into: buffer, at: offset + (offset < .max ? 1 : 0))
                }
                assertFails(.read, path, .invalid) {
                    _ = try file.readWithoutWaiting(into: buffer, at: offset + (offset < .max ? 1 : 0))
                }
                _ = try file.size()
            }
            assertFails(.write, path, .invalid) { try file.write("123456789", at: offset) }
            assertFails(.write, path, .invalid) { try file.write(gathering: ["12345", "6789"], at: offset) }
            assertFails(.write, path, .invalid) { try file.writeZeros(9, at: offset) }
        }
        assertFails(.write, path, .invalid) { try file.writeZeros(.max, at: 0) }
        assertFails(.size, path, .invalid) { try file.setSize(.max) }
        XCTAssertEqual(try file.size(), 0)
    }

    func testMorePiecesThanOneCallTakesAreWritten() throws {
        let file = try fileSystem.open(directory.file("a"), .create)
        let pieces = (0..<5000).map { $0 % 3 == 0 ? Bytes("\($0)") : Bytes("the piece with the number \($0)") }
        try file.write(gathering: pieces, at: 7)
        let whole = pieces.flatMap { [UInt8]($0) }
        XCTAssertEqual(try file.size(), UInt64(whole.count + 7))
        XCTAssertEqual(try file.read(whole.count + 1, at: 7), Bytes(whole))
        try file.write(gathering: [], at: 0)
        try file.write(gathering: ["", ""], at: 0)
        XCTAssertEqual(try file.read(7, at: 0), Bytes([UInt8](repeating: 0, count: 7)))
    }

    func testZerosAreWrittenWhereTheyAreWanted() throws {
        let file = try fileSystem.open(directory.file("a"), .create)
        let count = 3 << 20
        try file.write(Bytes([UInt8](repeating: 0xff, count: count + 20)), at: 0)
        try file.writeZeros(UInt64(count), at: 10)
        let ones = Bytes([UInt8](repeating: 0xff, count: 10))
        XCTAssertEqual(try file.read(10, at: 0), ones)
        XCTAssertEqual(try file.read(count, at: 10), Bytes([UInt8](repeating: 0, count: count)))
        XCTAssertEqual(try file.read(100, at: UInt64(count + 10)), ones)
        try file.writeZeros(0, at: 1 << 40)
        XCTAssertEqual(try file.size(), UInt64(count + 20))
    }

    func testWrittenZerosOccupyTheDisk() throws {
        let path = directory.file("a")
        let file = try fileSystem.open(path, .create)
        try file.writeZeros(1 << 20, at: 0)
        try file.sync()
        var status = stat()
        XCTAssertEqual(stat(path, &status), 0)
        XCTAssertGreaterThanOrEqual(status.st_blocks * 512, 1 << 20)
    }

    func testTheSizeIsSet() throws {
        let file = try fileSystem.open(directory.file("a"), .create)
        try file.write("0123456789", at: 0)
        try file.setSize(4)
        try file.setSize(6)
        XCTAssertEqual(try file.read(10, at: 0), Bytes(Array("0123".utf8) + [0, 0]))
    }

    /// A limit on the size of files makes the system write a part first, and refuse the rest when asked again.
    func testAWriteThatIsCutShortIsContinuedAndThenFails() throws {
        let path = directory.file("a")
        let file = try fileSystem.open(path, .create)
        let limit: UInt64 = 1 << 40
        let handler = signal(SIGXFSZ, SIG_IGN)
        var before = rlimit()
        XCTAssertEqual(getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &before), 0)
        var lowered = before
        lowered.rlim_cur = rlim_t(limit)
        XCTAssertEqual(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &lowered), 0)
        defer {
            XCTAssertEqual(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &before), 0)
            signal(SIGXFSZ, handler)
        }
        let tooLarge = FileError.Number(rawValue: EFBIG)
        assertFails(.write, path, tooLarge) { try file.write("0123456789", at: limit - 4) }
        XCTAssertEqual(try file.read(10, at: limit - 4), "0123")
        assertFails(.write, path, tooLarge) { try file.write(gathering: ["ab", "cd", "ef"], at: limit - 3) }
        XCTAssertEqual(try file.read(10, at: limit - 4), "0abc")
        assertFails(.write, path, tooLarge) { try file.writeZeros(100, at: limit - 2) }
        XCTAssertEqual(try file.read(10, at: limit - 4), [0x30, 0x61, 0, 0])
    }

    // MARK: Closing

    func testAClosedFileRefusesEverything() throws {
        let path = directory.file("a")
        let file = try fileSystem.open(path, .create)
        file.close()
        file.close()
        // It gets the number that has just become free, so that a call which went through would find it.
        let other = try fileSystem.open(directory.file("b"), .create)
        defer { other.close() }
        var byte: UInt8 = 0
        assertFails(.size, path, .closed) { _ = try file.size() }
        assertFails(.size, path, .closed) { try file.setSize(0) }
        assertFails(.sync, path, .closed) { try file.sync() }
        assertFails(.write, path, .closed) { try file.write("a", at: 0) }
        assertFails(.write, path, .closed) { try file.write(gathering: ["a"], at: 0) }
        assertFails(.write, path, .closed) { try file.writeZeros(1, at: 0) }
        assertFails(.read, path, .closed) { _ = try file.read(1, at: 0) }
        assertFails(.read, path, .closed) {
            _ = try withUnsafeMutableBytes(of: &byte) { try file.readWithoutWaiting(into: $0, at: 0) }
        }
    }

    /// A write of many system calls is closed under, as soon as the first of them has had an effect.
    func testACallThatHasBegunKeepsItsFile() throws {
        let (path, other) = (directory.file("a"), directory.file("b"))
        let file = try fileSystem.open(path, .create)
        let watched = try fileSystem.open(path, .read)
        let pieces = [Bytes](repeating: "x", count: 200 * GatheredWrite.portion)
        let result = Locked<Result<Void, any Error>?>(nil)
        let done = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            let written = Result { try file.write(gathering: pieces, at: 0) }
            result.withLock { $0 = written }
            done.signal()
        }
        while try watched.size() == 0, result.withLock({ $0 == nil }) { sched_yield() }
        file.close()
        // It would get the number of the closed file, if that were free already.
        let innocent = try fileSystem.open(other, .create)
        done.wait()
        XCTAssertNoThrow(try result.withLock { $0 }?.get())
        XCTAssertEqual(try watched.size(), UInt64(pieces.count))
        XCTAssertEqual(try innocent.size(), 0)
        assertFails(.size, path, .closed) { _ = try file.size() }
    }

    // MARK: Names

    func testNamesAreListedInTheOrderOfTheirBytes() throws {
        let names = ["a", "a.b", "a0", "b", "Z", "é", "z", "日"]
        for name in names { try fileSystem.open(directory.file(name), .create).close() }
        try fileSystem.createDirectory(directory.file("d"))
        XCTAssertEqual(try fileSystem.list(directory.path), ["Z", "a", "a.b", "a0", "b", "d", "z", "é", "日"])
        let missing = directory.file("missing")
        assertFails(.list, missing, .notFound) { _ = try fileSystem.list(missing) }
        assertFails(.list, directory.file("a"), .notDirectory) { _ = try fileSystem.list(directory.file("a")) }
    }

    func testALongListIsComplete() throws {
        let names = (0..<700).map { "a file with a name of some length, number \($0)" }
        for name in names { try fileSystem.open(directory.file(name), .create).close() }
        XCTAssertEqual(try fileSystem.list(directory.path), names.sorted())
    }

    func testADirectoryIsCreatedOnceAndAgainWithoutHarm() throws {
        let path = directory.file("d")
        XCTAssertFalse(try fileSystem.exists(path))
        try fileSystem.createDirectory(path)
        try fileSystem.createDirectory(path)
        XCTAssertTrue(try fileSystem.exists(path))
        let file = directory.file("f")
        try fileSystem.open(file, .create).close()
        assertFails(.createDirectory, file, .exists) { try fileSystem.createDirectory(file) }
        let orphan = directory.file("missing/d")
        assertFails(.createDirectory, orphan, .notFound) { try fileSystem.createDirectory(orphan) }
    }

    func testALinkToADirectoryIsADirectory() throws {
        let (target, link) = (directory.file("disk"), directory.file("link"))
        try fileSystem.createDirectory(target)
        XCTAssertEqual(symlink(target, link), 0)
        try fileSystem.createDirectory(link)
        try fileSystem.open(link + "/f", .create).close()
        XCTAssertEqual(try fileSystem.list(target), ["f"])
        let (file, toFile, toNothing) = (target + "/f", directory.file("to file"), directory.file("to nothing"))
        XCTAssertEqual(symlink(file, toFile), 0)
        assertFails(.createDirectory, toFile, .exists) { try fileSystem.createDirectory(toFile) }
        XCTAssertEqual(symlink(directory.file("missing"), toNothing), 0)
        assertFails(.createDirectory, toNothing, .exists) { try fileSystem.createDirectory(toNothing) }
    }

    func testSomethingExistsOrDoesNot() throws {
        try fileSystem.open(directory.file("f"), .create).close()
        XCTAssertTrue(try fileSystem.exists(directory.file("f")))
        XCTAssertFalse(try fileSystem.exists(directory.file("g")))
        XCTAssertFalse(try fileSystem.exists(directory.file("f/g")))
        XCTAssertFalse(try fileSystem.exists(directory.file("d/g")))
        let long = directory.file(String(repeating: "x", count: 300))
        assertFails(.status, long, FileError.Number(rawValue: ENAMETOOLONG)) { _ = try fileSystem.exists(long) }
    }

    func testRenamingReplaces() throws {
        let (a, b) = (directory.file("a"), directory.file("b"))
        let file = try fileSystem.open(a, .create)
        try file.write("new", at: 0)
        let replaced = try fileSystem.open(b, .create)
        try replaced.write("old", at: 0)
        try fileSystem.rename(a, to: b)
        XCTAssertEqual(try fileSystem.list(directory.path), ["b"])
        XCTAssertEqual(try fileSystem.open(b, .read).read(10, at: 0), "new")
        XCTAssertEqual(try replaced.read(10, at: 0), "old", "an open file outlives its name")
        assertFails(.rename, a, .notFound) { try fileSystem.rename(a, to: b) }
    }

    func testALinkIsTheSameFile() throws {
        let (a, b) = (directory.file("a"), directory.file("b"))
        try fileSystem.open(a, .create).write("text", at: 0)
        try fileSystem.link(a, to: b)
        try fileSystem.open(a, .readWrite).write("T", at: 0)
        XCTAssertEqual(try fileSystem.open(b, .read).read(10, at: 0), "Text")
        assertFails(.link, a, .exists) { try fileSystem.link(a, to: b) }
        try fileSystem.rename(a, to: b)
        XCTAssertEqual(try fileSystem.list(directory.path), ["a", "b"], "both are names of the file already")
        try fileSystem.remove(a)
        XCTAssertEqual(try fileSystem.open(b, .read).read(10, at: 0), "Text")
        assertFails(.link, a, .notFound) { try fileSystem.link(a, to: directory.file("c")) }
    }

    func testFilesAndEmptyDirectoriesAreRemoved() throws {
        let (inner, outer) = (directory.file("d/f"), directory.file("d"))
        try fileSystem.createDirectory(outer)
        try fileSystem.open(inner, .create).close()
        assertFails(.remove, outer, .notEmpty) { try fileSystem.remove(outer) }
        try fileSystem.remove(inner)
        try fileSystem.remove(outer)
        assertFails(.remove, outer, .notFound) { try fileSystem.remove(outer) }
        XCTAssertEqual(try fileSystem.list(directory.path), [])
    }

    func testOnlyADirectoryIsSyncedAsOne() throws {
        try fileSystem.syncDirectory(directory.path)
        let file = directory.file("a")
        assertFails(.syncDirectory, file, .notFound) { try fileSystem.syncDirectory(file) }
        try fileSystem.open(file, .create).close()
        assertFails(.syncDirectory, file, .notDirectory) { try fileSystem.syncDirectory(file) }
    }

    func testThereIsRoom() throws {
        XCTAssertGreaterThan(try fileSystem.availableBytes(at: directory.path), 0)
        let missing = directory.file("missing")
        assertFails(.status, missing, .notFound) { _ = try fileSystem.availableBytes(at: missing) }
    }

    func testAnErrorSaysWhatFailedWhereAndWhy() {
        let error = FileError(.syncDirectory, "/a/b", .notFound)
        XCTAssertEqual(error.description, "sync directory /a/b: No such file or directory (errno 2)")
        let known: [(FileError.Number, Int32)] = [
            (.interrupted, EINTR), (.inputOutput, EIO), (.closed, EBADF), (.wouldBlock, EAGAIN), (.exists, EEXIST),
            (.notDirectory, ENOTDIR), (.isDirectory, EISDIR), (.invalid, EINVAL), (.noSpace, ENOSPC),
            (.noSystemCall, ENOSYS), (.notEmpty, ENOTEMPTY), (.unsupported, EOPNOTSUPP), (.ended, ESHUTDOWN),
            (.notFound, ENOENT),
        ]
        for (number, value) in known { XCTAssertEqual(number.rawValue, value) }
    }
}
