import BalsaPlatform
import BalsaRaft

/// Reads that were asked for together and wait together until the state may be read.
struct SharedRead {
    typealias Completion = @Sendable (Result<LogIndex, RequestError>) -> Void

    /// One of them.
    struct Reader {
        var deadline: Instant
        var completion: Completion
    }

    var consistency: ReadConsistency
    var readers: [Reader]
    /// How long to wait before the question is asked again.
    var pause = ClientSession.firstPause

    /// When the first of them has no time left.
    var deadline: Instant {
        var deadline = Instant.never
        for reader in readers { deadline = min(deadline, reader.deadline) }
        return deadline
    }
}

/// What ``SharedReads`` want done.
enum ReadEffect {
    /// Ask the replica.
    case ask(RequestID, ReadConsistency, deadline: Instant)
    /// Tell a caller.
    case complete(SharedRead.Completion, Result<LogIndex, RequestError>)
    /// Call ``SharedReads/askAgain(_:into:)`` after this time.
    case askAgain(UInt64, after: TimeSpan)
}

/// The reads of a store's users, from their call until the state may be read.
///
/// What is wanted at the same time is asked for as one: the replica is given one question with the earliest of the deadlines, and
/// its answer is that of all. A read has no effect, so that a question can be asked again for those who have time left.
struct SharedReads {
    /// The numbers of questions begin behind this one, far from those of commands.
    static let origin: UInt64 = 1 << 62

    private let limit: Int
    private var asked = LookupTable<UInt64, SharedRead>()
    private var gathered: [SharedRead] = []
    /// Those that are to be asked for again a little later, by the number of the question that was refused; a few.
    private var paused: [(number: UInt64, read: SharedRead)] = []
    private var isClosed = false
    private var last = SharedReads.origin

    /// How many wait.
    private(set) var count = 0

    /// - Parameter limit: how many may wait. More are refused with *busy*.
    init(limit: Int) { self.limit = limit }

    /// Whether a request is one of these.
    func isOwn(_ request: RequestID) -> Bool { request.number > SharedReads.origin }

    /// A user wants to read. It is asked for with the next call of ``askGathered(into:)``.
    mutating func add(
        _ consistency: ReadConsistency,
        deadline: Instant,
        into effects: inout [ReadEffect],
        _ completion: @escaping SharedRead.Completion
    ) {
        guard count < limit, !isClosed else {
            effects.append(.complete(completion, .failure(RequestError(.notApplied, isClosed ? .closed : .busy))))
            return
        }
        count += 1
        let reader = SharedRead.Reader(deadline: deadline, completion: completion)
        // Nearly all are of one kind.
        if let place = gathered.firstIndex(where: { $0.consistency == consistency }) {
            gathered[place].readers.append(reader)
        } else {
            gathered.append(SharedRead(consistency: consistency, readers: [reader]))
        }
    }

    /// Asks for all that were added since the last time.
    mutating func askGathered(into effects: inout [ReadEffect]) {
        for read in gathered { ask(read, into: &effects) }
        gathered.removeAll(keepingCapacity: true)
    }

    private mutating func ask(_ read: SharedRead, into effects: inout [ReadEffect]) {
        last += 1
        asked.insert(read, for: last)
        effects.append(.ask(RequestID(last), read.consistency, deadline: read.deadline))
    }

    /// The time has passed after which a refused question was to be asked again.
    mutating func askAgain(_ number: UInt64, into effects: inout [ReadEffect]) {
        guard let place = paused.firstIndex(where: { $0.number == number }) else { return }
        ask(paused.remove(at: place).read, into: &effects)
    }

    /// The replica has answered a question.
    mutating func replied(_ request: RequestID, _ reply: Reply, at now: Instant, into effects: inout [ReadEffect]) {
        guard let read = asked.remove(request.number) else { return }
        switch reply {
        case .readable(let index):
            complete(read.readers, .success(index), into: &effects)
        case .failure(let error):
            failed(request.number, read, error, at: now, into: &effects)
        case .success:
            preconditionFailure("a question is answered with an index or an error")
        }
    }

    private mutating func failed(
        _ number: UInt64,
        _ read: SharedRead,
        _ error: RequestError,
        at now: Instant,
        into effects: inout [ReadEffect]
    ) {
        let isLate = error.reason == .deadlineExceeded
        let passing: [RequestError.Reason] = [.notLeader, .superseded, .startingUp, .diverged, .damaged]
        let mayAskAgain = !isClosed && (isLate || passing.contains(error.reason))
        // Where the first of them has run out of time, the others go on at once.
        let next = isLate ? now : now + read.pause
        var again = read
        again.readers.removeAll { !mayAskAgain || next >= $0.deadline }
        complete(read.readers.filter { !mayAskAgain || next >= $0.deadline }, .failure(error), into: &effects)
        guard !again.readers.isEmpty else { return }
        if isLate { return ask(again, into: &effects) }
        again.pause = min(read.pause * 2, ClientSession.longestPause)
        paused.append((number, again))
        effects.append(.askAgain(number, after: read.pause))
    }

    /// The store closes: those of whom the replica knows nothing are told.
    mutating func close(into effects: inout [ReadEffect]) {
        isClosed = true
        let error = RequestError(.notApplied, .closed)
        for read in gathered + paused.map(\.read) { complete(read.readers, .failure(error), into: &effects) }
        gathered = []
        paused = []
    }

    private mutating func complete(
        _ readers: [SharedRead.Reader],
        _ result: Result<LogIndex, RequestError>,
        into effects: inout [ReadEffect]
    ) {
        count -= readers.count
        for reader in readers { effects.append(.complete(reader.completion, result)) }
    }
}
