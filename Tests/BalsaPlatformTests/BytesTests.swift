import BalsaPlatform
import XCTest

final class BytesTests: XCTestCase {
    /// 0, 1, 2 … in storage of the kind that bytes of this count have.
    private func counting(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0) } }

    /// The same bytes as a range of a larger slab, if they are too many to be stored inline.
    private func inSlab(_ bytes: [UInt8]) -> Bytes {
        Bytes([0xee, 0xee, 0xee] + bytes + [UInt8](repeating: 0xdd, count: 40)).slice(3..<3 + bytes.count)
    }

    func testBytesComeBackAsTheyWentInOnBothSidesOfTheInlineBorder() {
        for count in [0, 1, 7, 8, 9, 14, 15, 16, 17, 100] {
            let bytes = Bytes(counting(count))
            XCTAssertEqual(bytes.count, count)
            XCTAssertEqual(bytes.isEmpty, count == 0)
            XCTAssertEqual([UInt8](bytes), counting(count))
            for position in 0..<count { XCTAssertEqual(bytes[position], UInt8(position)) }
        }
    }

    func testAllWaysToMakeThemAgree() {
        let text = "a text of more than fifteen bytes"
        let fromArray = Bytes(Array(text.utf8))
        XCTAssertEqual(Bytes(text), fromArray)
        XCTAssertEqual(Array(text.utf8).withUnsafeBytes { Bytes(copying: $0) }, fromArray)
        XCTAssertEqual(Array(text.utf8).withUnsafeBytes { Bytes(copying: $0.bytes) }, fromArray)
        XCTAssertEqual(String(fromArray), text)
        XCTAssertEqual([1, 2, 3] as Bytes, Bytes([1, 2, 3]))
        XCTAssertEqual(Bytes(), "")
    }

    func testEverySliceHoldsItsRange() {
        for count in [0, 1, 15, 16, 17, 34] {
            let array = counting(count)
            let bytes = Bytes(array)
            for start in 0...count {
                for end in start...count {
                    XCTAssertEqual([UInt8](bytes.slice(start..<end)), Array(array[start..<end]))
                }
            }
        }
    }

    func testASliceOfASliceCountsFromTheSlice() {
        let bytes = Bytes(counting(100)).slice(10..<90).slice(5..<70)
        XCTAssertEqual([UInt8](bytes), Array(counting(100)[15..<80]))
    }

    func testEqualityDoesNotDependOnTheStorage() {
        for count in [0, 1, 14, 15, 16, 17, 60] {
            let array = counting(count)
            XCTAssertEqual(Bytes(array), inSlab(array))
            XCTAssertEqual(Bytes(array).hashValue, inSlab(array).hashValue)
            for position in 0..<count {
                var other = array
                other[position] ^= 0x80
                XCTAssertNotEqual(inSlab(other), inSlab(array))
                XCTAssertNotEqual(Bytes(other), inSlab(array))
            }
            XCTAssertNotEqual(Bytes(array + [0]), Bytes(array), "a zero byte more is a byte more")
        }
    }

    func testTheOrderIsThatOfTheBytes() {
        let sorted: [Bytes] = [
            "", [0], [0, 0], [0, 1], "a", "a long key, number 1", "a long key, number 1 and more",
            "a long key, number 2",
            "b", [0x7f], [0x80], [0xff], [0xff, 0xff],
        ]
        for (left, a) in sorted.enumerated() {
            for (right, b) in sorted.enumerated() {
                XCTAssertEqual(a < b, left < right, "\(a) and \(b)")
                XCTAssertEqual(a == b, left == right, "\(a) and \(b)")
            }
        }
    }

    func testCompactingKeepsTheBytesAndOwnsThem() {
        let whole = Bytes(counting(1000))
        let part = whole.slice(500..<600)
        XCTAssertEqual(part.compact(), part)
        XCTAssertEqual(address(of: part), address(of: whole) + 500, "a slice shares its slab")
        XCTAssertNotEqual(address(of: part.compact()), address(of: part))
        XCTAssertEqual(address(of: whole.compact()), address(of: whole), "there is nothing to gain")
    }

    private func address(of bytes: Bytes) -> Int { bytes.withUnsafeBytes { Int(bitPattern: $0.baseAddress) } }

    func testTheDescriptionEscapesWhatIsNotPrintable() {
        XCTAssertEqual(Bytes("user/42").description, "user/42")
        XCTAssertEqual(Bytes([0, 9, 0x1f, 0x7f, 0xff]).description, "\\x00\\x09\\x1f\\x7f\\xff")
        XCTAssertEqual(Bytes("a\\b").description, "a\\x5cb", "else an escape could be forged")
        XCTAssertEqual(Bytes([UInt8](repeating: 0x61, count: 64)).description, String(repeating: "a", count: 64))
        XCTAssertEqual(
            Bytes([UInt8](repeating: 0x61, count: 65)).description,
            String(repeating: "a", count: 64) + "… (65 bytes)"
        )
    }

    func testTextThatIsNotUTF8GetsReplacementCharacters() {
        XCTAssertEqual(String(Bytes([0x61, 0xff])), "a\u{fffd}")
    }

    func testAClosureMayThrow() {
        struct Refused: Error, Equatable {}
        for bytes in ["short", "long enough for a slab of its own"] as [Bytes] {
            XCTAssertThrowsError(try bytes.withUnsafeBytes { _ in throw Refused() }) {
                XCTAssertEqual($0 as? Refused, .init())
            }
            XCTAssertThrowsError(try bytes.withReader { _ in throw Refused() }) {
                XCTAssertEqual($0 as? Refused, .init())
            }
        }
    }
}
