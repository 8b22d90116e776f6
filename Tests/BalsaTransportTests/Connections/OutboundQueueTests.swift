import BalsaPlatform
import XCTest

@testable import BalsaTransport

final class OutboundQueueTests: XCTestCase {
    private func queue(
        bytes: Int = 1_000,
        frames: Int = 100,
        _ overflow: OutboundQueue.Overflow = .dropsOldest
    ) -> OutboundQueue {
        OutboundQueue(maxBytes: bytes, maxFrames: frames, overflow: overflow)
    }

    /// What the system is offered, as text.
    private func offered(by queue: inout OutboundQueue, pieces: Int = 64, bytes: Int = 1_000) -> [String] {
        var found: [Bytes] = []
        queue.gather(maxPieces: pieces, maxBytes: bytes, into: &found)
        return found.map { String($0) }
    }

    func testPiecesComeInTheirOrderAndAsOftenAsTheyAreNotTaken() {
        var queue = queue()
        XCTAssertEqual(queue.append(["he", "", "llo"]), 0)
        XCTAssertEqual(queue.append(["world"]), 0)
        XCTAssertEqual(offered(by: &queue), ["he", "llo", "world"])
        XCTAssertEqual(offered(by: &queue), ["he", "llo", "world"])
        XCTAssertEqual(queue.consume(10), 2)
        XCTAssertTrue(queue.isEmpty)
        XCTAssertEqual(queue.byteCount, 0)
    }

    func testWhatTheSystemTookInPartGoesOnWhereItStopped() {
        var queue = queue()
        _ = queue.append(["he", "llo"])
        _ = queue.append(["world"])
        _ = offered(by: &queue)
        XCTAssertEqual(queue.consume(3), 0)
        XCTAssertEqual(offered(by: &queue), ["lo", "world"])
        XCTAssertEqual(queue.consume(4), 1)
        XCTAssertEqual(offered(by: &queue), ["rld"])
    }

    func testOneCallGetsNoMoreThanItMayTake() {
        var queue = queue()
        for number in 0..<9 { _ = queue.append([Bytes("\(number)"), "-"]) }
        XCTAssertEqual(offered(by: &queue, pieces: 3), ["0", "-", "1"])
        XCTAssertEqual(offered(by: &queue, bytes: 4), ["0", "-", "1", "-"])
    }

    func testTheOldestGoForTheNewWhereThereIsNoRoom() {
        var queue = queue(bytes: 10)
        for text: Bytes in ["aaaa", "bbbb", "cc"] { XCTAssertEqual(queue.append([text]), 0) }
        XCTAssertEqual(queue.append(["ddddd"]), 2)
        XCTAssertEqual(offered(by: &queue), ["cc", "ddddd"])
        XCTAssertEqual(queue.append(["a frame beyond the bound"]), 1)
        XCTAssertEqual(offered(by: &queue), ["cc", "ddddd"], "nothing goes for what would not fit anyway")
    }

    func testTheNumberOfFramesIsBounded() {
        var queue = queue(frames: 2)
        XCTAssertEqual(["a", "b", "c"].map { queue.append([$0 as Bytes]) }, [0, 0, 1])
        XCTAssertEqual(offered(by: &queue), ["b", "c"])
    }

    func testOfAStreamTheNewestIsRefused() {
        var queue = queue(frames: 2, .refusesNewest)
        XCTAssertEqual(["a", "b", "c"].map { queue.append([$0 as Bytes]) }, [0, 0, 1])
        XCTAssertEqual(offered(by: &queue), ["a", "b"])
    }

    func testWhatTheSystemWasOfferedIsNotDropped() {
        var queue = queue(bytes: 10)
        _ = queue.append(["aaaa"])
        _ = queue.append(["bbbb"])
        XCTAssertEqual(offered(by: &queue, pieces: 1), ["aaaa"])
        XCTAssertEqual(queue.append(["cccccc"]), 1, "the second frame, which was not offered")
        XCTAssertEqual(queue.consume(1), 0)
        XCTAssertEqual(offered(by: &queue), ["aaa", "cccccc"])
        XCTAssertEqual(queue.append(["ddddd"]), 1, "only what was offered is older")
        XCTAssertEqual(offered(by: &queue), ["aaa", "cccccc"])
        XCTAssertEqual(queue.consume(0), 0)
        XCTAssertEqual(queue.append(["ddddd"]), 1, "the second frame, of which the system took nothing")
        XCTAssertEqual(offered(by: &queue), ["aaa", "ddddd"])
    }

    /// An entry that another leader took may be longer than this member's queue is.
    func testAppend_frameLongerThanTheQueue_goesAloneAndNotBesideOthers() {
        for overflow in [.dropsOldest, .refusesNewest] as [OutboundQueue.Overflow] {
            var queue = queue(bytes: 4, overflow)
            XCTAssertEqual(queue.append(["too long"]), 0)
            XCTAssertEqual(offered(by: &queue), ["too long"])
            XCTAssertEqual(queue.append(["b"]), 1, "there is no room beside it, and the system may have it in part")
            XCTAssertEqual(queue.consume(8), 1)
            XCTAssertEqual(queue.append(["b"]), 0)
        }
        var queue = queue(bytes: 4)
        XCTAssertEqual(["a", "too long"].map { queue.append([$0 as Bytes]) }, [0, 1])
        XCTAssertEqual(offered(by: &queue), ["too long"], "the oldest went for it")
    }

    func testALostConnectionEmptiesTheQueue() {
        var queue = queue()
        _ = queue.append(["aaaa"])
        _ = queue.append(["bbbb"])
        _ = offered(by: &queue)
        _ = queue.consume(5)
        XCTAssertEqual(queue.removeAll(), 1)
        _ = queue.append(["cc"])
        XCTAssertEqual(offered(by: &queue), ["cc"])
    }

    /// Whatever the system takes, and whenever, what it got is a row of whole frames in ascending order, and none is missing
    /// but those that were counted.
    func testWhateverTheSystemTakesItGetsWholeFrames() {
        for seed in 0..<50 as Range<UInt64> {
            var random = RandomSource(seed: seed)
            var queue = queue(bytes: 300, frames: 20, random.chance(1, in: 2) ? .dropsOldest : .refusesNewest)
            var (sent, dropped, gone, number) = ([UInt8](), 0, 0, 0)
            for _ in 0..<400 {
                if random.chance(2, in: 3) {
                    // A frame is its number, as often as it has bytes, in pieces of any length, and a comma.
                    number += 1
                    let text = String(repeating: "\(number)", count: random.draw(1...8)) + ","
                    let cut = random.draw(0...text.utf8.count)
                    dropped += queue.append([Bytes(String(text.prefix(cut))), Bytes(String(text.dropFirst(cut)))])
                } else {
                    var pieces: [Bytes] = []
                    queue.gather(maxPieces: random.draw(1...6), maxBytes: random.draw(1...60), into: &pieces)
                    let bytes = pieces.flatMap { [UInt8]($0) }
                    let taken = random.draw(0...bytes.count)
                    sent += bytes[..<taken]
                    gone += queue.consume(taken)
                }
                XCTAssertLessThanOrEqual(queue.byteCount, 300)
                XCTAssertEqual(gone + dropped + queue.frameCount, number)
            }
            let frames = String(decoding: sent, as: UTF8.self).split(separator: ",", omittingEmptySubsequences: false)
            XCTAssertEqual(frames.count - 1, gone)
            var expected = 1
            for frame in frames.dropLast() {
                // The first number from here on of which the frame is a repetition.
                while expected <= number, frame.replacingOccurrences(of: "\(expected)", with: "") != "" {
                    expected += 1
                }
                XCTAssertLessThanOrEqual(expected, number, "\(frame) is out of order or no whole frame")
                expected += 1
            }
        }
    }
}
