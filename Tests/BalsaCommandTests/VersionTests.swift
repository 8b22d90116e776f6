import BalsaPlatform
import Foundation
import XCTest

/// The programs say which release they are.
final class VersionTests: XCTestCase {
    private func output(of arguments: [String]) throws -> (text: String, status: Int32) {
        let process = Process()
        process.executableURL = try MemberExecutable.url()
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (text, process.terminationStatus)
    }

    func testVersion_ofTheProgramAndOfEachCommand_isPrinted() throws {
        for command in [[], ["check-history"], ["demo"], ["member"], ["simulate"]] {
            let (text, status) = try output(of: command + ["--version"])
            XCTAssertEqual(text, "balsa \(Release.version)\n", "\(command)")
            XCTAssertEqual(status, 0, "\(command)")
        }
        let (text, status) = try output(of: ["sing", "--version"])
        XCTAssertEqual(text, "balsa: there is no command 'sing'; 'balsa --help' lists them\n")
        XCTAssertEqual(status, 2)
    }

    func testVersion_ofThePage_isThatOfTheProgram() throws {
        var package = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { package.deleteLastPathComponent() }
        let page = try String(contentsOf: package.appendingPathComponent("README.md"), encoding: .utf8)
        XCTAssertTrue(page.contains("`balsa --version` says `\(Release.version)`"))
    }
}
