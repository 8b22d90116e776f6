import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import Foundation
import XCTest

@testable import Balsa

/// `Docs/CheckpointFormat.md` against the code: its examples are decoded, written again, and damaged in every way.
final class CheckpointFormatTests: XCTestCase {
    private let position = LogPosition(term: 3, index: 40)
    private let cluster = UniqueID(high: 0x5555, low: 0x6666)
    private let files: [(name: String, bytes: Bytes)] = [("7.table", "k=v"), ("CURRENT", "7"), ("marks", "")]

    private var list: CheckpointList {
        let files = files.map { CheckpointFile(name: $0.name, byteCount: UInt64($0.bytes.count)) }
        return CheckpointList(cluster: cluster, stamp: 1_000, files: files)
    }

    /// The bytes of the examples of the page, in their order: what stands between "```hex" and "```".
    private func examples() throws -> [[UInt8]] {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = package.appendingPathComponent("Docs/CheckpointFormat.md")
        let parts = try String(contentsOf: page, encoding: .utf8).components(separatedBy: "```hex\n")
        XCTAssertEqual(parts.count, 4, "the page has a root, an owner and a stream")
        return try parts.dropFirst().map { part in
            let block = try XCTUnwrap(part.components(separatedBy: "```").first)
            return try block.split(whereSeparator: \.isWhitespace).map { try XCTUnwrap(UInt8($0, radix: 16), "\($0)") }
        }
    }

    /// The list at the beginning of the stream of the page.
    private func listOfPage() throws -> [UInt8] {
        let stream = try examples()[2]
        return Array(stream[..<(try CheckpointList.byteCount(of: Bytes(stream)))])
    }

    // MARK: The page

    func testTheRootAndTheOwnerOfThePage() throws {
        let binding = FileBinding(
            owner: FileOwner(
                cluster: cluster,
                incarnation: UniqueID(high: 0x3333, low: 0x4444)
            ),
            mark: Opening(boot: 3, nonce: 0xc3),
            seed: 0
        )
        let state = UniqueID(high: 0x7777, low: 0x8888)
        let root = RootFile(generation: 2, position: position, binding: binding, state: state)
        let bytes = try examples()[0]
        XCTAssertEqual([UInt8](try root.encoded()), bytes)
        XCTAssertEqual(try RootFile(decoding: Bytes(bytes)), root)
        XCTAssertEqual(bytes.count, RootFile.byteCount)

        let owner = StateOwner(owner: binding.owner, group: 1, generation: 2, id: state)
        let others = try examples()[1]
        XCTAssertEqual([UInt8](try owner.encoded()), others)
        XCTAssertEqual(try StateOwner(decoding: Bytes(others)), owner)
        XCTAssertEqual(others.count, StateOwner.byteCount)
    }

    func testTheStreamOfThePage() throws {
        let stream = try examples()[2]
        XCTAssertEqual([UInt8](try list.encoded()), try listOfPage())
        XCTAssertEqual(try CheckpointList(decoding: Bytes(try listOfPage())), list)
        XCTAssertEqual(list.streamByteCount(list: try listOfPage().count), UInt64(stream.count))

        let source = TestCheckpoint(position: position, stamp: 1_000, files: files)
        let chunks = try source.chunks(of: 9, cluster: cluster)
        XCTAssertEqual(chunks.flatMap { [UInt8]($0.bytes) }, stream, "what is sent is what the page says")
        let disk = SimulatedDisk()
        let receiver = try CheckpointReceiver(
            chunks[0],
            from: 1,
            term: 3,
            of: cluster,
            into: "state-2",
            in: disk.mount()
        )
        for chunk in chunks { try receiver.take(chunk) }
        XCTAssertTrue(receiver.isComplete(at: position))
        XCTAssertEqual(receiver.stamp, 1_000)
        for file in files { XCTAssertEqual(disk.contents(of: "state-2/\(file.name)"), [UInt8](file.bytes)) }
    }

    /// A member of its first group writes what the page says, under the names that the page has.
    func testTheFirstGenerationIsThatOfThePage() throws {
        let disk = SimulatedDisk()
        let driver = try ReplicaDriver(disk.mount())
        let bytes = Bytes(try XCTUnwrap(disk.contents(of: "balsa/groups/1/ROOT")))
        let root = try TwinFile.decode(bytes) { bytes throws(DecodingError) in try RootFile(decoding: bytes) }.record
        XCTAssertEqual(root, RootFile(generation: 1, position: .zero, state: root.state))
        XCTAssertNotEqual(root.state, .none)
        XCTAssertEqual(try disk.mount().list("balsa/groups/1/state-1"), ["OWNER"])
        let owner = StateOwner(owner: .none, group: 1, generation: 1, id: root.state)
        XCTAssertEqual(
            disk.contents(of: "balsa/groups/1/state-1/OWNER"),
            [UInt8](TwinFile.encoded(try owner.encoded()))
        )
        XCTAssertNil(driver.replica.failure)
    }

    // MARK: Damage

    /// The next generation has the next number, which has to be one that can be counted to.
    func testARoot_withALargestGeneration_isRefused() throws {
        let last = RootFile(generation: largestNumber, position: .zero)
        XCTAssertEqual(try RootFile(decoding: try last.encoded()), last)
        let over = try RootFile(generation: largestNumber + 1, position: .zero).encoded()
        XCTAssertThrowsError(try RootFile(decoding: over)) { error in
            let error = error as? BalsaPlatform.DecodingError
            XCTAssertEqual(error?.reason, .outOfBounds)
            XCTAssertEqual(error?.field.description, "position")
        }
    }

    func testEveryFlippedBitOfARootOrAnOwnerIsRefused() throws {
        let (root, owner) = (try examples()[0], try examples()[1])
        for bit in 0..<root.count * 8 {
            var damaged = root
            damaged[bit / 8] ^= 1 << (bit % 8)
            XCTAssertThrowsError(try RootFile(decoding: Bytes(damaged)), "bit \(bit)")
        }
        for bit in 0..<owner.count * 8 {
            var damaged = owner
            damaged[bit / 8] ^= 1 << (bit % 8)
            XCTAssertThrowsError(try StateOwner(decoding: Bytes(damaged)), "bit \(bit)")
        }
    }

    func testEveryFlippedBitOfAListIsRefused() throws {
        let bytes = try listOfPage()
        for bit in 0..<bytes.count * 8 {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << (bit % 8)
            XCTAssertThrowsError(try CheckpointList(decoding: Bytes(damaged)), "bit \(bit)")
        }
    }

    func testEveryFlippedBitOfAStreamIsRefusedByItsReceiver() throws {
        let source = TestCheckpoint(position: position, stamp: 1_000, files: files)
        let chunks = try source.chunks(of: 20, cluster: cluster)
        let bitCount = try examples()[2].count * 8
        for bit in 0..<bitCount {
            let files = SimulatedDisk().mount()
            let receiver = try CheckpointReceiver(chunks[0], from: 1, term: 3, of: cluster, into: "state-2", in: files)
            var refusals = 0
            for var chunk in chunks {
                let place = bit / 8 - Int(chunk.offset)
                if chunk.bytes.count > place, place >= 0 {
                    var bytes = [UInt8](chunk.bytes)
                    bytes[place] ^= 1 << (bit % 8)
                    chunk.bytes = Bytes(bytes)
                }
                do { try receiver.take(chunk) } catch {
                    refusals += 1
                    break
                }
            }
            XCTAssertEqual(refusals, 1, "bit \(bit)")
            XCTAssertFalse(receiver.isComplete, "bit \(bit)")
        }
    }

    func testEveryCutAndEveryExcessIsRefused() throws {
        for bytes in try examples().prefix(2) {
            for count in 0..<bytes.count {
                XCTAssertThrowsError(try RootFile(decoding: Bytes(Array(bytes[..<count]))), "root, \(count) bytes")
            }
            XCTAssertThrowsError(try RootFile(decoding: Bytes(bytes + [0])), "a root and one byte more")
        }
        let list = try listOfPage()
        for count in 0..<list.count {
            XCTAssertThrowsError(try CheckpointList(decoding: Bytes(Array(list[..<count]))), "list, \(count) bytes")
        }
        XCTAssertThrowsError(try CheckpointList(decoding: Bytes(list + [0])), "a list and one byte more")
    }

    func testANewerVersionIsRefusedAsSuch() throws {
        func assertNewer(_ bytes: [UInt8], _ decode: (Bytes) throws -> Void) {
            var newer = bytes
            newer[4] = 2
            XCTAssertThrowsError(try decode(Bytes(newer))) { error in
                XCTAssertEqual((error as? BalsaPlatform.DecodingError)?.reason, .version)
            }
        }
        assertNewer(try examples()[0]) { _ = try RootFile(decoding: $0) }
        assertNewer(try listOfPage()) { _ = try CheckpointList(decoding: $0) }
    }

    // MARK: Bounds

    /// Under right checksums, too, numbers must be within their bounds.
    func testPositionsOutsideOfTheirBoundsAreRefused() throws {
        let wrong = [
            LogPosition(term: 3, index: 0), LogPosition(term: 0, index: 3),
            LogPosition(term: largestNumber + 1, index: 40), LogPosition(term: 3, index: largestNumber + 1),
        ]
        for position in wrong {
            let root = try RootFile(generation: 1, position: position).encoded()
            XCTAssertThrowsError(try RootFile(decoding: root), "\(position)")
        }
        XCTAssertThrowsError(try RootFile(decoding: try RootFile(generation: 0, position: position).encoded()))
        let highest = RootFile(
            generation: largestNumber,
            position: LogPosition(term: largestNumber, index: largestNumber)
        )
        XCTAssertEqual(try RootFile(decoding: try highest.encoded()), highest)
    }

    func testRoot_ofAStateThatDiffersOrIsConfirmed_hasItsFlagAndNoOtherIsKnown() throws {
        var root = RootFile(generation: 2, position: position)
        let plain = [UInt8](try root.encoded())
        root.isDiverged = true
        var bytes = [UInt8](try root.encoded())
        XCTAssertEqual(try RootFile(decoding: Bytes(bytes)), root)
        XCTAssertEqual((0..<124).filter { bytes[$0] != plain[$0] }, [112])
        XCTAssertEqual(bytes[112], 1)
        var confirmed = RootFile(generation: 2, position: position)
        XCTAssertEqual(confirmed.receivedIndex, position.index)
        confirmed.isConfirmed = true
        XCTAssertEqual(confirmed.receivedIndex, 0)
        XCTAssertEqual([UInt8](try confirmed.encoded())[112], 2)
        XCTAssertEqual(try RootFile(decoding: try confirmed.encoded()), confirmed)
        for bit in 2..<8 {
            bytes[112] = 1 << UInt8(bit)
            let sum = bytes[..<124].withUnsafeBytes { CRC32C.checksum($0) }
            bytes.replaceSubrange(124..<128, with: withUnsafeBytes(of: sum.littleEndian) { [UInt8]($0) })
            XCTAssertThrowsError(try RootFile(decoding: Bytes(bytes)), "bit \(bit)") {
                XCTAssertEqual($0 as? BalsaPlatform.DecodingError, DecodingError(.outOfBounds, "flags", at: 112))
            }
        }
    }

    func testOwner_ofAStateThatDiffers_hasItsFlagAndNoOtherIsKnown() throws {
        var owner = StateOwner(owner: .none, group: 1, generation: 2, id: .none)
        let plain = [UInt8](try owner.encoded())
        owner.isDiverged = true
        var bytes = [UInt8](try owner.encoded())
        XCTAssertEqual(try StateOwner(decoding: Bytes(bytes)), owner)
        XCTAssertEqual((0..<92).filter { bytes[$0] != plain[$0] }, [80])
        XCTAssertEqual(bytes[80], 1)
        for bit in 1..<8 {
            bytes[80] = 1 << UInt8(bit)
            let sum = bytes[..<92].withUnsafeBytes { CRC32C.checksum($0) }
            bytes.replaceSubrange(92..<96, with: withUnsafeBytes(of: sum.littleEndian) { [UInt8]($0) })
            XCTAssertThrowsError(try StateOwner(decoding: Bytes(bytes)), "bit \(bit)") {
                XCTAssertEqual($0 as? BalsaPlatform.DecodingError, DecodingError(.outOfBounds, "flags", at: 80))
            }
        }
    }

    func testWhatNoReceiverWouldTakeIsNotSent() {
        func assertRefused(_ files: [(String, UInt64)], line: UInt = #line) {
            let list = CheckpointList(
                cluster: .none,
                stamp: 0,
                files: files.map { CheckpointFile(name: $0.0, byteCount: $0.1) }
            )
            XCTAssertThrowsError(try list.encoded(), line: line)
        }
        for name in ["", ".", "..", "../a", "a/b", ".a", "a b", "ä", "a\0", String(repeating: "x", count: 65)] {
            assertRefused([(name, 1)])
        }
        assertRefused([("a", 1), ("a", 2)])
        assertRefused([("b", 1), ("a", 2)])
        let source = TestCheckpoint(position: position, files: [("b", "1"), ("a", "2")])
        XCTAssertThrowsError(
            try CheckpointSender(
                source,
                of: .none,
                to: 2,
                transfer: TransferID(nonce: 1, number: 1),
                giveUpAt: .never
            )
        )
    }

    func testTheLongestList() throws {
        let many = (0..<100_000).map { number in
            let digits = String(number)
            let name = String(repeating: "0", count: 60 - digits.count) + digits
            return CheckpointFile(name: name, byteCount: 0)
        }
        let bytes = try CheckpointList(cluster: .none, stamp: 0, files: many).encoded()
        XCTAssertLessThanOrEqual(bytes.count, CheckpointList.maxByteCount)
        XCTAssertEqual(try CheckpointList.byteCount(of: bytes), bytes.count)
        var more = many
        more.append(CheckpointFile(name: "z", byteCount: 0))
        XCTAssertThrowsError(try CheckpointList(cluster: .none, stamp: 0, files: more).encoded())
    }

    func testAnEmptyListIsOne() throws {
        let empty = CheckpointList(cluster: .none, stamp: .max, files: [])
        let bytes = try empty.encoded()
        XCTAssertEqual(bytes.count, 38)
        XCTAssertEqual(try CheckpointList(decoding: bytes), empty)
        XCTAssertEqual(empty.streamByteCount(list: 38), 38)
    }

    func testLengthsThatCannotBeAddedUpAreNone() {
        let files = [CheckpointFile(name: "a", byteCount: .max - 50), CheckpointFile(name: "b", byteCount: 50)]
        XCTAssertNil(CheckpointList(cluster: .none, stamp: 0, files: files).streamByteCount(list: 42))
        XCTAssertEqual(CheckpointList(cluster: .none, stamp: 0, files: files).streamByteCount(list: 0), .max)
    }

    /// The replica has files of these names beside those of the state machine.
    func testAFileOfACheckpoint_withANameOfTheReplicas_isRefused() {
        for name in ["OWNER", "OWNER.new"] {
            XCTAssertFalse(CheckpointFile(name: name, byteCount: 1).hasValidName, name)
        }
        for name in ["OWNER.old", "OWNERS", "owner"] {
            XCTAssertTrue(CheckpointFile(name: name, byteCount: 1).hasValidName, name)
        }
    }

    /// Whatever a list says, it is decoded or refused, and never more memory is taken than its bytes could fill.
    func testAListOfAnyBytesIsDecodedOrRefused() throws {
        var random = RandomSource(seed: 11)
        let good = try listOfPage()
        var accepted = 0
        for _ in 0..<20_000 {
            var bytes = random.chance(1, in: 2) ? good : (0..<random.below(60)).map { _ in UInt8(random.below(256)) }
            for _ in 0..<random.below(4) where !bytes.isEmpty {
                bytes[Int(random.below(UInt64(bytes.count)))] = UInt8(random.below(256))
            }
            // With a right length and checksum, so that what lies between is looked at.
            if bytes.count >= 8, random.chance(3, in: 4) {
                withUnsafeBytes(of: UInt32(bytes.count).littleEndian) { bytes.replaceSubrange(0..<4, with: $0) }
                let sum = bytes[..<(bytes.count - 4)].withUnsafeBytes { CRC32C.checksum($0) }
                withUnsafeBytes(of: sum.littleEndian) { bytes.replaceSubrange(bytes.count - 4..<bytes.count, with: $0) }
            }
            if let list = try? CheckpointList(decoding: Bytes(bytes)) {
                accepted += 1
                XCTAssertTrue(list.files.allSatisfy(\.hasValidName))
            }
        }
        XCTAssertGreaterThan(accepted, 100)
    }
}
