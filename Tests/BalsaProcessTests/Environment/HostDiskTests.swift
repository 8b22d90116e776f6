import BalsaPlatform
import Foundation
import XCTest

@testable import Balsa

/// Disks and files that only a user with privileges can make so: immutable ones, and a disk that is not mounted any
/// more.
final class HostDiskTests: ProcessTestCase {
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = try Folder()
        await check { try await body(folder.path) }
        try folder.remove()
    }

    // MARK: Immutable files

    func testOpening_ofAnImmutableDirectory_saysThatItIsNotPermitted() async throws {
        try requireImmutableFiles()
        try await withFolder { folder in
            let directory = folder + "/D"
            let before = try await HostProcess.run([.open(directory), .put(10), .closeStore], in: folder)
            XCTAssertEqual(before, ["opened", "put: 10", "closed"])
            XCTAssertTrue(try attributes("+i", directory))
            let lines = try await HostProcess.run([.open(directory)], in: folder)
            XCTAssertTrue(try attributes("-i", directory))
            XCTAssertTrue(lines[0].contains("Operation not permitted (errno 1)"), "\(lines)")
            XCTAssertTrue(lines[0].contains("create directory \(directory)"), "\(lines)")
            XCTAssertFalse(lines[0].contains("lacks"), "\(lines)")
            let after = try await HostProcess.run([.open(directory), .put(10), .check], in: folder)
            XCTAssertEqual(after, ["opened", "put: 10", "losses: []"])
        }
    }

    /// Each file of a closed store in turn, in a copy of its directory.
    func testOpening_withAnImmutableFile_succeedsOrNamesItAndLosesNothing() async throws {
        try requireImmutableFiles()
        try await withFolder { folder in
            let before = try await HostProcess.run([.open("D"), .put(200), .closeStore], in: folder)
            XCTAssertEqual(before, ["opened", "put: 200", "closed"])
            let files = try Folder.files(in: folder + "/D")
            let copies = files.indices.map { "\(folder)/D\($0)" }
            for (copy, file) in zip(copies, files) {
                try FileManager.default.copyItem(atPath: folder + "/D", toPath: copy)
                XCTAssertTrue(try attributes("+i", copy + "/" + file))
            }
            let lines = try await HostProcess.run(copies.flatMap { [.open($0), .closeStore] }, in: folder)
            for (copy, file) in zip(copies, files) { XCTAssertTrue(try attributes("-i", copy + "/" + file)) }
            XCTAssertEqual(lines.count, 2 * files.count, "\(lines)")
            var refused: [String] = []
            for (index, file) in files.enumerated() where lines[2 * index] != "opened" {
                refused.append(file)
                let line = lines[2 * index]
                XCTAssertTrue(line.contains("Operation not permitted (errno 1)"), "\(file): \(line)")
                XCTAssertTrue(line.contains(copies[index] + "/" + file), "\(file): \(line)")
                for word in ["lacks", "damaged", "in use"] { XCTAssertFalse(line.contains(word), "\(file): \(line)") }
            }
            let written = ["BOOT", "LOCK", "groups/1/ROOT", "groups/1/VOTE"]
            XCTAssertTrue(Set(refused).isSuperset(of: written), "\(refused)")
            for copy in copies {
                let store = try await TestStores.open(copy)
                for number in 110..<200 {
                    let entry = try await store.get(Bytes("key-\(number % 90)"))
                    XCTAssertEqual(entry?.value, Bytes(Acknowledged.value(number)), "\(copy)")
                }
                await store.close()
            }
        }
    }

    // MARK: A disk that goes

    /// The disk goes while the store runs: what is acknowledged then would be found by nobody.
    func testMountPoint_unmountedWhileRunning_failsTheStoreAndIsNotTakenForAnEmptyOne() async throws {
        let folder = try Folder().path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (disk, point, go) = (folder + "/disk", folder + "/D", folder + "/go")
        for path in [disk, point] {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        }
        func mountDisk() -> Bool { mount(disk, point, "", UInt(MS_BIND), nil) == 0 }
        func unmountDisk() { umount2(point, Int32(MNT_DETACH)) }
        guard mountDisk() else { throw XCTSkip("nothing can be mounted here: error \(errno)") }
        defer { unmountDisk() }
        await check {
            let host = try HostProcess(
                [.open(point), .put(200), .awaitFile(go), .put(2_000), .awaitFailure, .closeStore],
                in: folder
            )
            try await host.awaitLine("put: 200")
            unmountDisk()
            XCTAssertTrue(FileManager.default.createFile(atPath: go, contents: nil))
            let lines = try await host.end()
            XCTAssertTrue(lines.contains { $0.hasPrefix("failed") && $0.contains(HostTests.exchanged) }, "\(lines)")
            XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: point), [])
            let refused = try await HostProcess.run([.openExisting(point)], in: folder)
            XCTAssertTrue(refused.first?.contains("\(point) holds no store") ?? false, "\(refused)")
            XCTAssertTrue(mountDisk())
            let store = try await TestStores.open(point)
            // The latest of each key, unless it was written again before the disk had gone.
            for number in 110..<200 {
                let entry = try await store.get(Bytes("key-\(number % 90)"))
                let found = (0..<2_200).filter { $0 % 90 == number % 90 && $0 >= number }
                XCTAssertTrue(found.contains { entry?.value == Bytes(Acknowledged.value($0)) }, "key-\(number % 90)")
            }
            await store.close()
        }
    }

    /// Throws where this machine or this user can make no file immutable.
    private func requireImmutableFiles() throws {
        let folder = try Folder()
        defer { try? folder.remove() }
        guard try attributes("+i", folder.path), try attributes("-i", folder.path) else {
            throw XCTSkip("no file can be made immutable here")
        }
    }

    /// Changes attributes of a file.
    ///
    /// - Returns: false where this machine or this user cannot.
    private func attributes(_ change: String, _ path: String) throws -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["chattr", change, path]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}
