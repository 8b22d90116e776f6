/// What a leader knows of one peer's log, and how it sends to it.
///
/// A peer is *probed*, one append at a time, until a place is found where the logs agree. Then it is *streamed* to:
/// appends follow each other without waiting, within a window in messages and bytes. A peer that is behind the
/// beginning of the log gets a *snapshot*, and is probed again behind it.
struct Progress: Sendable {
    /// How the leader sends to the peer.
    enum Mode: Equatable, Sendable {
        /// One append at a time. After one was sent, the next waits for an answer or for the answer to a heartbeat.
        case probing(waiting: Bool)
        /// Append after append, within the window.
        case streaming
        /// Nothing, until the shell has handed over a checkpoint.
        case snapshot
        /// No entries: the peer has lost some that it acknowledged. An empty append at ``matched`` asks now and then
        /// whether it holds them again.
        case refused
    }

    let member: MemberID

    /// The highest index at which the peer's log is known to agree, and be durable.
    private(set) var match: LogIndex = 0

    /// The term of the entry at ``match``; 0 where the log began after it when the peer acknowledged it.
    private var matchTerm: Term = 0

    /// The last position that the peer acknowledged. The log need not hold it any more.
    var matched: LogPosition { LogPosition(term: matchTerm, index: match) }

    /// What of that counts for a quorum: nothing of a peer that has lost some of it.
    var held: LogIndex { mode == .refused ? 0 : match }

    /// The round of the newest append that was sent to the peer.
    private(set) var round: UInt64 = 0

    /// The value of ``round`` when ``match`` last grew, or when the peer was found to hold it again: appends of later
    /// rounds were sent after that.
    private(set) var roundAtMatch: UInt64 = 0

    /// The value of ``round`` when the peer was refused.
    private var roundAtRefusal: UInt64 = 0

    /// The index of the next entry to send.
    private(set) var next: LogIndex

    private(set) var mode = Mode.probing(waiting: false)

    /// What was sent and not acknowledged; empty unless streaming.
    private(set) var window: InflightWindow

    /// The highest round that the peer has answered in this term.
    private(set) var answeredRound: UInt64 = 0

    /// What of that confirms reads: nothing of a peer that may have forgotten whom else it followed.
    var confirmedRound: UInt64 { mode == .refused ? 0 : answeredRound }

    /// When the leader had sent the newest heartbeat that the peer has answered while it was not refused. Counting from
    /// the sending, not from the answer, is what makes a peer's silence visible no later than the peer itself turns to
    /// another leader.
    private(set) var heardAt: Instant

    /// The digest of the majority at the index at which the peer's state was found to differ, until the peer knows of
    /// it.
    private(set) var untoldDigest: StateDigest?

    /// The highest index at which the peer's state was found to differ.
    private var divergedAt: LogIndex = 0

    /// Whether the state of the peer is known to differ: no digest of a later index has been that of the majority.
    private(set) var isDiverged = false

    /// The highest index that the peer has applied, where it has said that it cannot read what the next entry needs;
    /// nil where it has not, or has applied more since.
    private var unreadableAt: LogIndex?

    /// When the peer last said that its state differs, and asked for a checkpoint.
    private var askedAt: Instant?

    /// When the peer last said so, where it is known to differ for no other reason; else nil.
    var differedWhenItAsked: Instant? { isDiverged && untoldDigest == nil && unreadableAt == nil ? askedAt : nil }

    /// The highest index of which the peer has reported a digest.
    private var reportedIndex: LogIndex = 0

    /// How many comparisons have begun since the peer reported something new.
    private(set) var missedComparisons: UInt64 = 0

    /// Whether the peer is not known to wait for a checkpoint in the place of its state.
    var isSound: Bool { !isDiverged && unreadableAt == nil }

    /// The highest index of a checkpoint that the peer has said to have its state from.
    private var receivedIndex: LogIndex = 0

    /// When this leader last asked for a checkpoint for the peer.
    private var lastSnapshotAt: Instant?

    /// When the peer last asked for a checkpoint itself.
    private var lastRequestAt: Instant?

    /// When the peer was last told what is wrong with it.
    private var lastNoticeAt: Instant?

    /// When the last append was sent to the peer.
    private var lastAppendAt = Instant.zero

    /// How many times in a row the peer was asked again and has acknowledged nothing more.
    private var repeats: UInt64 = 0

    /// When the peer last acknowledged more, held all of the log, or had a checkpoint whole.
    private(set) var progressedAt: Instant

    /// Whether the last checkpoint that the peer needed for its log has not reached it, though this leader went on
    /// sending it, and the peer has acknowledged nothing since.
    private(set) var hasFailedSnapshot = false

    init(member: MemberID, next: LogIndex, heardAt: Instant, options: RaftOptions) {
        self.member = member
        self.next = next
        self.heardAt = heardAt
        progressedAt = heardAt
        window = InflightWindow(maxMessages: options.maxInflightMessages, maxBytes: options.maxInflightBytes)
    }

    /// Whether nothing may be sent now.
    var isPaused: Bool {
        switch mode {
        case .probing(let waiting): waiting
        case .streaming: window.isFull
        case .snapshot, .refused: true
        }
    }

    /// Numbers the next append to the peer.
    mutating func nextRound() -> UInt64 {
        round += 1
        return round
    }

    /// Notes that the entries through `last` were sent.
    mutating func sent(through last: LogIndex, bytes: UInt64, at now: Instant) {
        lastAppendAt = now
        switch mode {
        case .probing:
            mode = .probing(waiting: true)
        case .streaming:
            if last >= next {
                window.add(through: last, bytes: bytes)
                next = last + 1
            }
        case .refused:
            break
        case .snapshot:
            preconditionFailure("no append is sent to a peer that waits for a checkpoint")
        }
    }

    /// Notes that the peer's log agrees through `position`, the term of which is 0 where the log does not hold it, in
    /// answer to the append of that round. Returns whether that was news.
    mutating func accepted(through position: LogPosition, round answered: UInt64, at now: Instant) -> Bool {
        let index = position.index
        if index > match { progresses(at: now) }
        if mode == .refused {
            // An older acceptance may have left the peer before it lost anything.
            guard answered > roundAtRefusal, answered <= round, index >= match else { return false }
            if index > match { (match, matchTerm) = (index, position.term) }
            // What it rejected meanwhile proves nothing any more.
            roundAtMatch = round
            next = match + 1
            probe()
            return true
        }
        window.release(through: index)
        let isNews = index > match
        if isNews {
            (match, matchTerm) = (index, position.term)
            roundAtMatch = round
        }
        next = max(next, match + 1)
        // Any acceptance at or behind what is being probed shows where the logs agree. An old one, from below, does not,
        // except that it still proves agreement through `match`.
        if case .probing = mode, isNews || index + 1 >= next { stream() }
        return isNews
    }

    /// Whether a rejection of the append of that round, after `previous`, shows that the peer has lost entries.
    ///
    /// An honest peer rejects a position that it acknowledged only in one case: the append overtook the one that made
    /// the peer hold the position, or the rejection overtook the acknowledgement of that. The append was then sent
    /// before the acknowledgement arrived. A later round was sent when the leader knew the position to be durable on
    /// the peer, and a log only loses durable entries of the leader's term together with the disk. No such append is
    /// sent after a position below ``match``.
    func showsLoss(_ previous: LogIndex, round answered: UInt64) -> Bool {
        matchTerm > 0 && previous == match && answered > roundAtMatch && answered <= round
    }

    /// Notes that the peer has lost entries: no more are sent to it until it holds them again.
    mutating func refuse() {
        window.removeAll()
        mode = .refused
        roundAtRefusal = round
        lastNoticeAt = nil
    }

    /// Whether the peer is to be told now what is wrong with it: at most once an `interval`.
    mutating func isTold(at now: Instant, every interval: TimeSpan) -> Bool {
        if let last = lastNoticeAt, now < last + interval { return false }
        lastNoticeAt = now
        return true
    }

    /// Notes a rejection of an append after `previous`; `agreement` is the highest index at which the logs can agree.
    /// Returns whether it was news: a rejection that is older than what is known since is not.
    mutating func rejected(previous: LogIndex, agreement: LogIndex) -> Bool {
        switch mode {
        case .snapshot, .refused:
            return false
        case .streaming:
            guard previous > match, previous < next else { return false }
        case .probing:
            // A rejection of what was acknowledged was overtaken. To ask the same again at once would go on for ever;
            // the answer to the next heartbeat is soon enough.
            guard previous > match, previous == next - 1 else { return false }
        }
        next = max(min(previous, agreement + 1), match + 1)
        probe()
        return true
    }

    /// Gives up what is on its way: the window is empty and the peer probed from where it is known to agree.
    mutating func lost() {
        lastAppendAt = .zero
        if case .streaming = mode {
            next = match + 1
            probe()
        }
    }

    /// Notes the answer to a heartbeat.
    mutating func answered(round: UInt64, sentAt: Instant) {
        guard mode != .refused else { return }
        answeredRound = max(answeredRound, round)
        heardAt = max(heardAt, sentAt)
    }

    /// Notes that the peer has acknowledged more, holds all of the log, or has a checkpoint whole.
    mutating func progresses(at now: Instant) {
        progressedAt = now
        repeats = 0
        hasFailedSnapshot = false
    }

    /// Whether a peer that can be reached and owes an answer is to be asked again, because nothing was sent to it for
    /// `interval`. Rounds for reads are answered many times a millisecond, while a disk takes its time: without the pause
    /// every one of those answers would send a probe again with all its entries.
    ///
    /// A peer that waits for a checkpoint may have no space for more of the log, and drops what it is sent. It is asked
    /// half as often each time that it acknowledges nothing more, but at least once in `longest`.
    mutating func asksAgain(at now: Instant, after interval: TimeSpan, longest: TimeSpan) -> Bool {
        let pause = isSound ? interval : min(interval * (1 << min(repeats, 16)), max(interval, longest))
        guard now >= lastAppendAt + pause else { return false }
        if case .probing = mode { mode = .probing(waiting: false) }
        repeats += 1
        return true
    }

    /// Nothing is sent until the shell has handed over a checkpoint. Returns false where one was asked for less than
    /// `interval` ago: it may be on its way, or being installed, or have been lost, and the answer to a later heartbeat is
    /// soon enough to tell.
    mutating func awaitSnapshot(at now: Instant, every interval: TimeSpan) -> Bool {
        if let last = lastSnapshotAt, now < last + interval { return false }
        lastSnapshotAt = now
        window.removeAll()
        mode = .snapshot
        return true
    }

    /// Notes the peer's digest at an index, and that of the majority. Returns whether the two differ, which is news.
    mutating func noteDigest(_ own: UInt64, _ majority: StateDigest) -> Bool {
        // An answer that was overtaken speaks of a state that is replaced.
        guard majority.index > receivedIndex else { return false }
        if let index = unreadableAt, majority.index > index { unreadableAt = nil }
        guard own != majority.value else {
            // It has been rebuilt since, or was started again and is right now.
            if majority.index >= divergedAt {
                untoldDigest = nil
                isDiverged = false
            }
            return false
        }
        guard majority.index > divergedAt else { return false }
        divergedAt = majority.index
        isDiverged = true
        let isNews = untoldDigest == nil
        untoldDigest = majority
        if isNews { lastNoticeAt = nil }
        return isNews
    }

    /// Notes from which checkpoint the peer has its state. A new one has replaced what differed.
    mutating func noteReceived(_ index: LogIndex) {
        guard index > receivedIndex else { return }
        receivedIndex = index
        // It can report again.
        missedComparisons = 0
        if let applied = unreadableAt, index >= applied { unreadableAt = nil }
        guard index >= divergedAt else { return }
        untoldDigest = nil
        isDiverged = false
    }

    /// Whether the peer has asked for a checkpoint before it installed the one that it has its state from: the request
    /// was overtaken by an answer that says so.
    ///
    /// What cannot be read is needed by an entry after that checkpoint. A state that differs may be the checkpoint's
    /// own, where the peer was started again.
    func isOutdated(_ request: CheckpointRequest) -> Bool {
        switch request.reason {
        case .diverged: request.index < receivedIndex
        case .unreadable: request.index <= receivedIndex
        }
    }

    /// Notes that the peer asks for a checkpoint because its state differs, and has applied the entries through
    /// `index`. A checkpoint that replaces that state does not end before it.
    mutating func knowsThatItDiffers(at index: LogIndex, _ now: Instant) {
        askedAt = now
        untoldDigest = nil
        isDiverged = true
        divergedAt = max(divergedAt, index)
    }

    /// Notes that the peer asks for a checkpoint because it cannot read its state, of which it has applied the entries
    /// through `index`.
    mutating func cannotRead(at index: LogIndex) { unreadableAt = index }

    /// Notes that the peer has reported its digest of an index. It says the newest with each answer.
    mutating func reports(at index: LogIndex) {
        guard index > reportedIndex else { return }
        reportedIndex = index
        missedComparisons = 0
    }

    /// Notes that all members are to report once more.
    mutating func comparisonBegins() { missedComparisons += 1 }

    /// Whether a checkpoint that the peer asks for is to be sent: not where it asked less than `interval` ago.
    mutating func takesRequest(at now: Instant, every interval: TimeSpan) -> Bool {
        if let last = lastRequestAt, now < last + interval { return false }
        lastRequestAt = now
        return true
    }

    /// The peer turned out to hold the log from where it begins, with or without a checkpoint.
    mutating func leaveSnapshot() {
        if case .snapshot = mode { stream() }
    }

    /// The checkpoint through `index` is with the peer, or is not. Either way the peer is probed; after a failure only
    /// once it has answered a heartbeat, so that a broken path is not tried in a loop.
    ///
    /// - Parameter wasWanted: whether the leader would have offered it still.
    mutating func snapshotSent(through index: LogIndex, succeeded: Bool, wasWanted: Bool = true, _ now: Instant) {
        if succeeded { progresses(at: now) }
        guard mode == .snapshot else { return }
        hasFailedSnapshot = !succeeded && wasWanted
        if succeeded { next = max(index, match) + 1 }
        mode = .probing(waiting: !succeeded)
    }

    private mutating func probe() {
        window.removeAll()
        mode = .probing(waiting: false)
    }

    private mutating func stream() {
        next = match + 1
        mode = .streaming
    }
}
