import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

final class FrameDecoderTests: XCTestCase {
    /// The bytes of `stream` through one decoder, in pieces that end at `ends` and at the end.
    private func decode(_ stream: [UInt8], piecesEndingAt ends: [Int]) throws -> [Bytes] {
        var decoder = FrameDecoder(options: WireOptions())
        var frames: [Bytes] = []
        var start = 0
        for end in ends + [stream.count] {
            try decoder.receive(Bytes(Array(stream[start..<end])), into: &frames)
            start = end
        }
        XCTAssertEqual(decoder.bufferedByteCount, 0)
        XCTAssertEqual(decoder.reservedByteCount, 0)
        return frames
    }

    func testFramesComeOutWhereverAStreamIsSplitOnce() throws {
        let frames = try PeerFrame.samples.map { Bytes(try $0.frame()) }
        let stream = frames.flatMap { [UInt8]($0) }
        for split in 0...stream.count {
            XCTAssertEqual(try decode(stream, piecesEndingAt: [split]), frames, "split at \(split)")
        }
    }

    func testFramesComeOutWhereverAStreamIsSplitTwice() throws {
        let samples = [
            WireSamples.envelope(.appendResponse(.stale)),
            WireSamples.append(WireSamples.entries(after: .zero, payloads: [3])),
        ]
        let frames = try samples.map { Bytes(try $0.frame()) }
        let stream = frames.flatMap { [UInt8]($0) }
        for first in 0...stream.count {
            for second in first...stream.count {
                XCTAssertEqual(try decode(stream, piecesEndingAt: [first, second]), frames, "\(first), \(second)")
            }
        }
    }

    func testFramesComeOutOfSingleBytesAsSoonAsTheyAreComplete() throws {
        var decoder = FrameDecoder(options: WireOptions())
        for sent in PeerFrame.samples {
            let frame = try sent.frame()
            var frames: [Bytes] = []
            for (count, byte) in frame.enumerated() {
                XCTAssertEqual(decoder.bufferedByteCount, count)
                XCTAssertEqual(frames, [])
                try decoder.receive([byte], into: &frames)
            }
            XCTAssertEqual(frames, [Bytes(frame)])
            XCTAssertEqual(try PeerFrame(decoding: frame), sent)
        }
    }

    func testALongFrameArrivesInPiecesAndNeverHasMuchMoreMemoryThanBytes() throws {
        let sent = PeerFrame.chunk(Bytes((0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 / 1_000) }))
        let stream = try sent.frame()
        var decoder = FrameDecoder(options: WireOptions())
        var frames: [Bytes] = []
        var start = 0
        while start < stream.count {
            let end = min(start + 1_460, stream.count)
            try decoder.receive(Bytes(Array(stream[start..<end])), into: &frames)
            start = end
            let limit = max(FrameDecoder.smallestReservation, 2 * decoder.bufferedByteCount)
            XCTAssertLessThanOrEqual(decoder.reservedByteCount, limit)
        }
        XCTAssertEqual(frames.count, 1)
        XCTAssertEqual(try PeerFrame(decoding: frames[0], options: WireOptions()), sent)
    }

    func testAnAnnouncedLengthGetsNoMemoryBeforeBytesCome() throws {
        let raw = RawFrame(kind: 13, claimedBodyByteCount: 4 << 20).bytes
        var decoder = FrameDecoder(options: WireOptions())
        var frames: [Bytes] = []
        try decoder.receive(Bytes(Array(raw[..<52])), into: &frames)
        try decoder.receive([0], into: &frames)
        XCTAssertEqual(decoder.bufferedByteCount, 53)
        XCTAssertLessThanOrEqual(decoder.reservedByteCount, FrameDecoder.smallestReservation)
    }

    func testALengthBeyondTheLimitIsRefusedWithTheHeader() {
        let raw = RawFrame(kind: 13, claimedBodyByteCount: 1 << 31).bytes
        for split in [0, 1, 51] {
            var decoder = FrameDecoder(options: WireOptions())
            var frames: [Bytes] = []
            XCTAssertNoThrow(try decoder.receive(Bytes(Array(raw[..<split])), into: &frames))
            let expected = DecodingError(.outOfBounds, "frame body byte count", at: 40)
            // The second time, too: nobody knows where the next frame begins.
            for _ in 0..<2 {
                do {
                    try decoder.receive(Bytes(Array(raw[split...])), into: &frames)
                    XCTFail("the length was believed")
                } catch {
                    XCTAssertEqual(error, expected)
                }
            }
            XCTAssertEqual(decoder.reservedByteCount, 0)
            XCTAssertEqual(frames, [])
        }
    }

    func testFramesBeforeABadHeaderAreKept() throws {
        let good = try WireSamples.envelope(.appendResponse(.stale)).frame()
        var decoder = FrameDecoder(options: WireOptions())
        var frames: [Bytes] = []
        do {
            try decoder.receive(Bytes(good + good + [UInt8](repeating: 0, count: 52)), into: &frames)
            XCTFail("a header of zeros was believed")
        } catch {
            XCTAssertEqual(error.reason, .magic)
        }
        XCTAssertEqual(frames, [Bytes(good), Bytes(good)])
    }

    func testADamagedBodyHarmsNoOtherFrame() throws {
        let good = try WireSamples.envelope(.appendResponse(.stale)).frame()
        var damaged = good
        damaged[52] ^= 1
        let frames = try decode(damaged + good, piecesEndingAt: [30])
        XCTAssertEqual(frames, [Bytes(damaged), Bytes(good)])
        assertRefused(.checksum, "frame body checksum", at: 44) { try Envelope(decoding: damaged) }
    }

    func testAFrameOfAKindFromTheFutureHarmsNoOtherFrame() throws {
        let unknown = RawFrame(kind: 200, body: [1, 2, 3]).bytes
        let good = RawFrame().bytes
        XCTAssertEqual(try decode(unknown + good, piecesEndingAt: []), [Bytes(unknown), Bytes(good)])
    }

    func testAFrameWithoutABodyIsAFrame() throws {
        let empty = RawFrame(kind: 200, body: []).bytes
        for split in 0...empty.count {
            XCTAssertEqual(try decode(empty + empty, piecesEndingAt: [split]), [Bytes(empty), Bytes(empty)])
        }
    }

    func testRandomBytesInRandomPiecesNeverTrap() throws {
        var random = RandomSource(seed: 4)
        let frames = try PeerFrame.samples.map { try $0.frame() }
        for _ in 0..<500 {
            var stream = (0..<4).flatMap { _ in random.pick(frames) }
            for _ in 0..<random.draw(0...2) {
                stream[random.draw(0...stream.count - 1)] = UInt8(random.draw(0...255))
            }
            var decoder = FrameDecoder(options: WireOptions())
            var received: [Bytes] = []
            var start = 0
            do {
                while start < stream.count {
                    let end = min(start + random.draw(1...200), stream.count)
                    try decoder.receive(Bytes(Array(stream[start..<end])), into: &received)
                    start = end
                }
            } catch {
                XCTAssertEqual(decoder.bufferedByteCount, 0)
            }
            // What came out is the beginning of what went in.
            let together = received.flatMap { [UInt8]($0) }
            XCTAssertEqual(together, Array(stream.prefix(together.count)))
        }
    }
}
