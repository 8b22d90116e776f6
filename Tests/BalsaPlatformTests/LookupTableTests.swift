import BalsaPlatform
import XCTest

final class LookupTableTests: XCTestCase {
    func testValuesAreFoundByTheirKeys() {
        var table = LookupTable<UInt64, String>()
        XCTAssertNil(table[1])
        XCTAssertNil(table.insert("one", for: 1))
        XCTAssertEqual(table.insert("uno", for: 1), "one")
        table[2] = "two"
        XCTAssertEqual(table.count, 2)
        XCTAssertEqual(table[1], "uno")
        XCTAssertTrue(table.contains(2))
        XCTAssertEqual(table.remove(2), "two")
        XCTAssertNil(table.remove(2))
        table[1] = nil
        XCTAssertTrue(table.isEmpty)
    }

    func testAValueIsChangedInPlace() {
        var table = LookupTable<Bytes, [Int]>()
        table["a", default: []].append(1)
        table["a", default: []].append(2)
        table["a"]?.append(3)
        XCTAssertEqual(table["a"], [1, 2, 3])
        XCTAssertEqual(table["b", default: [9]], [9])
        XCTAssertFalse(table.contains("b"), "asking inserts nothing")
    }

    func testRemovingAllLeavesNothing() {
        var table = LookupTable<Int, Int>(minimumCapacity: 100)
        for key in 0..<100 { table[key] = key }
        table.removeAll(keepingCapacity: true)
        XCTAssertEqual(table.count, 0)
        XCTAssertNil(table[5])
        XCTAssertEqual(table, LookupTable())
    }

    func testNothingShowsTheOrderOfTheHashTable() {
        var table = LookupTable<String, Int>()
        for key in ["a", "b", "c"] { table[key] = 1 }
        XCTAssertEqual("\(table)", "LookupTable(3 keys)")
        XCTAssertEqual(String(reflecting: table), "LookupTable(3 keys)")
        XCTAssertTrue(Mirror(reflecting: table).children.isEmpty)
        XCTAssertFalse((table as Any) is any Sequence)
    }
}
