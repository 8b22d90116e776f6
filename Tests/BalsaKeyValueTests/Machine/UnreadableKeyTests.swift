import BalsaLSM
import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaKeyValue

/// Commands that need a key which cannot be read: they change nothing, and all others are applied.
final class UnreadableKeyTests: XCTestCase {
    private func key(_ number: Int) -> Bytes { Bytes("key\(1_000 + number)") }

    /// A machine with one table, a block of which is damaged, and a key in that block.
    private func damaged(_ bugs: KeyValuePlantedBugs = []) throws -> (store: MachineFixture, key: Bytes) {
        var options = MachineOptions()
        options.engine.blockBytes = 128
        // Nothing is found in memory that cannot be read any more.
        options.engine.cacheBytes = 0
        options.engine.tableMemoryBytes = 0
        options.plantedBugs = bugs
        let store = try MachineFixture(options)
        for number in 0..<100 { try store.apply(.put(key: key(number), value: counter(Int64(number)))) }
        try store.seal()
        let name = try XCTUnwrap(try store.disk.mount().list("kv").first { $0.hasPrefix("table-") })
        XCTAssertTrue(store.disk.corrupt("kv/\(name)", at: 1_500, mask: 1))
        let lost = (0..<100).filter { (try? store.machine.get(key($0))) == nil }
        return (store, key(try XCTUnwrap(lost.last)))
    }

    private func apply(_ store: MachineFixture, _ operation: Command.Operation) throws -> CommandReply {
        let last = store.machine.applied.index
        let identity = RequestIdentity(session: .none, number: 70_000 + last)
        let payload = Command(identity: identity, operation: operation).encoded()
        return try store.machine.apply(payload, index: last + 1, term: 1, stamp: 5)
    }

    private func reading(_ key: Bytes) -> [Command.Operation] {
        [
            .compareAndSet(key: key, condition: .absent, then: .delete),
            .compareAndSet(key: key, condition: .revision(3), then: .put("v")),
            .append(key: key, bytes: "v"), .add(key: key, amount: 1),
        ]
    }

    func testCommand_thatNeedsWhatCannotBeRead_changesNothing_andTheNextOneIsApplied() throws {
        let (store, key) = try damaged()
        for operation in reading(key) {
            let (applied, digest) = (store.machine.applied, store.machine.digest)
            XCTAssertThrowsError(try apply(store, operation)) {
                let error = $0 as? KeyValueError
                XCTAssertEqual(error?.code, .damaged)
                XCTAssertEqual(error?.cause?.quarantine?.level, 0)
            }
            XCTAssertEqual(store.machine.applied, applied)
            XCTAssertEqual(store.machine.digest, digest)
            // At the same index.
            XCTAssertEqual(try apply(store, .put(key: "other", value: "1")).outcome, .applied)
            try store.machine.seal()
        }
    }

    func testRefusal_ofACommandThatNeedsWhatCannotBeRead_isSaidWithoutTheDisk() throws {
        let (store, key) = try damaged()
        func needs(_ operation: Command.Operation) -> Bool {
            let identity = RequestIdentity(session: .none, number: 1)
            return store.machine.needsQuarantinedKey(Command(identity: identity, operation: operation).encoded())
        }
        for operation in reading(key) { XCTAssertTrue(needs(operation), "\(operation)") }
        for operation in reading(self.key(0)) + reading("zzz") { XCTAssertFalse(needs(operation), "\(operation)") }
        XCTAssertFalse(needs(.put(key: key, value: "v")))
        XCTAssertFalse(needs(.delete(key: key)))
        // What was written since says all of the key.
        XCTAssertEqual(try apply(store, .put(key: key, value: "v")).outcome, .applied)
        for operation in reading(key) { XCTAssertFalse(needs(operation), "\(operation)") }
        XCTAssertEqual(try apply(store, .append(key: key, bytes: "w")).outcome, .applied)
        XCTAssertEqual(try store.value(key), "vw")
    }

    func testPlantedError_appliesTheCommandAsIfThereWereNoValue() throws {
        let (store, key) = try damaged(.quarantineIgnored)
        XCTAssertEqual(try apply(store, .add(key: key, amount: 1)).number, 1)
    }
}
