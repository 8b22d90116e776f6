import BalsaPlatform
import Glibc
import XCTest

final class LinuxFileLockTests: XCTestCase {
    private var directory: TemporaryDirectory!
    private let fileSystem = LinuxFileSystem()

    override func setUpWithError() throws { directory = try TemporaryDirectory() }
    override func tearDownWithError() throws { try directory.remove() }

    private func assertHeld(_ path: String, line: UInt = #line) {
        XCTAssertThrowsError(try fileSystem.lock(path), line: line) { error in
            XCTAssertEqual(error as? FileError, FileError(.lock, path, .wouldBlock), line: line)
        }
    }

    func testALockHoldsAgainstThisProcess() throws {
        let path = directory.file("LOCK")
        let lock = try fileSystem.lock(path)
        assertHeld(path)
        XCTAssertThrowsError(try LinuxFileSystem().lock(path), "another instance is no way around it") {
            XCTAssertEqual($0 as? FileError, FileError(.lock, path, .wouldBlock))
        }
        try fileSystem.createDirectory(directory.file("below"))
        let other = try fileSystem.lock(directory.file("below/LOCK"))
        lock.release()
        lock.release()
        let again = try fileSystem.lock(path)
        lock.release()
        assertHeld(path)
        again.release()
        other.release()
    }

    func testALockKnowsItsFileByAnyName() throws {
        let lock = try fileSystem.lock(directory.file("LOCK"))
        try fileSystem.link(directory.file("LOCK"), to: directory.file("LINK"))
        assertHeld(directory.file("LINK"))
        assertHeld("\(directory.path)/./LOCK")
        lock.release()
    }

    func testOpeningAndClosingTheFileDoesNotGiveTheLockUp() throws {
        let path = directory.file("LOCK")
        let lock = try fileSystem.lock(path)
        try fileSystem.open(path, .readWrite).close()
        assertHeld(path)
        XCTAssertEqual(try lockInAnotherProcess(path), .refused)
        lock.release()
    }

    func testALockThatIsForgottenIsReleased() throws {
        let path = directory.file("LOCK")
        var lock: (any FileLock)? = try fileSystem.lock(path)
        XCTAssertNotNil(lock)
        lock = nil
        try fileSystem.lock(path).release()
    }

    func testALockThatCannotBeTakenLeavesNothingBehind() throws {
        let path = directory.file("missing/LOCK")
        for _ in 0..<2 {
            XCTAssertThrowsError(try fileSystem.lock(path)) { error in
                XCTAssertEqual(error as? FileError, FileError(.lock, path, .notFound))
            }
        }
        XCTAssertThrowsError(try fileSystem.lock(directory.path)) { error in
            XCTAssertEqual(error as? FileError, FileError(.lock, directory.path, .isDirectory))
        }
    }

    func testALockHoldsAgainstAnotherProcess() throws {
        // This test is also the other process: it is started again with the path in its environment.
        if let path = getenv(LinuxFileLockTests.variable) { try takeLockAndExit(String(cString: path)) }
        let path = directory.file("LOCK")
        let lock = try fileSystem.lock(path)
        XCTAssertEqual(try lockInAnotherProcess(path), .refused)
        lock.release()
        XCTAssertEqual(try lockInAnotherProcess(path), .taken)
        try fileSystem.lock(path).release()
    }

    // MARK: The holder

    func testHolder_ofALock_isTheProcessThatTookItLast() throws {
        let path = directory.file("LOCK")
        XCTAssertNil(fileSystem.holder(ofLock: path), "there is no file")
        // What a holder before it has left is longer.
        let file = try fileSystem.open(path, .create)
        try file.write(Bytes("1 \(String(repeating: "h", count: 300))\n"), at: 0)
        file.close()
        let lock = try fileSystem.lock(path)
        XCTAssertEqual(fileSystem.holder(ofLock: path), "this process, \(getpid()),")
        XCTAssertEqual(try fileSystem.bound(to: directory.path).holder(ofLock: path), "this process, \(getpid()),")
        XCTAssertEqual(
            try String(contentsOfFile: path, encoding: .utf8),
            "\(getpid()) \(ProcessInfo.processInfo.hostName)\n"
        )
        lock.release()
    }

    func testHolder_ofAFileThatNamesNobody_isUnknown() throws {
        let path = directory.file("LOCK")
        let own = ProcessInfo.processInfo.hostName
        let ended = Process()
        ended.executableURL = URL(fileURLWithPath: "/bin/true")
        try ended.run()
        ended.waitUntilExit()
        for (text, holder) in [
            ("", nil), ("1", nil), ("1 db-1", nil), ("0 db-1\n", nil), ("-1 db-1\n", nil), ("a db-1\n", nil),
            // A process that has ended left its name.
            ("\(ended.processIdentifier) \(own)\n", nil),
            ("\(ended.processIdentifier) db-1\n", "process \(ended.processIdentifier) of host db-1"),
            ("1 \(own)\n", "process 1 of host \(own)"),
        ] as [(String, String?)] {
            try text.write(toFile: path, atomically: false, encoding: .utf8)
            XCTAssertEqual(fileSystem.holder(ofLock: path), holder, text)
        }
    }

    // MARK: The other process

    private static let variable = "BALSA_TEST_LOCK"

    private enum Answer: Int32 {
        case taken = 41
        case refused = 42
        case failed = 43
    }

    private func takeLockAndExit(_ path: String) throws -> Never {
        try directory.remove()
        do throws(FileError) {
            _ = try fileSystem.lock(path)
            exit(Answer.taken.rawValue)
        } catch {
            exit(error.number == .wouldBlock ? Answer.refused.rawValue : Answer.failed.rawValue)
        }
    }

    /// Starts this test program again, has it take the lock, and waits for what it says.
    private func lockInAnotherProcess(_ path: String) throws -> Answer? {
        let process = Process()
        process.executableURL = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe").asFileURL
        process.arguments = ["BalsaPlatformTests.LinuxFileLockTests/testALockHoldsAgainstAnotherProcess"]
        process.environment = ProcessInfo.processInfo.environment.merging([LinuxFileLockTests.variable: path]) { $1 }
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return Answer(rawValue: process.terminationStatus)
    }
}

extension String {
    fileprivate var asFileURL: URL { URL(fileURLWithPath: self) }
}
