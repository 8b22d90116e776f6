import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import BalsaTransport
import Foundation
import XCTest

@testable import Balsa
@testable import BalsaLSM

/// What an opening that is refused says: what is in the way, where, and what to do.
final class StoreOpeningErrorTests: StoreTestCase {
    private func opening(
        of member: MemberID = 1,
        with peers: [MemberID: String],
        listen: String? = nil,
        security: NetworkSecurity = .loopbackOnly
    ) async -> StoreError? {
        await refusal {
            let store = try await ReplicatedStore.open(
                at: "\(directory)/\(member)",
                member: member,
                peers: peers,
                listen: listen,
                security: security
            )
            await store.close()
        }
    }

    func testOpening_addressThatOthersReach_isInsecureAndNamesWhatToPass() async throws {
        for (address, listen) in [("0.0.0.0:0", nil), ("127.0.0.1:1", "0.0.0.0:0")] {
            let error = await opening(with: [1: address], listen: listen)
            XCTAssertEqual(error?.reason, .insecure)
            XCTAssertEqual(error?.outcome, .notApplied)
            XCTAssertEqual(
                error?.message,
                "others can reach `0.0.0.0:0`, and nothing encrypts or authenticates its connections: pass "
                    + "`security: .insecureNetwork` if something else protects the network, or listen on the loopback"
            )
        }
        XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: directory), [], "nothing has been made")
        // What the message advises: to pass it, or to listen on the loopback.
        let store = try await ReplicatedStore.open(
            at: directory,
            member: 1,
            peers: [1: "0.0.0.0:0"],
            security: .insecureNetwork
        )
        await store.close()
        let local = try await ReplicatedStore.open(
            at: directory,
            member: 1,
            peers: [1: "0.0.0.0:0"],
            listen: "127.0.0.1:0"
        )
        await local.close()
    }

    func testOpening_portOnWhichSomebodyListens_isInUseAndNamesTheAddress() async throws {
        let (socket, port) = try LoopbackListener.bound()
        XCTAssertEqual(listen(socket, 1), 0)
        let taken = "127.0.0.1:\(port)"
        for (address, listen) in [(taken, nil), ("127.0.0.1:1", taken)] {
            let error = await opening(with: [1: address], listen: listen)
            XCTAssertEqual(error?.reason, .inUse)
            XCTAssertEqual(
                error?.message,
                "listen on `\(taken)`: Address already in use (errno 98): stop the process that listens there, or "
                    + "listen on "
                    + "another port"
            )
        }
        // What the message advises: another port, and then the same one.
        for address in [try newPeers(1)[1] ?? "", taken] {
            if address == taken { close(socket) }
            let store = try await ReplicatedStore.open(at: "\(directory)/1", member: 1, peers: [1: address])
            try await store.put("k", "v")
            await store.close()
        }
    }

    func testOpening_addressOfAnotherMachine_isNamed() async throws {
        // An address for documents, which no machine has.
        let error = await opening(with: [1: "192.0.2.1:0"], security: .insecureNetwork)
        XCTAssertEqual(error?.reason, .failed)
        XCTAssertEqual(error?.message, "listen on `192.0.2.1:0`: Cannot assign requested address (errno 99)")
    }

    func testOpening_directoryOfOtherFiles_isInvalidAndLeftAsItWas() async throws {
        let full = directory + "/full"
        try LinuxFileSystem().createDirectory(full)
        try Data("hi\n".utf8).write(to: URL(fileURLWithPath: full + "/notes.txt"))
        let peers = try newPeers(1)
        for isMember in [false, true] {
            let error = await refusal {
                _ =
                    isMember
                    ? try await ReplicatedStore.open(at: full, member: 1, peers: peers)
                    : try await ReplicatedStore.open(at: full)
            }
            XCTAssertEqual(error?.reason, .invalid)
            XCTAssertEqual(
                error?.message,
                "\(full) holds other files, such as notes.txt, and none of a store: name another directory, or "
                    + "an empty one"
            )
        }
        XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: full), ["notes.txt"], "not even a LOCK")
        // What the message advises: another directory, and an empty one.
        try LinuxFileSystem().createDirectory(directory + "/empty")
        for name in ["another", "empty"] {
            let store = try await ReplicatedStore.open(at: "\(directory)/\(name)")
            try await store.put("k", "v")
            await store.close()
        }
    }

    func testOpening_emptyPath_isInvalidAndNotTheWorkingDirectory() async throws {
        let before = try FileManager.default.contentsOfDirectory(atPath: ".").sorted()
        for isMember in [false, true] {
            let error = await refusal {
                let store =
                    isMember
                    ? try await ReplicatedStore.open(at: "", member: 1, peers: [1: "127.0.0.1:0"])
                    : try await ReplicatedStore.open(at: "")
                await store.close()
            }
            XCTAssertEqual(error?.reason, .invalid)
            XCTAssertEqual(
                error?.message,
                "the path of the directory is empty: name the directory of the store"
            )
        }
        XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: ".").sorted(), before)
        // What the message advises.
        let store = try await ReplicatedStore.open(at: directory)
        await store.close()
    }

    private func checkIsInUse(_ error: StoreError?, line: UInt = #line) {
        XCTAssertEqual(error?.reason, .inUse, line: line)
        XCTAssertEqual(
            error?.message,
            "\(directory) is already open; this process, \(getpid()), holds \(directory)/LOCK: close it there; if the "
                + "directory of member 1 is another one, name that one",
            line: line
        )
    }

    /// The port belongs to the same store mostly: to listen on another one would not help.
    func testOpening_memberThatIsOpen_isInUseAndNamesTheDirectoryAndNotThePort() async throws {
        let peers = try newPeers(1)
        let first = try await ReplicatedStore.open(at: directory, member: 1, peers: peers)
        let error = await refusal { _ = try await ReplicatedStore.open(at: directory, member: 1, peers: peers) }
        checkIsInUse(error)
        await first.close()
        let second = try await ReplicatedStore.open(at: directory, member: 1, peers: peers)
        await second.close()
    }

    func testOpening_directoryThatIsOpen_isInUseAndNamesTheDirectory() async throws {
        let first = try await ReplicatedStore.open(at: directory)
        let error = await refusal { _ = try await ReplicatedStore.open(at: directory) }
        checkIsInUse(error)
        await first.close()
        // What the message advises.
        let second = try await ReplicatedStore.open(at: directory)
        await second.close()
    }

    func testOpening_portOutOfRange_isInvalidAndNamesTheBounds() async throws {
        for (address, listen) in [("127.0.0.1:99999", nil), ("127.0.0.1:1", "127.0.0.1:99999")] {
            let error = await opening(with: [1: address], listen: listen)
            XCTAssertEqual(error?.reason, .invalid)
            XCTAssertEqual(
                error?.message,
                "`99999` in `127.0.0.1:99999` is not a port: a port is a number from 0 to 65535"
            )
        }
    }

    /// A file of a release to come, with a checksum that fits, is not damaged: nobody is to throw it away.
    func testOpening_fileOfANewerFormat_needsAnUpgradeAndIsNamed() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        try await store.put("k", "v")
        await store.close()
        // Each with the places of its version, and with what its checksum covers where that is verified first.
        let formats: [(name: String, versions: [Int], covered: Int?)] = [
            ("IDENTITY", [4, 4_100], nil), ("BOOT", [4, 4_100], nil), ("ROOT", [4, 4_100], nil),
            ("VOTE", [8, 4_104], nil),
            (".log", [8], nil), ("CURRENT", [8], CurrentFile.byteCount - 4), ("MANIFEST", [8], 36),
        ]
        let names = try FileManager.default.subpathsOfDirectory(atPath: directory)
        for (name, versions, covered) in formats {
            let path =
                directory + "/" + (try XCTUnwrap(names.first { $0.uppercased().contains(name.uppercased()) }, name))
            let url = URL(fileURLWithPath: path)
            let before = try Data(contentsOf: url)
            var bytes = [UInt8](before)
            for place in versions { bytes[place] = 2 }
            if let covered {
                let sum = Array(bytes[..<covered]).withUnsafeBytes { CRC32C.checksum($0) }
                bytes.replaceSubrange(
                    covered..<covered + 4,
                    with: withUnsafeBytes(of: sum.littleEndian) { [UInt8]($0) }
                )
            }
            try Data(bytes).write(to: url)
            let error = await refusal { _ = try await ReplicatedStore.open(at: directory) }
            XCTAssertEqual(error?.reason, .failed)
            XCTAssertEqual(error?.message.hasPrefix("upgrade required: "), true, "\(name): \(error as Any)")
            XCTAssertEqual(error?.message.contains(path), true, "\(name): \(error as Any)")
            try before.write(to: url)
        }
        let again = try await ReplicatedStore.open(at: directory)
        let entry = try await again.get("k")
        XCTAssertEqual(entry?.value, "v")
        await again.close()
    }

    func testOptions_ofTheEngineOutsideOfTheirLimits_areRefusedWithTheLimitsAndTheValue() {
        let cases: [(String, (inout EngineOptions) -> Void)] = [
            ("memtableBytes must be 1 to 1099511627776, not 0", { $0.memtableBytes = 0 }),
            ("tableBytes must be at least 1, not 0", { $0.tableBytes = 0 }),
            ("blockBytes must be 128 to 32768, not 127", { $0.blockBytes = 127 }),
            ("blockBytes must be 128 to 32768, not 32769", { $0.blockBytes = 32_769 }),
            ("levelZeroTablesToPause must be at least 5, not 4", { $0.levelZeroTablesToPause = 4 }),
            ("levelBaseBytes must be at least 1, not 0", { $0.levelBaseBytes = 0 }),
            ("maxBatchBytes must be 1 to 2147483647, not 2147483648", { $0.maxBatchBytes = 1 << 31 }),
        ]
        for (sentence, change) in cases {
            var options = EngineOptions()
            change(&options)
            XCTAssertThrowsError(try options.validate()) { XCTAssertEqual("\($0)", "invalid: \(sentence)") }
        }
        XCTAssertNoThrow(try EngineOptions().validate())
    }

    func testOpening_memberThatIsNotAmongThePeers_saysSo() async throws {
        let error = await opening(of: 2, with: [1: "127.0.0.1:1"])
        XCTAssertEqual(error?.reason, .invalid)
        XCTAssertEqual(error?.message, "member 2 is not among the peers [1]")
    }
}
