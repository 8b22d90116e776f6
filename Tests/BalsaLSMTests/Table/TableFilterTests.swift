import BalsaPlatform
import XCTest

@testable import BalsaLSM

/// The filter as LevelDB's `bloom_test` tries it, and the hash that must never change.
final class TableFilterTests: XCTestCase {
    private func hash(_ number: UInt32) -> UInt64 {
        withUnsafeBytes(of: number.littleEndian) { KeyHash.hash($0) }
    }

    private func filter(_ hashes: [UInt64], bitsPerKey: Int = 10) -> TableFilter {
        var output = RawBuffer(capacity: 64)
        TableFilter.build(hashes, bitsPerKey: bitsPerKey, into: &output)
        let memory = RawMemory(count: output.count, alignment: 64)
        memory.mutableBytes.copyMemory(from: output.bytes)
        return TableFilter(memory, byteCount: output.count)
    }

    func testTheHashIsWhatItAlwaysWas() {
        let golden: [(String, UInt64)] = [
            ("", 0x6e22_46e8_4296_b78e),
            ("a", 0x43fb_4b4c_ab18_fa00),
            ("ab", 0x5d7f_483a_a19e_9268),
            ("abc", 0x7a51_a28c_ac3d_89e6),
            ("abcd", 0x0957_44d1_5f86_63f4),
            ("12345678", 0x32bc_0f84_a49e_6e7c),
            ("123456789", 0xeb95_d776_bbb0_f752),
            ("0123456789abcdef", 0xf8f9_bffd_ccf5_f8ed),
            ("0123456789abcdef0", 0xd9c3_0e0d_ae4b_36ca),
            (String(repeating: "balsa", count: 20), 0x56ef_b1b4_a7c8_ef59),
        ]
        for (key, expected) in golden {
            let hash = Bytes(key).withUnsafeBytes { KeyHash.hash($0) }
            XCTAssertEqual(hash, expected, "\(key): 0x\(String(hash, radix: 16))")
        }
        let high = Bytes([0x80, 0xff, 0xc3]).withUnsafeBytes { KeyHash.hash($0) }
        XCTAssertEqual(high, 0x77dc_d295_14c2_ae1d, "0x\(String(high, radix: 16))")
    }

    func testTheFilterIsWhatItAlwaysWas() {
        var output = RawBuffer(capacity: 64)
        TableFilter.build((0..<3).map { hash($0) }, bitsPerKey: 10, into: &output)
        XCTAssertEqual(output.count, 64)
        XCTAssertEqual(CRC32C.checksum(output.bytes), 0x71a4_0a13)
    }

    func testKeysOfAllLengthsHaveDifferentHashes() {
        var hashes: [UInt64] = []
        for length in 0...200 {
            let key = [UInt8](repeating: 0, count: length)
            hashes.append(key.withUnsafeBytes { KeyHash.hash($0) })
            for place in 0..<length {
                var changed = key
                changed[place] = 1
                hashes.append(changed.withUnsafeBytes { KeyHash.hash($0) })
            }
        }
        hashes.sort()
        for index in hashes.indices.dropFirst() { XCTAssertNotEqual(hashes[index - 1], hashes[index]) }
    }

    func testFewKeys() {
        let small = filter([hash(1), hash(2)])
        XCTAssertTrue(small.mayContain(hash(1)))
        XCTAssertTrue(small.mayContain(hash(2)))
        XCTAssertFalse(small.mayContain(hash(3)))
    }

    func testFiltersOfVaryingLengthsAreRightAndSmall() {
        var mediocre = 0
        var good = 0
        var length = 1
        while length <= 10_000 {
            let filter = filter((0..<UInt32(length)).map { hash($0) })
            XCTAssertLessThanOrEqual(TableFilter.byteCount(keys: length, bitsPerKey: 10), length * 10 / 8 + 64)
            for number in 0..<UInt32(length) { XCTAssertTrue(filter.mayContain(hash(number))) }
            let passed = (0..<10_000).count { filter.mayContain(hash($0 + 1_000_000_000)) }
            XCTAssertLessThanOrEqual(passed, 200, "more than 2 % of absent keys pass at \(length) keys")
            if passed > 125 { mediocre += 1 } else { good += 1 }
            length += length < 10 ? 1 : length < 100 ? 10 : length < 1_000 ? 100 : 1_000
        }
        XCTAssertLessThanOrEqual(mediocre, good / 5)
    }

    func testKeysOfEveryShapeAreToldApart() {
        let shapes: [(String, (Int) -> Bytes)] = [
            ("sixteen digits", { number in Bytes("000000000" + "\(1_000_000 + number)") }),
            ("paths", { number in Bytes("/registry/services/\(number % 100)/endpoints/\(number / 100)") }),
            (
                "big-endian counters",
                { number in
                    Bytes([0, 0, 0, 0, UInt8(number >> 16), UInt8(number >> 8 & 0xff), UInt8(number & 0xff)])
                }
            ),
            ("words", { number in Bytes(withUnsafeBytes(of: UInt64(number) << 40) { [UInt8]($0) }) }),
        ]
        for (name, key) in shapes {
            let hashes = (0..<8_000).map { number in key(number).withUnsafeBytes { KeyHash.hash($0) } }
            let filter = filter(Array(hashes[..<4_000]))
            XCTAssertTrue(hashes[..<4_000].allSatisfy { filter.mayContain($0) })
            XCTAssertLessThan(hashes[4_000...].count { filter.mayContain($0) }, 80, "more than 2 % pass of \(name)")
        }
    }

    func testMoreBitsLetFewerPass() {
        let hashes = (0..<20_000).map { hash($0) }
        let passed = [4, 8, 16].map { bits in
            let filter = filter(hashes, bitsPerKey: bits)
            return (0..<20_000).count { filter.mayContain(hash($0 + 1_000_000_000)) }
        }
        XCTAssertGreaterThan(passed[0], passed[1])
        XCTAssertGreaterThan(passed[1], passed[2])
        XCTAssertLessThan(passed[2], 60, "0.3 % at 16 bits")
    }
}
