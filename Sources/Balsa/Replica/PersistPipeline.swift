import BalsaLog
import BalsaRaft
import BalsaWire

/// What the core wants durable, oldest first.
///
/// A persist goes through two stages. It *waits* until every vote before it, and its own, is durable; then its changes
/// are *staged* in the log, which writes them in groups. When the log is durable through its mark, the persist is
/// complete, and what waited for it is sent. A vote is thus durable before the first entry of its term is even written.
struct PersistPipeline {
    /// A change of the log.
    enum Change {
        case truncate(after: LogIndex)
        case append(EntryBatch)
        case reset(to: LogPosition, stamp: UInt64)
        case compact(through: LogPosition)
    }

    struct Item {
        /// The core's number; nil for a change that the replica itself wants.
        var id: PersistID?
        var hardState: HardState?
        var changes: [Change]
        var then: [Message]
        /// The log's mark behind the changes, once they are staged.
        var mark: LogMark?
    }

    var items: [Item] = []
    /// The vote of the first item that is not staged, while it is being written.
    var voteUnderWay: VoteChange?
    /// The write of the vote that is to be handed to the shell next.
    var nextVoteWrite: DurableWrite?

    /// The first item that is not staged.
    var firstWaiting: Int? {
        items.firstIndex { $0.mark == nil }
    }
}
