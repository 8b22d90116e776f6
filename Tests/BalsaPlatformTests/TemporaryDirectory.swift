import BalsaPlatform
import Glibc
import XCTest

/// A fresh directory for one test, removed with everything in it by ``remove()``.
struct TemporaryDirectory {
    /// Its absolute path, without a `/` at the end.
    let path: String

    /// Creates it below the system's directory for such things.
    init() throws {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        guard let made = "\(parent)/balsa-tests-XXXXXX".withCString({ mkdtemp(strdup($0)) }) else {
            throw FileError(.createDirectory, parent, FileError.Number(rawValue: errno))
        }
        path = String(cString: made)
        free(made)
    }

    /// The path of `name` in it.
    func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Removes it.
    func remove() throws {
        try TemporaryDirectory.remove(path, in: LinuxFileSystem())
    }

    private static func remove(_ directory: String, in fileSystem: LinuxFileSystem) throws {
        for name in try fileSystem.list(directory) {
            let path = "\(directory)/\(name)"
            let isDirectory = (try? fileSystem.list(path)) != nil
            try isDirectory ? remove(path, in: fileSystem) : fileSystem.remove(path)
        }
        try fileSystem.remove(directory)
    }
}
