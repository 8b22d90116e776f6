import BalsaLSM
import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaKeyValue

/// Pages beside a block that cannot be read.
final class DamagedScanTests: XCTestCase {
    private func key(_ number: Int) -> Bytes { Bytes("key\(1_000 + number)") }

    /// A machine with one table, a block of which is damaged.
    private func damaged() throws -> MachineFixture {
        var options = MachineOptions()
        options.engine.blockBytes = 128
        // Nothing is found in memory that cannot be read any more.
        options.engine.cacheBytes = 0
        options.engine.tableMemoryBytes = 0
        let store = try MachineFixture(options)
        for number in 0..<100 { try store.apply(.put(key: key(number), value: Bytes("value \(number)"))) }
        try store.seal()
        let names = try store.disk.mount().list("kv").filter { $0.hasPrefix("table-") }
        XCTAssertEqual(names.count, 1)
        XCTAssertTrue(store.disk.corrupt("kv/\(names[0])", at: 1_500, mask: 1))
        return store
    }

    /// The keys of all pages up to the first that fails, and why that one does.
    private func scan(
        _ store: MachineFixture,
        _ order: ScanOrder,
        limit: Int
    ) throws -> (keys: [Bytes], failure: KeyValueError) {
        var keys: [Bytes] = []
        var (from, to): (Bytes?, Bytes?) = (nil, nil)
        while keys.count <= 100 {
            let page: ScanPage
            do throws(KeyValueError) {
                page = try store.machine.scan(from: from, to: to, limit: limit, order: order)
            } catch { return (keys, error) }
            keys += page.pairs.map(\.key)
            guard let continuation = page.continuation else { break }
            if order == .ascending { from = continuation } else { to = continuation }
        }
        throw KeyValueError(.failed, "a scan passed a damaged block")
    }

    func testScan_besideADamagedBlock_isServedUpToIt_thenFailsWithItsRange() throws {
        for limit in [1, 7, .max] {
            let store = try damaged()
            let (forward, failure) = try scan(store, .ascending, limit: limit)
            let (backward, _) = try scan(store, .descending, limit: limit)
            XCTAssertEqual(forward, (0..<forward.count).map(key))
            XCTAssertEqual(backward, (100 - backward.count..<100).reversed().map(key))
            XCTAssertGreaterThan(forward.count, 10)
            XCTAssertGreaterThan(backward.count, 10)
            XCTAssertEqual(failure.code, .damaged)
            let range = try XCTUnwrap(failure.cause?.quarantine)
            XCTAssertEqual(range.level, 0)
            XCTAssertTrue(failure.description.contains(range.file), failure.description)
            // What no page shows is no more than a block, and cannot be read otherwise, but for the key before it.
            let hidden = (forward.count..<100 - backward.count).map(key)
            XCTAssertLessThan(hidden.count, 10)
            XCTAssertFalse(hidden.isEmpty)
            for key in hidden.dropFirst() { XCTAssertThrowsError(try store.machine.get(key)) }
            XCTAssertEqual(store.machine.metrics.quarantines, 1)
        }
    }

    /// The next page begins after the last key that was shown. No bound may be longer than a key.
    func testScan_whoseLastKeyIsTheLongest_goesOnWithWhatIsDamaged() throws {
        let longest = ReplicatedOptions.largestKeyBytes
        var options = MachineOptions()
        options.limits.maxKeyBytes = longest
        options.engine.blockBytes = 128
        options.engine.cacheBytes = 0
        options.engine.tableMemoryBytes = 0
        let store = try MachineFixture(options)
        for number in UInt8(1)...6 {
            let key = Bytes([number] + [UInt8](repeating: number == 3 ? .max : number, count: longest - 1))
            try store.apply(.put(key: key, value: Bytes("value")))
        }
        try store.seal()
        let table = try XCTUnwrap(store.disk.mount().list("kv").first { $0.hasPrefix("table-") })
        XCTAssertTrue(store.disk.corrupt("kv/\(table)", at: UInt64(longest * 7 / 2), mask: 1))
        for limit in [1, .max] {
            let (keys, failure) = try scan(store, .ascending, limit: limit)
            XCTAssertEqual(keys.map { [UInt8]($0)[0] }, [1, 2, 3], "limit \(limit)")
            XCTAssertEqual(failure.code, .damaged, "\(failure)")
        }
    }

    func testSuccessor_ofALongestKey_isNoLonger() {
        let longest = ReplicatedOptions.largestKeyBytes
        XCTAssertEqual(KeyValueMachine.successor(of: Bytes([7, 255])), Bytes([7, 255, 0]))
        let key = [UInt8](repeating: 5, count: longest - 2)
        XCTAssertEqual(KeyValueMachine.successor(of: Bytes(key + [7, 8])), Bytes(key + [7, 9]))
        XCTAssertEqual(KeyValueMachine.successor(of: Bytes(key + [7, 255])), Bytes(key + [8]))
        XCTAssertNil(KeyValueMachine.successor(of: Bytes([UInt8](repeating: 255, count: longest))))
    }

    /// Values above a deletion that ends within a damaged block of a deeper table. A cursor that has passed some of
    /// what is deleted jumps to the end of the deletion, far behind the next value or its own bound, and meets the
    /// damage.
    func testScan_thatJumpsIntoADamagedBlock_showsWhatLiesBeforeIt() throws {
        let (_, plain) = try scan(damaged(), .ascending, limit: .max)
        let block = KeyValueMachine.userKeys(of: try XCTUnwrap(plain.cause?.quarantine))
        let largest = try XCTUnwrap(block.largest)
        let last = try XCTUnwrap((0..<100).first { key($0) == largest })
        for limit in [1, 7, .max] {
            let store = try damaged()
            try store.apply(.deleteRange(from: key(0), to: largest))
            let numbers = Array(stride(from: 8, to: last, by: 9))
            for number in numbers { try store.apply(.put(key: key(number), value: Bytes("new \(number)"))) }
            let shown = numbers.map(key).filter { $0 < block.smallest }
            XCTAssertGreaterThan(shown.count, 3)
            let (forward, failure) = try scan(store, .ascending, limit: limit)
            XCTAssertEqual(forward, shown, "limit \(limit)")
            XCTAssertEqual(failure.cause?.quarantine?.smallest, plain.cause?.quarantine?.smallest)
            // Up to the damage, all is known.
            let page = try store.machine.scan(from: key(0), to: block.smallest)
            XCTAssertEqual(page.pairs.map(\.key), shown)
            XCTAssertNil(page.continuation)
            let (backward, _) = try scan(store, .descending, limit: limit)
            XCTAssertEqual(backward, (last + 1..<100).reversed().map(key), "limit \(limit)")
        }
    }
}
