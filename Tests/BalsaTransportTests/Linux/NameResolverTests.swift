import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaTransport

/// Names are looked up beside each other, each once at a time.
final class NameResolverTests: XCTestCase {
    /// A name server of which one name is dead until it is told otherwise.
    private final class Server: @unchecked Sendable {
        let asked = Locked<[String]>([])
        private let isDead = Locked(true)
        private let condition = Condition()

        func lookUp(_ address: NetworkAddress) -> NameResolver.Answer {
            asked.withLock { $0.append(address.host) }
            if address.host.hasPrefix("dead") {
                condition.withLock {
                    while isDead.withLock({ $0 }) { condition.wait() }
                }
            }
            return .failure(TransportError(.address, address.host))
        }

        func recover() {
            condition.withLock {
                isDead.withLock { $0 = false }
                condition.notifyAll()
            }
        }
    }

    private final class Asker {}

    private let server = Server()
    private let answers = Locked<[String]>([])
    private lazy var resolver = NameResolver { [server] in server.lookUp($0) }

    override func tearDown() {
        resolver.close()
        server.recover()
    }

    private func ask(_ host: String, for asker: Asker, _ label: String) {
        resolver.resolve(NetworkAddress(host: host, port: 1), for: asker) { [answers] _ in
            answers.withLock { $0.append(label) }
        }
    }

    private var told: [String] { answers.withLock { $0.sorted() } }
    private func count(of host: String) -> Int { server.asked.withLock { $0.filter { $0 == host }.count } }

    func testADeadNameDelaysNoOther() {
        let (one, two) = (Asker(), Asker())
        ask("dead", for: one, "dead")
        eventually("it is being looked up") { count(of: "dead") == 1 }
        ask("alive", for: two, "alive")
        eventually("the other is answered") { told == ["alive"] }
        server.recover()
        eventually("and so is the first at last") { told == ["alive", "dead"] }
    }

    func testANameIsLookedUpOnceForAllAndAnAskerHasOneQuestion() {
        let (one, two) = (Asker(), Asker())
        for number in 0..<10 { ask("dead", for: one, "one \(number)") }
        ask("dead", for: two, "two")
        server.recover()
        eventually("both are answered") { told == ["one 9", "two"] }
        XCTAssertEqual(count(of: "dead"), 1)
        ask("dead", for: one, "anew")
        eventually("a later question is asked") { told.contains("anew") }
        XCTAssertEqual(count(of: "dead"), 2)
    }

    func testNamesBeyondTheBoundWaitForTheirTurn() {
        let askers = (0..<NameResolver.maxThreads + 2).map { _ in Asker() }
        for (number, asker) in askers.enumerated() { ask("dead\(number)", for: asker, "\(number)") }
        eventually("as many as may be are looked up") { server.asked.withLock { $0.count } == NameResolver.maxThreads }
        // One that nobody waits for any more is never looked up.
        ask("alive", for: askers[askers.count - 1], "alive")
        server.recover()
        eventually("all are answered") { told.count == askers.count }
        XCTAssertEqual(count(of: "dead\(askers.count - 1)"), 0)
        XCTAssertTrue(told.contains("alive"))
    }

    func testNobodyIsToldAfterTheEnd() {
        let (one, two) = (Asker(), Asker())
        var closed: NameResolver? = NameResolver { [server] in server.lookUp($0) }
        weak var left: NameResolver?
        left = closed
        closed?.resolve(NetworkAddress(host: "dead", port: 1), for: one) { [answers] _ in
            answers.withLock { $0.append("dead") }
        }
        eventually("it is being looked up") { count(of: "dead") == 1 }
        closed?.close()
        server.recover()
        closed?.resolve(NetworkAddress(host: "alive", port: 1), for: two) { [answers] _ in
            answers.withLock { $0.append("alive") }
        }
        // Its thread is the last that holds it. When it is gone, nobody is left who could tell anything.
        closed = nil
        eventually("the look-up has ended") { left == nil }
        XCTAssertEqual(told, [])
        XCTAssertEqual(count(of: "alive"), 0)
    }
}
