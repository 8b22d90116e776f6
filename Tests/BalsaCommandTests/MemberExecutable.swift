import Foundation
import XCTest

/// The program `balsa`, which is built beside the tests.
enum MemberExecutable {
    struct Missing: Error, CustomStringConvertible {
        let path: String
        var description: String { "there is no program at \(path): build all products before the tests" }
    }

    /// - Throws: ``Missing``, which fails the test: a test of a process that does not run has tested nothing.
    static func url() throws -> URL {
        let url = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appendingPathComponent("balsa")
        guard FileManager.default.isExecutableFile(atPath: url.path) else { throw Missing(path: url.path) }
        return url
    }
}
