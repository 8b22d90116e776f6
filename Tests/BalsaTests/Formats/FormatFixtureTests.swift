import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import Foundation
import XCTest

@testable import Balsa

/// Bytes of every format that are committed: this build reads them, and writes the same.
///
/// A later build has to read them as well. `WireFixtureTests` has the frames of the wire.
final class FormatFixtureTests: XCTestCase {
    /// Which source files declare a format, and the example of it.
    private let sources = [
        "Identity": "IDENTITY", "BootRecord": "BOOT", "MemberTable": "the table of members", "RootFile": "ROOT",
        "StateOwner": "OWNER", "CheckpointStream": "the list of a checkpoint", "VoteRecord": "VOTE",
        "SegmentHeader": "the header of a segment", "FrameHeader": "m/log/",
        "CurrentFile": "CURRENT", "ManifestRecord": "the header of a manifest",
        "WriteAheadLogHeader": "the header of a write-ahead log",
        "WriteAheadLogRecord": "a record of a write-ahead log", "TableLayout": "the header of a table",
        "ReplicatedState+Encoding": "the system state", "CommandLayout": "a command", "CommandReply": "a reply",
        "ReplicatedOptions+Fields": "the command changeOptions",
        "WireFrameHeader": "a frame", "Handshake": "a handshake",
    ]

    func testFormats_asTheyWereCommitted_areReadAndWrittenAlike() throws {
        let examples = try FormatExample.all()
        if Fixture.isWritten { try Fixture.write("formats", examples.map { ($0.name, $0.example) }) }
        let fixture = try Fixture("formats")
        XCTAssertEqual(fixture.entries.map(\.name), examples.map(\.name), "an example of each format is committed")
        for example in examples {
            let bytes = try XCTUnwrap(fixture.bytes(of: example.name), example.name)
            XCTAssertEqual(bytes, example.example, "\(example.name): the same values are written as other bytes")
            XCTAssertNoThrow(try example.read(bytes), example.name)
        }
    }

    /// A directory that a member has written: with a log of several segments, a state in tables, and a manifest.
    func testADirectory_asItWasCommitted_isOpenedAndWrittenAlike() throws {
        let written = try directory()
        if Fixture.isWritten { try Fixture.write("member", written) }
        let fixture = try Fixture("member")
        XCTAssertEqual(fixture.entries.map(\.name), written.map(\.name))
        for (name, bytes) in written {
            XCTAssertTrue(fixture.bytes(of: name) == bytes, "\(name): the same values are written as other bytes")
        }
        XCTAssertTrue(written.contains { $0.name.contains("/table-") }, "\(written.map(\.name))")

        let disk = SimulatedDisk()
        let files = disk.mount()
        for (name, bytes) in fixture.entries {
            try files.createDirectories(FilePath.parent(of: name))
            let file = try files.open(name, .create)
            try file.write(Bytes(bytes), at: 0)
            file.close()
        }
        disk.processCrash()
        let member = try LoneMember(disk.mount(), seed: 3, provider: KeyValueProvider(seed: 3))
        XCTAssertTrue(member.submit(put(1_000)))
        let machine = try XCTUnwrap(member.member.replica?.machine as? KeyValueStateMachine).machine
        for number in 0..<40 {
            XCTAssertEqual(try machine.get(Bytes("key-\(number)"))?.value, value(number), "\(number)")
        }
    }

    private func value(_ number: Int) -> Bytes { Bytes("\(number)-" + String(repeating: "x", count: 60)) }

    private func put(_ number: Int) -> Bytes {
        Command(
            identity: RequestIdentity(session: .none, number: UInt64(number) + 1),
            operation: .put(key: Bytes("key-\(number)"), value: value(number))
        ).encoded()
    }

    private func directory() throws -> [(name: String, bytes: [UInt8])] {
        let disk = SimulatedDisk()
        for seed: UInt64 in 1...2 {
            let member = try LoneMember(disk.mount(), seed: seed, provider: KeyValueProvider(seed: seed))
            let numbers = seed == 1 ? 0..<20 : 20..<40
            for number in numbers { XCTAssertTrue(member.submit(put(number))) }
            member.close()
            disk.processCrash()
        }
        func files(_ path: String) throws -> [String] {
            if disk.contents(of: path) != nil { return [path] }
            return try disk.mount().list(path).flatMap { try files(path + "/" + $0) }
        }
        return try files("m").filter { !$0.hasSuffix("LOCK") }.map { ($0, disk.contents(of: $0) ?? []) }
    }

    /// A new format needs an example: each file that declares a magic number or a version is listed above.
    func testEveryFormatOfTheSources_hasACommittedExample() throws {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let folder = package.appendingPathComponent("Sources").path
        var found: [String] = []
        for file in try FileManager.default.subpathsOfDirectory(atPath: folder) where file.hasSuffix(".swift") {
            let text = try String(contentsOfFile: folder + "/" + file, encoding: .utf8)
            let declares = ["static let magic: UInt", "static let version: UInt"].contains { text.contains($0) }
            if declares { found.append(String(try XCTUnwrap(file.split(separator: "/").last).dropLast(6))) }
        }
        XCTAssertEqual(found.sorted(), sources.keys.sorted(), "a format without a committed example, or none any more")
        let names = try Fixture("formats").entries.map(\.name) + Fixture("member").entries.map(\.name)
        for (source, example) in sources {
            XCTAssertTrue(names.contains { $0.hasPrefix(example) }, "\(source): \(example)")
        }
    }
}
