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
        /// Whether its state differs and no majority of sound members is left that could say whose state is right: then
        /// nobody may rebuild it, and nobody waits for it.
        var isUndecided = false
    }

    /// The clients that have not been answered.
    var waitingClients: [Int] = []
    /// The members that have to agree.
    var members: [Member] = []

    /// The index through which all that can have applied the same; 0 where nobody can be asked, nil while they differ.
    var agreedIndex: LogIndex? {
        guard waitingClients.isEmpty else { return nil }
        var agreed: LogIndex?
        for member in members {
            guard let state = member.state else { return nil }
            if state.isCutOff || state.isUndecided { continue }
            guard state.appliedIndex == state.commitIndex, state.commitIndex == agreed ?? state.commitIndex else {
                return nil
            }
            agreed = state.commitIndex
        }
        return agreed ?? 0
    }

    /// The time by which everything should have happened has come.
    func check(after settling: TimeSpan, at now: TimeSpan) throws(Violation) {
        guard agreedIndex == nil else { return }
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
