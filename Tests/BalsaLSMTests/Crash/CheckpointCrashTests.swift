import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Crashes while a checkpoint is made into a directory.
final class CheckpointCrashTests: XCTestCase {
    func testACheckpointIsThereAsAWholeWhenTheCallHasReturned() throws {
        let (disk, before) = try CrashCheck.prepared { driver in
            for seed in 1...3 as ClosedRange<UInt64> {
                try driver.writeAnything(seed: seed)
                try driver.seal()
                try driver.work()
            }
        }
        let expected = before.model.pairs(at: before.acknowledged?.sequence ?? 0)
        var isMade = false
        var states: Set<UInt64> = []
        var cases: Set<[UInt64]> = []
        let calls = try disk.forEachCrashPoint { files in
            isMade = false
            let engine = try StorageEngine.open("engine", fileSystem: files, options: .cramped, seed: 1)
            try engine.checkpoint(to: "checkpoint")
            isMade = true
            // The engine may go on, and remove what the checkpoint shares with it.
            try engine.apply(WriteBatch([.deleteRange("", "z")]), sequence: 1_000)
            try engine.seal(SealRecord(sequence: 1_000, retentionMark: 1_000))
            while try engine.work(budget: 10_000) != .idle {}
        } check: { crashed, point in
            for image in crashed.crashStates() {
                // The crash behind a call and the one before the next leave the same disks.
                let digest = image.contentDigest
                states.insert(digest)
                guard cases.insert([digest, isMade ? 1 : 0]).inserted else { continue }
                let files = SimulatedDisk(image).mount()
                let engine = try StorageEngine.open("engine", fileSystem: files, options: .cramped, seed: 1)
                XCTAssertEqual(try engine.pairs(), engine.durableSeal?.sequence == 1_000 ? [] : expected, "\(point)")
                // An unfinished checkpoint is not opened by anybody; a finished one opens and is right.
                guard isMade else { continue }
                let copy = try StorageEngine.open("checkpoint", fileSystem: files, options: .cramped, seed: 1)
                XCTAssertEqual(copy.durableSeal, before.acknowledged, "\(point)")
                XCTAssertEqual(try copy.pairs(), expected, "\(point)")
                try copy.verifyAll()
            }
        }
        XCTAssertGreaterThan(calls, 40)
        XCTAssertGreaterThan(states.count, 320)
    }

    func testWhatASourceGivesOutOpensAsAnEngine() throws {
        let disk = CrashCheck.makeDisk()
        let driver = try CrashDriver(disk.mount())
        for seed in 1...3 as ClosedRange<UInt64> {
            try driver.writeAnything(seed: seed)
            try driver.seal()
            try driver.work()
        }
        let source = try driver.engine.checkpoint()
        let expected = driver.model.pairs(at: source.position.sequence)
        // The tables stay while they are read, although the engine has no more use for them.
        try driver.write(.deleteRange("", "z"))
        try driver.seal(keeping: 0)
        try driver.work()
        try driver.files.createDirectory("copy")
        for (index, info) in source.files.enumerated() {
            let file = try driver.files.open("copy/" + info.name, .create)
            var offset: UInt64 = 0
            while offset < info.byteCount {
                let part = try source.read(file: index, offset: offset, count: 100)
                try file.write(part, at: offset)
                offset += UInt64(part.count)
            }
        }
        let copy = try StorageEngine.open("copy", fileSystem: driver.files, options: .cramped, seed: 1)
        XCTAssertEqual(copy.durableSeal, source.position)
        XCTAssertEqual(try copy.pairs(), expected)
        try copy.verifyAll()
    }
}
