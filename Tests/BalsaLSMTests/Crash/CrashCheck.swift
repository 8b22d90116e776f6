import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Tries out what crashes leave, and recovers from each of it.
final class CrashCheck {
    /// More than what a crash of these small workloads can leave, so that every subset of what was pending is tried.
    private static let mostStates = 1_000

    private let options: EngineOptions
    /// Of how many disk states one is recovered with crashes as well; 0 for none.
    private let nestedOneIn: Int
    /// The disk states that were recovered, by their digest, with the sequence number that was found.
    private var recovered: [UInt64: SequenceNumber] = [:]
    /// The same of the disks that recoveries left, which are not counted: many states of a disk end in the same one.
    private var recoveredTwice: [UInt64: SequenceNumber] = [:]
    /// How many file calls the work makes.
    private(set) var calls: UInt64 = 0

    init(options: EngineOptions = .cramped, nestedOneIn: Int = 0) {
        self.options = options
        self.nestedOneIn = nestedOneIn
    }

    /// A disk that keeps any subset of small sectors.
    static func makeDisk(garbage: Bool = false) -> SimulatedDisk {
        var options = DiskOptions()
        options.sectorBytes = 32
        options.tornSectorsHoldGarbage = garbage
        return SimulatedDisk(options: options)
    }

    /// A disk with an engine on it, everything durable, and who wrote what it holds.
    static func prepared(
        _ options: EngineOptions = .cramped,
        garbage: Bool = false,
        _ work: (CrashDriver) throws -> Void
    ) throws -> (SimulatedDisk, CrashDriver) {
        let disk = makeDisk(garbage: garbage)
        let driver = try CrashDriver(disk.mount(), options: options)
        try work(driver)
        try driver.seal()
        try driver.work()
        disk.processCrash()
        return (SimulatedDisk(disk.image()), driver)
    }

    /// How many different disk states were recovered.
    var stateCount: Int { recovered.count }

    /// Runs `work` with a crash at every file call, and recovers from everything that each crash may leave.
    ///
    /// - Parameter earlier: who wrote what `disk` holds.
    func run(
        on disk: SimulatedDisk = CrashCheck.makeDisk(),
        after earlier: CrashDriver? = nil,
        _ work: (CrashDriver) throws -> Void
    ) throws {
        var driver: CrashDriver?
        calls += try disk.forEachCrashPoint { files in
            driver = nil
            driver = try CrashDriver(files, options: options, after: earlier)
            try work(try XCTUnwrap(driver))
        } check: { crashed, point in
            // An engine that died while it was opened has changed nothing that counts.
            let known = driver ?? earlier
            let images = crashed.crashStates(limit: CrashCheck.mostStates)
            XCTAssertLessThan(images.count, CrashCheck.mostStates, "\(point): not every subset is tried")
            for image in images { try check(image, known, "\(point)") }
        }
    }

    /// Recovers from one state of a disk.
    private func check(_ image: DiskImage, _ known: CrashDriver?, _ place: String) throws {
        let digest = image.contentDigest
        let least = known?.acknowledged?.sequence ?? 0
        if let found = recovered[digest] {
            // The same disk, left by a process that may have known more.
            XCTAssertGreaterThanOrEqual(found, least, place)
            return
        }
        let disk = SimulatedDisk(image)
        let found = try recover(disk, known, place)
        XCTAssertGreaterThanOrEqual(found, least, "\(place): what was durable is lost")
        recovered[digest] = found
        // What was found once is found again, even if everything is lost that was not synced meanwhile.
        let left = disk.image()
        let leftDigest = left.contentDigest
        let second =
            try recovered[leftDigest] ?? recoveredTwice[leftDigest] ?? recover(SimulatedDisk(left), known, place)
        XCTAssertEqual(second, found, "\(place), recovered twice")
        recoveredTwice[leftDigest] = second
        guard nestedOneIn > 0, recovered.count % nestedOneIn == 0 else { return }
        try SimulatedDisk(image).forEachCrashPoint { files in
            let engine = try StorageEngine.open(CrashDriver.directory, fileSystem: files, options: options, seed: 1)
            while try engine.work(budget: 1_000) != .idle {}
        } check: { crashed, point in
            for image in crashed.crashStates(limit: 4) where recovered[image.contentDigest] == nil {
                let second = try recover(SimulatedDisk(image), known, "\(place), then \(point)")
                XCTAssertEqual(second, found, "\(place), then \(point)")
                recovered[image.contentDigest] = second
            }
        }
    }

    /// Opens the engine on a disk, and compares everything with what was written.
    ///
    /// - Returns: the sequence number of the record that was found.
    private func recover(_ disk: SimulatedDisk, _ known: CrashDriver?, _ place: String) throws -> SequenceNumber {
        let files = disk.mount()
        let engine: StorageEngine
        do {
            engine = try StorageEngine.open(CrashDriver.directory, fileSystem: files, options: options, seed: 1)
        } catch {
            XCTFail("\(place): \(error)")
            throw error
        }
        let seal = engine.durableSeal
        let sequence = seal?.sequence ?? 0
        if let seal { XCTAssertTrue(known?.seals.contains(seal) ?? false, "\(place): \(seal) was never sealed") }
        let model = known?.model ?? EngineModel()
        let mark = seal?.retentionMark ?? 0
        for at in Set([sequence, mark, (sequence + mark) / 2]) {
            XCTAssertEqual(try engine.pairs(at: at), model.pairs(at: at), "\(place), at \(at)")
        }
        XCTAssertNil(engine.checkInvariants(), place)
        try engine.verifyAll()
        // Everything a crash left behind goes away, and nothing else.
        while try engine.work(budget: 10_000) != .idle {}
        XCTAssertEqual(try engine.pairs(), model.pairs(at: sequence), "\(place), when all work is done")
        XCTAssertEqual(engine.durableSeal, seal, place)
        let tables = engine.metrics.levels.reduce(0) { $0 + $1.tableCount }
        let names = try files.list(CrashDriver.directory)
        XCTAssertEqual(names.count { $0.hasPrefix("table-") }, tables, "\(place): \(names)")
        XCTAssertEqual(names.count { $0.hasPrefix("MANIFEST-") }, 1, "\(place): \(names)")
        engine.close()
        return sequence
    }
}
