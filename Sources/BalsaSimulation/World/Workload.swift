import Balsa
import BalsaKeyValue
import BalsaPlatform

/// Draws what a client does next.
///
/// There are two families of keys. Those that begin with `k` are registers: what happens to them is in the history that is
/// judged by search. Those that begin with `x` are appended to, added to and compared by revision, which the model of
/// registers does not have; the certificate decides them alone.
struct Workload {
    private let keys: UInt64
    private let valueBytes: UInt64
    private let putsOnly: Bool
    private let optionChanges: UInt64

    init(_ scenario: Scenario) {
        keys = scenario.keys
        valueBytes = scenario.valueBytes
        putsOnly = scenario.load == 1
        optionChanges = scenario.optionChanges
    }

    static func register(_ number: UInt64) -> Bytes { Bytes("k\(number)") }
    private static func other(_ number: UInt64) -> Bytes { Bytes("x\(number)") }

    /// The next thing to ask, but for the identity of commands.
    enum Draw {
        case operation(Command.Operation, inSession: Bool)
        case question(CallLog.Question)
    }

    /// - Parameter options: those in force, as far as the log is known.
    func draw(_ client: inout SimulatedClient, _ options: ReplicatedOptions) -> Draw {
        let key = Workload.register(client.random.below(keys))
        if putsOnly { return .operation(.put(key: key, value: value(&client)), inSession: true) }
        if optionChanges > 0, client.random.chance(optionChanges, in: 1000) {
            return .operation(change(of: options, &client), inSession: client.random.chance(7, in: 8))
        }
        switch client.random.below(100) {
        case 0..<31: return .question(.get(key, .linearizable))
        case 31..<34: return .question(.get(key, .local))
        case 34..<36: return .question(.get(key, .atLeast(client.highestIndex)))
        case 36..<42: return .question(.scan(scan(&client), .linearizable))
        case 42..<44: return .question(.scan(scan(&client), .local))
        case 44..<46: return .question(.scan(scan(&client), .atLeast(client.highestIndex)))
        case 46: return .operation(.closeSession, inSession: true)
        case 47: return .operation(refused(&client, options), inSession: true)
        case 48..<51: return .operation(.delete(key: key), inSession: true)
        case 51..<54: return .operation(range(&client), inSession: true)
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
        switch client.random.below(8) {
        // Without an upper bound, which takes the keys of the other family as well.
        case 0: return .deleteRange(from: from, to: client.random.chance(1, in: 2) ? nil : Bytes())
        case 1: return .deleteRange(from: min(from, to), to: "l")
        default: return .deleteRange(from: min(from, to), to: max(from, to))
        }
    }

    /// What a member refuses for what it says.
    private func refused(_ client: inout SimulatedClient, _ limits: ReplicatedOptions) -> Command.Operation {
        let key = Workload.other(client.random.below(keys))
        let long = Bytes([UInt8](repeating: 0x78, count: limits.maxKeyBytes + 1))
        let large = Bytes([UInt8](repeating: 0x79, count: limits.maxValueBytes + 1))
        switch client.random.below(5) {
        case 0: return .put(key: key, value: large)
        case 1: return .append(key: key, bytes: large)
        case 2: return .delete(key: long)
        case 3: return .compareAndSet(key: key, condition: .value(large), then: .delete)
        default: return .deleteRange(from: "x1", to: "x0")
        }
    }

    /// A change of the options, which expects the revision that the client was told last: often an old one. Sometimes
    /// of options that cannot be.
    private func change(of options: ReplicatedOptions, _ client: inout SimulatedClient) -> Command.Operation {
        var changed = options
        changed.vary(&client.random)
        if client.random.chance(1, in: 10) { changed.maxReplyBytes = 26 * changed.sessionWindow - 1 }
        return .changeOptions(changed, expecting: client.optionsRevision)
    }

    private func compareAndSet(_ key: Bytes, _ client: inout SimulatedClient) -> Command.Operation {
        let change: Command.Change = client.random.chance(1, in: 4) ? .delete : .put(value(&client))
        guard let last = client.lastRead, last.key == key, let entry = last.entry else {
            return .compareAndSet(key: key, condition: .absent, then: change)
        }
        return .compareAndSet(key: key, condition: .value(entry.value), then: change)
    }

    private func other(_ client: inout SimulatedClient) -> Command.Operation {
        let key = Workload.other(client.random.below(keys))
        switch client.random.below(8) {
        case 0...2: return .append(key: key, bytes: value(&client))
        case 3, 4: return add(key, &client)
        case 5: return .compareAndSet(key: key, condition: .revision(0), then: .put(value(&client)))
        case 6:
            let revision = client.random.chance(1, in: 2) ? 0 : client.highestIndex
            return .compareAndSet(key: key, condition: .revision(revision), then: .delete)
        default: return .delete(key: key)
        }
    }

    /// Adds to a counter, which goes to an end of its range now and then and beyond it; or to `key`, which is none.
    private func add(_ key: Bytes, _ client: inout SimulatedClient) -> Command.Operation {
        if client.random.chance(1, in: 6) { return .add(key: key, amount: 1) }
        let counter = Workload.other(keys + client.random.below(keys))
        return .add(key: counter, amount: client.random.pick([1, 1, 1, -1, .max, .min]))
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
