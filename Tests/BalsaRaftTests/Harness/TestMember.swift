import XCTest

@testable import BalsaRaft

/// A core and a shell that does only what a test tells it to.
///
/// Persists complete at once unless they are held back; everything that the core wants sent, told or installed is
/// collected. After every step the shell checks what a shell can know: that nothing leaves before the promise that it
/// makes is on the disk, and that the core's picture of log and disk is the true one.
struct TestMember {
    /// A persist that was asked for.
    struct WaitingPersist {
        let persist: Persist
        let entries: [EntryMetadata]
        /// Whether the disk holds it already, although nobody was told.
        var isWritten = false
    }

    let id: MemberID
    let configuration: Configuration
    let options: RaftOptions
    private(set) var raft: Raft
    var now: Instant

    /// The log as it is in memory, and what of it a crash would leave.
    private(set) var log: ShellLog
    private(set) var disk: DiskImage
    private(set) var waiting: [WaitingPersist] = []
    /// Whether persists wait for ``completePersist()``.
    var holdsPersists = false
    /// Whether the state machine takes no entries, as without space for them.
    var appliesNothing = false

    var sent: [Packet] = []
    var responses: [Response] = []
    var reports: [Anomaly] = []
    var standings: [Standing] = []
    var wantedSnapshots: [MemberID] = []
    /// How often the state, which was received, was found to be that of the others.
    private(set) var confirmations = 0
    private(set) var installing: LogPosition?
    private(set) var applied: LogIndex
    var wakeAt: Instant?
    private(set) var lastHeartbeats: [MemberID: Heartbeat] = [:]
    private var life: UInt64 = 0

    init(
        _ id: MemberID,
        of members: [MemberID],
        state: HardState = .initial,
        log: ShellLog = ShellLog(),
        commit: LogIndex? = nil,
        options: RaftOptions = RaftOptions(),
        at now: Instant = .zero,
        holdsPersists: Bool = false,
        seed: UInt64? = nil
    ) throws {
        self.id = id
        self.options = options
        self.now = now
        self.log = log
        self.holdsPersists = holdsPersists
        configuration = try Configuration(voters: members)
        disk = DiskImage(hardState: state, log: log)
        applied = log.base.index
        raft = try Raft(
            member: id,
            configuration: configuration,
            recovered: RecoveredState(
                hardState: state,
                log: log.outline,
                commitIndex: commit ?? log.base.index,
                appliedIndex: log.base.index
            ),
            options: options,
            seed: seed ?? id
        )
        start()
    }

    private mutating func start() {
        var effects = Effects()
        raft.start(at: now, into: &effects)
        carryOut(effects.list, of: nil)
    }

    mutating func step(_ input: Input) {
        var effects = Effects()
        raft.step(input, at: now, into: &effects)
        carryOut(effects.list, of: input)
    }

    private mutating func carryOut(_ effects: [Effect], of input: Input?) {
        var newlyApplied: LogIndex?
        for effect in effects {
            switch effect {
            case .send(let message): release(message)
            case .persist(let persist): take(persist, of: input)
            case .apply(let position):
                XCTAssertEqual(disk.log.term(at: position.index), position.term, "what is applied is durable")
                XCTAssertGreaterThan(position.index, applied)
                applied = position.index
                newlyApplied = position.index
            case .respond(let response): responses.append(response)
            case .sendSnapshot(let peer, _): wantedSnapshots.append(peer)
            case .installSnapshot(let position): installing = position
            case .wake(let moment): wakeAt = moment
            case .standing(let standing): standings.append(standing)
            case .stateConfirmed: confirmations += 1
            case .report(let anomaly): reports.append(anomaly)
            }
        }
        check()
        if let newlyApplied, !appliesNothing { step(.applied(through: newlyApplied)) }
        if !holdsPersists { completePersists() }
    }

    private mutating func take(_ persist: Persist, of input: Input?) {
        if let index = persist.truncation { log.truncate(after: index) }
        var entries: [EntryMetadata] = []
        if let range = persist.entries {
            entries = fetch(range, source: persist.source, of: input)
            log.append(entries, at: range.first)
        }
        XCTAssertEqual(persist.entries == nil, persist.source == .none, "entries have a source")
        waiting.append(WaitingPersist(persist: persist, entries: entries))
    }

    private func fetch(_ range: EntryRange, source: EntrySource, of input: Input?) -> [EntryMetadata] {
        switch (source, input) {
        case (.message, .message(let message, let entries)):
            guard case .append(let append) = message.body, let whole = append.entries else { break }
            return Array(entries[Int(range.first - whole.first)...])
        case (.proposal(let id), .propose(let proposal)) where proposal.id == id:
            return proposal.byteCounts.map { .command(term: range.last.term, byteCount: $0) }
        case (.noOp, _):
            return [.noOp(term: range.last.term)]
        default:
            break
        }
        XCTFail("a persist asks for entries that nobody has: \(source)")
        return []
    }

    /// Sends a message if its promises are kept; an append only if the log still holds its entries.
    private mutating func release(_ message: Message) {
        let state = disk.hardState
        XCTAssertLessThanOrEqual(message.term, state.term, "a term is durable before anybody hears of it")
        var packet = Packet(message: message)
        switch message.body {
        case .append(let append):
            if let range = append.entries {
                guard let entries = log.slice(range) else { return }
                packet.entries = entries
            }
        case .voteResponse(let response) where response.isGranted && message.term == state.term:
            XCTAssertEqual(state.vote, message.to, "a vote is durable before it is given")
        case .appendResponse(let response) where message.term == raft.term:
            guard case .accepted(let index) = response.answer else { break }
            XCTAssertGreaterThanOrEqual(disk.log.lastIndex, index, "an acceptance covers what is durable")
        case .heartbeat(let heartbeat):
            lastHeartbeats[message.to] = heartbeat
        default:
            break
        }
        sent.append(packet)
    }

    /// The oldest persist becomes durable, and the core is told.
    mutating func completePersist() {
        guard !waiting.isEmpty else { return }
        let done = waiting.removeFirst()
        if !done.isWritten { disk.write(done.persist, done.entries) }
        for message in done.persist.then { release(message) }
        step(.persisted(done.persist.id))
    }

    mutating func completePersists() {
        while !waiting.isEmpty { completePersist() }
    }

    /// The oldest persist fails.
    mutating func failPersist() {
        guard let persist = waiting.first?.persist else { return XCTFail("no persist is under way") }
        waiting.removeAll()
        holdsPersists = true
        step(.persistFailed(persist.id))
    }

    /// The process dies after the disk took `count` of the persists under way, and starts again from the disk.
    mutating func crash(after count: Int = 0) throws {
        writeAll(count)
        let next = life + 1
        self = try TestMember(
            id,
            of: configuration.members,
            state: disk.hardState,
            log: disk.log,
            options: options,
            at: now,
            holdsPersists: holdsPersists,
            seed: id &+ (next << 32)
        )
        life = next
    }

    private mutating func writeAll(_ count: Int) {
        for slot in waiting.indices.prefix(count) where !waiting[slot].isWritten {
            disk.write(waiting[slot].persist, waiting[slot].entries)
            waiting[slot].isWritten = true
        }
    }

    /// The checkpoint that the core asked for is in place. It is written behind all that was under way.
    mutating func finishInstall(succeeded: Bool = true) {
        guard let position = installing else { return XCTFail("no checkpoint is being installed") }
        installing = nil
        guard succeeded else { return step(.snapshotFailed(position)) }
        writeAll(waiting.count)
        if log.term(at: position.index) == position.term {
            log.compact(through: position.index)
            disk.log.compact(through: position.index)
        } else {
            log.reset(to: position)
            disk.log.reset(to: position)
        }
        applied = max(applied, position.index)
        step(.snapshotInstalled(position))
    }

    /// The shell drops the log through `index`, which is applied.
    mutating func compact(through index: LogIndex) {
        guard let term = log.term(at: index) else { return XCTFail("the log does not hold \(index)") }
        log.compact(through: index)
        disk.log.compact(through: index)
        step(.compacted(through: LogPosition(term: term, index: index)))
    }

    private func check() {
        if let sentence = raft.brokenInvariant() { XCTFail("member \(id): \(sentence)") }
        XCTAssertEqual(raft.log.base, log.base, "the core knows where the log begins")
        XCTAssertEqual(raft.log.last, log.last, "the core knows where the log ends")
        let durable = raft.durableIndex
        XCTAssertLessThanOrEqual(durable, disk.log.lastIndex, "what counts as durable is on the disk")
        XCTAssertEqual(disk.log.term(at: durable), log.term(at: durable), "what counts as durable is this very entry")
        XCTAssertLessThanOrEqual(raft.durableState.term, disk.hardState.term, "a durable term is on the disk")
    }
}
