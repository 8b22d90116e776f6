import BalsaPlatform
import BalsaRaft
import BalsaWire

/// Opens a log: reads its files, tells a torn tail from damage, and mends the former.
///
/// The rules are those of `Docs/LogFormat.md`. First everything is read and nothing is changed:
///
/// 1. The directory is listed and every segment's header verified.
/// 2. The chain of segments is found from its last opening frame backwards: each names the segment before it and where
///    the log in that ends.
/// 3. The frames of the chain are walked in order. A frame's records count once a later frame confirms it; until then
///    it waits.
/// 4. At the first bad frame, P, everything behind is searched for frames of this life. If one was written when
///    something behind P was known to be durable, P is damage and the log is refused. Otherwise the log ends at P.
///
/// Then the files are mended, so that everything reported is durable, though the page cache may show frames that a
/// failed sync never wrote. Unused segments are removed first. If the last frame is a seal, nothing follows, and the
/// segment has space, the seal is written and synced once more together with the mark of this opening. In all other
/// cases the frames that wait and the mark are written as *one* frame into a new segment, whose opening frame names
/// the end of what is confirmed; only then is the rest cut and removed. One frame, because a crash leaves then either
/// all of them in the new place or none. Where the segments at the end of the chain hold little, the new one takes
/// their place: its opening frame names the end of the log before the first of them and holds their records as well
/// (``FoldedSegments``), and they are removed behind its seal. In all cases a seal follows. A crash after any call
/// leaves files from which the next recovery finds the same log.
public final class LogRecovery {
    let fileSystem: any FileSystem
    let directory: String
    let options: LogOptions
    let binding: FileBinding
    var scan: LogScan
    private var phase = Phase.list
    private var repair: LogRepair?
    /// What the mark of this opening says of VOTE and BOOT. Set before anything is changed.
    public var voteSequence: UInt64 = 0
    /// The revision of BOOT, likewise.
    public var bootRevision: UInt64 = 0

    private enum Phase {
        case list
        case headers(Int)
        case openings(Int)
        case walk
        case lookAhead
        case prepare
        case mend
        case done
    }

    /// Begins to open the log in `directory`, which is created if it is not there; its parent must exist.
    ///
    /// - Parameters:
    ///   - fileSystem: the files.
    ///   - directory: the directory.
    ///   - options: the limits.
    ///   - binding: whose the segments have to be, and which opening marks the log.
    /// - Throws: ``LogError`` when an option is outside of its bounds.
    public init(
        fileSystem: any FileSystem,
        directory: String,
        options: LogOptions,
        binding: FileBinding
    ) throws(LogError) {
        try options.validate()
        self.fileSystem = fileSystem
        self.directory = directory
        self.options = options
        self.binding = binding
        scan = LogScan(directory: directory, options: options, owner: binding.owner)
    }

    /// Does the next part of the work. Of the steps that read, none changes anything; see ``found``.
    ///
    /// - Parameter budgetBytes: about how many bytes to read or write at most.
    /// - Returns: whether the log is open.
    /// - Throws: ``LogError``; the recovery is then over. With the reason *damaged* nothing has been changed.
    public func step(budgetBytes: Int) throws(LogError) -> Bool {
        let limit = scan.bytesRead + max(budgetBytes, 1)
        repeat {
            switch phase {
            case .list:
                try list()
                phase = .headers(0)
            case .headers(let position):
                phase = try scan.readHeader(position, fileSystem) ? .headers(position + 1) : .openings(0)
            case .openings(let position):
                if try scan.readOpening(position) {
                    phase = .openings(position + 1)
                } else {
                    try scan.findChain()
                    phase = .walk
                }
            case .walk:
                if try scan.walk() { phase = .lookAhead }
            case .lookAhead:
                if try scan.lookAhead() {
                    repair = try LogRepair(scan, fileSystem, binding)
                    phase = .prepare
                    return false
                }
            case .prepare:
                try prepare()
                repair?.mark.voteSequence = voteSequence
                repair?.mark.bootRevision = bootRevision
                phase = .mend
            case .mend:
                if try repair?.step(budgetBytes: budgetBytes) ?? true { phase = .done }
                if case .done = phase { return true }
                return false
            case .done:
                return true
            }
        } while scan.bytesRead < limit
        return false
    }

    /// The open log, what it holds of each group, and what was done.
    ///
    /// - Precondition: ``step(budgetBytes:)`` has returned true.
    public func finish() -> (log: Log, groups: [RecoveredGroup], report: RecoveryReport) {
        guard case .done = phase, let repair, let log = repair.log else {
            preconditionFailure("recovery is not finished")
        }
        log.openOneForReading()
        return (log, repair.groups, repair.report)
    }

    /// What the log holds of each group, once everything was read and before anything is changed; nil before that.
    public var found: [RecoveredGroup]? { repair?.groups }

    /// The latest mark of the log, once everything was read; nil where there is none.
    public var foundMark: DirectoryMark? { repair?.foundMark }

    /// Where the valid frames end, once everything was read. After a crash it is not before anything that was durable.
    public var foundEnd: LogPlace { scan.end }

    /// Up to where the log says of itself that it was durable, once everything was read; not behind ``foundEnd``.
    public var confirmedEnd: LogPlace { scan.confirmed }

    /// Whether there is any segment, once everything was read. A log that was ever open has one.
    public var hasSegments: Bool { !scan.segments.isEmpty }

    private func list() throws(LogError) {
        let names = try filed { () throws(FileError) in
            try fileSystem.exists(directory) ? try fileSystem.list(directory) : []
        }
        try scan.take(names)
    }

    private func prepare() throws(LogError) {
        try filed { () throws(FileError) in
            try fileSystem.createDirectory(directory)
            try fileSystem.syncParent(of: directory)
        }
    }
}

extension Log {
    /// Opens the log in `directory` at once. What ``LogRecovery`` does in steps.
    ///
    /// - Throws: ``LogError`` when the log is damaged, was written by a newer release, or a file operation failed.
    public static func open(
        _ fileSystem: any FileSystem,
        directory: String,
        options: LogOptions = LogOptions(),
        binding: FileBinding = .unbound
    ) throws(LogError) -> (log: Log, groups: [RecoveredGroup], report: RecoveryReport) {
        let recovery = try LogRecovery(
            fileSystem: fileSystem,
            directory: directory,
            options: options,
            binding: binding
        )
        while try !recovery.step(budgetBytes: 1 << 20) {}
        return recovery.finish()
    }
}
