import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaCommand

/// What `simulate` writes, on the files of this machine: nothing but a regular file is ever touched.
final class OutputFileTests: XCTestCase {
    private var folder = URL(fileURLWithPath: "/")

    override func setUpWithError() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    override func tearDownWithError() throws { try FileManager.default.removeItem(at: folder) }

    private func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    private func run(_ arguments: [String]) -> (status: Int32, lines: [String], errors: [String]) {
        var (lines, errors): ([String], [String]) = ([], [])
        let command = Simulate(files: LinuxFileSystem()) {
            lines.append($0)
        } printError: {
            errors.append($0)
        }
        return (command.run(arguments: arguments), lines, errors)
    }

    func testOutputs_thatAreNoRegularFiles_areRefusedBeforeAnythingRunsAndStay() throws {
        let (pipe, directory, link) = (path("pipe"), path("directory"), path("link"))
        XCTAssertEqual(mkfifo(pipe, 0o600), 0)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: pipe)
        for option in ["--history", "--trace", "--record", "--shrink"] {
            for target in [pipe, directory, link] {
                let result = run(["--seed", "1", "--duration", "1ms", option, target])
                XCTAssertEqual(result.status, 2, "\(option) \(target)")
                XCTAssertEqual(result.lines, [], "\(option) \(target): something ran")
                XCTAssertEqual(result.errors.count, 1, "\(option) \(target)")
                XCTAssertTrue(
                    result.errors[0].contains(
                        "\(target) exists and is not a regular file that can be written; name another file ("
                    ),
                    result.errors[0]
                )
            }
        }
        // What the message advises.
        XCTAssertEqual(run(["--seed", "1", "--duration", "1ms", "--history", path("another")]).status, 0)
        let kind = try FileManager.default.attributesOfItem(atPath: pipe)[.type] as? FileAttributeType
        XCTAssertEqual(kind, .typeUnknown, "the pipe is still there")
        var isDirectory: ObjCBool = false
        XCTAssertTrue(FileManager.default.fileExists(atPath: directory, isDirectory: &isDirectory))
        XCTAssertTrue(isDirectory.boolValue)
        XCTAssertEqual(try FileManager.default.destinationOfSymbolicLink(atPath: link), pipe)
    }

    func testRegularFile_isReplacedWhole() throws {
        let file = path("history")
        try String(repeating: "before", count: 100_000).write(toFile: file, atomically: false, encoding: .utf8)
        XCTAssertEqual(run(["--seed", "1", "--duration", "1ms", "--history", file]).status, 0)
        let text = try String(contentsOfFile: file, encoding: .utf8)
        XCTAssertTrue(text.hasPrefix("balsa-history 1\n"))
        XCTAssertFalse(text.contains("before"))
    }
}
