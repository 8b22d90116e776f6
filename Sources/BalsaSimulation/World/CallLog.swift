import Balsa
import BalsaKeyValue
import BalsaPlatform
import BalsaRaft

/// What clients asked of the key-value store and what they were told, operation by operation.
///
/// Unlike ``RecordedHistory``, which knows registers and is judged by search, it has every kind of operation, and names
/// the index at which each was decided. ``Certificate`` judges it by the log.
struct CallLog {
    /// What was asked.
    enum Question: Equatable {
        case command(Command)
        case get(Bytes, ReadConsistency)
        case scan(Scan, ReadConsistency)
    }

    /// A question for pairs.
    struct Scan: Equatable {
        var from: Bytes
        var to: Bytes?
        var limit: Int
        var order: ScanOrder
        /// How far below the present revision to read, in revisions.
        var back: UInt64
    }

    /// What was told.
    enum Outcome: Equatable {
        case replied(CommandReply)
        case value(KeyValueEntry?, index: LogIndex)
        /// With the revision that the member was asked for.
        case page(ScanPage, index: LogIndex, asked: UInt64)
        /// It has not happened and never will.
        case failed
        /// It may have happened, or may still.
        case unknown

        /// The index at which the answer was decided, if it was answered.
        var index: LogIndex? {
            switch self {
            case .replied(let reply): reply.revision
            case .value(_, let index), .page(_, let index, _): index
            case .failed, .unknown: nil
            }
        }
    }

    struct Call {
        var client: Int
        var question: Question
        /// In nanoseconds of virtual time.
        var called: UInt64
        var ended: UInt64?
        var outcome: Outcome?

        /// Whether real time binds the answer: not that of a read which is allowed to be old.
        var isLinearizable: Bool {
            switch question {
            case .command: true
            case .get(_, let consistency), .scan(_, let consistency): consistency == .linearizable
            }
        }

        /// The revision that a read asked to see at least, if it named one.
        var leastRevision: LogIndex? {
            switch question {
            case .get(_, .atLeast(let revision)), .scan(_, .atLeast(let revision)): revision
            default: nil
            }
        }

        var isRead: Bool {
            if case .command = question { return false }
            return true
        }
    }

    /// In the order in which they were called.
    private(set) var calls: [Call] = []
    /// The replies by which a copy of a command was refused, each with the place of its call.
    private(set) var refusals: [(place: Int, reply: CommandReply)] = []

    /// Notes a call and returns its place.
    mutating func call(_ question: Question, client: Int, at time: TimeSpan) -> Int {
        calls.append(Call(client: client, question: question, called: time.nanoseconds))
        return calls.count - 1
    }

    /// Notes that a copy of a command was refused.
    mutating func refuse(_ place: Int, _ reply: CommandReply) { refusals.append((place, reply)) }

    /// Notes how a call ended.
    mutating func end(_ place: Int, _ outcome: Outcome, at time: TimeSpan) {
        calls[place].ended = time.nanoseconds
        calls[place].outcome = outcome
    }
}
