import BalsaKeyValue
import BalsaPlatform

extension StoreError {
    /// Throws where an operation has a key or a value that no command may have. The leader and apply decide by the same
    /// limits.
    static func check(_ operation: Command.Operation, _ limits: KeyValueLimits) throws(StoreError) {
        switch operation {
        case .openSession, .closeSession: break
        case .put(let key, let value), .append(let key, let value):
            try check(key: key, limits)
            try check(value: value, limits)
        case .delete(let key), .add(let key, _):
            try check(key: key, limits)
        case .deleteRange(let from, let to):
            try check(key: from, limits)
            if let to { try check(key: to, limits) }
        case .compareAndSet(let key, let condition, let change):
            try check(key: key, limits)
            if case .value(let value) = condition { try check(value: value, limits) }
            if case .put(let value) = change { try check(value: value, limits) }
        }
    }

    /// Throws where a key is longer than any may be.
    static func check(key: Bytes, _ limits: KeyValueLimits) throws(StoreError) {
        guard key.count > limits.maxKeyBytes else { return }
        throw StoreError(
            .notApplied,
            .tooLarge,
            "a key of \(key.count) bytes; `KeyValueLimits.maxKeyBytes` is \(limits.maxKeyBytes)"
        )
    }

    private static func check(value: Bytes, _ limits: KeyValueLimits) throws(StoreError) {
        guard value.count > limits.maxValueBytes else { return }
        throw StoreError(
            .notApplied,
            .tooLarge,
            "a value of \(value.count) bytes; `KeyValueLimits.maxValueBytes` is \(limits.maxValueBytes)"
        )
    }

    /// Throws where a command was executed and refused.
    static func check(_ reply: CommandReply, _ limits: KeyValueLimits) throws(StoreError) -> CommandReply {
        switch reply.outcome {
        case .applied:
            return reply
        case .keyTooLarge, .valueTooLarge:
            throw StoreError(
                .notApplied,
                .tooLarge,
                "\(reply.outcome.description); `KeyValueLimits` has maxKeyBytes \(limits.maxKeyBytes), "
                    + "maxValueBytes \(limits.maxValueBytes)"
            )
        default:
            throw StoreError(.notApplied, .invalid, reply.outcome.description)
        }
    }
}
