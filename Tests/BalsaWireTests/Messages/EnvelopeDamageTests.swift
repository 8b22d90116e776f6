import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

/// Frames that no honest member has sent: damaged ones, nonsense, and lies under valid checksums.
final class EnvelopeDamageTests: XCTestCase {
    private func assertFrameRefused(
        _ frame: [UInt8],
        _ reason: DecodingError.Reason,
        at offset: Int,
        _ message: String = "",
        line: UInt = #line
    ) {
        XCTAssertThrowsError(try Envelope(decoding: frame), message, line: line) { error in
            let error = error as? DecodingError
            XCTAssertEqual(error?.reason, reason, message, line: line)
            XCTAssertEqual(error?.offset, offset, message, line: line)
        }
    }

    func testEveryTruncationIsRefused() throws {
        for envelope in WireSamples.all {
            let frame = try envelope.frame()
            for count in 0..<frame.count {
                XCTAssertThrowsError(try Envelope(decoding: Array(frame[..<count])), "\(envelope.message.body)") {
                    XCTAssertEqual(($0 as? DecodingError)?.reason, .truncated, "\(count) bytes")
                }
            }
        }
    }

    func testEverySingleFlippedBitIsRefused() throws {
        for envelope in WireSamples.all {
            let frame = try envelope.frame()
            for bit in 0..<8 * frame.count {
                var damaged = frame
                damaged[bit / 8] ^= 1 << (bit % 8)
                let fault = fault(ofFlippedBit: bit)
                assertFrameRefused(damaged, fault.reason, at: fault.offset, "bit \(bit) of \(envelope.message.body)")
            }
        }
    }

    func testAByteBehindTheFrameIsRefused() throws {
        for envelope in WireSamples.all {
            let frame = try envelope.frame()
            assertFrameRefused(frame + [0], .inconsistent, at: frame.count, "\(envelope.message.body)")
        }
    }

    func testRandomBytesAreRefused() {
        var random = RandomSource(seed: 1)
        for _ in 0..<5_000 {
            let garbage = (0..<random.draw(0...300)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            assertFrameRefused(garbage, garbage.count < 4 ? .truncated : .magic, at: 0)
        }
    }

    func testRandomBytesBehindAValidHeaderAreRefusedOrMeanWhatTheyWouldBeEncodedAs() {
        var random = RandomSource(seed: 2)
        var accepted = 0
        for _ in 0..<20_000 {
            var raw = RawFrame(kind: UInt8(random.draw(0...20)))
            raw.body = (0..<random.draw(0...60)).map { _ in random.chance(1, in: 2) ? 0 : UInt8(random.draw(0...3)) }
            guard let envelope = try? Envelope(decoding: raw.bytes) else { continue }
            accepted += 1
            XCTAssertEqual(try envelope.frame(), raw.bytes)
        }
        XCTAssertGreaterThan(accepted, 100, "the bodies were too wild to test anything")
    }

    func testDamageUnderNewChecksumsIsRefusedOrMeansWhatItWouldBeEncodedAs() throws {
        var random = RandomSource(seed: 3)
        let frames = try WireSamples.all.map { try $0.frame() }
        var accepted = 0
        for _ in 0..<20_000 {
            var frame = random.pick(frames)
            for _ in 0..<random.draw(1...3) {
                frame[random.draw(0...frame.count - 1)] = random.chance(1, in: 2) ? 0 : UInt8(random.draw(0...255))
            }
            RawFrame.seal(&frame)
            guard let envelope = try? Envelope(decoding: frame) else { continue }
            accepted += 1
            XCTAssertEqual(try envelope.frame(), frame)
        }
        XCTAssertGreaterThan(accepted, 100, "the damage was too great to test anything")
    }

    func testAHandMadeFrameIsAccepted() throws {
        let expected = Envelope(group: 1, message: Message(from: 2, to: 3, term: 4, body: .appendResponse(.stale)))
        XCTAssertEqual(try Envelope(decoding: RawFrame().bytes), expected)
    }

    func testOtherFormatsAndNewerVersionsAreTold() {
        assertFrameRefused(RawFrame(magic: Array("BALX".utf8)).bytes, .magic, at: 0)
        assertFrameRefused(RawFrame(version: 2).bytes, .version, at: 4)
        assertFrameRefused(RawFrame(version: .max).bytes, .version, at: 4)
        assertFrameRefused(RawFrame(version: 0).bytes, .outOfBounds, at: 4)
        // A newer version is told even if its checksum lies elsewhere.
        var newer = RawFrame(version: 2).bytes
        newer[50] ^= 0xff
        assertFrameRefused(newer, .version, at: 4)
    }

    func testKindsThatAreNotMessagesOfTheCoreAreRefused() throws {
        for kind in [0] + Array(UInt8(13)...17) + Array(UInt8(20)...255) {
            assertFrameRefused(RawFrame(kind: kind).bytes, .outOfBounds, at: 6, "kind \(kind)")
        }
        for frame in PeerFrame.ownSamples {
            assertFrameRefused(try frame.frame(), .outOfBounds, at: 6, "\(frame.content)")
        }
    }

    func testReservedFlagsAreRefused() {
        for bit in 0..<8 { assertFrameRefused(RawFrame(flags: 1 << bit).bytes, .outOfBounds, at: 7) }
    }

    func testNobodysFramesAreRefused() {
        assertFrameRefused(RawFrame(group: 0).bytes, .outOfBounds, at: 8)
        assertFrameRefused(RawFrame(from: 0).bytes, .outOfBounds, at: 16)
        assertFrameRefused(RawFrame(to: 0).bytes, .outOfBounds, at: 24)
        assertFrameRefused(RawFrame(term: largestNumber + 1).bytes, .outOfBounds, at: 32)
    }

    func testALengthOfTwoGibibytesIsRefusedForItself() {
        for kind in UInt8(0)...20 {
            for claim in [UInt32(1) << 31, .max, UInt32(1 << 30) + 1, (4 << 20) + 128] {
                let raw = RawFrame(kind: kind, claimedBodyByteCount: claim)
                assertFrameRefused(raw.bytes, .outOfBounds, at: 40, "kind \(kind), \(claim) bytes")
            }
        }
    }

    func testLimitsThatMakeNoSenseRefuseAndDoNotTrap() {
        var options = WireOptions()
        options.maxFrameBytes = .min
        XCTAssertThrowsError(try Envelope(decoding: Bytes(RawFrame().bytes), options: options)) {
            XCTAssertEqual($0 as? DecodingError, DecodingError(.outOfBounds, "frame body byte count", at: 40))
        }
        options.maxFrameBytes = .max
        for kind in [UInt8(6), 11, 13] {
            let claim = RawFrame(kind: kind, claimedBodyByteCount: (1 << 30) + 100)
            XCTAssertThrowsError(try Envelope(decoding: Bytes(claim.bytes), options: options)) {
                XCTAssertEqual(($0 as? DecodingError)?.reason, .outOfBounds)
            }
        }
    }

    func testCodesOutsideOfTheirRangeAreRefused() {
        let campaign = RawFrame.bytes(of: UInt64(1))
        for kind in [UInt8(2), 4] {
            assertFrameRefused(RawFrame(kind: kind, body: [2] + campaign).bytes, .outOfBounds, at: 52)
        }
        for code in [UInt8(0), 4, 255] {
            assertFrameRefused(RawFrame(kind: 6, body: [code]).bytes, .outOfBounds, at: 52)
        }
        for code in [UInt8(0), 3, 255] {
            assertFrameRefused(RawFrame(kind: 18, body: [code] + campaign).bytes, .outOfBounds, at: 52)
        }
        for code in [UInt8(0), 4, 255] {
            assertFrameRefused(RawFrame(kind: 19, body: [code] + campaign + campaign).bytes, .outOfBounds, at: 52)
        }
        let none = [UInt8](repeating: 0, count: 8)
        for code in [UInt8(2), 3] {
            let body = [code] + none + campaign
            assertFrameRefused(RawFrame(kind: 19, body: body).bytes, .outOfBounds, at: 53, "no index")
        }
        assertFrameRefused(RawFrame(kind: 19, body: [1] + campaign + none).bytes, .outOfBounds, at: 61, "no index")
        var digestOfNothing = RawFrame()
        digestOfNothing.body[33] = 1
        assertFrameRefused(digestOfNothing.bytes, .inconsistent, at: 52 + 33)
        for kind in [UInt8(1), 3] {
            for bit in 0..<8 where kind == 1 || 1 << bit != VoteRequest.transferFlag {
                let body = [UInt8](repeating: 0, count: 24) + [UInt8(1 << bit)]
                assertFrameRefused(RawFrame(kind: kind, body: body).bytes, .outOfBounds, at: 52 + 24, "a flag")
            }
        }
        let read = [UInt8](repeating: 1, count: 24)
        for code in [UInt8(0), 3, 255] {
            assertFrameRefused(RawFrame(kind: 10, body: read + [code]).bytes, .outOfBounds, at: 76)
        }
    }

    func testTermsAndIndexesBeyondTheirBoundAreRefusedWhereTheyStand() {
        let beyond = RawFrame.bytes(of: largestNumber + 1)
        let accepted: [UInt8] = [1] + [UInt8](repeating: 0, count: 56)
        let rejected: [UInt8] = [2] + [UInt8](repeating: 0, count: 72)
        let asked: [UInt8] = [1] + [UInt8](repeating: 0, count: 8)
        let lost: [UInt8] = [1] + [UInt8](repeating: 0, count: 8) + [1] + [UInt8](repeating: 0, count: 7)
        let diverged: [UInt8] = [2, 1] + [UInt8](repeating: 0, count: 15)
        let read = [UInt8](repeating: 0, count: 24) + [1] + [UInt8](repeating: 0, count: 8)
        let zeros = [UInt8](repeating: 0, count: 56)
        /// Bodies that would be accepted, and where in them a term or an index stands.
        let bodies: [(kind: UInt8, body: [UInt8], bounded: [Int])] = [
            (1, Array(zeros[..<25]), [0, 8]), (3, Array(zeros[..<25]), [0, 8]), (5, zeros, [0, 8, 16, 24, 32]),
            (6, accepted, [25, 41, 49]), (6, rejected, [25, 41, 49, 57, 65]), (7, Array(zeros[..<24]), [16]),
            (10, read, [25]),
            (11, Array(zeros[..<16]), [0, 8]), (18, asked, [1]), (19, lost, [1, 9]), (19, diverged, [1]),
        ]
        for (kind, body, bounded) in bodies {
            XCTAssertNoThrow(try Envelope(decoding: RawFrame(kind: kind, body: body).bytes), "kind \(kind)")
            for offset in bounded {
                var raw = RawFrame(kind: kind, body: body)
                raw.body.replaceSubrange(offset..<offset + 8, with: beyond)
                assertFrameRefused(raw.bytes, .outOfBounds, at: 52 + offset, "kind \(kind)")
            }
        }
    }

    func testABodyLongerThanItsKindIsRefused() {
        assertFrameRefused(RawFrame(kind: 6, body: RawFrame().body + [0]).bytes, .inconsistent, at: 101)
        assertFrameRefused(RawFrame(kind: 8, body: [UInt8](repeating: 0, count: 17)).bytes, .inconsistent, at: 68)
        // Checkpoints travelled behind the fields of kind 11 once.
        assertFrameRefused(RawFrame(kind: 11, body: [UInt8](repeating: 0, count: 17)).bytes, .inconsistent, at: 68)
    }

    // MARK: An append and its entries

    /// The frame of an append with changed bytes and checksums that fit.
    private func append(
        after previous: LogPosition = LogPosition(term: 2, index: 9),
        _ change: (inout [UInt8]) -> Void
    ) throws -> [UInt8] {
        var frame = try WireSamples.append(WireSamples.entries(after: previous, payloads: [3, 4])).frame()
        change(&frame)
        RawFrame.seal(&frame)
        return frame
    }

    func testEntriesThatDoNotBeginBehindThePreviousPositionAreRefused() throws {
        assertFrameRefused(try append { $0[52] += 1 }, .inconsistent, at: 52, "previous term")
        assertFrameRefused(try append { $0[60] += 1 }, .inconsistent, at: 52, "previous index")
        assertFrameRefused(try append { $0[60] -= 1 }, .inconsistent, at: 52, "previous index")
    }

    func testEntriesThatDoNotEndWhereTheMessageSaysAreRefused() throws {
        assertFrameRefused(try append { $0[76] += 1 }, .inconsistent, at: 52, "last term")
        assertFrameRefused(try append { $0[84] += 1 }, .inconsistent, at: 52, "last index")
        assertFrameRefused(try append { $0[84] -= 1 }, .inconsistent, at: 52, "last index")
        assertFrameRefused(try append { $0[84] = 0 }, .inconsistent, at: 76, "a last index before the first")
    }

    func testAnnouncedEntriesThatDoNotComeAreRefused() throws {
        let frame = try append { frame in
            frame.removeSubrange(108...)
            frame.replaceSubrange(40..<44, with: RawFrame.bytes(of: UInt32(56)))
        }
        assertFrameRefused(frame, .inconsistent, at: 76)
    }

    func testEntriesOfAnotherGroupAreRefused() throws {
        assertFrameRefused(try append { $0[8] ^= 1 }, .inconsistent, at: 108)
    }

    func testDamageWithinAnEntryIsRefusedAtItsPlaceInTheFrame() throws {
        // Under checksums of the frame that fit: the entries' own checksums tell.
        assertFrameRefused(try append { $0[108 + 56 + 1] ^= 1 }, .checksum, at: 108 + 56)
        assertFrameRefused(try append { $0[108 + 40] ^= 1 }, .checksum, at: 108 + 52)
        let second = 108 + 56 + 3
        assertFrameRefused(try append { $0[second + 8] ^= 1 }, .checksum, at: second + 52)
    }

    func testEntriesThatDoNotFollowEachOtherAreRefused() throws {
        let first = WireSamples.entries(after: LogPosition(term: 2, index: 9), payloads: [3])
        let strangers = [
            WireSamples.entries(after: LogPosition(term: 3, index: 11), payloads: [4]),
            WireSamples.entries(after: LogPosition(term: 2, index: 10), payloads: [4]),
            first,
        ]
        for stranger in strangers {
            var raw = RawFrame(kind: 5, group: first.group)
            raw.body = [UInt8](try WireSamples.append(first).frame()[52..<108])
            raw.body.replaceSubrange(24..<32, with: RawFrame.bytes(of: stranger.last.term))
            raw.body.replaceSubrange(32..<40, with: RawFrame.bytes(of: stranger.last.index))
            raw.body += [UInt8](first.bytes) + [UInt8](stranger.bytes)
            XCTAssertThrowsError(try Envelope(decoding: raw.bytes)) {
                XCTAssertEqual(($0 as? DecodingError)?.reason, .inconsistent)
            }
        }
    }

    func testAnEntryThatIsCutOffIsRefused() throws {
        for missing in 1..<60 {
            let frame = try append { frame in
                frame.removeLast(missing)
                frame.replaceSubrange(40..<44, with: RawFrame.bytes(of: UInt32(frame.count - 52)))
            }
            XCTAssertThrowsError(try Envelope(decoding: frame), "\(missing) bytes") {
                XCTAssertEqual(($0 as? DecodingError)?.reason, .truncated, "\(missing) bytes")
            }
        }
    }
}
