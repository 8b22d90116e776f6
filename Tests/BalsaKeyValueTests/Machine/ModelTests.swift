import BalsaKeyValue
import BalsaLSM
import BalsaPlatform
import XCTest

/// Random logs on the machine and on a model that is a sorted array.
final class ModelTests: XCTestCase {
    func testRandomLogsDoWhatTheModelDoes() throws {
        var compactions: UInt64 = 0
        for seed in 1...20 as ClosedRange<UInt64> { compactions += try run(seed) }
        XCTAssertGreaterThan(compactions, 20, "the logs are long enough for the engine to compact")
    }

    /// - Returns: how many compactions there were since the last restart.
    private func run(_ seed: UInt64) throws -> UInt64 {
        var random = RandomSource(seed: seed)
        var options = MachineOptions()
        options.engine.memtableBytes = [600, 4_000, 64 << 20][Int(random.below(3))]
        options.engine.blockBytes = 128
        options.engine.tableBytes = 400
        options.engine.levelBaseBytes = 800
        options.engine.levelZeroTables = 2
        options.engine.levelRatio = 2
        options.limits.maxValueBytes = 24
        options.limits.retainedRevisions = [0, 5, 100_000][Int(random.below(3))]
        let store = try MachineFixture(options)
        var model = ModelStore(maxValueBytes: 24)
        var states: [[KeyValuePair]] = [[]]
        for _ in 0..<150 {
            let operation = draw(&random)
            let expected = model.apply(operation, at: UInt64(states.count))
            XCTAssertEqual(try store.apply(operation), expected, "seed \(seed), \(operation)")
            states.append(model.pairs)
            if store.machine.wantsSeal || random.chance(1, in: 20) { try store.machine.seal() }
            if store.machine.hasWork, random.chance(1, in: 2) { _ = try store.machine.work(budget: 2_000) }
            if random.chance(1, in: 30) { try store.restart() }
            try compare(store, states, &random, "seed \(seed) at \(states.count - 1)")
        }
        XCTAssertEqual(try store.machine.scan(maxBytes: .max).pairs, model.pairs, "seed \(seed)")
        let digest = store.machine.digest
        let other = try MachineFixture(store.options)
        _ = try store.replay(into: other.machine)
        XCTAssertEqual(other.machine.digest, digest, "seed \(seed)")
        XCTAssertEqual(try other.machine.scan(maxBytes: .max).pairs, model.pairs, "seed \(seed)")
        return store.machine.metrics.compactions
    }

    /// Reads a key and a range at some revision that can be read.
    private func compare(
        _ store: MachineFixture,
        _ states: [[KeyValuePair]],
        _ random: inout RandomSource,
        _ message: String
    ) throws {
        let newest = UInt64(states.count - 1)
        let revision = newest - random.below(newest - store.machine.retentionMark + 1)
        let state = states[Int(revision)]
        let key = drawKey(&random)
        let found = state.first { $0.key == key }
        let entry = found.map { KeyValueEntry(value: $0.value, revision: $0.revision) }
        XCTAssertEqual(try store.machine.get(key, at: revision), entry, message)

        let bounds = [drawKey(&random), drawKey(&random)].sorted()
        let inside = state.filter { $0.key >= bounds[0] && $0.key < bounds[1] }
        let isAscending = random.chance(1, in: 2)
        let page = try store.machine.scan(
            from: bounds[0],
            to: bounds[1],
            limit: 3,
            order: isAscending ? .ascending : .descending,
            at: revision
        )
        let expected = isAscending ? inside : inside.reversed()
        XCTAssertEqual(page.pairs, Array(expected.prefix(3)), message)
        XCTAssertEqual(page.continuation != nil, inside.count > 3, message)
        try compareShortPages(store.machine, bounds, isAscending, revision, Array(expected), message)
    }

    /// Reads the range in pages that end after each entry that is not shown.
    private func compareShortPages(
        _ machine: KeyValueMachine,
        _ bounds: [Bytes],
        _ isAscending: Bool,
        _ revision: UInt64,
        _ expected: [KeyValuePair],
        _ message: String
    ) throws {
        var (from, to) = (bounds[0], bounds[1])
        var found: [KeyValuePair] = []
        while true {
            let page = try machine.scan(
                from: from,
                to: to,
                limit: 3,
                order: isAscending ? .ascending : .descending,
                maxHiddenEntries: 1,
                at: revision
            )
            found += page.pairs
            guard let next = page.continuation else { break }
            let isFurther = isAscending ? next > from : next < to
            guard isFurther else { return XCTFail("\(message): a page got no further than \(next)") }
            if isAscending { from = next } else { to = next }
        }
        XCTAssertEqual(found, expected, message)
    }

    private func drawKey(_ random: inout RandomSource) -> Bytes {
        Bytes((0..<random.below(3)).map { _ in UInt8(random.below(3)) })
    }

    private func drawValue(_ random: inout RandomSource) -> Bytes {
        if random.chance(1, in: 3) { return counter(random.pick([0, 1, -1, .max, .min])) }
        return Bytes([UInt8](repeating: UInt8(random.below(256)), count: Int(random.below(12))))
    }

    private func draw(_ random: inout RandomSource) -> Command.Operation {
        let key = drawKey(&random)
        switch random.below(10) {
        case 0...2: return .put(key: key, value: drawValue(&random))
        case 3: return .delete(key: key)
        case 4: return .deleteRange(from: key, to: random.chance(1, in: 5) ? nil : drawKey(&random))
        case 5: return .append(key: key, bytes: drawValue(&random))
        case 6...7: return .add(key: key, amount: random.pick([1, -1, 3, .max, .min]))
        default:
            let condition: Command.Condition =
                switch random.below(3) {
                case 0: .absent
                case 1: .revision(random.below(20))
                default: .value(drawValue(&random))
                }
            return .compareAndSet(
                key: key,
                condition: condition,
                then: random.chance(1, in: 3) ? .delete : .put(drawValue(&random))
            )
        }
    }
}

/// The whole store as a sorted array.
private struct ModelStore {
    let maxValueBytes: Int
    private(set) var pairs: [KeyValuePair] = []

    init(maxValueBytes: Int) { self.maxValueBytes = maxValueBytes }

    mutating func apply(_ operation: Command.Operation, at index: UInt64) -> CommandReply {
        switch operation {
        case .openSession, .closeSession, .changeOptions: XCTFail("the model has no sessions and no options")
        case .put(let key, let value): return put(key, value, at: index)
        case .delete(let key): pairs.removeAll { $0.key == key }
        case .deleteRange(let from, let to):
            guard let to, !to.isEmpty else {
                pairs.removeAll { $0.key >= from }
                break
            }
            if to < from { return CommandReply(.invalidRange, revision: index) }
            pairs.removeAll { $0.key >= from && $0.key < to }
        case .append(let key, let bytes):
            let before = pairs.first { $0.key == key }?.value ?? Bytes()
            return put(key, Bytes([UInt8](before) + [UInt8](bytes)), at: index)
        case .add(let key, let amount):
            let before = pairs.first { $0.key == key }?.value ?? counter(0)
            guard before.count == 8 else { return CommandReply(.notACounter, revision: index) }
            let bits = [UInt8](before).enumerated().reduce(UInt64(0)) { $0 | UInt64($1.element) << (8 * $1.offset) }
            let (sum, overflow) = Int64(bitPattern: bits).addingReportingOverflow(amount)
            guard !overflow else { return CommandReply(.overflow, revision: index) }
            var reply = put(key, counter(sum), at: index)
            reply.number = sum
            return reply
        case .compareAndSet(let key, let condition, let change):
            let current = pairs.first { $0.key == key }
            let holds =
                switch condition {
                case .absent: current == nil
                case .revision(let revision): (current?.revision ?? 0) == revision
                case .value(let value): current?.value == value
                }
            guard holds else {
                return CommandReply(.conditionFailed, revision: index, number: Int64(current?.revision ?? 0))
            }
            if case .put(let value) = change { return put(key, value, at: index) }
            pairs.removeAll { $0.key == key }
        }
        return CommandReply(.applied, revision: index)
    }

    private mutating func put(_ key: Bytes, _ value: Bytes, at index: UInt64) -> CommandReply {
        guard value.count <= maxValueBytes else { return CommandReply(.valueTooLarge, revision: index) }
        pairs.removeAll { $0.key == key }
        let place = pairs.firstIndex { $0.key > key } ?? pairs.count
        pairs.insert(KeyValuePair(key: key, value: value, revision: index), at: place)
        return CommandReply(.applied, revision: index)
    }
}
