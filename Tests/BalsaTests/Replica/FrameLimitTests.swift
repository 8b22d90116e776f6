import BalsaPlatform
import BalsaWire
import XCTest

@testable import Balsa

/// Frames that are longer than the limits of today, which only entries of an earlier start can be.
final class FrameLimitTests: XCTestCase {
    func testAnEntry_thatIsLongerThanAFrameMayBe_isCountedAndNotSent() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        group.advance(by: .milliseconds(100))
        let (other, late) = (leader % 3 + 1, (leader + 1) % 3 + 1)
        group.isolate(late)
        let write = group.write(leader, "k", Bytes(String(repeating: "x", count: 2_000)))
        group.advance(by: .milliseconds(200))
        guard case .success(_, index: let index)? = group.host(leader).reply(to: write) else {
            return XCTFail("\(String(describing: group.host(leader).reply(to: write)))")
        }
        for id in [leader, other, late] { group.crash(id, powerLoss: nil) }
        group.options.wire.maxFrameBytes = 1_000 + WireOptions.roomForFields
        (group.options.maxCommandBytes, group.options.chunkBytes) = (500, 500)
        group.options.raft.maxAppendBytes = 1_000
        for id in [leader, other] { try group.open(id) }
        let next = try group.elect()
        XCTAssertEqual(group.host(next).replica?.metrics.framesTooLarge, 0, "who holds the entry need not be sent it")
        group.isolate()
        try group.open(late)
        group.advance(by: .seconds(1))
        let counted = try XCTUnwrap(group.host(next).replica?.metrics.framesTooLarge)
        XCTAssertGreaterThan(counted, 0)
        XCTAssertLessThan(try XCTUnwrap(group.host(late).replica?.commitIndex), index)
        // The others go on.
        let small = group.write(next, "k", "small")
        group.advance(by: .milliseconds(200))
        guard case .success? = group.host(next).reply(to: small) else { return XCTFail("the group does not go on") }
    }
}
