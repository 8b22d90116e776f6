import BalsaLSM
import Foundation
import XCTest

/// What `README.md` shows of the engine, line by line, with the one import that it has. `PageClaimTests` compares the two, and
/// `Tests/Consumer/run` builds the page's text as a package of its own.
final class ReadmeEngineTests: XCTestCase {
    func testEngine_asTheReadmeUsesIt_printsWhatItSays() throws {
        let parent = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: parent) }
        let directory = parent.path + "/engine"
        var printed: [String] = []
        func print(_ items: Any...) { printed.append(items.map { "\($0)" }.joined(separator: " ")) }

        var options = EngineOptions()
        options.hasWriteAheadLog = true
        let seed = UInt64.random(in: 0 ... .max)
        let engine = try StorageEngine.open(directory, fileSystem: LinuxFileSystem(), options: options, seed: seed)

        var batch = WriteBatch()
        batch.put("user/ada", "Ada Lovelace")
        let ticket = try engine.write(batch, syncing: true)
        try engine.waitForCommit(of: ticket)  // from here on it survives a power loss
        let found = try engine.get("user/ada")
        print(found.map { String($0.value) } ?? "nobody")  // Ada Lovelace
        engine.close()

        XCTAssertEqual(printed, ["Ada Lovelace"])
    }
}
