import BalsaPlatform

/// What clients asked of registers by key, what they were answered, and when: the history of a run, as it is recorded
/// and as it is written to a file (`Docs/HistoryFormat.md`).
///
/// ```swift
/// var history = RecordedHistory()
/// let operation = history.call(.write("hello"), key: "greeting", client: 1, at: 1_000)
/// history.return(operation, .answered(.done, index: 7), at: 2_500)
/// ```
///
/// A history grows with the run that it records, by about a hundred bytes an operation and what its values hold on to.
public struct RecordedHistory: Equatable, Sendable {
    /// How an operation ended.
    public enum Outcome: Equatable, Sendable {
        /// It was answered. The index is that of the log entry by which the answer was decided, where it is known.
        case answered(RegisterModel.Output, index: UInt64?)
        /// It has not happened and never will.
        case failed
        /// It may have happened, may happen yet, or not.
        case unknown
    }

    /// One recorded operation.
    public struct Operation: Equatable, Sendable {
        /// Who called.
        public let client: UInt64
        /// The key it is about.
        public let key: Bytes
        /// What was asked.
        public let input: RegisterModel.Input
        /// When it was called, in nanoseconds of virtual time.
        public let called: UInt64
        /// When it ended, in nanoseconds of virtual time; nil where it has not ended.
        public fileprivate(set) var ended: UInt64?
        /// How it ended; nil where it has not ended.
        public fileprivate(set) var outcome: Outcome?
    }

    /// A call or an end: what a line of the file stands for.
    enum Event: Equatable, Sendable {
        case call(Int)
        case end(Int)
    }

    /// The operations in the order of their calls. The number of an operation is its place here plus one.
    public private(set) var operations: [Operation] = []
    private(set) var events: [Event] = []
    private(set) var lastTime: UInt64 = 0

    /// The history of nothing.
    public init() {}

    /// Records a call.
    ///
    /// - Parameter time: nanoseconds of virtual time, which never goes back.
    /// - Returns: the number of the operation, counted from 1.
    public mutating func call(_ input: RegisterModel.Input, key: Bytes, client: UInt64, at time: UInt64) -> UInt64 {
        precondition(time >= lastTime, "a history is recorded in the order of time")
        lastTime = time
        events.append(.call(operations.count))
        operations.append(Operation(client: client, key: key, input: input, called: time))
        return UInt64(operations.count)
    }

    /// Records how an operation ended.
    ///
    /// An operation that never ends, because the run did, is of unknown outcome.
    ///
    /// - Precondition: the operation was called and has not ended, and the answer is of the kind that it asks for.
    public mutating func `return`(_ number: UInt64, _ outcome: Outcome, at time: UInt64) {
        precondition(time >= lastTime, "a history is recorded in the order of time")
        precondition(number >= 1 && number <= UInt64(operations.count), "there is no operation of that number")
        let place = Int(number) - 1
        precondition(operations[place].outcome == nil, "an operation ends once")
        if case .answered(let output, _) = outcome {
            precondition(operations[place].input.admits(output), "the answer is not one to what was asked")
        }
        lastTime = time
        events.append(.end(place))
        operations[place].ended = time
        operations[place].outcome = outcome
    }

    /// The operations for a ``LinearizabilityChecker``, without those that have not happened.
    public var registerOperations: [HistoryOperation<RegisterModel>] {
        operations.compactMap { operation in
            switch operation.outcome {
            case .failed:
                return nil
            case .answered(let output, _):
                return HistoryOperation(
                    client: operation.client,
                    called: operation.called,
                    returned: operation.ended,
                    key: operation.key,
                    input: operation.input,
                    output: output
                )
            case .unknown, nil:
                return HistoryOperation(
                    client: operation.client,
                    called: operation.called,
                    returned: nil,
                    key: operation.key,
                    input: operation.input,
                    output: nil
                )
            }
        }
    }
}

extension RegisterModel.Input {
    /// Whether an output is of the kind that this input is answered with.
    func admits(_ output: RegisterModel.Output) -> Bool {
        switch (self, output) {
        case (.read, .value), (.write, .done), (.delete, .done), (.compareAndSet, .compared): true
        default: false
        }
    }
}
