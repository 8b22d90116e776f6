import BalsaKeyValue
import BalsaPlatform
import BalsaRaft

/// The name of a call of a store's user, unique within the store.
struct CallID: Hashable {
    var number: UInt64
}

/// A command of a store's user on its way through a ``ClientSession``.
struct ClientCall {
    let id: CallID
    let operation: Command.Operation
    /// About how much memory the operation takes, in bytes.
    let byteCount: Int
    let deadline: Instant
    let calledAt: Instant
    /// When it was handed to the replica for the first time, and how often it was.
    var sentAt = Instant.never
    var attempts = 0
    /// The request under which the present attempt was handed to the replica; 0 while it waits.
    var request: UInt64 = 0
    var pause = ClientSession.firstPause
    var retryAt = Instant.zero
    /// Whether an attempt may have had an effect.
    var mayHaveHappened = false
    var isCancelled = false
    var lastError = RequestError(.notApplied, .notLeader)
    /// What is handed to the replica, from the first attempt on. A copy that names an older number as the lowest outstanding
    /// one is as good as any: the machine never lets that number fall.
    var encoded: Bytes?

    init(_ id: CallID, _ operation: Command.Operation, deadline: Instant, calledAt: Instant) {
        self.id = id
        self.operation = operation
        self.deadline = deadline
        self.calledAt = calledAt
        byteCount = operation.byteCount
    }

    /// What its caller is told at the deadline.
    var overdue: RequestError {
        // Busy or without a leader all the time is worth telling; a plain deadline is not worth more than its name.
        let reason: RequestError.Reason = mayHaveHappened ? .deadlineExceeded : lastError.reason
        return RequestError(
            mayHaveHappened ? .unknown : .notApplied,
            reason == .superseded ? .deadlineExceeded : reason,
            leader: lastError.leader
        )
    }

    /// What its caller is told where another attempt would end like this one.
    func failure(_ error: RequestError) -> RequestError {
        let isUnknown = mayHaveHappened || error.outcome == .unknown
        return RequestError(isUnknown ? .unknown : .notApplied, error.reason, leader: error.leader)
    }
}

/// What a reply to an attempt means for its call.
enum AttemptVerdict {
    /// This is the answer.
    case answered(CommandReply)
    /// Another attempt would end like this one.
    case failed(RequestError)
    /// The session is no more. This attempt had no effect.
    case sessionEnded
    /// Another attempt may succeed.
    case refused(RequestError)

    init(_ reply: Reply) {
        switch reply {
        case .success(let bytes, _):
            guard let answer = try? CommandReply(decoding: bytes) else {
                self = .failed(RequestError(.unknown, .invalid))
                return
            }
            switch answer.outcome {
            case .sessionExpired, .requestTooOld: self = .sessionEnded
            // Every copy of the same bytes is answered so.
            case .windowExceeded: self = .failed(RequestError(.notApplied, .invalid))
            default: self = .answered(answer)
            }
        case .failure(let error):
            switch error.reason {
            case .tooLarge, .invalid, .closed, .failed: self = .failed(error)
            default: self = .refused(error)
            }
        case .readable:
            preconditionFailure("a command is not answered with a permission to read")
        }
    }
}

extension Command.Operation {
    /// About how much memory the operation takes, in bytes.
    var byteCount: Int {
        switch self {
        case .openSession, .closeSession, .changeOptions: 64
        case .put(let key, let value), .append(let key, let value): 64 + key.count + value.count
        case .delete(let key), .add(let key, _): 64 + key.count
        case .deleteRange(let from, let to): 64 + from.count + (to?.count ?? 0)
        case .compareAndSet(let key, let condition, let change):
            64 + key.count + condition.byteCount + change.byteCount
        }
    }
}

extension Command.Condition {
    fileprivate var byteCount: Int {
        if case .value(let value) = self { return value.count }
        return 0
    }
}

extension Command.Change {
    fileprivate var byteCount: Int {
        if case .put(let value) = self { return value.count }
        return 0
    }
}
