import BalsaPlatform

/// One operation of one client in a recorded history.
///
/// Times come from any clock that all clients share, such as virtual nanoseconds or the line numbers of a log; only
/// their order counts. An operation is thought to take effect at one instant between its call and its return, both
/// included: two operations that touch at one time are concurrent.
///
/// There are three degrees of knowledge. With a return time and an output, the operation was answered. With a return
/// time only, it took effect by then, but nobody knows its answer. Without a return time its outcome is unknown: it may
/// take effect at any time after its call, or never.
public struct HistoryOperation<Model: SequentialModel>: Sendable {
    /// Who called. It tells operations apart for a reader and decides nothing.
    public let client: UInt64
    /// When the operation was called.
    public let called: UInt64
    /// When it returned; nil where its outcome is unknown.
    public let returned: UInt64?
    /// The object that it is about. Operations on different keys are independent of each other.
    public let key: Bytes
    /// What was asked.
    public let input: Model.Input
    /// What was answered; nil where any answer is possible.
    public let output: Model.Output?

    /// An operation that returned at `returned`, or whose outcome is unknown.
    ///
    /// - Precondition: an operation does not return before it was called, and one of unknown outcome has no output.
    public init(
        client: UInt64,
        called: UInt64,
        returned: UInt64?,
        key: Bytes = Bytes(),
        input: Model.Input,
        output: Model.Output?
    ) {
        precondition(returned.map { $0 >= called } ?? true, "an operation cannot return before it was called")
        precondition(returned != nil || output == nil, "an operation without a return has no output")
        self.client = client
        self.called = called
        self.returned = returned
        self.key = key
        self.input = input
        self.output = output
    }
}

extension HistoryOperation: CustomStringConvertible {
    /// The operation in one line.
    public var description: String {
        let end = returned.map { String($0) } ?? "?"
        let answer = output.map { " -> \($0)" } ?? " -> ?"
        return "[\(called), \(end)] client \(client): \(input)\(answer)"
    }
}
