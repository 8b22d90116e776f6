import BalsaPlatform
import Glibc
import Synchronization
import XCTest

@testable import BalsaTransport

/// Writing to a connection whose other end has gone must never raise SIGPIPE: the process that embeds a store may not
/// expect it, and would die of it.
final class SocketSignalTests: XCTestCase {
    private static let raised = Atomic<Int>(0)

    /// A socket whose other end is closed.
    private func orphan() throws -> Int32 {
        var ends: [Int32] = [-1, -1]
        XCTAssertEqual(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends), 0)
        Glibc.close(ends[1])
        return ends[0]
    }

    /// How often the signal is raised while `body` runs.
    private func signals(_ body: () throws -> Void) rethrows -> Int {
        let before = signal(SIGPIPE) { _ in _ = SocketSignalTests.raised.wrappingAdd(1, ordering: .relaxed) }
        defer { signal(SIGPIPE, before) }
        let start = SocketSignalTests.raised.load(ordering: .relaxed)
        try body()
        return SocketSignalTests.raised.load(ordering: .relaxed) - start
    }

    func testThisWayOfLookingSeesTheSignal() throws {
        let descriptor = try orphan()
        defer { Glibc.close(descriptor) }
        XCTAssertEqual(signals { XCTAssertEqual(send(descriptor, "x", 1, 0), -1) }, 1)
    }

    func testSendingToAnEndThatHasGoneRaisesNothing() throws {
        let descriptor = try orphan()
        defer { Glibc.close(descriptor) }
        let raised = signals {
            XCTAssertFalse(Socket.sendAll(descriptor, Bytes("hello")))
            var write = GatheredWrite([Bytes("one"), Bytes("two")])
            XCTAssertTrue(write.loadNext())
            _ = write.withVectors { vectors, count in
                switch Socket.send(descriptor, vectors, count) {
                case .ended, .failed: break
                case .moved, .wouldBlock: XCTFail("nobody could have taken it")
                }
                return 0
            }
        }
        XCTAssertEqual(raised, 0)
    }
}
