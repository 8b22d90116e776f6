import BalsaPlatform
import XCTest

@testable import BalsaKeyValue

/// The stored replies of a session against a sorted array.
final class ReplyWindowTests: XCTestCase {
    func testItDoesWhatASortedArrayDoes() {
        var random = RandomSource(seed: 5)
        var window = ReplyWindow()
        var model: [ReplyWindow.StoredReply] = []
        var lowest: UInt64 = 0
        for step in 0..<2_000 as Range<UInt64> {
            if random.chance(1, in: 3) {
                lowest += random.below(6)
                let before = model.count
                model.removeAll { $0.number < lowest }
                XCTAssertEqual(window.forget(below: lowest), before - model.count)
            } else {
                let number = lowest + random.below(12)
                let stored = ReplyWindow.StoredReply(number: number, reply: CommandReply(.applied, revision: step))
                model.removeAll { $0.number == number }
                model.insert(stored, at: model.firstIndex { $0.number > number } ?? model.count)
                window.insert(stored.reply, to: number)
            }
            XCTAssertEqual(Array(window.replies), model)
            XCTAssertEqual(window.count, model.count)
            let asked = lowest + random.below(12)
            XCTAssertEqual(window.reply(to: asked), model.first { $0.number == asked }?.reply)
        }
    }
}
