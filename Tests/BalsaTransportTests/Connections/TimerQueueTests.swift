import BalsaPlatform
import XCTest

@testable import BalsaTransport

final class TimerQueueTests: XCTestCase {
    func testTimersComeInTheOrderOfTheirMomentsAndOfBeingSet() {
        var queue = TimerQueue<String>()
        _ = queue.add("c", at: 30)
        _ = queue.add("a", at: 10)
        let gone = queue.add("gone", at: 10)
        _ = queue.add("b", at: 10)
        queue.remove(gone)
        queue.remove(gone)
        XCTAssertEqual(queue.next, 10)
        XCTAssertNil(queue.popDue(at: 9))
        XCTAssertEqual(queue.popDue(at: 10), "a")
        XCTAssertEqual(queue.popDue(at: 10), "b")
        XCTAssertNil(queue.popDue(at: 10))
        XCTAssertEqual(queue.popDue(at: 31), "c")
        XCTAssertNil(queue.next)
    }

    func testItDoesWhatASortedListDoes() {
        var random = RandomSource(seed: 3)
        var queue = TimerQueue<Int>()
        var list: [(deadline: UInt64, job: Int, id: TimerQueue<Int>.ID)] = []
        for job in 0..<2_000 {
            switch random.below(4) {
            case 0 where !list.isEmpty:
                let place = Int(random.below(UInt64(list.count)))
                queue.remove(list.remove(at: place).id)
            case 1:
                let now = random.below(100)
                let due = list.filter { $0.deadline <= now }.min { ($0.deadline, $0.job) < ($1.deadline, $1.job) }
                XCTAssertEqual(queue.popDue(at: now), due?.job)
                list.removeAll { $0.job == due?.job }
            default:
                let deadline = random.below(100)
                list.append((deadline, job, queue.add(job, at: deadline)))
            }
            XCTAssertEqual(queue.next, list.map(\.deadline).min())
        }
    }
}

final class NetworkAddressTests: XCTestCase {
    func testHostsAndPorts() throws {
        XCTAssertEqual(try NetworkAddress("10.0.0.1:7001"), NetworkAddress(host: "10.0.0.1", port: 7001))
        XCTAssertEqual(try NetworkAddress("[::1]:0"), NetworkAddress(host: "::1", port: 0))
        XCTAssertEqual(try NetworkAddress("db-1.example:65535").description, "db-1.example:65535")
        XCTAssertEqual(try NetworkAddress("[::1]:7").description, "[::1]:7")
    }

    func testEverythingElseIsRefused() {
        let tooLong = String(repeating: "a", count: 254) + ":1"
        let refused: [(String, [String])] = [
            ("has no port: write `host:port`", ["", ":", "host", "host:", "[::1]", "[::1]:", "[]"]),
            ("needs brackets around its host", ["::1:7"]),
            ("has no host that can be looked up", [":1", "[]:7", "a\0b:1", tooLong]),
        ]
        for (reason, texts) in refused {
            for text in texts {
                XCTAssertThrowsError(try NetworkAddress(text), text) {
                    XCTAssertEqual($0 as? TransportError, TransportError(.address, "`\(text)` \(reason)"))
                }
            }
        }
        // What the first one advises.
        for text in ["host:1", "[::1]:1"] { XCTAssertNoThrow(try NetworkAddress(text), text) }
        XCTAssertNoThrow(try NetworkAddress(String(tooLong.dropFirst())))
    }

    func testAddress_portThatIsNoneOrOutOfRange_isRefusedWithTheBounds() {
        for port in ["65536", "99999", "-1", "+80", "x", "70 01", "7001x", "18446744073709551617"] {
            let text = "127.0.0.1:\(port)"
            XCTAssertThrowsError(try NetworkAddress(text), text) {
                let sentence = "`\(port)` in `\(text)` is not a port: a port is a number from 0 to 65535"
                XCTAssertEqual($0 as? TransportError, TransportError(.address, sentence))
            }
        }
    }
}
