extension Message {
    /// Whether the numbers of the message are within what honest members can reach and its entries fit together.
    ///
    /// What is not is dropped where it enters, so that arithmetic on terms and indexes never overflows and no rule of
    /// the core has to doubt its input. `entries` are those that came with an append.
    func isWellFormed(entries: [EntryMetadata]) -> Bool {
        guard term <= largestNumber else { return false }
        switch body {
        case .preVoteRequest(let request), .voteRequest(let request):
            return request.last.isWithin(term: term)
        case .append(let append):
            guard append.previous.isWithin(term: term), append.commit <= largestNumber else { return false }
            return append.matches(entries, term: term)
        case .appendResponse(.accepted(let index)):
            return index <= largestNumber
        case .appendResponse(.rejected(let previous, let hint)):
            return previous <= largestNumber && hint.index <= previous && hint.term <= largestNumber
        case .heartbeat(let heartbeat):
            return heartbeat.commit <= largestNumber
        case .readResponse(_, .index(let index)):
            return index <= largestNumber
        case .snapshot(let offer):
            return offer.position.isWithin(term: term) && offer.position.index > 0
        case .preVoteResponse, .voteResponse, .appendResponse(.stale), .heartbeatResponse, .readRequest,
            .readResponse(_, .refused):
            return true
        }
    }
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
