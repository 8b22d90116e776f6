import BalsaPlatform
import BalsaRaft
import BalsaWire

/// How far a log has come: the number of an operation that was staged. Marks only grow.
public struct LogMark: Hashable, Comparable, Sendable {
    /// The number of operations.
    public var number: UInt64

    /// Before the first operation.
    public static let zero = LogMark(number: 0)

    /// The mark of the operation `number`.
    public init(number: UInt64) { self.number = number }

    /// The order of staging.
    public static func < (left: LogMark, right: LogMark) -> Bool { left.number < right.number }
}

/// The durable log of all groups of a member, in one directory. `Docs/LogFormat.md` describes its files.
///
/// A log decides and never waits. Changes are *staged* in memory; ``nextWrite()`` makes one frame of everything staged,
/// which is the group commit; the caller performs the write on whatever thread it likes and reports its end; and
/// ``durableMark`` tells how far everything staged has become durable. Segments are prepared and removed by tasks, which
/// the caller carries out in the same way.
///
/// ```
///    append, truncate, compact, reset ─► staged ─► nextWrite() ─► DurableWrite ─► writeFinished(_:) ─► durableMark
/// ```
///
/// What was staged is read back at once by ``entries(_:from:through:maxBytes:)``, durable or not.
///
/// A log belongs to one thread at a time. It is opened by ``LogRecovery``, and dropped after a failed write: then the
/// member opens it anew, which rewrites what the failed sync left in doubt. Files close with the last write or task that
/// refers to them.
public final class Log {
    /// The limits.
    public let options: LogOptions
    /// What was done so far.
    public internal(set) var metrics = LogMetrics()
    /// The failed write after which the log accepts no more; nil while all is well.
    public internal(set) var failure: FileError?
    /// Everything staged up to this mark is durable.
    public internal(set) var durableMark = LogMark.zero
    /// The mark of the last operation staged.
    public internal(set) var mark = LogMark.zero

    let fileSystem: any FileSystem
    let directory: String
    /// Whose the segments are.
    let owner: FileOwner
    /// With what the log is to be marked, and the mark that the frames built so far leave.
    var directoryMark: DirectoryMark
    var writtenMark: DirectoryMark
    /// What the log durably says of the member's other files.
    package internal(set) var said: DirectoryMark
    /// Where the salts of segments come from.
    var salts: SaltSource
    var groups: GroupTable<GroupLog>

    // Writing.

    /// The segments that hold frames, oldest first. The last is the one that is written.
    var segments: [Segment]
    /// The numbers of those that are open to be read only, the one that was read last at the end.
    var openForReading: [UInt64] = []
    /// Prepared segments without frames, in the order of their use.
    var spares: [Segment] = []
    var staged = StagedOperations()
    /// Frames handed out and not known to be durable, in the order of the log.
    var inFlight: [FrameInFlight] = []
    var nextWriteNumber: UInt64 = 1
    /// Up to where all frames are durable.
    var durableThrough: LogPlace
    var sealIsStaged = false
    /// Whether the last frame names the next segment, so that the last segment takes no more.
    var isContinued = false
    /// Whether the last frame is a seal, so that nothing is in recovery's blind spot.
    var lastFrameIsSeal = true
    /// Where the last seal begins.
    var sealPlace: LogPlace
    /// Groups with a commit index that no frame has yet, in the order in which they were noted.
    var newCommits: [GroupID] = []

    // Segments.

    /// How long the next segment becomes, in bytes.
    var nextSegmentBytes: Int
    /// How long the next segment must be at least for the frame that waits for it, in bytes; 0 while none waits.
    var neededSegmentBytes: UInt64 = 0
    var task: LogTask?
    /// Whether the last task failed: then no dead segment is recycled.
    var taskFailedLast = false
    /// Segments that left the log and whose files are still to be removed, lowest number first.
    var condemned: [CondemnedSegment] = []
    /// The mark of the last operation that made entries dead.
    var lastDeathMark = LogMark.zero
    /// Whether there may be dead segments that have not been looked for.
    var searchIsDue = true

    // Memory.

    /// The batches in memory in the order of staging.
    var cached: [CachedBatch] = []
    var cachedHead = 0
    var cachedBytes = 0

    init(
        options: LogOptions,
        fileSystem: any FileSystem,
        directory: String,
        owner: FileOwner,
        mark: DirectoryMark,
        salts: SaltSource,
        groups: GroupTable<GroupLog>,
        segments: [Segment],
        durableThrough: LogPlace
    ) {
        self.options = options
        self.fileSystem = fileSystem
        self.directory = directory
        self.owner = owner
        // An opening ends with a seal, which takes one sector.
        let sealBytes = UInt64(segments.last?.sectorBytes ?? 0)
        sealPlace = LogPlace(segment: durableThrough.segment, offset: durableThrough.offset - sealBytes)
        directoryMark = mark
        writtenMark = mark
        said = mark
        self.salts = salts
        self.groups = groups
        self.segments = segments
        self.durableThrough = durableThrough
        nextSegmentBytes = min(2 * options.smallestSegmentBytes, options.largestSegmentBytes)
    }

    /// The groups that the log knows, in the order of their numbers.
    public var knownGroups: [GroupID] { groups.groups }

    /// The position before the first entry that is kept; zero for a group that the log does not know.
    public func base(_ group: GroupID) -> LogPosition { state(group).base }

    /// The position of the last entry staged, or the base.
    public func last(_ group: GroupID) -> LogPosition { state(group).last }

    /// The highest commit index noted. It is advisory: after a crash it may be lower.
    public func commit(_ group: GroupID) -> LogIndex { state(group).commit }

    private func state(_ group: GroupID) -> GroupState {
        groups.slot(of: group).map { groups.elements[$0].state } ?? GroupState()
    }

    /// How many bytes of files the log needs at present: those of segments with entries that are not dropped, or that are
    /// being written.
    public var liveBytes: UInt64 {
        let floor = oldestLiveSegment()
        // Segments lie in the order of their numbers. This is asked at every step of a replica, so nothing is copied.
        return segments.withUnsafeBufferPointer { segments in
            guard let first = segments.baseAddress else { return 0 }
            var bytes: UInt64 = 0
            var index = segments.count
            while index > 0, first[index - 1].number >= floor {
                index -= 1
                bytes += first[index].end
            }
            return bytes
        }
    }

    /// Whether ``liveBytes`` is above `boundBytes`. The caller then compacts, even past a member that is behind.
    public var isOverBound: Bool { liveBytes > UInt64(options.boundBytes) }

    /// The group whose oldest entries lie furthest back: compacting another one frees nothing. Nil without entries.
    public var groupHoldingOldestSegment: GroupID? {
        var oldest: (segment: UInt64, group: GroupID)?
        for element in groups.elements {
            guard let segment = element.runs.runs.first?.place.segment else { continue }
            if oldest.map({ segment < $0.segment }) ?? true { oldest = (segment, element.group) }
        }
        return oldest?.group
    }

    /// The number of the oldest segment with an entry that is not dropped.
    func oldestLiveSegment() -> UInt64 {
        var oldest = segments[segments.count - 1].number
        for element in groups.elements {
            if let first = element.runs.runs.first { oldest = min(oldest, first.place.segment) }
        }
        return oldest
    }

    /// Up to where frames are durable that nobody writes again: a seal at the end of the log is written once more by
    /// the next opening, and does not count.
    public var durableEnd: LogPlace { lastFrameIsSeal ? min(durableThrough, sealPlace) : durableThrough }

    /// Notes that VOTE is durable with a sequence. The next frame says so, or the next seal: an older copy of VOTE is
    /// refused from then on. Nothing waits for it.
    public func note(voteSequence: UInt64) {
        directoryMark.voteSequence = max(directoryMark.voteSequence, voteSequence)
    }

    /// Notes that BOOT is durable with a revision, likewise.
    public func note(bootRevision: UInt64) {
        directoryMark.bootRevision = max(directoryMark.bootRevision, bootRevision)
    }

    /// Whether a mark is to be written.
    var isMarkNew: Bool { directoryMark != writtenMark }

    /// The path of a segment that holds frames.
    func path(_ segment: UInt64) -> String { LogFileName.segmentPath(directory, segment) }
}
