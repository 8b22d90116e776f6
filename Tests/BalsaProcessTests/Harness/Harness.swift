import BalsaPlatform
import Foundation
import XCTest

/// Why a test cannot go on, in a sentence.
struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Waits until `condition` holds.
///
/// The limit is for a hang only: it is so long that a busy machine does not reach it.
///
/// - Throws: a ``Failure`` that says what never came.
func eventually(
    _ what: @autoclosure () -> String,
    _ condition: () async throws -> Bool
) async throws {
    let limit = Duration.seconds(120)
    let end = ContinuousClock.now + limit
    while true {
        if try await condition() { return }
        guard ContinuousClock.now < end else { throw Failure("within \(limit) it never came true that \(what())") }
        try await Task.sleep(for: .milliseconds(2))
    }
}

/// Whether more is tried than there is time for in every run: where the environment has `BALSA_THOROUGH`.
enum Thoroughness {
    static let isWanted = ProcessInfo.processInfo.environment["BALSA_THOROUGH"] != nil
}

/// A directory of one test.
struct Folder {
    let path: String

    /// Makes one below `parent`, which is that for temporary things unless something else is said.
    init(below parent: String? = nil) throws {
        let parent = parent ?? FileManager.default.temporaryDirectory.path
        path = parent + (parent.hasSuffix("/") ? "" : "/") + "balsa-processes-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    /// Where files are kept in memory, on a machine that has such a place: syncs cost nothing there, and there are many.
    static var inMemory: String? {
        let path = "/dev/shm"
        return FileManager.default.isWritableFile(atPath: path) ? path : nil
    }

    func remove() throws { try FileManager.default.removeItem(atPath: path) }

    /// The paths of all files in it, relative to it, in their order.
    static func files(in directory: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: directory).filter { path in
            var isDirectory: ObjCBool = false
            return FileManager.default.fileExists(atPath: directory + "/" + path, isDirectory: &isDirectory)
                && !isDirectory.boolValue
        }.sorted()
    }
}

/// The command's executable, which is built beside the tests.
enum Executable {
    static func path() throws -> String {
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        let path = own.deletingLastPathComponent().appendingPathComponent("balsa").path
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw Failure("there is no executable at \(path)")
        }
        return path
    }
}

/// A test of processes: a member that ended must not end the tests with it.
class ProcessTestCase: XCTestCase {
    override class func setUp() {
        super.setUp()
        signal(SIGPIPE, SIG_IGN)
    }

    /// Runs `body`, and makes a failed test of what it throws.
    func check(_ body: () async throws -> Void, file: StaticString = #filePath, line: UInt = #line) async {
        do {
            try await body()
        } catch {
            XCTFail("\(error)", file: file, line: line)
        }
    }
}
