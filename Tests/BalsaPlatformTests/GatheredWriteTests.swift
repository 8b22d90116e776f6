import BalsaPlatform
import Glibc
import XCTest

final class GatheredWriteTests: XCTestCase {
    /// Writes like a system that takes at most `step` bytes a call.
    private func written(_ pieces: [Bytes], atMost step: Int) -> (bytes: [UInt8], calls: Int) {
        var bytes: [UInt8] = []
        var calls = 0
        var gather = GatheredWrite(pieces)
        while gather.loadNext() {
            while gather.isUnfinished {
                let count = gather.withVectors { vectors, count in
                    var left = step
                    for vector in UnsafeBufferPointer(start: vectors, count: Int(count)) {
                        let taken = min(left, vector.iov_len)
                        bytes.append(contentsOf: UnsafeRawBufferPointer(start: vector.iov_base, count: taken))
                        left -= taken
                    }
                    return step - left
                }
                gather.advance(by: count)
                calls += 1
            }
        }
        return (bytes, calls)
    }

    func testWhatTheSystemDidNotTakeIsGivenAgain() {
        let pieces: [Bytes] = ["abc", "", "a piece that lies in a slab", "d", "another piece, also in a slab", ""]
        let whole = pieces.flatMap { [UInt8]($0) }
        for step in 1...whole.count {
            let (bytes, calls) = written(pieces, atMost: step)
            XCTAssertEqual(bytes, whole, "\(step) bytes a call")
            XCTAssertEqual(calls, (whole.count + step - 1) / step)
        }
    }

    func testManyPiecesGoInPortions() {
        for count in [0, 1, 1023, 1024, 1025, 3000] {
            let pieces = (0..<count).map { Bytes("piece \($0)") }
            let (bytes, calls) = written(pieces, atMost: .max)
            XCTAssertEqual(bytes, pieces.flatMap { [UInt8]($0) })
            XCTAssertEqual(calls, (count + 1023) / 1024)
        }
    }

    func testEmptyPiecesAreNotWritten() {
        let (bytes, calls) = written([Bytes](repeating: "", count: 3000), atMost: .max)
        XCTAssertEqual(bytes, [])
        XCTAssertEqual(calls, 0)
    }
}
