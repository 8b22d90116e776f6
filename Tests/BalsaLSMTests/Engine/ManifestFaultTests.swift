import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Manifests that cannot be written, published or removed: what is left of them is bounded, and nothing durable is lost.
final class ManifestFaultTests: XCTestCase {
    private let hook = FailingCalls()

    /// Whether a call makes the bytes of a manifest durable.
    private static func syncsManifest(_ call: DiskCall) -> Bool {
        call.operation == .sync && call.path.contains("MANIFEST-")
    }

    private static func removesManifest(_ call: DiskCall) -> Bool {
        call.operation == .remove && call.path.contains("MANIFEST-")
    }

    private func attempt(_ fixture: EngineFixture, times: Int) {
        for _ in 0..<times {
            do throws(EngineError) {
                _ = try fixture.engine.work(budget: 1 << 20)
            } catch {
                XCTAssertEqual(error.code, .file, "\(error)")
            }
        }
    }

    // MARK: Space

    func testFailedManifestsAreNotLeftBehind() throws {
        let fixture = try EngineFixture(hook: hook)
        try fixture.put("a", "b")
        try fixture.seal()
        // The edit of the flush fails, and then every manifest that is to take its place.
        hook.fault = { Self.syncsManifest($0) ? .fail(.noSpace) : nil }
        attempt(fixture, times: 200)
        XCTAssertEqual(try fixture.files("MANIFEST-").count, 1)
        hook.fault = { _ in nil }
        try fixture.work()
        XCTAssertEqual(fixture.engine.durableSeal?.sequence, 1)
        XCTAssertEqual(try fixture.files("MANIFEST-").count, 1)
    }

    func testFailedOpeningsLeaveNothing() throws {
        let fixture = try EngineFixture()
        try fixture.put("a", "b")
        try fixture.flush()
        let before = try fixture.files("")
        hook.fault = { Self.syncsManifest($0) ? .fail(.noSpace) : nil }
        for _ in 0..<20 {
            assertFails(.file, .sync, .noSpace, naming: "MANIFEST-") { try fixture.reopen(hook: hook) }
            XCTAssertEqual(try fixture.files(""), before)
        }
        try fixture.reopen()
        XCTAssertEqual(try fixture.pairs(), ["a=b"])
    }

    func testFailedCreationsLeaveNothing() throws {
        let disk = SimulatedDisk()
        hook.fault = { Self.syncsManifest($0) ? .failAfter(.noSpace) : nil }
        for _ in 0..<20 {
            assertFails(.file, .sync, .noSpace, naming: "MANIFEST-") {
                try StorageEngine.open("engine", fileSystem: disk.mount(hook), options: .tiny, seed: 1)
            }
            XCTAssertEqual(try disk.mount().list("engine"), ["LOCK"])
        }
        XCTAssertNoThrow(try StorageEngine.open("engine", fileSystem: disk.mount(), options: .tiny, seed: 1))
    }

    /// An engine with a manifest of 50 kB on a disk of 400 kB, the rest of which a file of somebody else's fills.
    private func fullDisk() throws -> (fixture: EngineFixture, ballast: any File, ballastBytes: UInt64) {
        var options = DiskOptions()
        options.capacityBytes = 400_000
        let fixture = try EngineFixture(disk: SimulatedDisk(options: options))
        try fixture.put("a", "b")
        try fixture.seal(state: Bytes([UInt8](repeating: 7, count: 50_000)))
        try fixture.work()
        let ballast = try fixture.disk.mount().open("ballast", .create)
        var size: UInt64 = 0
        while (try? ballast.write(Bytes([UInt8](repeating: 1, count: 1_000)), at: size)) != nil { size += 1_000 }
        return (fixture, ballast, size)
    }

    func testSpaceThatComesBackIsNotEatenByAttempts() throws {
        let (fixture, ballast, full) = try fullDisk()
        try fixture.put("c", "d")
        try fixture.seal(state: Bytes([UInt8](repeating: 8, count: 50_000)))
        attempt(fixture, times: 20)
        XCTAssertEqual(fixture.engine.durableSeal?.sequence, 1)
        for piece in 1...8 as ClosedRange<UInt64> {
            try ballast.setSize(full - 20_000 * piece)
            attempt(fixture, times: 5)
        }
        XCTAssertEqual(fixture.engine.durableSeal?.sequence, 2, "160 kB were freed, and an image has 50 kB")
    }

    func testAFullDiskThatGivesRoomInPartsIsOpenedAsSoonAsThereIsEnough() throws {
        var (fixture, _, size) = try fullDisk()
        var opened = 0
        for _ in 0..<7 {
            size -= 20_000
            try fixture.disk.mount().open("ballast", .readWrite).setSize(size)
            do {
                try fixture.reopen()
                opened += 1
            } catch { XCTAssertEqual(error.cause?.number, .noSpace) }
        }
        XCTAssertGreaterThanOrEqual(opened, 4, "60 kB are enough for an image of 50 kB")
        XCTAssertLessThanOrEqual(try fixture.files("MANIFEST-").count, 2)
        XCTAssertEqual(try fixture.get("a"), "b")
    }

    func testALongManifestThatCannotBeReplacedDoesNotHoldUpFlushes() throws {
        var options = EngineOptions.tiny
        options.manifestBytes = 500
        let fixture = try EngineFixture(hook: hook, options: options)
        hook.fault = { $0.operation == .open && $0.path.contains("MANIFEST-") ? .fail(.noSpace) : nil }
        for round in 0..<20 {
            try fixture.put("k\(100 + round)".bytes, "v".bytes)
            try fixture.seal(state: Bytes([UInt8](repeating: 7, count: 100)))
            attempt(fixture, times: 20)
            XCTAssertEqual(fixture.engine.durableSeal?.sequence, fixture.sequence)
        }
        XCTAssertGreaterThan(fixture.engine.metrics.manifestBytes, 20_000)
        hook.fault = { _ in nil }
        try fixture.work()
        XCTAssertEqual(fixture.engine.metrics.manifests, 1)
        try fixture.reopen()
        XCTAssertEqual(try fixture.pairs().count, 20)
    }

    // MARK: Files that cannot be removed

    func testManifestsThatCannotBeRemovedAreBounded() throws {
        let fixture = try EngineFixture(hook: hook)
        try fixture.put("a", "b")
        try fixture.seal()
        hook.fault = { Self.syncsManifest($0) || Self.removesManifest($0) ? .fail(.inputOutput) : nil }
        attempt(fixture, times: 50)
        let bound = 1 + FileRemovals.maxManifests
        XCTAssertEqual(try fixture.files("MANIFEST-").count, bound)
        for _ in 0..<10 {
            assertFails(.file, .remove, .inputOutput, naming: "MANIFEST-") { try fixture.reopen(hook: hook) }
            XCTAssertEqual(try fixture.files("MANIFEST-").count, bound)
        }
        hook.fault = { Self.removesManifest($0) ? .fail(.inputOutput) : nil }
        assertFails(.file, .remove, .inputOutput, naming: "MANIFEST-") { try fixture.reopen(hook: hook) }
        hook.fault = { _ in nil }
        try fixture.reopen(hook: hook)
        try fixture.work()
        XCTAssertEqual(try fixture.files("MANIFEST-").count, 1)
    }

    func testOneManifestThatCannotBeRemovedKeepsNoEngineFromOpening() throws {
        let fixture = try EngineFixture()
        try fixture.put("a", "b")
        try fixture.flush()
        try fixture.disk.mount().open("engine/MANIFEST-900", .create).close()
        hook.fault = { $0.operation == .remove && $0.path.hasSuffix("MANIFEST-900") ? .fail(.inputOutput) : nil }
        try fixture.reopen(hook: hook)
        XCTAssertEqual(try fixture.pairs(), ["a=b"])
        assertFails(.file, .remove, .inputOutput, naming: "MANIFEST-900") { try fixture.work() }
        hook.fault = { _ in nil }
        try fixture.work()
        XCTAssertEqual(try fixture.files("MANIFEST-"), ["MANIFEST-901"])
    }

    // MARK: Publications of unknown outcome

    /// Lets every renaming of CURRENT, or every sync behind it, fail.
    private func failPublishing(_ answer: DiskAnswer, behindRename: Bool) {
        var hasRenamed = false
        hook.fault = { call in
            if call.operation == .rename {
                hasRenamed = true
                return behindRename ? nil : answer
            }
            guard call.operation == .syncDirectory, hasRenamed else { return nil }
            hasRenamed = false
            return behindRename ? answer : nil
        }
    }

    func testAManifestWhosePublicationIsUncertainIsPublishedAnewAndNoOtherIsWrittenBesideIt() throws {
        for answer in [.fail(.inputOutput), .failAfter(.inputOutput)] as [DiskAnswer] {
            for behindRename in [false, true] {
                var options = EngineOptions.tiny
                options.manifestBytes = 300
                let fixture = try EngineFixture(hook: hook, options: options)
                for _ in 0..<3 {
                    try fixture.put("a", "old")
                    try fixture.seal()
                    try fixture.work()
                }
                failPublishing(answer, behindRename: behindRename)
                for round in 0..<3 {
                    try fixture.put("a", "new")
                    try fixture.seal(state: Bytes([UInt8](repeating: UInt8(round), count: 300)))
                    attempt(fixture, times: 30)
                }
                XCTAssertEqual(try fixture.files("MANIFEST-").count, 2)
                let durable = fixture.engine.durableSeal
                // Whichever of the two a power loss leaves, it says the same, and openings find it again.
                for image in fixture.disk.crashStates(limit: 40) {
                    let engine = try StorageEngine.open(
                        "engine",
                        fileSystem: SimulatedDisk(image).mount(),
                        options: .tiny,
                        seed: 1
                    )
                    XCTAssertEqual(engine.durableSeal, durable)
                }
                hook.fault = { _ in nil }
                try fixture.work()
                XCTAssertEqual(fixture.engine.durableSeal?.sequence, 6)
                XCTAssertEqual(try fixture.files("MANIFEST-").count, 1)
                let lost = SimulatedDisk(fixture.disk.image())
                let engine = try StorageEngine.open("engine", fileSystem: lost.mount(), options: .tiny, seed: 1)
                XCTAssertEqual(engine.durableSeal?.sequence, 6)
                XCTAssertEqual(try engine.get("a")?.value, "new")
            }
        }
    }

    func testAnOpeningRemovesNoManifestThatAPowerLossCouldMakeTheLiveOne() throws {
        // The process dies with CURRENT renamed, and the name of the one before it is still the durable one.
        var states = 0
        for answer in [.fail(.inputOutput), .failAfter(.inputOutput)] as [DiskAnswer] {
            for behindRename in [false, true] {
                let fixture = try EngineFixture()
                try fixture.put("a", "b")
                try fixture.flush()
                failPublishing(answer, behindRename: behindRename)
                assertFails(.file, behindRename ? .syncDirectory : .rename, .inputOutput) {
                    try fixture.reopen(hook: hook)
                }
                XCTAssertEqual(try fixture.files("MANIFEST-").count, 2)
                fixture.disk.processCrash()
                try fixture.disk.forEachCrashPoint { files in
                    let engine = try StorageEngine.open("engine", fileSystem: files, options: .tiny, seed: 1)
                    while try engine.work(budget: 1 << 20) != .idle {}
                } check: { crashed, point in
                    for image in crashed.crashStates(limit: 40) {
                        states += 1
                        let disk = SimulatedDisk(image)
                        let engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: .tiny, seed: 1)
                        XCTAssertEqual(try engine.get("a")?.value, "b", "\(point)")
                        XCTAssertEqual(engine.durableSeal?.sequence, 1, "\(point)")
                        try engine.verifyAll()
                    }
                }
            }
        }
        XCTAssertGreaterThan(states, 300)
    }

    /// Opens the engine, which has to find everything and to tidy up, and once more behind a power loss.
    private func checkOpening(of disk: SimulatedDisk, _ place: String) throws {
        let engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: .tiny, seed: 1)
        XCTAssertEqual(try engine.get("a")?.value, "b", place)
        XCTAssertEqual(engine.durableSeal?.sequence, 1, place)
        while try engine.work(budget: 1 << 20) != .idle {}
        let names = try disk.mount().list("engine")
        XCTAssertEqual(names.count { $0.hasPrefix("MANIFEST-") }, 1, "\(place): \(names)")
        let lost = SimulatedDisk(disk.image())
        let again = try StorageEngine.open("engine", fileSystem: lost.mount(), options: .tiny, seed: 1)
        XCTAssertEqual(try again.get("a")?.value, "b", "\(place), and a power loss")
    }

    func testEveryCallOfAnOpeningMayFailOnceAndTheNextOneFindsEverything() throws {
        let fixture = try EngineFixture()
        try fixture.put("a", "b")
        try fixture.flush()
        fixture.disk.processCrash()
        try fixture.disk.mount().open("engine/MANIFEST-900", .create).close()
        let image = fixture.disk.snapshot()
        for answer in [.fail(.inputOutput), .failAfter(.inputOutput)] as [DiskAnswer] {
            var (failing, refused, opened, states) = (0, 0, 0, 0)
            var hasFailed = true
            while hasFailed {
                failing += 1
                let disk = SimulatedDisk(image)
                var calls = 0
                hasFailed = false
                hook.fault = { _ in
                    calls += 1
                    guard calls == failing else { return nil }
                    hasFailed = true
                    return answer
                }
                do throws(EngineError) {
                    let engine = try StorageEngine.open("engine", fileSystem: disk.mount(hook), options: .tiny, seed: 1)
                    opened += 1
                    // Reading is no part of the opening.
                    hook.fault = { _ in nil }
                    XCTAssertEqual(try engine.get("a")?.value, "b", "call \(failing)")
                } catch {
                    refused += 1
                    XCTAssertTrue(hasFailed, "call \(failing): \(error)")
                    XCTAssertEqual(error.cause?.number, .inputOutput, "call \(failing): \(error)")
                }
                disk.processCrash()
                // The next one finds the page cache as it is, or what a power loss leaves.
                for image in [disk.snapshot()] + disk.crashStates(limit: 40) {
                    states += 1
                    try checkOpening(of: SimulatedDisk(image), "call \(failing)")
                }
            }
            XCTAssertGreaterThan(failing, 20)
            // Only what removes a file that nobody needs may fail without a word.
            XCTAssertGreaterThan(refused, 20)
            XCTAssertEqual(refused + opened, failing)
            XCTAssertGreaterThan(states, 80)
        }
    }
}
