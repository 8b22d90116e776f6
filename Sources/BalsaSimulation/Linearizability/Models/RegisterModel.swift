import BalsaPlatform

/// A register: one value, or none, that can be read, written, compared and set, and deleted.
///
/// With one register a key this is the model of a plain key-value store.
public struct RegisterModel: SequentialModel {
    /// The value; nil where there is none.
    public typealias State = Bytes?

    /// What a client asks of a register.
    public enum Input: Equatable, Sendable {
        /// The value.
        case read
        /// To hold this value from now on.
        case write(Bytes)
        /// To hold `new` if the register holds `expected`, where nil stands for no value.
        case compareAndSet(expected: Bytes?, new: Bytes?)
        /// To hold nothing from now on.
        case delete
    }

    /// What a client is answered.
    public enum Output: Equatable, Sendable {
        /// The value that was read; nil where there was none.
        case value(Bytes?)
        /// A write or a deletion was done.
        case done
        /// Whether the register held what was expected.
        case compared(Bool)
    }

    /// The value before the first operation.
    public let initialState: Bytes?

    /// A register that begins with `initialState`.
    public init(initialState: Bytes? = nil) { self.initialState = initialState }

    /// The value after an operation, or nil where a register with this value cannot have answered so.
    public func step(_ state: Bytes?, _ input: Input, _ output: Output?) -> Bytes?? {
        switch (input, output) {
        case (.read, nil):
            return .some(state)
        case (.read, .value(let value)):
            return value == state ? .some(state) : .none
        case (.write(let value), nil), (.write(let value), .done):
            return .some(value)
        case (.delete, nil), (.delete, .done):
            return .some(nil)
        case (.compareAndSet(let expected, let new), nil):
            return .some(expected == state ? new : state)
        case (.compareAndSet(let expected, let new), .compared(let succeeded)):
            guard (expected == state) == succeeded else { return .none }
            return .some(succeeded ? new : state)
        default:
            return .none
        }
    }

    /// Reads and failed comparisons leave every state alone. A write of the value that is there does not: later there
    /// may be another one.
    public func leavesStateAlone(_ input: Input, _ output: Output?) -> Bool {
        input == .read || output == .compared(false)
    }

    /// A number for a value.
    public func digest(of state: Bytes?) -> UInt64 {
        state.map { StateDigest.extended(StateDigest.empty, by: $0) } ?? 0
    }
}

extension RegisterModel.Input: CustomStringConvertible {
    /// The question in words.
    public var description: String {
        switch self {
        case .read: "read"
        case .write(let value): "write \"\(value)\""
        case .compareAndSet(let expected, let new):
            "compare-and-set \(expected.map { "\"\($0)\"" } ?? "nil") \(new.map { "\"\($0)\"" } ?? "nil")"
        case .delete: "delete"
        }
    }
}

extension RegisterModel.Output: CustomStringConvertible {
    /// The answer in words.
    public var description: String {
        switch self {
        case .value(let value): value.map { "\"\($0)\"" } ?? "nil"
        case .done: "done"
        case .compared(let succeeded): String(succeeded)
        }
    }
}
