import BalsaPlatform
import Glibc
import XCTest

/// The contract of file systems, held by this machine's.
final class LinuxFileSystemContractTests: FileSystemContractTests {
    override func makeFileSystem() throws -> (any FileSystem, directory: String) {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        let files = LinuxFileSystem()
        let directory = "\(parent)/balsa-contract-\(String(SystemRandom.seed(), radix: 16))"
        try files.createDirectory(directory)
        return (files, directory)
    }

    func testItRunsOnThisMachine() { XCTAssertTrue(files is LinuxFileSystem) }
}
