extension Raft {
    /// Hears a message: first whether it counts at all, then what its term does, then what it says.
    mutating func receive(_ message: Message, entries: [EntryMetadata], _ effects: inout Effects) {
        guard halt == nil, message.to == member, message.from != member else { return }
        guard configuration.contains(message.from) else {
            // A former member with a higher term could otherwise depose leader after leader.
            effects.append(.report(.unknownPeer(message.from)))
            return
        }
        guard message.isWellFormed(entries: entries) else {
            effects.append(.report(.malformedMessage(from: message.from)))
            return
        }
        if message.term > term {
            guard adoptTerm(of: message, &effects) else { return }
        } else if message.term < term, !message.isTentativeAnswer {
            answerPast(message)
            return
        }
        handle(message, entries: entries, &effects)
    }

    /// A message of a later term makes any member a follower in it (Raft, section 5.1), with two exceptions. Returns
    /// whether the message is heard further.
    private mutating func adoptTerm(of message: Message, _ effects: inout Effects) -> Bool {
        switch message.body {
        case .preVoteRequest:
            // A tentative question changes nothing, whoever asks.
            return true
        case .voteRequest(let request) where isWithholding && !request.isTransfer:
            // Neither vote nor term: a candidate that cannot hear the leader must not depose it (dissertation, 4.2.3).
            return false
        default:
            // No timer moves: a member that is taught a term was not thereby told that anybody leads it.
            becomeFollower(term: message.term, &effects)
            return true
        }
    }

    /// Answers a message from the past where the answer helps: it teaches the sender the present term.
    private mutating func answerPast(_ message: Message) {
        switch message.body {
        case .append(let append):
            // A deposed leader steps down. Without an answer, a member that has a higher term than the leader could
            // never be led again.
            answer(.stale, to: message.from, about: append)
        case .heartbeat, .snapshot, .notice, .timeoutNow:
            answer(.stale, to: message.from)
        case .preVoteRequest(let request):
            send(.preVoteResponse(VoteResponse(isGranted: false, campaign: request.campaign)), to: message.from)
        case .voteRequest(let request):
            send(.voteResponse(VoteResponse(isGranted: false, campaign: request.campaign)), to: message.from)
        case .preVoteResponse, .voteResponse, .appendResponse, .heartbeatResponse, .readRequest, .readResponse,
            .checkpointRequest:
            break
        }
    }

    /// Handles a message of the current term, a tentative question of a later one, or a tentative answer of an earlier one.
    private mutating func handle(_ message: Message, entries: [EntryMetadata], _ effects: inout Effects) {
        switch message.body {
        case .preVoteRequest(let request):
            answerPreVote(request, term: message.term, from: message.from)
        case .voteRequest(let request):
            answerVote(request, from: message.from, &effects)
        case .preVoteResponse(let response):
            countVote(response, from: message.from, as: .preCandidate, &effects)
        case .voteResponse(let response):
            countVote(response, from: message.from, as: .candidate, &effects)
        case .append(let append):
            guard follow(message.from, &effects) else { return }
            handleAppend(append, entries: entries, from: message.from, &effects)
        case .heartbeat(let heartbeat):
            guard follow(message.from, &effects) else { return }
            handleHeartbeat(heartbeat, from: message.from)
        case .snapshot(let offer):
            guard follow(message.from, &effects) else { return }
            handleSnapshot(offer, from: message.from, &effects)
        case .notice(let notice):
            guard follow(message.from, &effects) else { return }
            handleNotice(notice, from: message.from, &effects)
        case .timeoutNow(let last):
            guard follow(message.from, &effects) else { return }
            campaignAtOnce(last, &effects)
        case .checkpointRequest(let request):
            handleCheckpointRequest(request, from: message.from, &effects)
        case .appendResponse(let response):
            handleAppendResponse(response, from: message.from, &effects)
        case .heartbeatResponse(let response):
            handleHeartbeatResponse(response, from: message.from, &effects)
        case .readRequest(let id):
            handleReadRequest(id, from: message.from, &effects)
        case .readResponse(let id, .index(let index)):
            effects.append(.respond(.readReady(id, index: index)))
        case .readResponse(let id, .refused):
            effects.append(.respond(.readRefused(id, .notLeader(leader: leader))))
        }
    }
}

extension Message {
    /// Whether this answers a tentative question. A voter that is terms behind may help as well as any: the question alone
    /// did not move it to the candidate's term.
    fileprivate var isTentativeAnswer: Bool {
        if case .preVoteResponse = body { true } else { false }
    }
}
