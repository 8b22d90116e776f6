import BalsaPlatform
import XCTest

@testable import BalsaSimulation

/// The parts of the search that keep its memory exact.
final class ConfigurationTableTests: XCTestCase {
    func testSetsHaveTheSameNameExactlyWhenTheyAreEqual() {
        var random = RandomSource(seed: 11)
        var named: [(name: [UInt64], members: [Int])] = []
        for _ in 0..<60 {
            var set = PositionSet(capacity: 200)
            var members: [Int] = []
            // Few numbers near the left end, so that equal sets occur and are reached on different ways.
            for _ in 0..<random.draw(0...300) {
                let position = random.draw(0...random.pick([3, 70, 199]))
                if let place = members.firstIndex(of: position) {
                    set.remove(position)
                    members.remove(at: place)
                } else {
                    set.insert(position)
                    members.append(position)
                }
            }
            members.sort()
            XCTAssertEqual(set.count, members.count)
            XCTAssertEqual((0..<200).filter { set.contains($0) }, members)
            var name: [UInt64] = []
            set.appendName(to: &name)
            for other in named { XCTAssertEqual(other.name == name, other.members == members) }
            named.append((name, members))
        }
    }

    func testAFullWordLeavesTheName() {
        var set = PositionSet(capacity: 1_000)
        for position in 0..<700 { set.insert(position) }
        var name: [UInt64] = []
        set.appendName(to: &name)
        XCTAssertEqual(name.count, 2)
    }

    func testEqualHashesDoNotMakeConfigurationsEqual() {
        var table = ConfigurationTable<Int>()
        var set = LinearizedSet(isAnswered: [Bool](repeating: true, count: 300))
        for operation in 0..<300 {
            set.insert(operation)
            XCTAssertTrue(table.insert(set, 0, hash: 42, capacity: 1_000))
            XCTAssertFalse(table.insert(set, 0, hash: 42, capacity: 1_000))
            XCTAssertTrue(table.insert(set, 1, hash: 42, capacity: 1_000))
        }
        XCTAssertEqual(table.count, 600)
    }

    func testWhatUsesMoreUnknownOperationsIsCovered() {
        var table = ConfigurationTable<Int>()
        func set(_ members: Int...) -> LinearizedSet {
            var set = LinearizedSet(isAnswered: [true] + [Bool](repeating: false, count: 199))
            for member in members { set.insert(member) }
            return set
        }
        func insert(_ set: LinearizedSet) -> Bool { table.insert(set, 0, hash: set.answeredHash, capacity: 1_000) }
        XCTAssertTrue(insert(set(0, 150)))
        XCTAssertTrue(insert(set(0, 3)))
        XCTAssertFalse(insert(set(0, 3, 150)))
        XCTAssertFalse(insert(set(0, 2, 3)))
        XCTAssertTrue(insert(set(3, 150)), "other answered operations")
        XCTAssertTrue(insert(set(0)))
        XCTAssertFalse(insert(set(0, 1)))
        XCTAssertEqual(table.count, 4)
    }

    func testAFullTableForgetsNothingAndLearnsNothing() {
        var table = ConfigurationTable<Int>()
        let set = LinearizedSet(isAnswered: [true])
        XCTAssertTrue(table.insert(set, 0, hash: 0, capacity: 1))
        XCTAssertTrue(table.insert(set, 1, hash: 1, capacity: 1))
        XCTAssertTrue(table.insert(set, 1, hash: 1, capacity: 1))
        XCTAssertFalse(table.insert(set, 0, hash: 0, capacity: 1))
        XCTAssertEqual(table.count, 1)
    }

    func testOperationsThatWereLiftedComeBackInTheirPlaces() {
        var list = EventList(times: [(0, 10), (1, 2), (1, nil), (2, 2)])
        func order() -> [String] {
            var result: [String] = []
            var node = list.first
            while node != 0 {
                if case .call(let operation) = list.event(at: node) {
                    result.append("\(operation)")
                } else {
                    result.append("r")
                }
                node = list.node(after: node)
            }
            return result
        }
        let whole = ["0", "1", "2", "3", "r", "r", "r"]
        XCTAssertEqual(order(), whole)
        for operation in [1, 3, 0] { list.lift(operation) }
        XCTAssertEqual(order(), ["2"])
        for operation in [0, 3, 1] { list.unlift(operation) }
        XCTAssertEqual(order(), whole)
    }
}
