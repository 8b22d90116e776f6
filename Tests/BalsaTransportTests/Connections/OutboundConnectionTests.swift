import BalsaPlatform
import XCTest

@testable import BalsaTransport

final class OutboundConnectionTests: XCTestCase {
    private typealias Effect = OutboundConnection.Effect

    private var connection = OutboundConnection(
        timeouts: .init(resolve: 30_000, connect: 5_000, handshake: 7_000),
        backoff: Backoff(minimum: 100, maximum: 1_000)
    )
    private var random = RandomSource(seed: 1)

    @discardableResult
    private func step(_ input: OutboundConnection.Input, at now: UInt64 = 0) -> [Effect] {
        var effects: [Effect] = []
        connection.step(input, at: now, &random, into: &effects)
        return effects
    }

    private func open() {
        step(.open)
        step(.resolved(attempt: 1, addressCount: 1))
        step(.connected)
        step(.welcomed)
        XCTAssertEqual(connection.phase, .active)
    }

    /// The deadline among effects.
    private func deadline(_ effects: [Effect]) -> UInt64? {
        for case .setDeadline(let deadline?) in effects { return deadline }
        return nil
    }

    func testFromTheFirstFrameToAnOpenConnection() {
        XCTAssertEqual(step(.open, at: 10), [.acceptFrames, .setDeadline(30_010), .resolve(attempt: 1)])
        XCTAssertEqual(
            step(.resolved(attempt: 1, addressCount: 2), at: 20),
            [.setDeadline(5_020), .connect(0)]
        )
        XCTAssertEqual(step(.connected, at: 30), [.setDeadline(7_030), .sayHello])
        XCTAssertEqual(step(.welcomed, at: 40), [.setDeadline(nil), .tellConnected, .beginSending])
        XCTAssertEqual(step(.open, at: 50), [], "it is open")
    }

    func testEveryAddressOfANameIsTried() {
        step(.open)
        step(.resolved(attempt: 1, addressCount: 3))
        XCTAssertEqual(step(.failed), [.disconnect, .setDeadline(5_000), .connect(1)])
        XCTAssertEqual(step(.deadline, at: 5_000), [.disconnect, .setDeadline(10_000), .connect(2)])
        let last = step(.failed, at: 6_000)
        XCTAssertEqual(Array(last.prefix(3)), [.disconnect, .refuseFrames, .tellUnreachable])
        XCTAssertEqual(connection.phase, .waiting(wasRefused: false))
    }

    func testANameThatNobodyKnowsAndOneThatNobodyAnswersAreFailures() {
        step(.open)
        XCTAssertTrue(step(.resolved(attempt: 1, addressCount: 0)).contains(.tellUnreachable))
        step(.deadline, at: 100)
        XCTAssertEqual(connection.phase, .resolving)
        XCTAssertTrue(step(.deadline, at: 30_100).contains(.tellUnreachable))
    }

    func testTheAnswerOfAnEarlierLookUpIsIgnored() {
        step(.open)
        step(.deadline, at: 30_000)
        step(.deadline, at: 30_100)
        XCTAssertEqual(connection.phase, .resolving)
        XCTAssertEqual(step(.resolved(attempt: 1, addressCount: 4)), [])
        XCTAssertEqual(step(.resolved(attempt: 2, addressCount: 1)).last, .connect(0))
    }

    func testAHandshakeThatIsNotAnsweredFails() {
        step(.open)
        step(.resolved(attempt: 1, addressCount: 1))
        step(.connected)
        XCTAssertEqual(Array(step(.deadline, at: 7_000).prefix(3)), [.disconnect, .refuseFrames, .tellUnreachable])
    }

    func testWaitsGrowUntilAConnectionHasLasted() throws {
        step(.open)
        var waits: [UInt64] = []
        for attempt in 1...6 as ClosedRange<UInt64> {
            waits.append(try XCTUnwrap(deadline(step(.resolved(attempt: attempt, addressCount: 0)))))
            step(.deadline)
        }
        for (wait, limit) in zip(waits, [100, 200, 400, 800, 1_000, 1_000] as [UInt64]) {
            XCTAssertTrue(limit / 2...limit ~= wait, "\(wait) instead of \(limit)")
        }
        step(.resolved(attempt: 7, addressCount: 1))
        step(.connected)
        step(.welcomed, at: 50)
        XCTAssertGreaterThanOrEqual(try XCTUnwrap(deadline(step(.failed, at: 60))), 560, "it was lost at once")
        step(.deadline)
        step(.resolved(attempt: 8, addressCount: 1))
        step(.connected)
        step(.welcomed, at: 100)
        XCTAssertLessThanOrEqual(try XCTUnwrap(deadline(step(.failed, at: 5_000))), 5_100, "it lasted")
    }

    func testARefusalIsToldAndTriedAgainSlowly() throws {
        let refusal = HandshakeRefusal(.peer, .ownAddress)
        step(.open)
        step(.resolved(attempt: 1, addressCount: 2))
        step(.connected)
        let effects = step(.refused(refusal))
        XCTAssertTrue(effects.contains(.tellRefused(refusal)))
        XCTAssertTrue(effects.contains(.tellUnreachable))
        XCTAssertGreaterThanOrEqual(try XCTUnwrap(deadline(effects)), 500)
        XCTAssertEqual(step(.peerAppeared), [], "that the peer is there was known")
        XCTAssertEqual(step(.deadline).last, .resolve(attempt: 2))
    }

    func testAPeer_thatAsksForAnOpening_isAnsweredAfterTheShortestIntervalOnce() throws {
        step(.open)
        for attempt in 1...6 as ClosedRange<UInt64> {
            step(.resolved(attempt: attempt, addressCount: 0))
            step(.deadline)
        }
        var attempt: UInt64 = 7
        func ask() throws -> UInt64 {
            step(.resolved(attempt: attempt, addressCount: 1))
            step(.connected)
            let wait = try XCTUnwrap(deadline(step(.asked)))
            step(.deadline)
            attempt += 1
            return wait
        }
        for shortest in [100, 200, 400] as [UInt64] {
            let wait = try ask()
            XCTAssertTrue(shortest / 2...shortest ~= wait, "\(wait) instead of \(shortest)")
        }
        step(.resolved(attempt: attempt, addressCount: 1))
        step(.connected)
        step(.welcomed)
        step(.failed)
        step(.deadline)
        attempt += 1
        XCTAssertLessThanOrEqual(try ask(), 100, "it was listened to since")
    }

    func testAPeerThatAppearsIsConnectedToAtOnce() {
        step(.open)
        step(.resolved(attempt: 1, addressCount: 0))
        XCTAssertEqual(step(.peerAppeared).last, .resolve(attempt: 2))
        XCTAssertEqual(step(.peerAppeared), [], "that is under way")
    }

    func testALostConnectionDropsWhatWaitsAndTells() {
        open()
        XCTAssertEqual(Array(step(.failed).prefix(3)), [.disconnect, .refuseFrames, .tellUnreachable])
    }

    func testAMemberThatIntroducesItselfAnewWaitsForNothing() {
        XCTAssertEqual(step(.renew), [], "nothing was said yet")
        open()
        XCTAssertEqual(
            step(.renew, at: 10),
            [.disconnect, .refuseFrames, .acceptFrames, .setDeadline(30_010), .resolve(attempt: 2)]
        )
        step(.resolved(attempt: 2, addressCount: 1))
        step(.connected)
        step(.refused(HandshakeRefusal(.peer, .protocolRange)))
        XCTAssertEqual(step(.renew).last, .resolve(attempt: 3))
    }

    func testWhatIsClosedStaysClosed() {
        open()
        XCTAssertEqual(step(.close), [.setDeadline(nil), .disconnect, .refuseFrames])
        let inputs: [OutboundConnection.Input] = [
            .open, .resolved(attempt: 1, addressCount: 1), .connected, .welcomed, .failed, .deadline, .peerAppeared,
            .renew, .close,
        ]
        for input in inputs { XCTAssertEqual(step(input), []) }
    }

    /// Inputs in any order: a socket is closed before another is made, frames are taken exactly while an attempt is under
    /// way, and whatever is not open or idle has a deadline.
    func testNoOrderOfInputsLosesASocketOrWaitsForever() {
        for seed in 0..<200 as Range<UInt64> {
            var dice = RandomSource(seed: seed)
            connection = OutboundConnection(
                timeouts: .init(resolve: 30, connect: 5, handshake: 7),
                backoff: Backoff(minimum: 1, maximum: 10)
            )
            var (hasSocket, isTaking, hasDeadline, attempt) = (false, true, false, UInt64(0))
            for now in 0..<100 as Range<UInt64> {
                let inputs: [OutboundConnection.Input] = [
                    .open, .resolved(attempt: attempt, addressCount: dice.draw(0...2)), .connected, .welcomed, .failed,
                    .deadline, .peerAppeared, .renew, .refused(HandshakeRefusal(.here, .protocolRange)), .asked,
                ]
                for effect in step(dice.pick(inputs), at: now) {
                    switch effect {
                    case .connect:
                        XCTAssertFalse(hasSocket)
                        hasSocket = true
                    case .disconnect: hasSocket = false
                    case .acceptFrames: isTaking = true
                    case .refuseFrames: isTaking = false
                    case .setDeadline(let deadline): hasDeadline = deadline != nil
                    case .resolve(let number): attempt = number
                    case .sayHello, .beginSending: XCTAssertTrue(hasSocket)
                    case .tellConnected, .tellUnreachable, .tellRefused: break
                    }
                }
                switch connection.phase {
                case .idle: XCTAssertTrue(isTaking && !hasSocket && !hasDeadline)
                case .resolving: XCTAssertTrue(isTaking && !hasSocket && hasDeadline)
                case .connecting, .handshaking: XCTAssertTrue(isTaking && hasSocket && hasDeadline)
                case .active: XCTAssertTrue(isTaking && hasSocket && !hasDeadline)
                case .waiting: XCTAssertTrue(!isTaking && !hasSocket && hasDeadline)
                case .closed: XCTFail("nobody closed it")
                }
            }
        }
    }
}
