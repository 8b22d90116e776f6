import Balsa
import BalsaKeyValue
import BalsaPlatform

/// Draws what a client does next.
///
/// There are two families of keys. Those that begin with `k` are registers: what happens to them is in the history that is
/// judged by search. Those that begin with `x` are appended to, added to and compared by revision, which the model of
/// registers does not have; the certificate judges them alone.
struct Workload {
    private let keys: UInt64
    private let valueBytes: UInt64
    private let putsOnly: Bool

    init(_ scenario: Scenario) {
        keys = scenario.keys
        valueBytes = scenario.valueBytes
        putsOnly = scenario.load == 1
    }

    static func register(_ number: UInt64) -> Bytes { Bytes("k\(number)") }
    private static func other(_ number: UInt64) -> Bytes { Bytes("x\(number)") }

    /// The next thing to ask, but for the identity of commands.
    enum Draw {
        case operation(Command.Operation, inSession: Bool)
        case question(CallLog.Question)
    }

    func draw(_ client: inout SimulatedClient) -> Draw {
        let key = Workload.register(client.random.below(keys))
        if putsOnly { return .operation(.put(key: key, value: value(&client)), inSession: true) }
        switch client.random.below(100) {
        case 0..<32: return .question(.get(key, .linearizable))
        case 32..<36: return .question(.get(key, .local))
        case 36..<43: return .question(.scan(scan(&client), .linearizable))
        case 43..<46: return .question(.scan(scan(&client), .local))
        case 46..<50: return .operation(.delete(key: key), inSession: true)
        case 50..<54: return .operation(range(&client), inSession: true)
        case 54..<70: return .operation(.put(key: key, value: value(&client)), inSession: true)
        case 70..<72: return .operation(.put(key: key, value: value(&client)), inSession: false)
        case 72..<84: return .operation(compareAndSet(key, &client), inSession: true)
        default: return .operation(other(&client), inSession: true)
        }
    }

    /// A value that nobody else writes.
    private func value(_ client: inout SimulatedClient) -> Bytes {
        client.writes += 1
        let padding = Int(client.random.below(valueBytes))
        return Bytes("c\(client.number)-\(client.writes)-" + String(repeating: "x", count: padding))
    }

    private func scan(_ client: inout SimulatedClient) -> CallLog.Scan {
        let from = client.random.below(keys)
        let isBounded = client.random.chance(1, in: 2)
        return CallLog.Scan(
            from: client.random.chance(1, in: 3) ? Bytes() : Workload.register(from),
            to: isBounded ? Workload.register(from + 1 + client.random.below(keys)) : nil,
            limit: Int(client.random.pick([1, 3, 100])),
            order: client.random.chance(1, in: 2) ? .ascending : .descending,
            back: client.random.chance(1, in: 4) ? client.random.below(20) : 0
        ).normalized
    }

    private func range(_ client: inout SimulatedClient) -> Command.Operation {
        let from = Workload.register(client.random.below(keys))
        let to = Workload.register(client.random.below(keys))
        return .deleteRange(from: min(from, to), to: client.random.chance(1, in: 6) ? "l" : max(from, to))
    }

    private func compareAndSet(_ key: Bytes, _ client: inout SimulatedClient) -> Command.Operation {
        guard let last = client.lastRead, last.key == key, let entry = last.entry else {
            return .compareAndSet(key: key, condition: .absent, then: .put(value(&client)))
        }
        return .compareAndSet(key: key, condition: .value(entry.value), then: .put(value(&client)))
    }

    private func other(_ client: inout SimulatedClient) -> Command.Operation {
        let key = Workload.other(client.random.below(keys))
        switch client.random.below(4) {
        case 0: return .append(key: key, bytes: value(&client))
        case 1: return .add(key: Workload.other(keys + client.random.below(keys)), amount: 1)
        case 2: return .compareAndSet(key: key, condition: .revision(0), then: .put(value(&client)))
        default: return .delete(key: key)
        }
    }
}

extension CallLog.Scan {
    /// With bounds in order: a reversed range is an error of its own.
    fileprivate var normalized: CallLog.Scan {
        guard let to, to < from else { return self }
        var scan = self
        scan.from = to
        scan.to = from
        return scan
    }
}
