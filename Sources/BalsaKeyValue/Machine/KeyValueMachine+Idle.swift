import BalsaLSM
import BalsaPlatform

/// How a store at rest gives space back.
///
/// What is deleted stays for the retained time, which passes with the entries of the log alone. A store that takes no
/// writes has none, so the leader of a store that is idle proposes the command ``whileIdle`` from time to time, while
/// something waits to be reclaimed. Each one may move the mark; when the mark has passed what waits, the state is
/// sealed, so that compactions learn of the mark.
extension KeyValueMachine {
    /// A command that changes nothing: a range deletion of no keys, outside of any session.
    public static let whileIdle: Bytes = {
        let identity = RequestIdentity(session: .none, number: 1)
        do throws(CommandError) {
            return try Command(identity: identity, operation: .deleteRange(from: "a", to: "a")).encoded()
        } catch { preconditionFailure("a command of two keys cannot be encoded: \(error)") }
    }()

    /// Whether something in the tables can be dropped once the mark has moved, and can not yet; or a range was deleted
    /// that no table tells of yet. Each state of the tables waits for one retained time at most.
    public var waitsForMark: Bool {
        engine.reclaimingMark(above: retentionMark) != nil || engine.holdsRangeDeletions
    }

    /// Whether a range was deleted that no table tells of yet.
    public var holdsRangeDeletions: Bool { engine.holdsRangeDeletions }

    /// Whether a seal now would let a compaction drop what it may not drop yet.
    public var wantsSealForMark: Bool {
        let sealed = engine.durableSeal?.retentionMark ?? 0
        guard let lowest = engine.reclaimingMark(above: sealed) else { return false }
        return lowest <= min(retentionMark, engine.lastSequence)
    }
}
