import Balsa
import BalsaPlatform
import BalsaRaft

/// Checks what becomes of processes and of requests: who may stop, and that each request is answered once.
struct ProcessCheck {
    /// The requests that were answered.
    private var answered = LookupTable<UInt64, Bool>()
    /// The requests that a process has and has not answered.
    private var waiting: [Waiting] = []

    private struct Waiting {
        var number: UInt64
        var member: MemberID
        /// Which process of the member has it.
        var start: UInt64
        /// By when it has to be answered.
        var due: TimeSpan
    }

    /// How long after its deadline a request may be answered. Members look at deadlines ten times a second.
    static let answerSlack = TimeSpan.seconds(1)

    /// A replica could not be opened. A failing file operation may be the reason, and will pass. A file that is missing, or
    /// any other reason, will not: nothing in a run damages a disk.
    func cannotOpen(_ id: MemberID, _ error: ReplicaError, at now: TimeSpan) throws(Violation) {
        guard error.file == nil || error.file?.number == .notFound else { return }
        throw Violation(.recovery, "member \(id) cannot be opened: \(error)", at: now)
    }

    /// A replica has stopped. A failed file operation may be the reason, or that the member was refused.
    func stopped(_ id: MemberID, _ error: ReplicaError, at now: TimeSpan) throws(Violation) {
        guard error.file == nil, error.code != .refused else { return }
        throw Violation(.memberState, "member \(id) stopped: \(error)", at: now)
    }

    /// A frame arrived that cannot be decoded. Nothing in a run damages frames.
    func cannotDecode(_ id: MemberID, _ reason: String, at now: TimeSpan) throws(Violation) {
        throw Violation(.memberState, "member \(id) cannot decode a frame: \(reason)", at: now)
    }

    /// The engine of a member was looked at; `sentence` says what is wrong in it.
    func engine(_ id: MemberID, _ sentence: String?, at now: TimeSpan) throws(Violation) {
        guard let sentence else { return }
        throw Violation(.memberState, "member \(id): \(sentence)", at: now)
    }

    /// A process was given a request.
    ///
    /// - Parameters:
    ///   - number: names the request; no two have the same.
    ///   - start: which process of the member it is.
    mutating func asked(_ number: UInt64, of member: MemberID, start: UInt64, deadline: TimeSpan) {
        let due = deadline + ProcessCheck.answerSlack
        waiting.append(Waiting(number: number, member: member, start: start, due: due))
    }

    /// A process that stood still goes on, and gets the time that it has missed.
    mutating func resumed(_ member: MemberID, at now: TimeSpan) {
        for place in waiting.indices where waiting[place].member == member {
            waiting[place].due = max(waiting[place].due, now + ProcessCheck.answerSlack)
        }
    }

    /// Checks that no process still has a request whose time is over.
    ///
    /// - Parameter running: which process of a member runs, and whether it stands still; nil where none runs.
    mutating func sweep(
        at now: TimeSpan,
        running: (MemberID) -> (start: UInt64, isPaused: Bool)?
    ) throws(Violation) {
        // The requests of a process end with it.
        waiting.removeAll { running($0.member)?.start != $0.start }
        for request in waiting where request.due < now && running(request.member)?.isPaused == false {
            throw Violation(
                .liveness,
                "member \(request.member) has not answered request \(request.number), which was due at \(request.due)",
                at: now
            )
        }
    }

    /// A request was answered.
    ///
    /// - Parameter number: names the request; no two have the same.
    mutating func answered(_ number: UInt64, at now: TimeSpan) throws(Violation) {
        if answered.contains(number) {
            throw Violation(.memberState, "request \(number) was answered twice", at: now)
        }
        answered.insert(true, for: number)
        if let place = waiting.firstIndex(where: { $0.number == number }) { waiting.remove(at: place) }
    }
}
