import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// What the refusals of single files advise, carried out. `ExchangedFilesTests` does the same after every exchange of
/// whole files.
final class FileAdviceTests: XCTestCase {
    /// A member that was closed after so many writes.
    private func closedMember(writes: Int) throws -> SimulatedDisk {
        let disk = SimulatedDisk()
        let member = try LoneMember(disk.mount(), seed: 1)
        for number in 0..<writes {
            XCTAssertTrue(try member.write("k\(number % 5)", "\(number)-" + String(repeating: "x", count: 90)))
        }
        member.close()
        disk.processCrash()
        return disk
    }

    /// Replaces a file.
    private func change(_ path: String, of disk: SimulatedDisk, to bytes: Bytes) throws {
        let files = disk.mount()
        try files.remove(path)
        let file = try files.open(path, .create)
        try file.write(bytes, at: 0)
        file.close()
        disk.processCrash()
    }

    /// A member is refused with this advice, and opens once the file is what it was.
    private func check(
        _ path: String,
        as bytes: Bytes,
        isRefusedSaying parts: [String],
        _ code: ReplicaError.Code = .damaged,
        on disk: SimulatedDisk,
        line: UInt = #line
    ) throws {
        let before = Bytes(try XCTUnwrap(disk.contents(of: path), path, line: line))
        try change(path, of: disk, to: bytes)
        do throws(ReplicaError) {
            let member = try LoneMember(disk.mount(), seed: 21)
            // An entry is compared when it is applied.
            _ = member.elect()
            guard let error = member.member.failure else { return XCTFail("\(path): it was opened", line: line) }
            throw error
        } catch {
            XCTAssertEqual(error.code, code, "\(error)", line: line)
            for part in parts { XCTAssertTrue(error.message.contains(part), "\(part): \(error)", line: line) }
        }
        disk.processCrash()
        // What the message advises.
        try change(path, of: disk, to: before)
        let member = try LoneMember(disk.mount(), seed: 22)
        XCTAssertTrue(try member.write("after", "all is well"), line: line)
        member.close()
        disk.processCrash()
    }

    /// And does what the message advises.
    func testSegment_thatIsShorterThanItsHeaderSays_isPutBack() throws {
        let disk = try closedMember(writes: 24)
        let names = try disk.mount().list("m/log").filter { $0.hasSuffix(".log") }.sorted()
        let path = "m/log/" + (try XCTUnwrap(names.last))
        let bytes = try XCTUnwrap(disk.contents(of: path))
        try check(
            path,
            as: Bytes(Array(bytes.dropLast(64))),
            isRefusedSaying: [
                "the file is shorter than its header says, and no later segment says why: put it back, or the later "
                    + "segment "
                    + "that is missing, as it was when the member stopped"
            ],
            on: disk
        )
    }

    /// And puts it back.
    func testSegment_thatIsMissingBeforeOthers_isNamed() throws {
        let disk = try closedMember(writes: 24)
        let names = try disk.mount().list("m/log").filter { $0.hasSuffix(".log") }.sorted()
        XCTAssertGreaterThan(names.count, 1)
        let path = "m/log/" + (try XCTUnwrap(names.first))
        let bytes = Bytes(try XCTUnwrap(disk.contents(of: path)))
        let files = disk.mount()
        try files.remove(path)
        disk.processCrash()
        do throws(ReplicaError) {
            _ = try LoneMember(disk.mount(), seed: 21)
            XCTFail("it was opened")
        } catch {
            XCTAssertEqual(error.code, .damaged, "\(error)")
            let wanted = "m/log/\(names[1]) at byte 0: the oldest entries of group 1 are missing: \(path) is missing"
            XCTAssertTrue(error.message.contains(wanted), "\(wanted): \(error)")
        }
        disk.processCrash()
        let file = try disk.mount().open(path, .create)
        try file.write(bytes, at: 0)
        file.close()
        disk.processCrash()
        let member = try LoneMember(disk.mount(), seed: 22)
        XCTAssertTrue(try member.write("after", "all is well"))
        member.close()
    }

    /// And does what the messages advise.
    func testRoot_ofAnotherGroupOrState_isPutBack() throws {
        let disk = try closedMember(writes: 24)
        let path = "m/groups/1/ROOT"
        func root() throws -> RootFile {
            let bytes = Bytes(try XCTUnwrap(disk.contents(of: path)))
            return try TwinFile.decode(bytes) { bytes throws(DecodingError) in try RootFile(decoding: bytes) }.record
        }
        var other = try root()
        other.group = 2
        try check(
            path,
            as: TwinFile.encoded(try other.encoded()),
            isRefusedSaying: ["\(path) belongs to group 2 and not to group 1: put back what belongs together"],
            on: disk
        )
        other = try root()
        other.state = UniqueID(high: 9, low: 9)
        try check(
            path,
            as: TwinFile.encoded(try other.encoded()),
            isRefusedSaying: [
                "m/groups/1/state-1 is the state of generation 1 of group 1 with the id ", "/ROOT names generation 1",
                ": put back what belongs together",
            ],
            on: disk
        )
    }

    /// And does what the message advises.
    func testIdentity_ofOtherMembersThanTheLog_isPutBack() throws {
        // So few that entry 1 is applied again.
        let disk = try closedMember(writes: 1)
        let bytes = Bytes(try XCTUnwrap(disk.contents(of: "m/IDENTITY")))
        let found = try TwinFile.decode(bytes) { bytes throws(DecodingError) in try Identity(decoding: bytes) }
        let cluster = try XCTUnwrap(found.record.established)
        let row = try XCTUnwrap(cluster.table[1])
        let table = try MemberTable([.init(member: 1, incarnation: row.incarnation, address: "elsewhere:1")])
        let identity = Identity(
            member: 1,
            incarnation: row.incarnation,
            state: .established(ClusterIdentity(id: cluster.id, table: table))
        )
        try check(
            "m/IDENTITY",
            as: TwinFile.encoded(try identity.encoded()),
            isRefusedSaying: [
                "entry 1 of the log names other members than IDENTITY does, so that the two are of different "
                    + "clusters: put "
                    + "back what belongs together"
            ],
            .refused,
            on: disk
        )
    }
}
