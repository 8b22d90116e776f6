import Glibc
import XCTest

@testable import BalsaPlatform

/// Who may read what is created, whatever the mask of the process says.
final class PermissionTests: XCTestCase {
    private func mode(of path: String) -> mode_t {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
    }

    func testFilesDirectoriesAndLocksAreTheOwnersAlone() throws {
        let fileSystem = LinuxFileSystem()
        for mask in [0, 0o022, 0o077, 0o277, 0o700, 0o777] as [mode_t] {
            let directory = try TemporaryDirectory()
            defer { XCTAssertNoThrow(try directory.remove()) }
            let before = umask(mask)
            defer { umask(before) }
            try fileSystem.createDirectory(directory.file("folder"))
            try fileSystem.open(directory.file("folder/file"), .create).close()
            try fileSystem.lock(directory.file("folder/LOCK")).release()
            XCTAssertEqual(mode(of: directory.file("folder")), 0o700, "mask \(mask)")
            XCTAssertEqual(mode(of: directory.file("folder/file")), 0o600, "mask \(mask)")
            XCTAssertEqual(mode(of: directory.file("folder/LOCK")), 0o600, "mask \(mask)")
        }
    }

    func testADirectoryThatWasThereKeepsWhatItsOwnerSaid() throws {
        let directory = try TemporaryDirectory()
        defer { XCTAssertNoThrow(try directory.remove()) }
        XCTAssertEqual(mkdir(directory.file("folder"), 0o750), 0)
        try LinuxFileSystem().createDirectory(directory.file("folder"))
        XCTAssertEqual(mode(of: directory.file("folder")), 0o750)
    }
}
