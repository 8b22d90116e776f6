import BalsaPlatform
import XCTest

@testable import BalsaLSM

/// The cache as LevelDB's `cache_test` tries it, with blocks that are told apart by their first byte.
final class BlockCacheTests: XCTestCase {
    private let epochs = Epochs()

    private func block(_ mark: UInt8, byteCount: Int = 1_000 - Block.overheadBytes) -> Block {
        let block = Block.make(byteCount: byteCount)
        block.base.initializeMemory(as: UInt8.self, repeating: mark, count: byteCount)
        return block
    }

    /// The first byte of the block in a slot.
    private func mark(_ slots: BlockSlots, _ number: Int) -> UInt8? {
        slots.load(number)?.takeUnretainedValue().base.load(as: UInt8.self)
    }

    private func kept(_ slots: BlockSlots) -> [Int] { (0..<slots.count).filter { mark(slots, $0) != nil } }

    func testHitAndMiss() {
        let cache = BlockCache(capacityBytes: 10_000, epochs: epochs)
        let slots = BlockSlots(count: 3)
        let other = BlockSlots(count: 3)
        XCTAssertNil(mark(slots, 1))
        cache.insert(block(11), slots, at: 1)
        cache.insert(block(21), other, at: 1)
        XCTAssertEqual(mark(slots, 1), 11)
        XCTAssertEqual(mark(other, 1), 21)
        XCTAssertNil(mark(slots, 0))
        XCTAssertEqual(cache.byteCount, 2_000)
        cache.insert(block(12), slots, at: 1)
        XCTAssertEqual(mark(slots, 1), 11, "who comes second is not kept")
        XCTAssertEqual(cache.byteCount, 2_000)
        cache.close(slots)
        XCTAssertNil(mark(slots, 1))
        XCTAssertEqual(mark(other, 1), 21)
        cache.insert(block(13), slots, at: 2)
        XCTAssertNil(mark(slots, 2), "nothing of a closed table is kept")
        cache.close(other)
        XCTAssertEqual(cache.byteCount, 0)
        XCTAssertNil(cache.checkInvariants())
    }

    func testHitsAndMissesAreCounted() throws {
        let fixture = TableFixture()
        let table = try fixture.table([TestEntry(key: [1], sequence: 1, value: [2])])
        XCTAssertEqual(fixture.cache.hits, 0)
        for _ in 0..<5 { XCTAssertEqual(try table.get([1])?.value, [2]) }
        XCTAssertEqual(fixture.cache.misses, 1)
        XCTAssertEqual(fixture.cache.hits, 4)
    }

    func testACacheWithoutCapacityKeepsNothing() throws {
        let fixture = TableFixture(cacheBytes: 0)
        let table = try fixture.table([TestEntry(key: [1], sequence: 1, value: [2])])
        for _ in 0..<3 { XCTAssertEqual(try table.get([1])?.value, [2]) }
        XCTAssertEqual(try table.entries().count, 1)
        XCTAssertEqual(fixture.cache.byteCount, 0)
        XCTAssertEqual(fixture.cache.hits, 0)
    }

    func testWhatIsUsedStaysAndTheOldestGoes() {
        let cache = BlockCache(capacityBytes: 10_000, epochs: epochs)
        let slots = BlockSlots(count: 1_000)
        cache.insert(block(1), slots, at: 0)
        for number in 1..<1_000 {
            cache.insert(block(2), slots, at: number)
            slots.load(0)?.takeUnretainedValue().markVisited()
        }
        XCTAssertEqual(mark(slots, 0), 1, "what is found again and again stays")
        XCTAssertEqual(kept(slots).count, 10)
        XCTAssertEqual(kept(slots).last, 999)
        XCTAssertEqual(cache.byteCount, 10_000)
        XCTAssertNil(cache.checkInvariants())
        cache.close(slots)
    }

    func testTheHandPassesOverWhatWasFoundOnce() {
        let cache = BlockCache(capacityBytes: 3_000, epochs: epochs)
        let slots = BlockSlots(count: 10)
        for number in 0..<3 { cache.insert(block(0), slots, at: number) }
        slots.load(0)?.takeUnretainedValue().markVisited()
        cache.insert(block(0), slots, at: 3)
        XCTAssertEqual(kept(slots), [0, 2, 3], "the oldest had been found, the next not")
        cache.insert(block(0), slots, at: 4)
        XCTAssertEqual(kept(slots), [0, 3, 4], "the hand goes on where it was")
        cache.insert(block(0), slots, at: 5)
        cache.insert(block(0), slots, at: 6)
        XCTAssertNil(cache.checkInvariants())
        XCTAssertEqual(kept(slots).count, 3)
        cache.close(slots)
    }

    func testEverythingFoundIsNoReasonToKeepEverything() {
        let cache = BlockCache(capacityBytes: 3_000, epochs: epochs)
        let slots = BlockSlots(count: 10)
        for number in 0..<10 {
            cache.insert(block(0), slots, at: number)
            for other in kept(slots) { slots.load(other)?.takeUnretainedValue().markVisited() }
            XCTAssertLessThanOrEqual(cache.byteCount, 3_000)
        }
        XCTAssertEqual(kept(slots).count, 3)
        cache.close(slots)
    }

    func testAHeavyBlockPushesOutManyLightOnes() {
        let cache = BlockCache(capacityBytes: 10_000, epochs: epochs)
        let slots = BlockSlots(count: 20)
        for number in 0..<10 { cache.insert(block(0), slots, at: number) }
        cache.insert(block(9, byteCount: 7_500 - Block.overheadBytes), slots, at: 10)
        XCTAssertEqual(kept(slots), [8, 9, 10])
        XCTAssertEqual(cache.byteCount, 9_500)
        cache.insert(block(9, byteCount: 10_001 - Block.overheadBytes), slots, at: 11)
        XCTAssertEqual(kept(slots), [8, 9, 10], "what is larger than the cache pushes nothing out")
        cache.close(slots)
    }

    func testAnEvictedBlockStaysForItsReaders() {
        let cache = BlockCache(capacityBytes: 1_000, epochs: epochs)
        let slots = BlockSlots(count: 2)
        weak var released: Block?
        let pin = epochs.pin()
        autoreleasing {
            let first = block(7)
            released = first
            cache.insert(first, slots, at: 0)
        }
        let borrowed = slots.load(0)?.toOpaque()
        cache.insert(block(8), slots, at: 1)
        XCTAssertNil(mark(slots, 0))
        XCTAssertEqual(released?.base.load(as: UInt8.self), 7, "the pin keeps what was there when it was made")
        XCTAssertEqual(borrowed, released.map { Unmanaged.passUnretained($0).toOpaque() })
        epochs.unpin(pin)
        epochs.collect()
        XCTAssertNil(released)
        XCTAssertEqual(mark(slots, 1), 8)
        cache.close(slots)
    }

    private func autoreleasing(_ body: () -> Void) { body() }

    func testTheBlocksOfANewTableNeedNotBeRead() throws {
        let fixture = TableFixture()
        let entries = (0..<200).map {
            TestEntry(key: [UInt8($0)], sequence: 1, value: [UInt8](repeating: 1, count: 20))
        }
        let writer = try TableWriter(
            directory: "",
            number: 1,
            id: 1,
            fileSystem: fixture.files,
            options: fixture.options,
            filterBitsPerKey: 10,
            keepsBlocks: true
        )
        for entry in entries { try writer.add(entry) }
        let table = try fixture.open(try writer.finish())
        let blocks = writer.takeBlocks()
        XCTAssertEqual(blocks.count, table.index.count)
        XCTAssertTrue(writer.takeBlocks().isEmpty)
        try table.fillCache(blocks)
        XCTAssertEqual(try table.entries(), entries)
        XCTAssertEqual(fixture.cache.misses, 0)
        XCTAssertNil(fixture.cache.checkInvariants())
        for number in 0..<table.index.count {
            let read = try table.read(table.index.place(number), .allowed)
            let kept = UnsafeRawBufferPointer(start: blocks[number].base, count: blocks[number].byteCount)
            XCTAssertTrue(kept.elementsEqual(UnsafeRawBufferPointer(start: read.base, count: read.byteCount)))
            XCTAssertEqual(blocks[number].maxKeyBytes, read.maxKeyBytes)
        }
    }

    func testTablesShareACacheAndAClosedOneLeavesIt() throws {
        let fixture = TableFixture(cacheBytes: 2_000, blockBytes: 128)
        let entries = (0..<200).map {
            TestEntry(key: [UInt8($0)], sequence: 1, value: [UInt8](repeating: 1, count: 20))
        }
        let first = try fixture.open(try fixture.write(entries, number: 1))
        var second: Table? = try fixture.open(try fixture.write(entries, number: 2))
        for _ in 0..<3 {
            XCTAssertEqual(try first.entries(), entries)
            XCTAssertEqual(try second?.entries(), entries)
            for entry in entries {
                XCTAssertEqual(try first.get(entry.key), entry)
                XCTAssertEqual(try second?.get(entry.key), entry)
            }
            XCTAssertNil(fixture.cache.checkInvariants())
        }
        second = nil
        XCTAssertNil(fixture.cache.checkInvariants())
        first.close()
        XCTAssertEqual(fixture.cache.byteCount, 0)
        XCTAssertEqual(fixture.cache.blockCount, 0)
        XCTAssertEqual(fixture.epochs.retiredCount, 0, "nothing waits when nobody reads")
    }
}
