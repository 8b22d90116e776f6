import BalsaPlatform

/// A string that can be read, replaced and appended to; it is empty at first.
///
/// Appending makes lost, repeated and exchanged writes visible in every later read.
public struct AppendModel: SequentialModel {
    /// The string, with a digest that is carried along so that it never has to be computed over the whole.
    public struct State: Equatable, Sendable, CustomStringConvertible {
        /// The string's bytes.
        public let text: Bytes
        fileprivate let digest: UInt64

        /// A string.
        public init(_ text: Bytes) {
            self.text = text
            digest = StateDigest.extended(StateDigest.empty, by: text)
        }

        fileprivate init(_ state: State, appending suffix: Bytes) {
            text = Bytes([UInt8](state.text) + [UInt8](suffix))
            digest = StateDigest.extended(state.digest, by: suffix)
        }

        /// Whether both are the same string.
        public static func == (left: State, right: State) -> Bool {
            left.digest == right.digest && left.text == right.text
        }

        /// The string in quotes.
        public var description: String { "\"\(text)\"" }
    }

    /// What a client asks.
    public enum Input: Equatable, Sendable {
        /// The string.
        case get
        /// To replace the string.
        case put(Bytes)
        /// To append to the string.
        case append(Bytes)
    }

    /// What a client is answered.
    public enum Output: Equatable, Sendable {
        /// The string that was read.
        case value(Bytes)
        /// A change was made.
        case done
    }

    /// The model of a string that is empty at first.
    public init() {}

    /// The empty string.
    public var initialState: State { State(Bytes()) }

    /// The string after an operation, or nil where this string cannot have been the answer.
    public func step(_ state: State, _ input: Input, _ output: Output?) -> State? {
        switch (input, output) {
        case (.get, nil): state
        case (.get, .value(let text)): text == state.text ? state : nil
        case (.put(let text), nil), (.put(let text), .done): State(text)
        case (.append(let text), nil), (.append(let text), .done): State(state, appending: text)
        default: nil
        }
    }

    /// Reads leave every state alone, and so do changes that append nothing.
    public func leavesStateAlone(_ input: Input, _ output: Output?) -> Bool {
        input == .get || input == .append(Bytes())
    }

    /// The digest of the string.
    public func digest(of state: State) -> UInt64 { state.digest }

    /// Removes reads that nobody saw the answer of, and unknown changes whose text is in no answer.
    ///
    /// Between such a change and the next *put* there can be no read, since it would show the text.
    public func removeIrrelevant(from operations: inout [HistoryOperation<AppendModel>]) {
        operations.removeAll { $0.input == .get && $0.output == nil }
        let answers: [Bytes] = operations.compactMap { operation in
            if case .value(let text) = operation.output { text } else { nil }
        }
        operations.removeAll { operation in
            guard operation.returned == nil else { return false }
            switch operation.input {
            case .get: return true
            case .put(let text), .append(let text): return !answers.contains { AppendModel.contains($0, text) }
            }
        }
    }

    private static func contains(_ text: Bytes, _ part: Bytes) -> Bool {
        guard part.count <= text.count else { return false }
        return text.withUnsafeBytes { text in
            part.withUnsafeBytes { part in
                (0...text.count - part.count).contains { start in
                    text[start..<start + part.count].elementsEqual(part)
                }
            }
        }
    }
}

extension AppendModel.Input: CustomStringConvertible {
    /// The question in words.
    public var description: String {
        switch self {
        case .get: "get"
        case .put(let text): "put \"\(text)\""
        case .append(let text): "append \"\(text)\""
        }
    }
}

extension AppendModel.Output: CustomStringConvertible {
    /// The answer in words.
    public var description: String {
        switch self {
        case .value(let text): "\"\(text)\""
        case .done: "done"
        }
    }
}
