import BalsaKeyValue
import BalsaPlatform
import Foundation
import XCTest

@testable import Balsa

/// What a store leaves on the disk, and for whom.
final class StoreDirectoryTests: StoreTestCase {
    /// The permissions of everything below a directory, and of the directory itself.
    private func permissions(in directory: String) throws -> [(path: String, isDirectory: Bool, mode: mode_t)] {
        let names = try XCTUnwrap(FileManager.default.enumerator(atPath: directory)?.allObjects as? [String])
        return try (names.map { "\(directory)/\($0)" } + [directory]).map { path in
            var status = stat()
            guard lstat(path, &status) == 0 else { throw FileError(.status, path, .notFound) }
            return (path, status.st_mode & S_IFMT == S_IFDIR, status.st_mode & 0o7777)
        }
    }

    /// Work that makes files of every kind: log segments, votes, tables, manifests.
    private func work(in place: String) async throws {
        var options = StoreOptions()
        options.keyValue.engine.memtableBytes = 32 << 10
        options.keyValue.engine.manifestBytes = 1 << 10
        options.replica.sealStateAfterBytes = 64 << 10
        for _ in 0..<2 {
            let store = try await ReplicatedStore.open(at: place, options: options)
            for number in 0..<150 {
                try await store.put(Bytes("k\(number % 50)"), Bytes([UInt8](repeating: 7, count: 1_000)))
            }
            try await eventually("it was flushed") { await store.status().engine.flushes > 2 }
            await store.close()
        }
    }

    func testEverythingBelongsToTheOwnerAloneWhateverTheMaskSays() async throws {
        for mask in [0o000, 0o022, 0o277, 0o777] as [mode_t] {
            let place = "\(directory)/mask-\(String(mask, radix: 8))"
            let before = umask(mask)
            defer { umask(before) }
            try await work(in: place)
            let found = try permissions(in: place)
            XCTAssertGreaterThan(found.count { !$0.isDirectory }, 5, "there is something to look at")
            for (path, isDirectory, mode) in found {
                XCTAssertEqual(mode, isDirectory ? 0o700 : 0o600, "\(path), under the mask \(String(mask, radix: 8))")
            }
        }
    }

    func testTheProbeLeavesNothingBehind() async throws {
        let store = try await ReplicatedStore.open(at: directory + "/store")
        let names = try LinuxFileSystem().list(directory + "/store")
        XCTAssertFalse(names.contains(FileSystemProbe.folderName), "\(names)")
        await store.close()
    }

    func testAStore_whoseOptionsCannotWork_leavesNoDirectory() async throws {
        let changes: [(message: String, change: (inout StoreOptions) -> Void)] = [
            ("sessionWindow must be 1 to 1048576, not 0", { $0.replicated.sessionWindow = 0 }),
            ("maxOutstandingCommands must be at least 1, not 0", { $0.maxOutstandingCommands = 0 }),
            ("maxWaitingBytes must be at least 1, not -1", { $0.maxWaitingBytes = -1 }),
            ("timeout must be above 0, not 0.0 seconds", { $0.timeout = .zero }),
            ("drainLimit must be at least 0, not -1.0 seconds", { $0.drainLimit = .seconds(-1) }),
            (
                "maxReplyBytes must be at least 26624, the replies of one session, not 0",
                { $0.replicated.maxReplyBytes = 0 }
            ),
            ("levels must be 2 to 16, not 0", { $0.keyValue.engine.levels = 0 }),
            (
                "hasWriteAheadLog must be false, not true: the log of the group is the engine's write-ahead log",
                { $0.keyValue.engine.hasWriteAheadLog = true }
            ),
            ("chunkBytes must be at least 1, not 0", { $0.replica.chunkBytes = 0 }),
            ("applyPageBytes must be at least 1, not 0", { $0.replica.applyPageBytes = 0 }),
            ("workBudgetBytes must be at least 1, not 0", { $0.replica.workBudgetBytes = 0 }),
            ("maxReadQuestions must be at least 1, not 0", { $0.replica.maxReadQuestions = 0 }),
            ("maxWaitingBytes must be at least 1, not 0", { $0.replica.maxWaitingBytes = 0 }),
            ("maxWaitingReads must be at least 1, not 0", { $0.replica.maxWaitingReads = 0 }),
            ("resendChunkAfter must be above 0, not 0.0 seconds", { $0.replica.resendChunkAfter = .zero }),
            ("deadlineGranularity must be above 0, not 0.0 seconds", { $0.replica.deadlineGranularity = .zero }),
            (
                "heartbeatInterval must be above 0, not 0.0 seconds",
                { $0.replica.raft.heartbeatInterval = .zero }
            ),
            (
                "firstBootSaysAgainAfter must be above 0, not 0.0 seconds",
                { $0.replica.firstBootSaysAgainAfter = .zero }
            ),
            (
                "sectorBytes must be a power of two, 64 to 65536, not 3",
                { $0.replica.log.sectorBytes = 3 }
            ),
        ]
        let place = directory + "/store"
        for (message, change) in changes {
            var options = StoreOptions()
            change(&options)
            let error = await refusal { _ = try await ReplicatedStore.open(at: place, options: options) }
            XCTAssertEqual(error?.message, message)
            XCTAssertEqual(error?.reason, .invalid, message)
            XCTAssertEqual(error?.outcome, .notApplied, message)
            XCTAssertFalse(try LinuxFileSystem().exists(place), message)
        }
        let store = try await ReplicatedStore.open(at: place)
        await store.close()
    }

    func testWhatACrashLeftOfTheProbeIsRemoved() async throws {
        let fileSystem = LinuxFileSystem()
        let folder = directory + "/" + FileSystemProbe.folderName
        try fileSystem.createDirectory(folder)
        for name in ["first", "linked", "second"] { try fileSystem.open("\(folder)/\(name)", .create).close() }
        let store = try await ReplicatedStore.open(at: directory)
        XCTAssertFalse(try fileSystem.exists(folder))
        await store.close()
    }
}
