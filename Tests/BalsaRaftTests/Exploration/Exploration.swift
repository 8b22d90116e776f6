import XCTest

@testable import BalsaRaft

/// Every order in which messages can arrive, persists complete and members crash, from a given state on.
///
/// A message that never arrives is one that has not arrived yet, so losses need no step of their own. Two ways that lead
/// to the same state are followed once. The cluster's judge looks at every state.
struct Exploration {
    private struct Place {
        var cluster: TestCluster
        var crashes: Int
        var timeouts: Int
    }

    private var visited: Set<[UInt64]> = []
    private var open: [Place]
    /// Which messages take part; the others are lost as soon as they are sent.
    private let isWanted: (Message) -> Bool
    private let limit: Int

    /// How many different states were seen, and who led in one of them.
    var count: Int { visited.count }
    private(set) var leaders: Set<MemberID> = []
    private(set) var maxCommit: LogIndex = 0
    /// Whether there was nothing left to follow before the limit was reached.
    private(set) var isComplete = true

    init(
        from start: TestCluster,
        crashes: Int,
        timeouts: Int = 0,
        limit: Int,
        isWanted: @escaping (Message) -> Bool
    ) {
        var start = start
        start.drop { !isWanted($0) }
        open = [Place(cluster: start, crashes: crashes, timeouts: timeouts)]
        self.limit = limit
        self.isWanted = isWanted
    }

    mutating func run() throws {
        while let place = open.popLast() {
            guard visited.insert(key(of: place)).inserted else { continue }
            guard visited.count < limit else {
                isComplete = false
                return
            }
            leaders.formUnion(place.cluster.leaders)
            maxCommit = max(maxCommit, place.cluster.judge.commitIndex)
            for member in place.cluster.members {
                for case .acknowledgedEntriesLost(let loser, let position) in member.reports {
                    XCTFail("member \(member.id) reports that \(loser) has lost \(position), and no disk forgets")
                }
            }
            try follow(place)
        }
    }

    private mutating func follow(_ place: Place) throws {
        for slot in place.cluster.network.indices {
            go(place) { $0.cluster.deliver(at: slot) }
        }
        for id in place.cluster.ids {
            if !place.cluster[id].waiting.isEmpty {
                go(place) { next in next.cluster.with(id) { $0.completePersist() } }
            }
            for written in 0...place.cluster[id].waiting.count where place.crashes > 0 {
                try go(place) { next in
                    next.crashes -= 1
                    try next.cluster.crash(id, after: written)
                    // Long enough that the member helps candidates again.
                    next.cluster.with(id) { $0.sleep($0.options.minElectionTimeout) }
                }
            }
            if place.timeouts > 0, place.cluster[id].raft.role != .leader {
                go(place) { next in
                    next.timeouts -= 1
                    next.cluster.with(id) {
                        $0.now = max($0.now, $0.raft.electionDeadline)
                        $0.step(.timer)
                    }
                }
            }
        }
    }

    private mutating func go(_ place: Place, _ step: (inout Place) throws -> Void) rethrows {
        var next = place
        try step(&next)
        next.cluster.drop { !isWanted($0) }
        open.append(next)
    }

    /// What makes two states the same.
    private func key(of place: Place) -> [UInt64] {
        var key: [UInt64] = [UInt64(place.crashes), UInt64(place.timeouts)]
        for member in place.cluster.members {
            let raft = member.raft
            key += [raft.term, raft.vote, raft.leader, raft.commitIndex, raft.durableIndex, raft.isWithholding ? 1 : 0]
            key.append(raft.verifiedIndex)
            key += [raft.campaign?.number ?? 0, raft.leadership?.round ?? .max]
            key += place.cluster.ids.map { id in raft.campaign?.answer(of: id).map { $0 ? 2 : 1 } ?? 0 }
            key +=
                raft.leadership?.peers.flatMap {
                    [$0.match, $0.next, $0.isPaused ? 1 : 0, $0.mode == .streaming ? 1 : 0, $0.round, $0.roundAtMatch]
                } ?? []
            key += member.log.terms + [.max] + member.disk.log.terms
            key += [member.disk.hardState.term, member.disk.hardState.vote]
            key += member.waiting.map(\.persist.id.number)
            key.append(.max)
        }
        // The order of messages under way does not matter, since any of them may be the next.
        key += place.cluster.network.map(digest).sorted()
        return key
    }

    private func digest(_ packet: Packet) -> UInt64 {
        let message = packet.message
        var parts = [message.from, message.to, message.term]
        switch message.body {
        case .voteRequest(let request): parts += [1, request.campaign, request.last.term, request.last.index]
        case .voteResponse(let response): parts += [2, response.campaign, response.isGranted ? 1 : 0]
        case .append(let append):
            parts += [3, append.previous.term, append.previous.index, append.lastIndex, append.commit]
            parts += [append.entries?.last.term ?? 0, append.round]
        case .appendResponse(let response):
            parts.append(response.round)
            switch response.answer {
            case .accepted(let index): parts += [4, index]
            case .rejected(let previous, let hint): parts += [5, previous, hint.term, hint.index]
            case .stale: parts += [8]
            }
        case .preVoteRequest(let request): parts += [6, request.campaign, request.last.term, request.last.index]
        case .preVoteResponse(let response): parts += [7, response.campaign, response.isGranted ? 1 : 0]
        default: parts += [8]
        }
        // FNV-1a over words: two packets that are alike by accident would only hide a state.
        return parts.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ $1) &* 0x0000_0100_0000_01b3 &+ ($0 >> 29) }
    }
}
