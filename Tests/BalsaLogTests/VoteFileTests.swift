import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import BalsaLog

/// The vote file: two copies, of which one is enough, and neither is ever wrong.
final class VoteFileTests: XCTestCase {
    private func open(_ disk: SimulatedDisk) throws(VoteError) -> VoteFile {
        try VoteFile.open(disk.mount(), directory: ".", group: 5)
    }

    private func change(_ file: inout VoteFile, to state: HardState) throws(FileError) {
        let change = file.change(to: state)
        try change.first.perform()
        try change.second.perform()
        file.changeFinished()
    }

    private func record(sequence: UInt64, boot: UInt64, nonce: UInt64) -> VoteRecord {
        let binding = FileBinding(owner: .none, mark: Opening(boot: boot, nonce: nonce), seed: 1)
        return VoteRecord(group: 5, sequence: sequence, state: HardState(term: 3, vote: 1), binding: binding)
    }

    /// A disk with a vote file in its second change.
    private func sample() throws -> SimulatedDisk {
        let disk = SimulatedDisk()
        var file = try VoteFile.create(disk.mount(), directory: ".", group: 5)
        try change(&file, to: HardState(term: 3, vote: 0))
        try change(&file, to: HardState(term: 3, vote: 2))
        return disk
    }

    func testWhatWasChangedIsRemembered() throws {
        let disk = try sample()
        XCTAssertEqual(try open(disk).state, HardState(term: 3, vote: 2))
        XCTAssertEqual(try open(SimulatedDisk(disk.image())).state, HardState(term: 3, vote: 2))
    }

    func testAVoteFileIsNeverOverwrittenAndNeverMissedSilently() throws {
        let disk = try sample()
        XCTAssertThrowsError(try VoteFile.create(disk.mount(), directory: ".", group: 5)) {
            XCTAssertEqual(($0 as? VoteError)?.reason, .exists)
        }
        XCTAssertThrowsError(try open(SimulatedDisk())) { XCTAssertEqual(($0 as? VoteError)?.reason, .missing) }
        XCTAssertThrowsError(try VoteFile.open(disk.mount(), directory: ".", group: 6)) {
            XCTAssertEqual(($0 as? VoteError)?.reason, .wrongGroup)
        }
    }

    func testOneDamagedCopyIsMendedFromTheOther() throws {
        for copy in [0, VoteFile.copyDistance] {
            for offset in [0..<UInt64(100), 4_080..<4_096, 2_000..<2_004].joined() {
                let disk = try sample()
                disk.corrupt("./VOTE", at: copy + offset, mask: 0x40)
                XCTAssertEqual(try open(disk).state, HardState(term: 3, vote: 2), "byte \(copy + offset)")
                // It was mended durably: now the other one may go.
                let after = SimulatedDisk(disk.image())
                after.corrupt("./VOTE", at: VoteFile.copyDistance - copy + offset, mask: 0x40)
                XCTAssertEqual(try open(after).state, HardState(term: 3, vote: 2))
            }
        }
    }

    func testTwoDamagedCopiesAreRefusedAndLeftAlone() throws {
        let disk = try sample()
        disk.corrupt("./VOTE", at: 33, mask: 1)
        disk.corrupt("./VOTE", at: VoteFile.copyDistance + 41, mask: 1)
        let digest = disk.contentDigest
        XCTAssertThrowsError(try open(disk)) {
            XCTAssertEqual(($0 as? VoteError)?.reason, .damage)
            XCTAssertEqual(($0 as? VoteError)?.path, "./VOTE")
        }
        XCTAssertEqual(disk.contentDigest, digest)
    }

    func testAFileOfEveryLengthIsMendedOrRefused() throws {
        for length in stride(from: UInt64(0), to: 8_192, by: 37) {
            let disk = try sample()
            try disk.mount().open("./VOTE", .readWrite).setSize(length)
            if length >= UInt64(VoteRecord.encodedByteCount) {
                XCTAssertEqual(try open(disk).state, HardState(term: 3, vote: 2))
            } else {
                XCTAssertThrowsError(try open(disk)) { XCTAssertEqual(($0 as? VoteError)?.reason, .damage) }
            }
        }
    }

    func testCopiesThatContradictEachOtherAreRefused() throws {
        let contradictions: [(VoteRecord, VoteRecord)] = [
            (
                VoteRecord(group: 5, sequence: 4, state: HardState(term: 3, vote: 1)),
                VoteRecord(group: 5, sequence: 4, state: HardState(term: 3, vote: 2))
            ),
            (
                VoteRecord(group: 5, sequence: 4, state: HardState(term: 3, vote: 1)),
                VoteRecord(group: 5, sequence: 5, state: HardState(term: 2, vote: 1))
            ),
            (
                VoteRecord(group: 5, sequence: 5, state: HardState(term: 3, vote: 1)),
                VoteRecord(group: 6, sequence: 4, state: HardState(term: 3, vote: 1))
            ),
            // The older copy is of a later opening, and of another one of the same number.
            (
                record(sequence: 5, boot: 6, nonce: 1),
                record(sequence: 4, boot: 7, nonce: 1)
            ),
            (
                record(sequence: 5, boot: 6, nonce: 1),
                record(sequence: 4, boot: 6, nonce: 2)
            ),
            // Changes are counted from 1.
            (
                VoteRecord(group: 5, sequence: 0, state: HardState(term: 3, vote: 1)),
                VoteRecord(group: 5, sequence: 0, state: HardState(term: 3, vote: 1))
            ),
        ]
        for (first, second) in contradictions {
            let disk = try sample()
            let file = try disk.mount().open("./VOTE", .readWrite)
            try file.write(first.encoded(), at: 0)
            try file.write(second.encoded(), at: VoteFile.copyDistance)
            XCTAssertThrowsError(try open(disk)) { XCTAssertEqual(($0 as? VoteError)?.reason, .damage) }
        }
    }

    func testANewerFormatIsRefusedAsSuch() throws {
        let disk = try sample()
        disk.corrupt("./VOTE", at: 8, mask: 2)
        disk.corrupt("./VOTE", at: VoteFile.copyDistance + 8, mask: 2)
        XCTAssertThrowsError(try open(disk)) { XCTAssertEqual(($0 as? VoteError)?.reason, .unsupportedVersion) }
    }

    func testACrashAtEveryCallForgetsNoPromise() throws {
        // The states that a promise was made of, in order, each when both its writes had ended.
        var promised: [HardState] = []
        var begun: [HardState] = []
        let calls = try SimulatedDisk().forEachCrashPoint { files in
            promised = []
            begun = []
            var file = try VoteFile.create(files, directory: ".", group: 5)
            promised = [file.state]
            begun = [file.state]
            for state in [HardState(term: 1, vote: 0), HardState(term: 1, vote: 3), HardState(term: 2, vote: 2)] {
                begun.append(state)
                try self.change(&file, to: state)
                promised.append(state)
            }
        } check: { crashed, point in
            for image in crashed.crashStates(limit: 100) {
                let disk = SimulatedDisk(image)
                do {
                    let state = try self.open(disk).state
                    XCTAssertTrue(
                        begun.suffix(from: max(0, promised.count - 1)).contains(state) || promised.isEmpty,
                        "\(point)"
                    )
                    // A second recovery, and one that loses what is not durable, find the same.
                    XCTAssertEqual(try self.open(SimulatedDisk(disk.image())).state, state)
                } catch let error as VoteError where error.reason == .missing {
                    XCTAssertTrue(promised.isEmpty, "\(point)")
                }
            }
        }
        XCTAssertGreaterThan(calls, 15)
    }

    func testAFailedWriteEndsTheFile() throws {
        let disk = try sample()
        var file = try open(disk)
        let change = file.change(to: HardState(term: 4, vote: 1))
        XCTAssertNotEqual(change.first.offset, change.second.offset)
        let error = FileError(.sync, "./VOTE", .inputOutput)
        file.changeFailed(error)
        XCTAssertEqual(file.failure, error)
        XCTAssertEqual(file.state, HardState(term: 3, vote: 2), "nothing is promised")
    }

    /// The process that creates the file may die before its name is durable. A later one that promises something must not
    /// lose it with the name.
    func testAPromiseOutlivesADeathWhileTheFileIsCreatedAndThenAPowerLoss() throws {
        let promised = HardState(term: 5, vote: 2)
        try SimulatedDisk().forEachCrashPoint { files in
            _ = try VoteFile.create(files, directory: ".", group: 5)
        } check: { crashed, point in
            let files = crashed.mount()
            let isThere = try files.exists("./VOTE")
            var vote =
                try isThere
                ? VoteFile.open(files, directory: ".", group: 5) : VoteFile.create(files, directory: ".", group: 5)
            let change = vote.change(to: promised)
            try change.first.perform()
            try change.second.perform()
            vote.changeFinished()
            for image in crashed.crashStates(limit: 60) {
                let last = try VoteFile.open(SimulatedDisk(image).mount(), directory: ".", group: 5)
                XCTAssertEqual(last.state, promised, "\(point)")
            }
        }
    }
}
