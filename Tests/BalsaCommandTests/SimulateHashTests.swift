import BalsaSimulation
import Foundation
import XCTest

/// The hash of a run depends on the code and the seed, and on nothing around the process.
final class SimulateHashTests: XCTestCase {
    private static let seconds: UInt64 = 2
    private static let seeds: ClosedRange<UInt64> = 1...2

    /// The lines of `balsa simulate` in a process with this environment, in this working directory.
    private func lines(_ environment: [String: String], in directory: String) throws -> [String] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            .deletingLastPathComponent().appendingPathComponent("balsa")
        process.arguments = [
            "simulate", "--seeds", "\(SimulateHashTests.seeds.lowerBound)..\(SimulateHashTests.seeds.upperBound)",
            "--duration", "\(SimulateHashTests.seconds)s",
        ]
        // What the loader needs to find the libraries, and nothing else of this process.
        let kept = ProcessInfo.processInfo.environment.filter { $0.key == "LD_LIBRARY_PATH" }
        process.environment = environment.merging(kept) { own, _ in own }
        process.currentDirectoryURL = URL(fileURLWithPath: directory)
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        XCTAssertEqual(process.terminationStatus, 0, text)
        return text.split(separator: "\n").map(String.init).filter { $0.hasPrefix("seed ") }
    }

    func testHash_inOtherProcessesAndEnvironments_isTheSame() throws {
        let plain = try lines([:], in: "/")
        XCTAssertEqual(plain.count, SimulateHashTests.seeds.count)
        // Hashes of sets and dictionaries are drawn for each process, unless the last variable forbids it.
        let other = try lines(
            [
                "TZ": "Asia/Kathmandu", "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8", "HOME": "/nonexistent",
                "TMPDIR": "/nonexistent", "SWIFT_DETERMINISTIC_HASHING": "1",
            ],
            in: FileManager.default.temporaryDirectory.path
        )
        XCTAssertEqual(plain, other)

        let hashes = SimulateHashTests.seeds.map { seed in
            let scenario = Scenario(seed: seed, members: 3, duration: .seconds(SimulateHashTests.seconds))
            let hash = String(Simulation(scenario).run().traceHash, radix: 16)
            return String(repeating: "0", count: 16 - hash.count) + hash
        }
        XCTAssertEqual(plain.map { String($0.split(separator: " ").last ?? "") }, hashes)
    }
}
