extension Anomaly {
    /// What happened, in a sentence for an operator.
    package var sentence: String {
        switch self {
        case .unknownPeer(let peer): "member \(peer), which does not belong to the group, sent a message"
        case .malformedMessage(let peer): "member \(peer) sent a message whose parts contradict each other"
        case .secondLeader(let peer, let term): "member \(peer) claims to lead term \(term), which another member leads"
        case .acknowledgedEntriesLost(let member, let position):
            "member \(member) does not hold the entries that it acknowledged through index \(position.index) of term "
                + "\(position.term)"
        case .stateDiverged(let member, let own, let majority):
            "the state of member \(member) differs from the majority's at index \(majority.index): digest "
                + "\(String(own, radix: 16)) and not \(String(majority.value, radix: 16))"
        case .stateRebuilt(let index):
            "a checkpoint through index \(index) has replaced the state, which differed or could not be read"
        case .rebuiltInVain(let times, let pause):
            "the state differs again after \(times) checkpoints have replaced it: "
                + (pause.map { "the next one is asked for in \($0)" }
                    ?? "this machine or release computes another state")
        case .digestsDisagree(let index):
            "the members' states differ at index \(index), and nobody knows which of them are right"
        case .committedEntryContradicted(let index): "a leader sent another entry for the committed index \(index)"
        case .persistFailed: "a write of the log or the vote failed"
        case .persistStalled: "leadership ended: a write of the log took longer than an election timeout"
        case .quorumLost: "leadership ended: no majority answered for an election timeout"
        }
    }
}

extension Standing: CustomStringConvertible {
    /// Role, term and leader in one line.
    public var description: String {
        "\(role.rawValue) in term \(term), " + (leader == 0 ? "no leader is known" : "member \(leader) leads")
    }
}
