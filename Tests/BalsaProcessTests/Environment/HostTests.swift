import BalsaPlatform
import Foundation
import XCTest

@testable import Balsa

/// What a host does to its own descriptors, its working directory and its store's directory, each in a process of its own.
final class HostTests: ProcessTestCase {
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = try Folder()
        await check { try await body(folder.path) }
        try folder.remove()
    }

    func testHost_withoutFaults_keepsItsPairs() async throws {
        if let text = ProcessInfo.processInfo.environment[HostProcess.variable] {
            // This test is also the host.
            let job = try JSONDecoder().decode(HostJob.self, from: Data(text.utf8))
            await Host(job).run(job.steps)
            _exit(0)
        }
        try await withFolder { folder in
            let steps: [HostStep] = [.open("D"), .put(200), .check, .closeStore, .open("D"), .check]
            let lines = try await HostProcess.run(steps, in: folder)
            XCTAssertEqual(lines, ["opened", "put: 200", "losses: []", "closed", "opened", "losses: []"])
        }
    }

    // MARK: Descriptors 0 to 2

    private static let damage = String(repeating: "printed by the host ", count: 5)

    func testStandardDescriptors_closedBeforeOpening_areNotUsed() async throws {
        try await withFolder { folder in
            let print = HostStep.print(HostTests.damage)
            let lines = try await HostProcess.run(
                [
                    .closeDescriptors([0, 1, 2]), print, .open(folder + "/D"), print, .descriptors(folder), .put(300),
                    print, .put(300), print, .descriptors(folder), .closeStore, print, .open(folder + "/D"), print,
                    .check,
                ],
                in: folder
            )
            XCTAssertEqual(lines.filter { $0.hasPrefix("low") }, Array(repeating: "low descriptors: []", count: 2))
            XCTAssertEqual(lines.filter { $0.hasPrefix("put") }, ["put: 300", "put: 300"])
            XCTAssertEqual(lines.filter { $0.hasPrefix("error") }, [])
            XCTAssertEqual(lines.last, "losses: []")
        }
    }

    func testStandardDescriptors_closedWhileRunning_areNotUsed() async throws {
        try await withFolder { folder in
            let print = HostStep.print(HostTests.damage)
            var steps: [HostStep] = [.open(folder + "/D"), .put(100)]
            // Again after each flush: the numbers that the store itself keeps free are closed as well.
            for _ in 0..<4 {
                steps += [.closeDescriptors([0, 1, 2]), .put(150), print, .descriptors(folder), .put(50), print]
            }
            steps += [.closeStore, .closeDescriptors([0, 1, 2]), .open(folder + "/D"), print, .check]
            let lines = try await HostProcess.run(steps, in: folder)
            XCTAssertEqual(lines.filter { $0.hasPrefix("low") }, Array(repeating: "low descriptors: []", count: 4))
            let puts = Array(repeating: ["put: 150", "put: 50"], count: 4).flatMap { $0 }
            XCTAssertEqual(lines.filter { $0.hasPrefix("put") }, ["put: 100"] + puts)
            XCTAssertEqual(lines.filter { $0.hasPrefix("error") }, [])
            XCTAssertEqual(lines.last, "losses: []")
        }
    }

    // MARK: The lock

    func testLock_whoseFileIsDeletedWhileRunning_keepsASecondProcessOut() async throws {
        try await withFolder { folder in
            let (directory, go) = (folder + "/D", folder + "/go")
            let first = try HostProcess(
                [
                    .open(directory), .put(100), .remove(directory + "/LOCK"), .put(10), .awaitFile(go),
                    .put(300), .check,
                ],
                in: folder
            )
            try await first.awaitLine("put: 10")
            let second = try await HostProcess.run([.open(directory), .put(10)], in: folder)
            XCTAssertEqual(second.count, 2, "\(second)")
            XCTAssertTrue(second[0].hasPrefix("error: in use (not applied)"), second[0])
            XCTAssertTrue(second[0].contains(directory), second[0])
            XCTAssertEqual(second[1], "put: no store")
            XCTAssertTrue(FileManager.default.createFile(atPath: go, contents: nil))
            let lines = try await first.end()
            XCTAssertEqual(lines.last, "losses: []")
            let third = try await HostProcess.run([.open(directory), .put(10), .check], in: folder)
            XCTAssertEqual(third, ["opened", "put: 10", "losses: []"])
        }
    }
}
