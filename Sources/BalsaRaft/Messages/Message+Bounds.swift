extension Message {
    /// Whether the numbers of the message are within what honest members can reach and its entries fit together.
    ///
    /// What is not is dropped where it enters, so that arithmetic on terms and indexes never overflows and no rule of
    /// the core has to doubt its input. `entries` are those that came with an append.
    func isWellFormed(entries: [EntryMetadata]) -> Bool {
        guard term <= largestNumber else { return false }
        switch body {
        case .preVoteRequest(let request):
            return request.last.isWithin(term: term) && request.flags == 0
        case .voteRequest(let request):
            return request.last.isWithin(term: term) && request.flags & ~VoteRequest.transferFlag == 0
        case .timeoutNow(let last):
            return last.isWithin(term: term) && last.index > 0
        case .append(let append):
            guard append.previous.isWithin(term: term), append.commit <= largestNumber else { return false }
            return append.matches(entries, term: term)
        case .appendResponse(let response):
            return response.answer.isWithinBounds && (response.digest?.isWithinBounds ?? true)
                && response.receivedIndex <= largestNumber
        case .heartbeat(let heartbeat):
            return heartbeat.commit <= largestNumber
        case .readResponse(_, .index(let index)):
            return index <= largestNumber
        case .snapshot(let offer):
            return offer.position.isWithin(term: term) && offer.position.index > 0
        case .checkpointRequest(let request):
            return request.index <= largestNumber
        case .notice(.acknowledgedEntriesLost(let position)):
            return position.isWithin(term: term) && position.index > 0
        case .notice(.diverged(let digest)), .notice(.agreed(let digest)):
            return digest.isWithinBounds
        case .preVoteResponse, .voteResponse, .heartbeatResponse, .readRequest, .readResponse(_, .refused):
            return true
        }
    }
}

extension AppendAnswer {
    fileprivate var isWithinBounds: Bool {
        switch self {
        case .accepted(let index): index <= largestNumber
        case .rejected(let previous, let hint):
            previous <= largestNumber && hint.index <= previous && hint.term <= largestNumber
        case .stale: true
        }
    }
}

extension StateDigest {
    /// Whether it is the digest of an entry: 0 stands for none.
    fileprivate var isWithinBounds: Bool { (1...largestNumber).contains(index) }
}

extension LogPosition {
    /// Whether a member that is in `term` can hold an entry of this position.
    fileprivate func isWithin(term limit: Term) -> Bool {
        index <= largestNumber && term <= limit && (index == 0) == (term == 0)
    }
}

extension Append {
    /// Whether `entries` are those that the message announces: consecutive behind `previous`, their terms not falling and
    /// none from the future of `term`.
    fileprivate func matches(_ metadata: [EntryMetadata], term: Term) -> Bool {
        guard let range = entries else { return metadata.isEmpty }
        guard range.first == previous.index + 1, range.count == metadata.count, range.last.index <= largestNumber else {
            return false
        }
        var highest = previous.term
        for entry in metadata {
            guard entry.term >= highest, entry.term > 0 else { return false }
            highest = entry.term
        }
        return highest == range.last.term && highest <= term
    }
}
