/// The persists that were asked for and have not completed, oldest first, and what of the log is durable.
///
/// Durability is told by order, not by position: a completion covers its persist and all before it, and each persist
/// remembers which part of the *present* log it makes durable. When the log is cut off, that part shrinks for every
/// persist still under way, so that the completion of an old write can never vouch for the entries written in its place.
struct PersistQueue: Sendable {
    private struct Pending {
        var id: PersistID
        var issuedAt: Instant
        var hardState: HardState?
        var lastIndex: LogIndex
        var isWrite: Bool
    }

    private var pending: [Pending] = []
    private var oldest = 0
    private var nextNumber: UInt64 = 1

    /// The term and vote that are durable.
    private(set) var durableState: HardState

    /// The index through which the present log is durable.
    private(set) var durableIndex: LogIndex

    /// How long the newest persist took that wrote something and is durable; zero before there is one.
    private(set) var syncTime = TimeSpan.zero

    /// Whether a term or vote is on its way to the disk.
    private(set) var isStatePending = false

    init(durableState: HardState, durableIndex: LogIndex) {
        self.durableState = durableState
        self.durableIndex = durableIndex
    }

    /// Whether nothing is under way.
    var isEmpty: Bool { oldest == pending.count }

    /// When the oldest persist under way was asked for.
    var oldestIssue: Instant? { isEmpty ? nil : pending[oldest].issuedAt }

    /// Numbers a new persist.
    ///
    /// - Parameter isWrite: whether anything is to be written, or only earlier writes waited for.
    mutating func issue(hardState: HardState?, lastIndex: LogIndex, isWrite: Bool, at now: Instant) -> PersistID {
        let id = PersistID(number: nextNumber)
        nextNumber += 1
        pending.append(Pending(id: id, issuedAt: now, hardState: hardState, lastIndex: lastIndex, isWrite: isWrite))
        if hardState != nil { isStatePending = true }
        return id
    }

    /// Notes that the log was cut off behind `index`.
    mutating func truncated(after index: LogIndex) {
        durableIndex = min(durableIndex, index)
        for slot in oldest..<pending.count { pending[slot].lastIndex = min(pending[slot].lastIndex, index) }
    }

    /// Notes that the log was replaced by a durable checkpoint and begins behind `index`; nothing that was under way is
    /// part of it.
    mutating func replaced(by index: LogIndex) {
        truncated(after: 0)
        durableIndex = index
    }

    /// Notes that a durable checkpoint covers the log through `index`.
    mutating func covered(through index: LogIndex) {
        durableIndex = max(durableIndex, index)
    }

    /// Notes that the persists through `id` are durable. Numbers that were never issued or are done already are ignored.
    mutating func completed(through id: PersistID, at now: Instant) {
        while !isEmpty, pending[oldest].id <= id {
            if pending[oldest].isWrite { syncTime = now - pending[oldest].issuedAt }
            if let state = pending[oldest].hardState { durableState = state }
            durableIndex = max(durableIndex, pending[oldest].lastIndex)
            oldest += 1
        }
        if oldest > 32, oldest * 2 > pending.count {
            pending.removeFirst(oldest)
            oldest = 0
        }
        isStatePending = pending[oldest...].contains { $0.hardState != nil }
    }
}
