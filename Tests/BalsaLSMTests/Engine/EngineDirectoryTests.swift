import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaLSM

/// An engine whose directory is removed while it is open. With real files.
final class EngineDirectoryTests: XCTestCase {
    func testAFlush_whoseDirectoryWasRemoved_failsWithExchanged() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-engine-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let files = try LinuxFileSystem().bound(to: folder.path)
        let directory = folder.path + "/engine"
        let engine = try StorageEngine.open(directory, fileSystem: files, options: .tiny, seed: 1)
        defer { engine.close() }
        for sequence in 1...2 as ClosedRange<SequenceNumber> {
            var batch = WriteBatch()
            batch.put("k", "v")
            try engine.apply(batch, sequence: sequence)
            try engine.seal(SealRecord(sequence: sequence))
            // The flush is the first thing to be done, and so the first that finds out.
            guard sequence == 1 else { break }
            while try engine.work(budget: 1 << 20) != .idle {}
            try FileManager.default.removeItem(atPath: directory)
        }
        XCTAssertThrowsError(try engine.work(budget: 1 << 20)) { error in
            let error = error as? EngineError
            XCTAssertEqual(error?.code, .file)
            XCTAssertEqual(error?.cause?.number, .exchanged, "\(String(describing: error))")
        }
        XCTAssertEqual(engine.durableSeal?.sequence, 1)
    }
}
