import BalsaPlatform
import BalsaWire
import XCTest

@testable import BalsaTransport

/// Every figure of a transport's options, as small and as large as it can be: it is refused by its name, or two members
/// with it can do what they do.
final class TCPOptionExtremesTests: XCTestCase {
    private typealias Path<Value> = WritableKeyPath<TCPOptions, Value>

    private let numbers: [Path<Int>] = [
        \.wire.maxFrameBytes, \.maxQueuedBytes, \.maxQueuedFrames, \.maxInboundConnections, \.maxHalfOpenConnections,
    ]
    /// Those without which no connection is made when they have passed.
    private let timeouts: [Path<Duration>] = [\.handshakeTimeout, \.connectTimeout, \.resolveTimeout]
    private let durations: [Path<Duration>] = [\.minimumBackoff, \.maximumBackoff, \.userTimeout, \.keepalive]

    private var options: TCPOptions { TCPOptions(listen: NetworkAddress(host: "127.0.0.1", port: 0)) }

    func testFigures_allOfThem_areNamedHere() {
        let children = Mirror(reflecting: options).children
        let figures = children.filter { $0.value is Int || $0.value is Duration || $0.value is WireOptions }
        XCTAssertEqual(figures.count, numbers.count + timeouts.count + durations.count)
    }

    /// Whether the options are refused; else two members are tried out with them.
    private func isRefused(
        _ name: String,
        isHurried: Bool = false,
        _ change: (inout TCPOptions) -> Void
    ) throws -> Bool {
        var options = options
        change(&options)
        do throws(TransportError) { try options.check() } catch {
            XCTAssertEqual(error.code, .invalid, name)
            XCTAssertTrue(error.message.contains(" must be "), error.message)
            return true
        }
        let (one, two) = (try TestMember(1, change), try TestMember(2, change))
        one.connect(to: two)
        two.connect(to: one)
        try one.send(0..<1, to: 2, .control)
        if isHurried {
            eventually("\(name): it is told") {
                let record = one.recorder.record
                return record.unreachable.contains(2) || record.connected.contains(2)
            }
        } else {
            eventually("\(name): connected") { one.recorder.record.connected.contains(2) }
            try one.send(1..<2, to: 2, .control)
            eventually("\(name): the frame") { two.recorder.record.numbers[1]?[.control]?.last == 1 }
        }
        one.stop()
        two.stop()
        return false
    }

    func testFigure_asSmallOrAsLargeAsItCanBe_isRefusedOrWorks() throws {
        var refused: [Bool] = []
        for path in numbers {
            for value in [Int.min, 0, 1, .max] {
                refused.append(try isRefused("\(path) is \(value)") { $0[keyPath: path] = value })
            }
        }
        let longest = Duration(secondsComponent: .max, attosecondsComponent: 0)
        let shortest = Duration(secondsComponent: .min, attosecondsComponent: 0)
        let instant = Duration(secondsComponent: 0, attosecondsComponent: 1)
        for path in timeouts + durations {
            for value in [shortest, .zero, instant, .seconds(3_600), longest] {
                let isHurried = value == instant && timeouts.contains(path)
                refused.append(
                    try isRefused("\(path) is \(value)", isHurried: isHurried) {
                        if path == \.maximumBackoff, value == instant { $0.minimumBackoff = instant }
                        $0[keyPath: path] = value
                    }
                )
            }
        }
        XCTAssertGreaterThan(refused.filter { $0 }.count, 20)
        XCTAssertGreaterThan(refused.filter { !$0 }.count, 15)
    }
}
