import BalsaPlatform
import XCTest

final class AnonymousMemoryTests: XCTestCase {
    func testMemoryIsZeroAndAsLongAsAskedFor() throws {
        for size in [1, 4096, 4097, AnonymousMemory.hugePageBytes, AnonymousMemory.hugePageBytes + 1, 5 << 20] {
            let memory = try XCTUnwrap(AnonymousMemory.map(byteCount: size))
            XCTAssertGreaterThanOrEqual(memory.byteCount, size)
            for place in stride(from: 0, to: memory.byteCount, by: 1009) {
                XCTAssertEqual(memory.base.load(fromByteOffset: place, as: UInt8.self), 0)
                memory.base.storeBytes(of: 0xaa, toByteOffset: place, as: UInt8.self)
            }
            memory.base.storeBytes(of: 0xbb, toByteOffset: memory.byteCount - 1, as: UInt8.self)
            XCTAssertEqual(memory.base.load(fromByteOffset: memory.byteCount - 1, as: UInt8.self), 0xbb)
        }
    }

    func testALargeRegionBeginsWhereAHugePageCan() throws {
        let regions = try (0..<4).map { _ in
            try XCTUnwrap(AnonymousMemory.map(byteCount: AnonymousMemory.hugePageBytes))
        }
        for region in regions {
            XCTAssertEqual(Int(bitPattern: region.base) % AnonymousMemory.hugePageBytes, 0)
            XCTAssertEqual(region.byteCount, AnonymousMemory.hugePageBytes)
        }
    }

    func testMoreThanThereIsIsRefused() {
        XCTAssertNil(AnonymousMemory.map(byteCount: .max))
        XCTAssertNil(AnonymousMemory.map(byteCount: 1 << 60))
    }
}
