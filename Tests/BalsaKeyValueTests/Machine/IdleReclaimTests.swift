import BalsaKeyValue
import BalsaLSM
import BalsaPlatform
import XCTest

/// A store in which everything was deleted, and that nobody writes to any more.
final class IdleReclaimTests: XCTestCase {
    private func byteCount(_ store: MachineFixture) -> UInt64 {
        store.machine.metrics.levels.reduce(0) { $0 + $1.byteCount }
    }

    private func filled() throws -> MachineFixture {
        var options = MachineOptions()
        options.limits.retainedNanoseconds = 60 * MachineFixture.second
        options.engine.memtableBytes = 64 << 10
        options.engine.tableBytes = 16 << 10
        options.engine.levelBaseBytes = 64 << 10
        let store = try MachineFixture(options)
        for number in 0..<2_000 {
            try store.apply(.put(key: Bytes("key\(10_000 + number)"), value: Bytes([UInt8](repeating: 5, count: 100))))
            if store.machine.wantsSeal { try store.seal() }
        }
        try store.seal()
        return store
    }

    func testAStoreAtRest_givesItsSpaceBack_withinTheRetainedTimeAndAMinute_andThenStaysAtRest() throws {
        let store = try filled()
        let before = byteCount(store)
        XCTAssertGreaterThan(before, 150_000)
        store.stamp = 5 * MachineFixture.second
        try store.apply(.deleteRange(from: "", to: nil))
        try store.seal()
        let deletedAt = store.stamp
        XCTAssertGreaterThan(byteCount(store), before / 2, "nothing may be dropped yet")
        var commands = 0
        // What a leader does that is idle.
        while store.machine.waitsForMark, commands < 100 {
            store.stamp += 10 * MachineFixture.second
            try store.apply(KeyValueMachine.whileIdle)
            commands += 1
            if store.machine.wantsSealForMark { try store.seal() }
        }
        XCTAssertFalse(store.machine.waitsForMark)
        XCTAssertLessThan(byteCount(store), before / 20)
        XCTAssertLessThanOrEqual(store.stamp - deletedAt, 120 * MachineFixture.second)
        XCTAssertLessThanOrEqual(commands, 12)
        XCTAssertEqual(try store.machine.scan().pairs, [])
    }

    func testTheCommandOfAnIdleLeader_changesNothing() throws {
        let store = try filled()
        let before = try store.machine.scan(maxBytes: .max).pairs
        let reply = try store.apply(KeyValueMachine.whileIdle)
        XCTAssertEqual(reply.outcome, .applied)
        XCTAssertEqual(try store.machine.scan(maxBytes: .max).pairs, before)
        XCTAssertEqual(before.count, 2_000)
    }

    func testAStore_inWhichNothingIsDead_waitsForNothing() throws {
        let store = try filled()
        XCTAssertFalse(store.machine.waitsForMark)
        XCTAssertFalse(store.machine.wantsSealForMark)
    }
}
