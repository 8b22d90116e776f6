/// An answer that several may give, of which the first counts, and that one task waits for.
///
/// It is what makes a wait end early: the work that was asked for goes on and answers when it is done, while whoever cancels
/// answers at once. Neither has to know of the other.
public final class Promise<Value: Sendable>: Sendable {
    private enum State {
        case open
        case awaited(CheckedContinuation<Value, Never>)
        case given(Value)
        case over
    }

    private let state = Locked(State.open)

    /// A promise that nobody has kept.
    public init() {}

    /// Answers, if nobody has.
    ///
    /// - Returns: whether this answer counts.
    @discardableResult
    public func give(_ value: Value) -> Bool {
        let (isFirst, continuation) = state.withLock { state -> (Bool, CheckedContinuation<Value, Never>?) in
            switch state {
            case .open:
                state = .given(value)
                return (true, nil)
            case .awaited(let continuation):
                state = .over
                return (true, continuation)
            case .given, .over:
                return (false, nil)
            }
        }
        // Outside of the lock: what waits may go on right here.
        continuation?.resume(returning: value)
        return isFirst
    }

    /// Waits for the answer. Called once.
    public func value() async -> Value {
        await withCheckedContinuation { continuation in
            let given = state.withLock { state -> Value? in
                switch state {
                case .open:
                    state = .awaited(continuation)
                    return nil
                case .given(let value):
                    state = .over
                    return value
                case .awaited, .over:
                    preconditionFailure("a promise is waited for once")
                }
            }
            if let given { continuation.resume(returning: given) }
        }
    }
}
