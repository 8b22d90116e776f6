import XCTest

@testable import BalsaRaft

/// A group under a seeded storm: messages are lost, doubled and overtaken, processes die and lose what was not durable,
/// persists take their time, links break one way or both, logs are compacted, checkpoints get lost.
///
/// What is random is drawn per schedule, so that some have no crashes at all and others little else.
struct RandomSchedule {
    var cluster: TestCluster
    private var dice: Dice
    private let weights: [(Action, Int)]
    private let total: Int
    private var cuts: [(MemberID, MemberID)] = []
    private var nextRead: UInt64 = 0
    /// For each read that waits for an answer: what anybody had committed when it was asked for.
    private var reads: [(id: ReadID, floor: LogIndex)] = []
    private(set) var answeredReads = 0
    private(set) var handOvers = 0

    enum Action: CaseIterable {
        case deliver, deliverOldest, drop, duplicate, tick, leap, propose, read, persist, hold, crash, cut, mend,
            compact
        case unreachable, failInstall, handOver
    }

    init(size: Int, seed: UInt64) throws {
        dice = Dice(seed: seed)
        var options = RaftOptions()
        options.maxInflightMessages = dice.pick([1, 2, 8, 256])
        options.maxAppendBytes = UInt64(dice.pick([100, 300, 1 << 20]))
        options.maxInflightBytes = UInt64(dice.pick([150, 1_000, 8 << 20]))
        cluster = try TestCluster(size, options: options, seed: seed)
        // Moving messages and time is always in it, everything else in some schedules.
        var drawn: [(Action, Int)] = []
        for action in Action.allCases {
            switch action {
            case .deliver, .deliverOldest: drawn.append((action, 30))
            case .tick: drawn.append((action, 12))
            case .persist, .propose: drawn.append((action, 8))
            case .crash, .hold, .leap, .cut, .mend, .compact, .failInstall, .handOver:
                drawn.append((action, dice.pick([0, 1, 3])))
            default: drawn.append((action, dice.pick([0, 2, 8])))
            }
        }
        weights = drawn
        total = weights.reduce(0) { $0 + $1.1 }
    }

    mutating func run(steps: Int) throws {
        for step in 0..<steps {
            var place = dice.below(total)
            let action = weights.first { weight in
                place -= weight.1
                return place < 0
            }
            try take(action?.0 ?? .tick)
            checkReads()
            if step % 16 == 0 { SafetyJudge.checkLogMatching(cluster.members) }
        }
        SafetyJudge.checkLogMatching(cluster.members)
    }

    private mutating func take(_ action: Action) throws {
        let id = dice.pick(cluster.ids)
        switch action {
        case .deliver, .deliverOldest, .drop, .duplicate: moveMessage(action)
        case .tick, .leap:
            cluster.sleep(.milliseconds(UInt64(dice.below(action == .tick ? 60 : 1_000))))
            cluster.fireTimers()
        case .propose:
            let leader = cluster.leader ?? id
            if cluster.network.count < 300 { cluster.propose(to: leader, 1 + dice.below(3)) }
        case .read: read(at: dice.chance(1, in: 2) ? cluster.leader ?? id : id)
        case .persist: cluster.with(id) { $0.completePersist() }
        case .hold: cluster.holdPersists(of: id, dice.chance(2, in: 3))
        case .crash:
            let written = dice.below(cluster.members[Int(id) - 1].waiting.count + 1)
            reads.removeAll { $0.id.member == id }
            try cluster.crash(id, after: dice.chance(1, in: 2) ? written : 0)
        case .cut: cut(id)
        case .mend:
            cuts.removeAll()
            cluster.isCut = { _, _ in false }
        case .compact:
            let applied = cluster[id].raft.appliedIndex
            guard applied > cluster[id].log.base.index, cluster[id].raft.installing == nil else { return }
            let kept = UInt64(dice.below(4))
            if applied > cluster[id].log.base.index + kept { cluster.with(id) { $0.compact(through: applied - kept) } }
        case .unreachable:
            let peer = dice.pick(cluster.ids)
            cluster.with(id) { $0.step(.peerUnreachable(peer)) }
        case .handOver:
            let target = dice.chance(1, in: 2) ? dice.pick(cluster.ids) : nil
            cluster.with(cluster.leader ?? id) { $0.step(.transferLeadership(to: target, request: 1)) }
        case .failInstall:
            cluster.movesSnapshots.toggle()
            if !cluster.movesSnapshots, cluster[id].raft.installing != nil {
                cluster.with(id) { $0.finishInstall(succeeded: false) }
            }
        }
    }

    private mutating func moveMessage(_ action: Action) {
        guard !cluster.network.isEmpty else { return }
        let place = action == .deliverOldest ? 0 : dice.below(cluster.network.count)
        switch action {
        case .drop:
            cluster.network.remove(at: place)
        case .duplicate:
            let packet = cluster.network[place]
            cluster.network.insert(packet, at: dice.below(cluster.network.count + 1))
        default:
            cluster.deliver(at: place)
        }
    }

    private mutating func cut(_ id: MemberID) {
        let other = dice.pick(cluster.ids)
        guard other != id else { return }
        cuts.append((id, other))
        if dice.chance(1, in: 2) { cuts.append((other, id)) }
        let cuts = cuts
        cluster.isCut = { from, to in cuts.contains { $0.0 == from && $0.1 == to } }
    }

    private mutating func read(at id: MemberID) {
        guard reads.count < 50 else { return }
        nextRead += 1
        let read = ReadID(member: id, nonce: 7, number: nextRead)
        reads.append((read, cluster.judge.commitIndex))
        cluster.with(id) { $0.step(.read(read)) }
    }

    /// A read sees all that was committed anywhere when it was asked for.
    private mutating func checkReads() {
        for id in cluster.ids {
            guard !cluster.members[Int(id) - 1].responses.isEmpty else { continue }
            for response in cluster.with(id, { $0.takeResponses() }) {
                switch response {
                case .readReady(let read, let index):
                    guard let slot = reads.firstIndex(where: { $0.id == read }) else { continue }
                    XCTAssertGreaterThanOrEqual(index, reads[slot].floor, "read \(read.number) on \(id) is stale")
                    reads.remove(at: slot)
                    answeredReads += 1
                case .readRefused(let read, _):
                    reads.removeAll { $0.id == read }
                case .handedOver:
                    handOvers += 1
                default:
                    break
                }
            }
        }
    }

    /// Ends the storm for all but a minority, which can at most be heard, or hear: the others must serve all the same.
    mutating func recoverWithoutAMinority() {
        let count = (cluster.ids.count - 1) / 2
        let lost = cluster.ids.shuffled(using: &dice).prefix(count)
        let kind = dice.below(3)
        cuts.removeAll()
        cluster.heal(for: .zero)
        cluster.isCut = { from, to in
            (kind != 1 && lost.contains(from)) || (kind != 2 && lost.contains(to))
        }
        cluster.pass(.seconds(4))
        guard let leader = cluster.leaders.first(where: { !lost.contains($0) }) else {
            return XCTFail("the majority without \(lost) has no leader")
        }
        cluster.propose(to: leader)
        cluster.pass(.milliseconds(200))
        XCTAssertEqual(cluster[leader].raft.commitIndex, cluster[leader].log.lastIndex, "the majority commits")
    }

    /// Ends the storm. The group must come to one leader, one log and one commit index, and serve again.
    mutating func recover() {
        cuts.removeAll()
        cluster.heal(for: .seconds(3))
        guard let leader = cluster.leader else { return XCTFail("nobody leads after the storm") }
        XCTAssertEqual(cluster.leaders, [leader], "one member leads after the storm")
        let before = cluster[leader].raft.commitIndex
        cluster.propose(to: leader)
        cluster.pass(.milliseconds(200))
        XCTAssertGreaterThan(cluster[leader].raft.commitIndex, before, "the group commits again")
        for member in cluster.members {
            XCTAssertEqual(member.log.last, cluster[leader].log.last, "\(member.id) holds the whole log")
            XCTAssertEqual(
                member.raft.commitIndex,
                cluster[leader].log.lastIndex,
                "\(member.id) knows what is committed"
            )
            XCTAssertEqual(member.raft.appliedIndex, member.raft.commitIndex, "\(member.id) has applied everything")
        }
        SafetyJudge.checkLogMatching(cluster.members)
    }
}
