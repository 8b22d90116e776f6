import BalsaPlatform
import XCTest

final class SlabTests: XCTestCase {
    func testASlabIsFilledFrontToBack() {
        let slab = Slab.make(capacity: 40)
        XCTAssertEqual(slab.count, 0)
        Bytes("the first part, ").withUnsafeBytes { slab.append($0) }
        XCTAssertEqual(slab.count, 16)
        let early = Bytes(slab: slab, offset: 0, count: 16)
        Bytes("the second part").withUnsafeBytes { slab.append($0) }
        XCTAssertEqual(slab.count, 31)
        XCTAssertEqual(early, "the first part, ", "what was handed out does not change")
        XCTAssertEqual(Bytes(slab: slab, offset: 0, count: 31), "the first part, the second part")
        XCTAssertEqual(Bytes(slab: slab, offset: 16, count: 15), "the second part", "short enough to be inline")
        XCTAssertEqual(Bytes(slab: slab, offset: 31, count: 0), "")
    }

    func testASlabCountsWhatAClosureFilled() {
        let slab = Slab.filled(capacity: 100) { buffer in
            XCTAssertEqual(buffer.count, 100)
            buffer.copyBytes(from: Array(repeating: UInt8(7), count: 20))
            return 20
        }
        XCTAssertEqual(slab.count, 20)
        XCTAssertEqual(slab.withUnsafeBytes { [UInt8]($0) }, [UInt8](repeating: 7, count: 20))
    }

    func testAnErrorWhileFillingIsPassedOn() {
        let error = FileError(.read, "a", .inputOutput)
        XCTAssertThrowsError(try Slab.filled(capacity: 10) { _ throws(FileError) in throw error }) {
            XCTAssertEqual($0 as? FileError, error)
        }
    }

    func testASlabLivesAsLongAsItsBytes() {
        weak var slab: Slab?
        var bytes: Bytes? = {
            let made = Slab.filled(capacity: 64) { buffer in
                buffer.initializeMemory(as: UInt8.self, repeating: 5)
                return buffer.count
            }
            slab = made
            return Bytes(slab: made, offset: 10, count: 20)
        }()
        XCTAssertNotNil(slab)
        XCTAssertEqual(bytes, Bytes([UInt8](repeating: 5, count: 20)))
        bytes = nil
        XCTAssertNil(slab)
    }

    func testAnEmptySlabIsAllowed() {
        let slab = Slab.make(capacity: 0)
        slab.append(UnsafeRawBufferPointer(start: nil, count: 0))
        XCTAssertEqual(Bytes(slab: slab, offset: 0, count: 0), "")
    }
}
