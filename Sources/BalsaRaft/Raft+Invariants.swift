extension Raft {
    /// What must hold between any two steps; nil where it does, else a sentence about what does not.
    ///
    /// The simulation calls this after every step.
    public func brokenInvariant() -> String? {
        if leadership != nil, campaign != nil { return "a leader campaigns" }
        if leadership != nil, state.vote != member || leader != member { return "a leader did not vote for itself" }
        if log.last.term > term { return "the log holds an entry of the future term \(log.last.term)" }
        if !(log.base.index <= appliedIndex && appliedIndex <= applyIndex) { return "applied what was not asked for" }
        if !(applyIndex <= commitIndex && commitIndex <= log.lastIndex) {
            return "asked to apply what is not committed"
        }
        if verifiedIndex > log.lastIndex { return "the leader's log was compared with what there is not" }
        if durableIndex > log.lastIndex { return "more of the log is durable than there is" }
        if applyIndex > durableIndex { return "asked to apply what is not durable" }
        if durableState.term > term { return "a term that was never reached is durable" }
        if divergence != nil, leadership?.reads.count ?? 0 > 0 { return "a member whose state differs answers reads" }
        if !staged.isEmpty || !outbox.isEmpty { return "a step left work behind" }
        for peer in leadership?.peers ?? [] {
            if peer.match >= peer.next { return "peer \(peer.member) is sent what it holds" }
            if peer.next > log.lastIndex + 1 { return "peer \(peer.member) is sent what there is not" }
        }
        return nil
    }
}
