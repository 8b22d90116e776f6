import BalsaRaft

/// What has to happen after the faults have stopped, and what of it has: a value that the world fills in.
struct LivenessCheck {
    /// A member of the surviving quorum.
    struct Member {
        var id: MemberID
        /// Where it is; nil while no replica runs.
        var state: State?
    }

    /// Where a replica is.
    struct State {
        var role: Role
        var term: Term
        var commitIndex: LogIndex
        var appliedIndex: LogIndex
        var last: LogPosition
        /// Whether a link between it and the leader is blocked. It may then stay behind, and nobody waits for it.
        var isCutOff = false
        /// Whether it waits for a checkpoint that no rule of ``Rebuilding`` gives it. Nobody waits for it then.
        var isUndecided = false

        /// Whether it may stay as it is. That may pass: it counts only once all the time is over that members have.
        var isExcused: Bool { isCutOff || isUndecided }
    }

    /// What decides whether the leader has to replace the state of a member with its own. Without a leader nobody is
    /// excused.
    struct Rebuilding {
        /// Whether the leader knows that members differ, and not which of them are right.
        var isInDispute = false
        /// Whether the leader knows that its state is that of the majority.
        var isConfirmed = false
        /// Whether the leader has known so in its term. It does not forget that: a later comparison confirms it once
        /// more, or shows a dispute.
        var wasConfirmed = false
        /// How many members can report their states to the leader, itself included.
        var reporting = 0
        /// How many of them have the right state and computed it themselves: where they are a majority, they decide
        /// every dispute.
        var witnesses = 0
        /// How many members there are.
        var members = 1

        private var isDisputeLeft: Bool { isInDispute && witnesses <= members / 2 }

        /// Whether a member whose state differs may stay as it is: nobody knows, and nobody can find out, that the
        /// state of the leader is right.
        var excusesDiverged: Bool {
            isDisputeLeft || (!isInDispute && !isConfirmed && !wasConfirmed && reporting <= members / 2)
        }

        /// Whether a member that cannot read its state, or whose log ends before that of the leader begins, may stay as
        /// it is: the leader's state may be wrong, and that of the member right.
        var excusesSound: Bool { isDisputeLeft }
    }

    /// For how long before the end an agreement counts. At the end itself an entry may be on its way, or the members
    /// may be about to elect a leader.
    static let lastMoments = TimeSpan.seconds(1)

    /// When those that are not excused agreed last; nil if they never did.
    var agreedAt: TimeSpan?
    /// The clients that have not been answered.
    var waitingClients: [Int] = []
    /// The members that have to agree.
    var members: [Member] = []

    /// The index through which all have applied the same; 0 where nobody can be asked, nil while they differ.
    ///
    /// - Parameter excusing: whether those that may stay as they are are left out.
    func agreedIndex(excusing: Bool) -> LogIndex? {
        guard waitingClients.isEmpty else { return nil }
        var agreed: LogIndex?
        for member in members {
            guard let state = member.state else { return nil }
            if excusing, state.isExcused { continue }
            guard state.appliedIndex == state.commitIndex, state.commitIndex == agreed ?? state.commitIndex else {
                return nil
            }
            agreed = state.commitIndex
        }
        return agreed ?? 0
    }

    /// The time by which everything should have happened has come.
    func check(after settling: TimeSpan, at now: TimeSpan) throws(Violation) {
        guard agreedIndex(excusing: true) == nil else { return }
        if waitingClients.isEmpty, let agreedAt, agreedAt + LivenessCheck.lastMoments >= now { return }
        let states = members.map { member in
            member.state.map { state in
                "\(member.id) is \(state.role.rawValue) of term \(state.term), committed \(state.commitIndex), "
                    + "applied \(state.appliedIndex), log to \(state.last)"
            } ?? "\(member.id) is down"
        }
        let names = waitingClients.map { String($0) }.joined(separator: ", ")
        let clients = names.isEmpty ? "" : "clients \(names) wait; "
        throw Violation(
            .liveness,
            "\(settling) after the faults have stopped: \(clients)\(states.joined(separator: "; "))",
            at: now
        )
    }

    /// A client was not told what became of its call. Where nothing goes wrong, every call is answered.
    static func checkUnknown(_ place: Int, hasFaults: Bool, at now: TimeSpan) throws(Violation) {
        guard !hasFaults else { return }
        throw Violation(.liveness, "call \(place + 1) ended as unknown, though nothing went wrong", at: now)
    }
}
