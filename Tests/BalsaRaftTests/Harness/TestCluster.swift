import XCTest

@testable import BalsaRaft

/// Several members and the messages between them, which move only when a test says so.
struct TestCluster {
    private(set) var members: [TestMember]
    let ids: [MemberID]
    var network: [Packet] = []
    private(set) var now: Instant
    private(set) var judge = SafetyJudge()

    /// Whether messages from the first to the second are lost when they are sent.
    var isCut: (MemberID, MemberID) -> Bool = { _, _ in false }
    /// Whether checkpoints are handed over and installed without a test's help.
    var movesSnapshots = true
    /// How many messages were delivered.
    private(set) var deliveries = 0

    /// Members 1, 2, 3 and so on, with these logs (empty ones where none are given), in the term `term`. All of them have
    /// been up long enough to help a candidate.
    init(
        _ size: Int,
        term: Term = 0,
        logs: [[Term]] = [],
        base: LogPosition = .zero,
        options: RaftOptions = RaftOptions(),
        seed: UInt64 = 0
    ) throws {
        let ids = (1...MemberID(size)).map { $0 }
        self.ids = ids
        now = Instant.zero + options.minElectionTimeout
        members = try ids.map { id in
            try TestMember(
                id,
                of: ids,
                state: HardState(term: term, vote: 0),
                log: ShellLog(base: base, terms: logs.isEmpty ? [] : logs[Int(id) - 1]),
                options: options,
                seed: seed &* 64 &+ id
            )
        }
        for id in ids { judge.restarted(self[id]) }
    }

    /// A copy of a member. What is asked after every step asks `members` for a field: a copy of a whole member is slow.
    subscript(id: MemberID) -> TestMember { members[Int(id) - 1] }

    var leaders: [MemberID] { members.filter { $0.raft.role == .leader }.map(\.id) }

    /// The leader of the highest term that has one.
    var leader: MemberID? {
        members.filter { $0.raft.role == .leader }.max { $0.raft.term < $1.raft.term }?.id
    }

    /// Does something with one member, and puts what it sends on the way.
    @discardableResult
    mutating func with<Result>(_ id: MemberID, _ body: (inout TestMember) throws -> Result) rethrows -> Result {
        let slot = Int(id) - 1
        members[slot].now = max(members[slot].now, now)
        let result = try body(&members[slot])
        judge.look(at: members[slot])
        if !members[slot].sent.isEmpty {
            for packet in members[slot].sent where !isCut(id, packet.message.to) { network.append(packet) }
            members[slot].sent.removeAll(keepingCapacity: true)
        }
        if movesSnapshots { moveSnapshots(of: id) }
        return result
    }

    private mutating func moveSnapshots(of id: MemberID) {
        let slot = Int(id) - 1
        for peer in members[slot].wantedSnapshots { handOverSnapshot(from: id, to: peer) }
        if members[slot].installing != nil { with(id) { $0.finishInstall() } }
    }

    /// Hands everything that a member has applied to a peer as a checkpoint, which may get lost on its way.
    mutating func handOverSnapshot(from id: MemberID, to peer: MemberID) {
        let slot = Int(id) - 1
        members[slot].wantedSnapshots.removeAll { $0 == peer }
        let index = members[slot].applied
        guard let term = members[slot].log.term(at: index), index > 0 else { return }
        let position = LogPosition(term: term, index: index)
        let body = Message.Body.snapshot(SnapshotOffer(position: position))
        let message = Message(from: id, to: peer, term: members[slot].raft.term, body: body)
        if !isCut(id, peer) { network.append(Packet(message: message)) }
        with(id) { $0.step(.snapshotSent(to: peer, position: position, succeeded: true)) }
    }

    mutating func crash(_ id: MemberID, after count: Int = 0) throws {
        let slot = Int(id) - 1
        members[slot].now = max(members[slot].now, now)
        try members[slot].crash(after: count)
        judge.restarted(members[slot])
        with(id) { _ in }
    }

    mutating func holdPersists(of id: MemberID, _ holds: Bool = true) {
        with(id) {
            $0.holdsPersists = holds
            if !holds { $0.completePersists() }
        }
    }

    // MARK: Delivery

    /// Delivers the message at this place of the network.
    mutating func deliver(at place: Int) {
        let packet = network.remove(at: place)
        deliveries += 1
        with(packet.message.to) { $0.hear(packet) }
    }

    /// Delivers the oldest message for which `isWanted` holds; false where there is none.
    @discardableResult
    mutating func deliverFirst(_ isWanted: (Message) -> Bool = { _ in true }) -> Bool {
        guard let place = network.firstIndex(where: { isWanted($0.message) }) else { return false }
        deliver(at: place)
        return true
    }

    /// Delivers until nothing is on its way that `isWanted`.
    mutating func deliverAll(_ isWanted: (Message) -> Bool = { _ in true }) {
        var count = 0
        while deliverFirst(isWanted) {
            count += 1
            guard count < 20_000 else { return XCTFail("messages cause messages without end") }
        }
    }

    /// Loses what is on its way.
    mutating func drop(_ isWanted: (Message) -> Bool = { _ in true }) {
        network.removeAll { isWanted($0.message) }
    }

    // MARK: Time

    /// Time passes; timers fire when they were asked for, and messages arrive at once.
    mutating func pass(_ span: TimeSpan) {
        let target = now + span
        deliverAll()
        while let next = nextWake, next <= target {
            now = max(now, next)
            fireTimers()
            deliverAll()
        }
        now = target
    }

    /// When the next timer is due.
    private var nextWake: Instant? {
        var next: Instant?
        for slot in 0..<members.count {
            guard let wake = members[slot].wakeAt else { continue }
            next = next.map { min($0, wake) } ?? wake
        }
        return next
    }

    /// Fires every timer that is due.
    mutating func fireTimers() {
        for id in ids {
            guard let wake = members[Int(id) - 1].wakeAt, wake <= now else { continue }
            with(id) {
                $0.wakeAt = nil
                $0.step(.timer)
            }
        }
    }

    /// Time passes in which no process runs and nothing moves.
    mutating func sleep(_ span: TimeSpan) { now = now + span }

    /// Makes a member lead: nobody is heard for long, and it is the first to notice.
    mutating func elect(_ id: MemberID) {
        now = max(now, self[id].raft.electionDeadline)
        now = members.map(\.raft.withholdsUntil).max().map { max(now, $0) } ?? now
        with(id) { $0.step(.timer) }
        deliverAll()
        XCTAssertEqual(self[id].raft.role, .leader, "\(id) was to be elected")
    }

    /// Proposes to a member without delivering anything.
    mutating func propose(to id: MemberID, _ count: Int = 1, byteCount: UInt32 = 100) {
        with(id) { $0.propose(count, byteCount: byteCount) }
    }

    /// All links work again, nothing is held back, and nobody is disturbed for `span`: the group must recover by itself.
    mutating func heal(for span: TimeSpan = .seconds(5)) {
        isCut = { _, _ in false }
        movesSnapshots = true
        for id in ids {
            holdPersists(of: id, false)
            with(id) { _ in }
        }
        pass(span)
    }
}
