import BalsaPlatform
import XCTest

final class LockTests: XCTestCase {
    func testNoIncrementIsLostUnderContention() {
        let count = Locked(0)
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            for _ in 0..<5_000 { count.withLock { $0 += 1 } }
        }
        XCTAssertEqual(count.withLock { $0 }, 40_000)
    }

    func testOneThreadAtATimeIsInside() {
        // Not atomic on purpose: the lock alone keeps the threads apart.
        final class Room: @unchecked Sendable {
            var inside = 0
            var most = 0
        }
        let lock = Lock()
        let room = Room()
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            for _ in 0..<500 {
                lock.withLock {
                    room.inside += 1
                    room.most = max(room.most, room.inside)
                    sched_yield()
                    room.inside -= 1
                }
            }
        }
        XCTAssertEqual(room.most, 1)
        XCTAssertEqual(room.inside, 0)
    }

    func testAnErrorReleasesTheLock() {
        struct Refused: Error {}
        let lock = Lock()
        XCTAssertThrowsError(try lock.withLock { throw Refused() }) { XCTAssertTrue($0 is Refused) }
        XCTAssertEqual(lock.withLock { 1 }, 1)
        let value = Locked("before")
        XCTAssertThrowsError(
            try value.withLock {
                $0 = "after"
                throw Refused()
            }
        ) { XCTAssertTrue($0 is Refused) }
        XCTAssertEqual(value.withLock { $0 }, "after")
    }
}
