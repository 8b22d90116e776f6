import Balsa
import BalsaRaft

/// The simulated shell, through which clients reach the replicas as the users of a store will. A member is a store.
extension World: Runtime {
    func now(of store: StoreID) -> Instant {
        member(store.number).process?.clock(at: now) ?? .zero
    }

    func submit(_ submissions: [Submission], to store: StoreID) {
        if !give(.submit(submissions), to: store) {
            for submission in submissions { refuse(submission.id, of: store) }
        }
    }

    func read(_ request: RequestID, _ consistency: ReadConsistency, deadline: Instant, of store: StoreID) {
        if consistency == .linearizable { member(store.number).linearizableReads.append(request) }
        if !give(.read(request, consistency, deadline: deadline), to: store) { refuse(request, of: store) }
    }

    func close(_ store: StoreID) { _ = give(.close, to: store) }

    private func give(_ input: ReplicaInput, to store: StoreID) -> Bool {
        let member = member(store.number)
        guard let process = member.process, let instance = process.instance else { return false }
        step(input, member, process, instance)
        return true
    }

    private func refuse(_ request: RequestID, of store: StoreID) {
        receive(.failure(RequestError(.notApplied, .closed)), to: request, of: store)
    }
}

extension World: ReplyReceiver {
    func receive(_ reply: Reply, to request: RequestID, of store: StoreID) {
        let client = Int(request.number >> 48)
        let attempt = request.number & (1 << 48 - 1)
        judge { try judges.processes.answered(request.number, at: now) }
        let member = member(store.number)
        let isLinearizable = member.linearizableReads.contains(request)
        member.linearizableReads.removeAll { $0 == request }
        judge { try judges.identity.serves(member.party, reply, isLinearizable: isLinearizable, at: now) }
        let answer = answer(reply, to: client, attempt, by: store.number)
        queue.schedule(.answer(client: client, attempt: attempt, answer), at: now + trip(client))
    }
}
