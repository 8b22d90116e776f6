import BalsaPlatform
import Foundation
import XCTest

@testable import Balsa

/// What a host does to its own descriptors, its working directory and its store's directory, each in a process of its
/// own.
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
            // As many as there are keys: a process knows what it has put itself.
            let third = try await HostProcess.run([.open(directory), .put(90), .check], in: folder)
            XCTAssertEqual(third, ["opened", "put: 90", "losses: []"])
        }
    }

    func testDirectory_ofARunningStore_keepsASecondProcessOutUntilItIsClosedOrKilled() async throws {
        try await withFolder { folder in
            let (directory, go) = (folder + "/D", folder + "/go")
            let refusal = "error: in use (not applied): \(directory) is already open; process "
            let first = try HostProcess(
                [.open(directory), .put(100), .awaitFile(go), .check, .closeStore, .awaitFile(folder + "/never")],
                in: folder
            )
            try await first.awaitLine("put: 100")
            let second = try await HostProcess.run([.open(directory)], in: folder)
            XCTAssertTrue(second.first?.hasPrefix(refusal) ?? false, "\(second)")
            XCTAssertTrue(second.first?.contains(" holds \(directory)/LOCK: ") ?? false, "\(second)")
            XCTAssertTrue(FileManager.default.createFile(atPath: go, contents: nil))
            try await first.awaitLine("closed")
            XCTAssertTrue(first.lines().contains("losses: []"), "\(first.lines())")
            // The first process still runs, and has closed its store.
            let third = try HostProcess([.open(directory), .put(10), .awaitFile(folder + "/never")], in: folder)
            try await third.awaitLine("put: 10")
            let fourth = try await HostProcess.run([.open(directory)], in: folder)
            XCTAssertTrue(fourth.first?.hasPrefix(refusal) ?? false, "\(fourth)")
            for host in [first, third] { try await host.kill() }
            let fifth = try await HostProcess.run([.open(directory), .put(90), .check], in: folder)
            XCTAssertEqual(fifth, ["opened", "put: 90", "losses: []"])
        }
    }

    // MARK: Errors of the environment

    func testOpening_withFewDescriptors_saysThatThereAreTooMany() async throws {
        try await withFolder { folder in
            // From none to enough: at each number the opening succeeds, or says what it lacked.
            var refusals = 0
            for count in [0, 4, 6, 8, 10, 12, 14] {
                let lines = try await HostProcess.run(
                    [.limitDescriptors(count), .open(folder + "/D\(count)")],
                    in: folder
                )
                if lines == ["opened"] { continue }
                refusals += 1
                XCTAssertEqual(lines.count, 1)
                XCTAssertTrue(lines[0].contains("Too many open files (errno 24)"), "\(count): \(lines)")
                XCTAssertTrue(lines[0].contains("; raise the limit of open files"), "\(count): \(lines)")
                XCTAssertFalse(lines[0].contains("lacks"), "\(count): \(lines)")
                // What the sentence advises.
                let raised = try await HostProcess.run([.open(folder + "/D\(count)"), .put(10), .check], in: folder)
                XCTAssertEqual(raised, ["opened", "put: 10", "losses: []"], "\(count)")
            }
            XCTAssertGreaterThan(refusals, 3)
        }
    }

    /// A store that runs out of descriptors waits for some, and loses nothing.
    func testRunningStore_withoutDescriptors_waitsForSome() async throws {
        try await withFolder { folder in
            let lines = try await HostProcess.run(
                [
                    .takeLowDescriptors, .open("D"), .put(200), .allowNoDescriptor, .tryPut(2_000), .freeDescriptors,
                    .put(300), .check,
                    .closeStore, .open("D"), .check,
                ],
                in: folder
            )
            XCTAssertEqual(lines.filter { $0.hasPrefix("error") }, [])
            XCTAssertEqual(lines.filter { $0.hasPrefix("losses") }, ["losses: []", "losses: []"])
            let puts = lines.filter { $0.hasPrefix("put") }
            XCTAssertEqual(puts.count, 3, "\(lines)")
            XCTAssertEqual(puts.dropFirst().first, "put: deadline exceeded (unknown)", "\(lines)")
            XCTAssertEqual(puts.last, "put: 300", "\(lines)")
        }
    }

    /// A container of an older release may refuse a system call that it does not know.
    func testStore_whereStatxIsRefused_keepsItsPairs() async throws {
        try await withFolder { folder in
            let steps: [HostStep] = [
                .refuseStatx, .open("D"), .put(300), .check, .closeStore, .open("D"), .put(100), .check,
            ]
            let lines = try await HostProcess.run(steps, in: folder)
            XCTAssertEqual(
                lines,
                ["opened", "put: 300", "losses: []", "closed", "opened", "put: 100", "losses: []"]
            )
        }
    }

    func testOpening_ofADirectoryThatTheUserMayNotWrite_saysThatItIsDenied() async throws {
        try await withFolder { folder in
            let directory = folder + "/D"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
            XCTAssertEqual(chmod(directory, 0o555), 0)
            // To a privileged user it would not be read-only.
            let steps: [HostStep] = (geteuid() == 0 ? [.become(65_534)] : []) + [.open(directory)]
            let lines = try await HostProcess.run(steps, in: folder)
            XCTAssertEqual(lines.count, 1, "\(lines)")
            XCTAssertTrue(
                lines[0].contains("Permission denied (errno 13)")
                    || lines[0].contains("Operation not permitted (errno 1)"),
                lines[0]
            )
            XCTAssertTrue(lines[0].contains(directory), lines[0])
            XCTAssertFalse(lines[0].contains("lacks"), lines[0])
        }
    }

    func testOpening_inPlaceOfTheDirectoryAFileOrADanglingLink_saysSo() async throws {
        try await withFolder { folder in
            try Data("text".utf8).write(to: URL(fileURLWithPath: folder + "/file"))
            try FileManager.default.createSymbolicLink(
                atPath: folder + "/link",
                withDestinationPath: folder + "/nowhere"
            )
            let lines = try await HostProcess.run(
                [
                    .open(folder + "/file"), .open(folder + "/link"), .open(folder + "/file/D"),
                    .open(folder + "/link/D"),
                ],
                in: folder
            )
            let file = "\(folder)/file is a file and not a directory; name another directory"
            let link =
                "\(folder)/link is a symbolic link that leads nowhere; create the directory that it names, or remove "
                + "the link"
            let sentences = [("/file", file), ("/link", link), ("/file/D", file), ("/link/D", link)]
            XCTAssertEqual(
                lines,
                sentences.map { "error: failed (not applied): \(folder)\($0.0) cannot be opened: \($0.1)" }
            )
            // What the sentences advise: another directory; the one that the link names; no link.
            let other = try await HostProcess.run([.open(folder + "/other"), .put(10), .check], in: folder)
            XCTAssertEqual(other, ["opened", "put: 10", "losses: []"])
            try FileManager.default.createDirectory(atPath: folder + "/nowhere", withIntermediateDirectories: false)
            let after = try await HostProcess.run([.open(folder + "/link"), .put(10), .check], in: folder)
            XCTAssertEqual(after, ["opened", "put: 10", "losses: []"])
            try FileManager.default.removeItem(atPath: folder + "/link")
            let removed = try await HostProcess.run([.open(folder + "/link"), .put(10), .check], in: folder)
            XCTAssertEqual(removed, ["opened", "put: 10", "losses: []"])
        }
    }

    func testOpening_belowDirectoriesThatAreMissing_createsThem() async throws {
        try await withFolder { folder in
            let lines = try await HostProcess.run([.open("a/b/D"), .put(10), .check], in: folder)
            XCTAssertEqual(lines, ["opened", "put: 10", "losses: []"])
            XCTAssertTrue(FileManager.default.fileExists(atPath: folder + "/a/b/D/IDENTITY"))
        }
    }

    func testOpening_thatMustFindAStore_refusesAnEmptyMountPointAndCreatesNothing() async throws {
        try await withFolder { folder in
            let mountPoint = folder + "/D"
            try FileManager.default.createDirectory(atPath: mountPoint, withIntermediateDirectories: false)
            let advice =
                "and `mustExist` is set: mount the disk that holds the store, or open without `mustExist` to create a "
                + "new one"
            let refused = try await HostProcess.run(
                [.openExisting(mountPoint), .openExisting(mountPoint + "/E")],
                in: folder
            )
            XCTAssertEqual(
                refused,
                [
                    "error: failed (not applied): \(mountPoint) holds no store, \(advice)",
                    "error: failed (not applied): \(mountPoint)/E does not exist, \(advice)",
                ]
            )
            XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: mountPoint), [])
            // What the sentence advises.
            let lines = try await HostProcess.run(
                [.open(mountPoint), .put(10), .closeStore, .openExisting(mountPoint), .check],
                in: folder
            )
            XCTAssertEqual(lines, ["opened", "put: 10", "closed", "opened", "losses: []"])
        }
    }

    func testClosedStore_thatIsStillReferenced_keepsNoDescriptors() async throws {
        try await withFolder { folder in
            // The first store makes what the process keeps.
            let use: [HostStep] = [.open("D"), .put(200), .closeStore, .countDescriptors]
            let lines = try await HostProcess.run(use + use + use + [.descriptors(folder + "/D")], in: folder)
            let counts = lines.filter { $0.hasPrefix("descriptors") }
            XCTAssertEqual(counts.count, 3)
            XCTAssertEqual(Set(counts).count, 1, "\(lines)")
            XCTAssertEqual(lines.last, "files: 0")
        }
    }

    func testOpening_withoutAThread_saysSoAndEnds() async throws {
        try await withFolder { folder in
            XCTAssertEqual(chmod(folder, 0o777), 0)
            var refusals = 0
            // A limit of threads holds for users without privileges only.
            for count in [0, 1, 2, 3] {
                let lines = try await HostProcess.run(
                    [.limitThreads(count), .open("D\(count)"), .countDescriptors],
                    in: folder
                )
                guard lines.first != "opened" else { continue }
                refusals += 1
                XCTAssertTrue(lines.first?.contains("Resource temporarily unavailable (errno 11)") ?? false, "\(lines)")
                XCTAssertTrue(lines.first?.contains("thread") ?? false, "\(lines)")
            }
            XCTAssertGreaterThan(refusals, 0)
        }
    }

    // MARK: Paths whose meaning changes

    static let exchanged = "it or its directory was renamed, replaced or removed while it was open"

    func testWorkingDirectory_changedToAnotherStore_changesNothing() async throws {
        try await withFolder { folder in
            try FileManager.default.createDirectory(atPath: folder + "/other", withIntermediateDirectories: false)
            let lines = try await HostProcess.run(
                [
                    .changeDirectory("other"), .open("D"), .put(100), .closeStore, .changeDirectory(".."),
                    .open("D"), .put(100), .changeDirectory("other"), .put(600), .check, .closeStore,
                    .changeDirectory(".."), .open("D"), .check,
                ],
                in: folder
            )
            XCTAssertEqual(lines.filter { $0.hasPrefix("error") }, [])
            XCTAssertEqual(lines.filter { $0.hasPrefix("put") }, ["put: 100", "put: 100", "put: 600"])
            XCTAssertEqual(lines.suffix(1), ["losses: []"])
            let other = try await HostProcess.run([.open("other/D"), .put(90), .check], in: folder)
            XCTAssertEqual(other, ["opened", "put: 90", "losses: []"])
        }
    }

    /// Does something to the directory of a running store, and holds that the store fails, says why, and has lost
    /// nothing.
    ///
    /// - Parameters:
    ///   - change: what is done to `D`.
    ///   - restore: what brings the directory back that was open; nil where it is gone.
    private func checkExchange(_ change: [HostStep], restore: [HostStep]?) async throws {
        try await withFolder { folder in
            var steps: [HostStep] = [.open("D"), .put(200)] + change + [.put(2_000), .awaitFailure, .closeStore]
            if let restore { steps += restore + [.open("D"), .check] }
            let lines = try await HostProcess.run(steps, in: folder)
            let puts = lines.filter { $0.hasPrefix("put") }
            XCTAssertEqual(puts.first, "put: 200")
            XCTAssertTrue(puts.last?.contains(HostTests.exchanged) ?? false, "\(lines)")
            let failed = lines.first { $0.hasPrefix("failed") } ?? ""
            XCTAssertTrue(failed.contains(folder + "/D") && failed.contains(HostTests.exchanged), "\(lines)")
            XCTAssertEqual(lines.filter { $0.hasPrefix("error") }, [])
            if restore != nil { XCTAssertEqual(lines.last, "losses: []") }
        }
    }

    /// And then does what the sentence advises.
    func testDirectory_renamedWhileRunning_failsTheStore() async throws {
        try await checkExchange([.rename("D", "E")], restore: [.rename("E", "D")])
    }

    func testDirectory_replacedByACopyWhileRunning_failsTheStore() async throws {
        try await checkExchange(
            [.copy("D", "copy"), .rename("D", "E"), .rename("copy", "D")],
            restore: [.remove("D"), .rename("E", "D")]
        )
    }

    func testDirectory_removedWhileRunning_failsTheStore() async throws {
        try await checkExchange([.remove("D")], restore: nil)
    }

    func testDirectoryBelow_replacedByACopyWhileRunning_failsTheStore() async throws {
        try await checkExchange(
            [.copy("D/log", "copy"), .rename("D/log", "E"), .rename("copy", "D/log")],
            restore: [.remove("D/log"), .rename("E", "D/log")]
        )
    }

    /// The files that are open have no name any more: what is acknowledged would be in no file that can be found.
    func testFilesOfTheLog_replacedByCopiesWhileRunning_failTheStore() async throws {
        try await checkExchange([.replaceFiles("D/log")], restore: nil)
    }

    /// The engine asks how much space is free before it flushes. That the directory is gone is no reason to wait.
    func testDirectoryOfTheState_removedWhileRunning_failsTheStore() async throws {
        try await checkExchange([.remove("D/groups/1/state-1")], restore: nil)
    }

    func testDirectoryOfTheState_renamedWhileRunning_failsTheStore() async throws {
        try await checkExchange(
            [.rename("D/groups/1/state-1", "E")],
            restore: [.rename("E", "D/groups/1/state-1")]
        )
    }

    func testDirectoryOfTheState_replacedByACopyWhileRunning_failsTheStore() async throws {
        try await checkExchange(
            [
                .copy("D/groups/1/state-1", "copy"), .rename("D/groups/1/state-1", "E"),
                .rename("copy", "D/groups/1/state-1"),
            ],
            restore: [.remove("D/groups/1/state-1"), .rename("E", "D/groups/1/state-1")]
        )
    }
}
