import BalsaPlatform
import XCTest

@testable import BalsaCommand

/// How the demo reads a file.
final class DemoInputTests: XCTestCase {
    private func pairs(_ text: String) -> [[String]] {
        DemoInput(file: Bytes(text)).pairs.map { [String($0.key), String($0.value)] }
    }

    func testALineIsAKeyAndAValueOrAValueUnderItsNumber() {
        XCTAssertEqual(pairs("a\tb\nplain\nc\td\te\n"), [["a", "b"], ["2", "plain"], ["c", "d\te"]])
        XCTAssertEqual(pairs("last\tone"), [["last", "one"]], "without an end of line")
        XCTAssertEqual(pairs("\n\n"), [["1", ""], ["2", ""]], "an empty line is an empty value")
        XCTAssertEqual(pairs("\tvalue\nkey\t\n"), [["", "value"], ["key", ""]])
        XCTAssertEqual(pairs(""), [])
    }

    func testACarriageReturnBelongsToTheValue() {
        XCTAssertEqual(pairs("a\tb\r\nc\r\n"), [["a", "b\r"], ["2", "c\r"]])
    }

    func testAnyBytesAreKept() {
        let all = Bytes((0...255).map { UInt8($0) }.filter { $0 != 10 })
        let pair = DemoInput(file: all).pairs[0]
        XCTAssertEqual(pair.key, Bytes((0..<9).map { UInt8($0) }), "what comes before the tab")
        XCTAssertEqual(pair.value.count, 245)
        var line: [UInt8] = []
        pair.value.withUnsafeBytes { PercentEncoding.append($0, to: &line) }
        XCTAssertEqual(PercentEncoding.decode(line[...]), pair.value)
    }

    func testTooLongALineIsCountedAndLeftOut() {
        let key = String(repeating: "k", count: DemoInput.maxKeyBytes + 1)
        let value = String(repeating: "v", count: DemoInput.maxValueBytes + 1)
        let input = DemoInput(file: Bytes("a\tb\n\(key)\tb\nc\t\(value)\n\(value)\nd\te\n"))
        XCTAssertEqual(input.tooLong, [2, 3, 4])
        XCTAssertEqual(input.pairs.map { String($0.key) }, ["a", "d"])
    }

    func testOfARepeatedKeyTheLastValueIsExpected() {
        let input = DemoInput(file: "b\t1\na\t1\nb\t2\na\t2\nb\t3\n")
        XCTAssertEqual(input.pairs.count, 5)
        XCTAssertEqual(input.lastValues, [.init(key: "a", value: "2"), .init(key: "b", value: "3")])
    }

    func testGeneratedPairsAreTheSameInEveryRun() {
        XCTAssertEqual(DemoInput(generating: 50).pairs, DemoInput(generating: 50).pairs)
        XCTAssertEqual(DemoInput(generating: 50).lastValues.count, 50)
    }
}
