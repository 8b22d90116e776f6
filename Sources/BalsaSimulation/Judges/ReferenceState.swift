import BalsaKeyValue
import BalsaPlatform

/// The key-value state as the judges keep it: every key with all values that it ever had, in plain sorted arrays.
///
/// It is slow, keeps everything and is easy to believe. What the members' engines answer, at any revision, is held
/// against it. Which commands are executed at all is not decided here but by ``ReferenceSessions``.
struct ReferenceState {
    private struct Version {
        var revision: UInt64
        /// nil where the key lost its value.
        var value: Bytes?
    }

    private struct Row {
        var key: Bytes
        var versions: [Version]
    }

    /// By key.
    private var rows: [Row] = []

    /// The place of a key, or where it would be.
    private func place(of key: Bytes) -> Int {
        var low = 0
        var high = rows.count
        while low < high {
            let middle = (low + high) / 2
            if rows[middle].key < key { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// A key's value at a revision, with the revision that wrote it.
    func value(of key: Bytes, at revision: UInt64) -> KeyValueEntry? {
        let place = place(of: key)
        guard place < rows.count, rows[place].key == key else { return nil }
        return ReferenceState.value(rows[place].versions, at: revision)
    }

    private static func value(_ versions: [Version], at revision: UInt64) -> KeyValueEntry? {
        guard let version = versions.last(where: { $0.revision <= revision }), let value = version.value else {
            return nil
        }
        return KeyValueEntry(value: value, revision: version.revision)
    }

    /// The pairs from `from` up to `to`, which is excluded, at a revision.
    func pairs(from: Bytes, to: Bytes?, at revision: UInt64) -> [KeyValuePair] {
        var found: [KeyValuePair] = []
        var place = place(of: from)
        while place < rows.count {
            let row = rows[place]
            if let to, row.key >= to { break }
            if let entry = ReferenceState.value(row.versions, at: revision) {
                found.append(KeyValuePair(key: row.key, value: entry.value, revision: entry.revision))
            }
            place += 1
        }
        return found
    }

    private mutating func set(_ key: Bytes, _ value: Bytes?, at revision: UInt64) {
        let place = place(of: key)
        let version = Version(revision: revision, value: value?.compact())
        if place < rows.count, rows[place].key == key {
            rows[place].versions.append(version)
        } else {
            rows.insert(Row(key: key.compact(), versions: [version]), at: place)
        }
    }

    /// Why a command is refused for what it says, whatever the state; nil where it is not. Of several reasons a key that is
    /// too long comes first.
    ///
    /// - Parameter entersLog: whether a leader decides, which refuses more options than apply does.
    static func refusal(
        of operation: Command.Operation,
        _ options: ReplicatedOptions,
        entersLog: Bool = false
    ) -> CommandReply.Outcome? {
        var keys: [Bytes] = []
        var values: [Bytes] = []
        switch operation {
        case .openSession, .closeSession: break
        case .changeOptions(let options, _):
            guard entersLog else { return options.formatFault == nil ? nil : .invalidOptions }
            do throws(KeyValueError) { try options.validate() } catch { return .invalidOptions }
        case .put(let key, let value), .append(let key, let value): (keys, values) = ([key], [value])
        case .delete(let key), .add(let key, _): keys = [key]
        case .deleteRange(let from, let to): keys = [from] + (to.map { [$0] } ?? [])
        case .compareAndSet(let key, let condition, let change):
            keys = [key]
            if case .value(let value) = condition { values.append(value) }
            if case .put(let value) = change { values.append(value) }
        }
        if keys.contains(where: { $0.count > options.maxKeyBytes }) { return .keyTooLarge }
        if values.contains(where: { $0.count > options.maxValueBytes }) { return .valueTooLarge }
        if case .deleteRange(let from, let to?) = operation, !to.isEmpty, to < from { return .invalidRange }
        return nil
    }

    /// Executes a command and returns what its caller must be told.
    ///
    /// - Parameters:
    ///   - revision: the index of its entry, above every one before.
    ///   - entry: the options in force. The caller puts in force those of a change that is *applied*.
    mutating func execute(
        _ operation: Command.Operation,
        at revision: UInt64,
        _ entry: ReplicatedOptionsEntry
    ) -> CommandReply {
        let options = entry.options
        if let refusal = ReferenceState.refusal(of: operation, options) {
            return CommandReply(refusal, revision: revision)
        }
        switch operation {
        case .openSession:
            return CommandReply(.sessionOpened, revision: revision, number: Int64(options.sessionWindow))
        case .closeSession:
            break
        case .changeOptions(_, let expected):
            guard expected == entry.revision else {
                return CommandReply(.conditionFailed, revision: revision, number: Int64(entry.revision))
            }
        case .put(let key, let value):
            set(key, value, at: revision)
        case .delete(let key):
            if value(of: key, at: revision) != nil { set(key, nil, at: revision) }
        case .deleteRange(let from, let to):
            // An empty bound is none.
            let to = to.flatMap { $0.isEmpty ? nil : $0 }
            for pair in pairs(from: from, to: to, at: revision) { set(pair.key, nil, at: revision) }
        case .compareAndSet(let key, let condition, let change):
            let entry = value(of: key, at: revision)
            let holds =
                switch condition {
                case .absent: entry == nil
                case .revision(let expected): expected == entry?.revision ?? 0
                case .value(let expected): expected == entry?.value
                }
            guard holds else {
                return CommandReply(.conditionFailed, revision: revision, number: Int64(entry?.revision ?? 0))
            }
            switch change {
            case .put(let value): set(key, value, at: revision)
            case .delete: if entry != nil { set(key, nil, at: revision) }
            }
        case .append(let key, let bytes):
            let value = [UInt8](value(of: key, at: revision)?.value ?? Bytes()) + [UInt8](bytes)
            guard value.count <= options.maxValueBytes else { return CommandReply(.valueTooLarge, revision: revision) }
            set(key, Bytes(value), at: revision)
        case .add(let key, let amount):
            return add(amount, to: key, at: revision)
        }
        return CommandReply(.applied, revision: revision)
    }

    private mutating func add(_ amount: Int64, to key: Bytes, at revision: UInt64) -> CommandReply {
        let bytes = [UInt8](value(of: key, at: revision)?.value ?? Bytes([UInt8](repeating: 0, count: 8)))
        guard bytes.count == 8 else { return CommandReply(.notACounter, revision: revision) }
        let before = bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
        let (sum, overflow) = Int64(bitPattern: before).addingReportingOverflow(amount)
        guard !overflow else { return CommandReply(.overflow, revision: revision) }
        let after = UInt64(bitPattern: sum)
        set(key, Bytes((0..<8).map { UInt8(truncatingIfNeeded: after >> (8 * $0)) }), at: revision)
        return CommandReply(.applied, revision: revision, number: sum)
    }
}
