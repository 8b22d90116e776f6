import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// The stream of a checkpoint, from its files to its files, without replicas.
final class CheckpointStreamTests: XCTestCase {
    private let position = LogPosition(term: 3, index: 40)
    private let directory = "state-2"

    /// Files of every awkward length: none at all at the front, in the middle and at the end.
    private func checkpoint() -> TestCheckpoint {
        var random = RandomSource(seed: 5)
        func bytes(_ count: Int) -> Bytes { Bytes((0..<count).map { _ in UInt8(random.below(256)) }) }
        return TestCheckpoint(
            position: position,
            stamp: 77,
            files: [
                ("A", Bytes()), ("a", bytes(1)), ("b.table", bytes(700)), ("c", Bytes()), ("d-1", Bytes()),
                ("d_2", bytes(300)), ("z", Bytes()),
            ]
        )
    }

    private func sender(_ source: any CheckpointSource) throws -> CheckpointSender {
        try CheckpointSender(
            source,
            of: .none,
            to: 2,
            transfer: TransferID(nonce: 9, number: 1),
            giveUpAt: .zero + .seconds(30)
        )
    }

    private func receiver(_ chunk: CheckpointChunk, _ files: any FileSystem) throws -> CheckpointReceiver {
        try CheckpointReceiver(chunk, from: 1, term: 3, of: .none, into: directory, in: files)
    }

    /// Checks that a disk holds the files of a checkpoint and nothing else.
    private func assertHolds(
        _ disk: SimulatedDisk,
        _ source: TestCheckpoint,
        file: StaticString = #filePath,
        line: UInt = #line
    ) throws {
        XCTAssertEqual(try disk.mount().list(directory), source.files.map(\.name), file: file, line: line)
        for (number, entry) in source.files.enumerated() {
            let expected = try source.read(file: number, offset: 0, count: Int(entry.byteCount))
            XCTAssertEqual(disk.contents(of: "\(directory)/\(entry.name)"), [UInt8](expected), file: file, line: line)
        }
    }

    private func assertRefused(
        _ receiver: CheckpointReceiver,
        _ chunk: CheckpointChunk,
        _ note: String = "",
        file: StaticString = #filePath,
        line: UInt = #line
    ) {
        XCTAssertThrowsError(try receiver.take(chunk), note, file: file, line: line) { error in
            guard case .refused? = error as? CheckpointReceiverError else {
                return XCTFail("\(error)", file: file, line: line)
            }
        }
    }

    // MARK: What arrives

    func testItArrivesWholeAndDurableWhateverItIsCutInto() throws {
        let source = checkpoint()
        for size in [1, 7, 64, 500, 1 << 20] {
            let disk = SimulatedDisk()
            let chunks = try source.chunks(of: size)
            let receiver = try receiver(chunks[0], disk.mount())
            for chunk in chunks {
                XCTAssertFalse(receiver.isComplete)
                try receiver.take(chunk)
                XCTAssertEqual(receiver.received, chunk.offset + UInt64(chunk.bytes.count))
            }
            XCTAssertTrue(receiver.isComplete(at: position))
            XCTAssertEqual(receiver.stamp, 77)
            try assertHolds(disk, source)
            // Its own name is what the installation syncs. All that is below it must be durable already.
            try disk.mount().syncDirectory(".")
            disk.powerLoss(salt: UInt64(size))
            try assertHolds(disk, source)
        }
    }

    func testACheckpointWithoutFilesIsOne() throws {
        let disk = SimulatedDisk()
        let chunks = try TestCheckpoint(position: position, files: []).chunks(of: 5)
        let receiver = try receiver(chunks[0], disk.mount())
        for chunk in chunks { try receiver.take(chunk) }
        XCTAssertTrue(receiver.isComplete)
        XCTAssertEqual(try disk.mount().list(directory), [])
    }

    func testWhatLiesInTheDirectoryIsReplaced() throws {
        let disk = SimulatedDisk()
        let files = disk.mount()
        try files.createDirectory(directory)
        try files.open("\(directory)/a", .create).write("left", at: 0)
        let source = checkpoint()
        let chunks = try source.chunks(of: 100)
        let receiver = try receiver(chunks[0], files)
        for chunk in chunks { try receiver.take(chunk) }
        try assertHolds(disk, source)
    }

    // MARK: A network without promises

    func testChunksMayBeLostDoubledAndOvertaken() throws {
        for seed in 1...25 as ClosedRange<UInt64> {
            var random = RandomSource(seed: seed)
            let (source, disk) = (checkpoint(), SimulatedDisk())
            let files = disk.mount()
            var (sender, receiver) = (try sender(source), CheckpointReceiver?.none)
            var (chunks, answers): ([CheckpointChunk], [UInt64]) = ([], [])
            var now = Instant.zero
            for _ in 0..<100_000 where !sender.isComplete {
                now = now + .milliseconds(50)
                _ = sender.expire(at: now)
                while let chunk = try sender.nextChunk(of: 90, at: now, resendAfter: .milliseconds(400)) {
                    for _ in 0..<random.below(3) { chunks.append(chunk) }
                }
                if !chunks.isEmpty, random.chance(2, in: 3) {
                    let chunk = chunks.remove(at: Int(random.below(UInt64(chunks.count))))
                    if receiver == nil {
                        guard chunk.offset == 0 else { continue }
                        receiver = try self.receiver(chunk, files)
                    }
                    try receiver?.take(chunk)
                    for _ in 0..<random.below(3) { answers.append(receiver?.received ?? 0) }
                }
                if !answers.isEmpty, random.chance(2, in: 3) {
                    let answer = answers.remove(at: Int(random.below(UInt64(answers.count))))
                    sender.received(through: answer, giveUpAt: now + .seconds(30))
                }
            }
            XCTAssertTrue(sender.isComplete, "seed \(seed)")
            XCTAssertEqual(receiver?.isComplete, true, "seed \(seed)")
            XCTAssertGreaterThan(sender.chunksRepeated, 0, "seed \(seed)")
            try assertHolds(disk, source)
        }
    }

    func testNeverMoreThanTwoChunksAreOnTheirWay() throws {
        var sender = try sender(checkpoint())
        func next() throws -> CheckpointChunk? {
            try sender.nextChunk(of: 100, at: .zero, resendAfter: .seconds(1))
        }
        let first = try XCTUnwrap(try next())
        let second = try XCTUnwrap(try next())
        XCTAssertEqual([first.offset, second.offset], [0, 100])
        XCTAssertNil(try next())
        sender.received(through: 0, giveUpAt: .never)
        sender.received(through: 50, giveUpAt: .never)
        XCTAssertNil(try next(), "neither was acknowledged")
        sender.received(through: 100, giveUpAt: .never)
        XCTAssertEqual(try next()?.offset, 200)
        XCTAssertNil(try next())
        sender.received(through: 300, giveUpAt: .never)
        XCTAssertEqual(
            [try next()?.offset, try next()?.offset],
            [300, 400],
            "an acknowledgement covers what is before it"
        )
    }

    /// The memory that a transfer takes is that of its chunks: the source is read as they are made, and not ahead.
    func testTheSourceIsReadNoFurtherThanTheWindow() throws {
        let source = checkpoint()
        var sender = try sender(source)
        while try sender.nextChunk(of: 200, at: .zero, resendAfter: .seconds(1)) != nil {}
        XCTAssertLessThanOrEqual(source.bytesRead, 400)
    }

    func testWhatIsNotAcknowledgedIsSentAgainFromThere() throws {
        var sender = try sender(checkpoint())
        let sent = try (0..<2).map { _ in try sender.nextChunk(of: 100, at: .zero, resendAfter: .seconds(1)) }
        sender.received(through: 100, giveUpAt: .never)
        XCTAssertFalse(sender.expire(at: .zero + .milliseconds(999)))
        XCTAssertEqual(sender.resendAt, .zero + .seconds(1))
        XCTAssertTrue(sender.expire(at: .zero + .seconds(1)))
        XCTAssertEqual(sender.chunksRepeated, 1)
        XCTAssertFalse(sender.expire(at: .zero + .seconds(1)), "once")
        let again = try sender.nextChunk(of: 100, at: .zero + .seconds(1), resendAfter: .seconds(1))
        XCTAssertEqual(again, sent[1])
        XCTAssertEqual(sender.resendAt, .zero + .seconds(2))
    }

    func testOnlyProgressPutsOffTheEnd() throws {
        var sender = try sender(checkpoint())
        _ = try sender.nextChunk(of: 100, at: .zero, resendAfter: .seconds(1))
        sender.received(through: 0, giveUpAt: .zero + .seconds(60))
        sender.received(through: 70, giveUpAt: .zero + .seconds(60))
        XCTAssertEqual(sender.giveUpAt, .zero + .seconds(30))
        sender.received(through: 100, giveUpAt: .zero + .seconds(60))
        XCTAssertEqual(sender.giveUpAt, .zero + .seconds(60))
    }

    // MARK: What is refused

    func testAChunkThatIsDamagedOrOfAnotherCheckpointIsRefused() throws {
        let chunks = try checkpoint().chunks(of: 300)
        let changes: [(inout CheckpointChunk) -> Void] = [
            { chunk in
                var bytes = [UInt8](chunk.bytes)
                bytes[bytes.count / 2] ^= 0x10
                chunk.bytes = Bytes(bytes)
            },
            { $0.streamChecksum ^= 1 },
            { $0.streamByteCount += 1 },
            { $0.position.index += 1 },
            { $0.position.term += 1 },
        ]
        for (number, change) in changes.enumerated() {
            let receiver = try receiver(chunks[0], SimulatedDisk().mount())
            try receiver.take(chunks[0])
            var damaged = chunks[1]
            change(&damaged)
            assertRefused(receiver, damaged, "change \(number)")
            XCTAssertFalse(receiver.isComplete)
        }
    }

    /// Two parts that are right each, and not of one whole: the second was read when the file was another already.
    func testPartsOfTwoCheckpointsDoNotMakeOne() throws {
        let one = TestCheckpoint(position: position, files: [("a", Bytes([UInt8](repeating: 1, count: 200)))])
        let other = TestCheckpoint(position: position, files: [("a", Bytes([UInt8](repeating: 2, count: 200)))])
        let receiver = try receiver(try one.chunks(of: 120)[0], SimulatedDisk().mount())
        try receiver.take(try one.chunks(of: 120)[0])
        assertRefused(receiver, try other.chunks(of: 120)[1])
    }

    func testAFileThatIsShorterThanItWasEndsTheTransfer() throws {
        let source = checkpoint()
        var sender = try sender(source)
        source.cut(file: 2, to: 699)
        XCTAssertThrowsError(
            try {
                while let chunk = try sender.nextChunk(of: 100, at: .zero, resendAfter: .seconds(1)) {
                    sender.received(through: chunk.offset + UInt64(chunk.bytes.count), giveUpAt: .never)
                }
            }()
        ) { XCTAssertTrue("\($0)".contains("b.table"), "\($0)") }
    }

    func testANameThatLeadsOutOfTheDirectoryIsRefusedAndNothingIsWritten() throws {
        let long = String(repeating: "x", count: 65)
        for name in ["../VOTE", "..", ".", "/etc/passwd", "a/b", "a\\b", ".hidden", "", "a\0", "a b", "ä", long] {
            let disk = SimulatedDisk()
            let files = disk.mount()
            let chunk = chunk(ofStream: list([(name, 4)]) + [1, 2, 3, 4])
            let receiver = try receiver(chunk, files)
            assertRefused(receiver, chunk, "name \(name.debugDescription)")
            XCTAssertEqual(try files.list(directory), [], "name \(name.debugDescription)")
            XCTAssertEqual(try files.list("."), [directory], "name \(name.debugDescription)")
        }
        let good = chunk(ofStream: list([(String(long.dropLast()), 4)]) + [1, 2, 3, 4])
        let receiver = try receiver(good, SimulatedDisk().mount())
        try receiver.take(good)
        XCTAssertTrue(receiver.isComplete, "the longest name that there is")
    }

    func testAListOutsideOfItsBoundsIsRefusedBeforeAnythingIsWritten() throws {
        var huge = list([("a", 4)])
        huge.replaceSubrange(0..<4, with: [0xff, 0xff, 0xff, 0x00])
        var tiny = list([("a", 4)])
        tiny.replaceSubrange(0..<4, with: [37, 0, 0, 0])
        let data: [UInt8] = [1, 2, 3, 4]
        let streams: [(String, [UInt8])] = [
            ("longer than any list", huge + data), ("shorter than any list", tiny + data),
            ("less data than announced", list([("a", 5)]) + data), ("more data", list([("a", 3)]) + data),
            ("twice the same name", list([("a", 2), ("a", 2)]) + data),
            ("not in order", list([("b", 2), ("a", 2)]) + data),
            ("more bytes than can be counted", list([("a", .max), ("b", 5)]) + data),
            ("the list alone is cut", Array(list([("a", 4)]).dropLast())), ("nothing", []),
            ("three bytes", [1, 0, 0]), ("more files than fit", list([("a", 4)], count: 2) + data),
            ("more files than any has", list([("a", 4)], count: 100_001) + data),
        ]
        for (note, stream) in streams {
            let files = SimulatedDisk().mount()
            let chunk = chunk(ofStream: stream)
            let receiver = try receiver(chunk, files)
            assertRefused(receiver, chunk, note)
            XCTAssertEqual(try files.list(directory), [], note)
        }
    }

    /// A stream of one chunk, whose checksum is right whatever is in it.
    private func chunk(ofStream stream: [UInt8]) -> CheckpointChunk {
        CheckpointChunk(
            transfer: TransferID(nonce: 9, number: 1),
            position: position,
            streamByteCount: UInt64(stream.count),
            offset: 0,
            streamChecksum: stream.withUnsafeBytes { CRC32C.checksum($0) },
            bytes: Bytes(stream)
        )
    }

    /// A list as no sender of this release would write it.
    private func list(_ files: [(name: String, byteCount: UInt64)], count: UInt32? = nil) -> [UInt8] {
        func little<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
            withUnsafeBytes(of: number.littleEndian) { Array($0) }
        }
        // The version, no cluster, the stamp and the number of files.
        var bytes = little(CheckpointList.version) + [UInt8](repeating: 0, count: 16)
        bytes += little(UInt64(0)) + little(count ?? UInt32(files.count))
        for file in files {
            bytes += little(file.byteCount) + [UInt8(file.name.utf8.count)] + Array(file.name.utf8)
        }
        bytes = little(UInt32(bytes.count + 8)) + bytes
        return bytes + little(bytes.withUnsafeBytes { CRC32C.checksum($0) })
    }

    // MARK: Disks

    func testAFileCallThatFailsEndsTheTransferAndIsTold() throws {
        final class FailingHook: DiskHook {
            let call: UInt64
            init(_ call: UInt64) { self.call = call }
            func answer(_ call: DiskCall) -> DiskAnswer { call.number == self.call ? .fail(.noSpace) : .proceed }
        }
        let source = checkpoint()
        let chunks = try source.chunks(of: 100)
        var failures = 0
        for call in 1...200 as ClosedRange<UInt64> {
            let disk = SimulatedDisk()
            do {
                let receiver = try receiver(chunks[0], disk.mount(FailingHook(call)))
                for chunk in chunks { try receiver.take(chunk) }
                XCTAssertTrue(receiver.isComplete)
                break
            } catch CheckpointReceiverError.file(let error) {
                XCTAssertEqual(error.number, .noSpace)
            } catch let error as FileError {
                XCTAssertEqual(error.number, .noSpace)
            }
            failures += 1
        }
        XCTAssertGreaterThan(failures, 20, "every call was tried")
    }

    func testWhatIsGivenUpIsRemoved() throws {
        let disk = SimulatedDisk()
        let files = disk.mount()
        let chunks = try checkpoint().chunks(of: 300)
        let receiver = try receiver(chunks[0], files)
        try receiver.take(chunks[0])
        try receiver.take(chunks[1])
        XCTAssertFalse(try files.list(directory).isEmpty)
        receiver.discard()
        XCTAssertNil(receiver.leftBehind)
        XCTAssertEqual(try files.list("."), [])
    }
}
