import BalsaKeyValue
import BalsaLSM
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// Entries that fill much more of the state than they are long.
final class ApplyingTests: XCTestCase {
    private var nonce: UInt64 = 0

    private func command(_ operation: Command.Operation) -> Bytes {
        nonce += 1
        return Command(identity: RequestIdentity(session: .none, number: nonce), operation: operation).encoded()
    }

    private func machine(_ options: KeyValueOptions) throws -> KeyValueStateMachine {
        let files = SimulatedDisk().mount()
        try files.createDirectory("kv")
        let opened = try KeyValueProvider(options: options, seed: 1).open("kv", of: .none, in: files, isReceived: false)
        { _ in
            true
        }
        let machine = try XCTUnwrap(opened as? KeyValueStateMachine)
        try machine.machine.found(ReplicatedOptions().encoded, index: 1, term: 1, stamp: 0)
        return machine
    }

    /// Applies all of them as a replica does, and returns the most that the memtable held.
    private func applyAll(_ commands: [Bytes], to machine: KeyValueStateMachine) throws -> Int {
        var builder = EntryBatch.Builder(group: 1, previous: LogPosition(term: 1, index: 1), capacityBytes: 2 << 20)
        for payload in commands { builder.append(term: 1, stamp: 0, kind: .command, payload: payload) }
        let batch = builder.finish()
        var replies: [LogIndex] = []
        var most = 0
        var next = batch.firstIndex
        while next <= batch.lastIndex {
            let last = try machine.apply(batch.slice(from: next, through: batch.lastIndex)) { index, _ in
                replies.append(index)
            }
            most = max(most, machine.machine.metrics.memtableBytes)
            next = last + 1
            if machine.wantsSeal { try machine.seal() }
            while machine.hasWork { try machine.work(budget: 1 << 20) }
        }
        XCTAssertEqual(replies, Array(batch.firstIndex...batch.lastIndex), "each is applied once, in order")
        return most
    }

    func testSmallAppendsToALargeValueTakeNoMoreThanAMemtableAtATime() throws {
        var options = KeyValueOptions()
        options.engine.memtableBytes = 1 << 20
        let machine = try machine(options)
        var commands = [command(.put(key: "k", value: Bytes([UInt8](repeating: 1, count: 256 << 10))))]
        for _ in 0..<50 { commands.append(command(.append(key: "k", bytes: "x"))) }
        XCTAssertLessThan(try applyAll(commands, to: machine), 2 * options.engine.memtableBytes)
        XCTAssertEqual(try machine.machine.get("k")?.value.count, (256 << 10) + 50)
    }

    func testManyRangeDeletionsAreSealedInTime() throws {
        var options = KeyValueOptions()
        options.engine.maxRangeDeletionsPerMemtable = 20
        let machine = try machine(options)
        let commands = (0..<200).map { command(.deleteRange(from: Bytes("a\(1000 + $0)"), to: Bytes("a\(1001 + $0)"))) }
        let most = try applyAll(commands, to: machine)
        XCTAssertLessThan(most, 1 << 20)
        XCTAssertGreaterThanOrEqual(machine.machine.metrics.flushes, 9)
    }
}
