import XCTest

@testable import BalsaBench

/// The values are those of the programs that measure other engines, and tell keys and rounds apart.
final class PeerValuesTests: XCTestCase {
    func testValues_ofAKeyAndARound_areThoseOfTheOtherPrograms() {
        // Key, round, the first eight bytes and the last one of 100, as a program in C with the same scheme printed them.
        let known: [(Int, Round, [UInt8], UInt8)] = [
            (0, .fillseq, [215, 49, 25, 189, 13, 136, 77, 102], 93),
            (1, .fillrandom, [196, 49, 99, 78, 136, 81, 114, 91], 45),
            (17, .overwrite, [10, 207, 231, 227, 110, 191, 229, 73], 66),
            (123_456, .readwhilewriting, [43, 191, 228, 248, 88, 213, 232, 165], 97),
            (999_999, .fillsync8, [75, 174, 230, 193, 60, 144, 253, 233], 241),
        ]
        let values = PeerValues(byteCount: 100)
        for (key, round, first, last) in known {
            let value = Array(values.of(key, round))
            XCTAssertEqual(value.count, 100)
            XCTAssertEqual(Array(value.prefix(8)), first, "key \(key)")
            XCTAssertEqual(value.last, last, "key \(key)")
        }
    }

    func testRounds_haveTheNumbersOfTheOtherPrograms() {
        XCTAssertEqual(
            Round.allCases.map { "\($0) \($0.rawValue)" },
            [
                "fillseq 0", "fillbatch 1", "fillsync 2", "fillsync8 3", "fillrandom 4", "overwrite 5",
                "readwhilewriting 6",
            ]
        )
    }

    func testMatches_valueOfAnotherKeyOrRound_isTold() {
        let values = PeerValues(byteCount: 100)
        XCTAssertTrue(values.matches(values.of(3, .overwrite), 3, .overwrite))
        XCTAssertFalse(values.matches(values.of(3, .fillrandom), 3, .overwrite))
        XCTAssertFalse(values.matches(values.of(4, .overwrite), 3, .overwrite))
        XCTAssertFalse(values.matches(UnsafeRawBufferPointer(rebasing: values.of(3, .overwrite)[..<99]), 3, .overwrite))
        XCTAssertFalse(values.matches(UnsafeRawBufferPointer(start: nil, count: 0), 3, .overwrite))
        XCTAssertTrue(PeerValues(byteCount: 0).matches(UnsafeRawBufferPointer(start: nil, count: 0), 3, .overwrite))

        var broken = Array(values.of(3, .overwrite))
        broken[99] ^= 1
        broken.withUnsafeBytes { XCTAssertFalse(values.matches($0, 3, .overwrite)) }
    }

    func testDescription_ofAWrongValue_namesWhoseItIs() {
        let values = PeerValues(byteCount: 100)
        func description(_ bytes: UnsafeRawBufferPointer) -> String {
            values.description(of: bytes, at: 3, keyCount: 10)
        }
        XCTAssertEqual(description(values.of(3, .fillrandom)), "the one of fillrandom")
        XCTAssertEqual(description(values.of(9, .overwrite)), "that of key 9 of overwrite")
        XCTAssertEqual(description(values.of(10, .overwrite)), "one that nobody wrote")
        XCTAssertEqual(
            description(UnsafeRawBufferPointer(rebasing: values.of(3, .overwrite)[..<5])),
            "5 bytes long instead of 100"
        )
    }

    func testCompressibleValues_secondHalf_isZeros() {
        let values = PeerValues(byteCount: 101, isCompressible: true)
        defer { values.free() }
        let value = Array(values.of(17, .overwrite))
        XCTAssertEqual(Array(value.prefix(8)), [10, 207, 231, 227, 110, 191, 229, 73])
        XCTAssertEqual(value.count, 101)
        XCTAssertTrue(value[50...].allSatisfy { $0 == 0 })
        XCTAssertFalse(value[..<50].allSatisfy { $0 == 0 })
        value.withUnsafeBytes { XCTAssertTrue(values.matches($0, 17, .overwrite)) }
        value.withUnsafeBytes { XCTAssertFalse(values.matches($0, 17, .fillrandom)) }
    }

    func testKeyText_digitsAndBack_isTheNumber() {
        let key = KeyText()
        defer { key.free() }
        for number in [0, 7, 123_456, 9_999_999_999_999_999] {
            XCTAssertEqual(KeyText.number(of: key.digits(of: number)), number)
        }
        XCTAssertEqual(String(decoding: key.digits(of: 42), as: UTF8.self), "0000000000000042")
        XCTAssertNil(KeyText.number(of: key.missing(42)))
        XCTAssertNil(KeyText.number(of: UnsafeRawBufferPointer(rebasing: key.digits(of: 42)[..<15])))
    }

    func testKeyHash_ofOtherKeysOrAnotherOrder_differs() {
        func hash(_ keys: [String]) -> KeyHash {
            var hash = KeyHash()
            for key in keys { Array(key.utf8).withUnsafeBytes { hash.add($0) } }
            return hash
        }
        let one = "0000000000000001"
        let two = "0000000000000002"
        XCTAssertEqual(hash([one, two]), hash([one, two]))
        for other in [
            [two, one], [one], [one, two, two], [one, "0000000000000003"], [one, "x000000000000002"], [one, "2"],
        ] {
            XCTAssertNotEqual(hash([one, two]), hash(other), "\(other)")
        }
    }
}
