import BalsaKeyValue
import BalsaPlatform

extension StoreError {
    /// Throws where an operation has a key or a value that no options can allow. The leader and apply compare the
    /// others with the options in force, which this member may not have applied yet.
    static func check(_ operation: Command.Operation) throws(StoreError) {
        // Most operations are shorter as a whole than a key may be, and their parts need not be looked at.
        if operation.byteCount > ReplicatedOptions.largestKeyBytes { try checkParts(of: operation) }
        if case .changeOptions(let options, _) = operation {
            do throws(KeyValueError) { try options.validate() } catch { throw StoreError(error) }
        }
    }

    private static func checkParts(of operation: Command.Operation) throws(StoreError) {
        let (keys, values) = parts(of: operation)
        for key in keys { try check(key: key) }
        if let value = values.first(where: { $0.count > ReplicatedOptions.largestValueBytes }) {
            let limit = ReplicatedOptions.largestValueBytes
            let sentence = "a value of \(value.count) bytes; no options allow more than \(limit)"
            throw StoreError(.notApplied, .tooLarge, sentence)
        }
    }

    /// Throws where a key is longer than any options can allow.
    static func check(key: Bytes) throws(StoreError) {
        guard key.count > ReplicatedOptions.largestKeyBytes else { return }
        let limit = ReplicatedOptions.largestKeyBytes
        throw StoreError(.notApplied, .tooLarge, "a key of \(key.count) bytes; no options allow more than \(limit)")
    }

    /// What in an operation is longer than the options allow, in words; nil where nothing is.
    static func excess(of operation: Command.Operation, _ options: ReplicatedOptions) -> String? {
        let (keys, values) = parts(of: operation)
        if let key = keys.first(where: { $0.count > options.maxKeyBytes }) {
            return "a key of \(key.count) bytes; `ReplicatedOptions.maxKeyBytes` is \(options.maxKeyBytes)"
        }
        guard let value = values.first(where: { $0.count > options.maxValueBytes }) else { return nil }
        return "a value of \(value.count) bytes; `ReplicatedOptions.maxValueBytes` is \(options.maxValueBytes)"
    }

    /// What is too long in an operation that was refused before it was applied, in words.
    ///
    /// - Parameters:
    ///   - options: those that this member has applied; nil where it does not know. The leader may have later ones.
    ///   - waitingLimit: this store's ``StoreOptions/maxWaitingBytes``.
    static func sentence(
        ofTooLarge operation: Command.Operation,
        _ options: ReplicatedOptions?,
        waitingLimit: Int
    ) -> String {
        if let options, let excess = excess(of: operation, options) { return excess }
        guard operation.byteCount <= waitingLimit else {
            return "a command of \(operation.byteCount) bytes; `StoreOptions.maxWaitingBytes` is \(waitingLimit)"
        }
        return lengths(of: operation)
    }

    /// How long an operation's key and value are, where it is not known which limit they exceed.
    private static func lengths(of operation: Command.Operation) -> String {
        let (keys, values) = parts(of: operation)
        let key = "a key of \(keys.map(\.count).max() ?? 0) bytes"
        let value = values.map(\.count).max().map { " and a value of \($0) bytes" } ?? ""
        return key + value
            + "; the leader has refused it by limits that this member has not applied yet"
    }

    private static func parts(of operation: Command.Operation) -> (keys: [Bytes], values: [Bytes]) {
        switch operation {
        case .openSession, .closeSession, .changeOptions: return ([], [])
        case .put(let key, let value), .append(let key, let value): return ([key], [value])
        case .delete(let key), .add(let key, _): return ([key], [])
        case .deleteRange(let from, let to): return ([from] + (to.map { [$0] } ?? []), [])
        case .compareAndSet(let key, let condition, let change):
            var values: [Bytes] = []
            if case .value(let value) = condition { values.append(value) }
            if case .put(let value) = change { values.append(value) }
            return ([key], values)
        }
    }

    /// Throws where a command was executed and refused.
    ///
    /// - Parameter options: those that this member has applied, for the sentence alone; nil where it does not know.
    static func check(
        _ reply: CommandReply,
        of operation: Command.Operation,
        _ options: @autoclosure () -> ReplicatedOptions?
    ) throws(StoreError) -> CommandReply {
        switch reply.outcome {
        case .applied:
            return reply
        case .keyTooLarge, .valueTooLarge:
            guard let options = options() else { throw StoreError(.notApplied, .tooLarge, lengths(of: operation)) }
            throw StoreError(
                .notApplied,
                .tooLarge,
                excess(of: operation, options) ?? growth(of: operation, reply.outcome, options)
                    ?? "\(reply.outcome.description); `ReplicatedOptions` has maxKeyBytes \(options.maxKeyBytes), "
                    + "maxValueBytes \(options.maxValueBytes)"
            )
        default:
            throw StoreError(.notApplied, .invalid, sentence(of: reply.outcome, operation))
        }
    }

    /// That the value that an append would have made is too long, in words; nil for anything else. Its length is not in
    /// the reply.
    private static func growth(
        of operation: Command.Operation,
        _ outcome: CommandReply.Outcome,
        _ options: ReplicatedOptions
    ) -> String? {
        guard outcome == .valueTooLarge, case .append(let key, let bytes) = operation else { return nil }
        return "the value of \(key) would be too long with \(bytes.count) bytes more; "
            + "`ReplicatedOptions.maxValueBytes` is \(options.maxValueBytes)"
    }

    /// Why an operation was executed and refused, in words.
    private static func sentence(of outcome: CommandReply.Outcome, _ operation: Command.Operation) -> String {
        guard case .add(let key, let amount) = operation else { return outcome.description }
        switch outcome {
        case .notACounter: return "\(outcome): the value of \(key) has another length than 8 bytes"
        case .overflow: return "\(outcome): the counter \(key) and \(amount) have no sum that fits in 64 bits"
        default: return outcome.description
        }
    }
}
