import BalsaLSM
import BalsaRaft

/// What a run did and what was found.
public struct RunReport: Sendable {
    /// The seed of its scenario.
    public let seed: UInt64
    /// What ended the run: the first violation of an enforced invariant, if there was one.
    public internal(set) var violation: Violation?
    /// The first violation of each invariant that was not enforced, in the order of time.
    public internal(set) var unenforced: [Violation] = []
    /// A digest of every event. Equal runs have equal ones.
    public internal(set) var traceHash: UInt64 = 0
    /// How many events there were.
    public internal(set) var events: UInt64 = 0
    /// How long the run took in virtual time.
    public internal(set) var simulated = TimeSpan.zero
    /// What happened, by kind.
    public internal(set) var counters = RunCounters()
    /// What the clients asked and were answered.
    public internal(set) var history = RecordedHistory()

    init(seed: UInt64) { self.seed = seed }

    /// Whether nothing that is enforced was violated.
    public var passed: Bool { violation == nil }

    /// What was violated first, enforced or not: what ends the run where everything is enforced.
    public var firstViolation: Violation? { unenforced.first ?? violation }
}

/// What happened in a run, or in several, counted.
public struct RunCounters: Equatable, Sendable {
    /// Operations that clients were told the result of.
    public internal(set) var acknowledged = 0
    /// Operations that certainly have not happened.
    public internal(set) var refused = 0
    /// Operations that may have happened.
    public internal(set) var unknown = 0
    /// Faults that took effect, by kind; of those that disturb messages, the messages.
    public internal(set) var faults = [Int](repeating: 0, count: Fault.Kind.allCases.count)
    /// Elections that were won.
    public internal(set) var electionsWon = 0
    /// Elections that somebody ran in and did not win.
    public internal(set) var electionsLost = 0
    /// Torn tails that were cut off.
    public internal(set) var tornTails = 0
    /// Entries that were cut off because a leader had others.
    public internal(set) var entriesTruncated = 0
    /// Processes that ended while a write to the log was under way.
    public internal(set) var crashesInLogWrite = 0
    /// Processes that ended while they were being opened.
    public internal(set) var crashesInRecovery = 0
    /// Replicas that stopped because of a failed file operation, and were opened again.
    public internal(set) var reopened = 0
    /// Commands that were sent again because nobody knew what had become of them.
    public internal(set) var retries = 0
    /// Copies of a request that were answered with the reply of the first.
    public internal(set) var repliesRepeated = 0
    /// Requests that were told that their session has ended.
    public internal(set) var sessionsExpired = 0
    /// Late copies of requests that were told that the client has the reply.
    public internal(set) var requestsTooOld = 0
    /// Requests that were told that their number is too high.
    public internal(set) var windowsExceeded = 0
    /// Changes of the replicated options that took effect.
    public internal(set) var optionsChanged = 0
    /// Changes of the replicated options that expected another revision than that of those in force.
    public internal(set) var optionConflicts = 0
    /// Openings with other replicated options than were in force.
    public internal(set) var proposalsDiffering = 0
    /// Commands that a follower passed on to the leader.
    public internal(set) var commandsForwarded = 0
    /// Memtables that were flushed.
    public internal(set) var flushes = 0
    /// Compactions that were finished, moves of whole tables included.
    public internal(set) var compactions = 0
    /// Manifests that were begun anew.
    public internal(set) var manifestsWritten = 0
    /// Processes that ended in the middle of flushing.
    public internal(set) var crashesInFlush = 0
    /// Processes that ended in the middle of compacting.
    public internal(set) var crashesInCompaction = 0
    /// Processes that ended in the middle of writing a manifest anew.
    public internal(set) var crashesInManifest = 0
    /// Processes that ended in the middle of removing files.
    public internal(set) var crashesInRemoval = 0
    /// Processes that ended in the middle of receiving a checkpoint.
    public internal(set) var crashesInReceiving = 0
    /// Processes that ended in the middle of installing a checkpoint.
    public internal(set) var crashesInInstall = 0
    /// Entries of the log that were dropped because a durable seal covers them.
    public internal(set) var entriesDropped = 0
    /// Checkpoints that were sent whole.
    public internal(set) var checkpointsSent = 0
    /// How often chunks of a checkpoint were sent again.
    public internal(set) var chunksRepeated = 0
    /// Checkpoints that were installed in the place of a state that was too old.
    public internal(set) var checkpointsInstalled = 0
    /// How often a member, itself or as the leader, found a state that differs from the majority's.
    public internal(set) var statesDiverged = 0
    /// States that differed and were replaced by a checkpoint.
    public internal(set) var statesRebuilt = 0
    /// Tables that members found to be damaged.
    public internal(set) var quarantines = 0
    /// How often a member stopped before an entry that needs what cannot be read.
    public internal(set) var entriesUnreadable = 0
    /// Members that became established in their first boot.
    public internal(set) var firstBoots = 0
    /// Processes that ended before their member was established.
    public internal(set) var crashesInFirstBoot = 0
    /// Frames that were not listened to, by who sent them.
    public internal(set) var framesRefused = 0
    /// Members that were refused and stayed down.
    public internal(set) var membersRefused = 0
    /// Members that were opened after files of theirs had vanished or had been exchanged: they are intact.
    public internal(set) var filesIntact = 0
    /// Members of which a file was exchanged with a copy made during the latest opening.
    public internal(set) var filesOfOneOpening = 0
    /// Members that were refused at their opening after that.
    public internal(set) var filesRefused = 0
    /// How often a member was asked to show an opening of its directory that is older than those which it says by itself.
    public internal(set) var openingsAskedFor = 0
    /// Log segments that were used again.
    public internal(set) var segmentsRecycled = 0
    /// Runs whose history was too hard to decide by search; the certificate decides all of them.
    public internal(set) var undecided = 0

    /// Nothing counted.
    public init() {}

    /// The count of a kind of fault.
    public subscript(kind: Fault.Kind) -> Int {
        get { faults[RunCounters.place(kind)] }
        set { faults[RunCounters.place(kind)] = newValue }
    }

    private static func place(_ kind: Fault.Kind) -> Int {
        guard let place = Fault.Kind.allCases.firstIndex(of: kind) else { preconditionFailure("a kind is one of all") }
        return place
    }

    /// All counts with their names, in a fixed order.
    public var all: [(name: String, count: Int)] {
        var list: [(String, Int)] = Fault.Kind.allCases.map { ($0.rawValue, self[$0]) }
        list += [
            ("elections-won", electionsWon), ("elections-lost", electionsLost), ("torn-tails-cut", tornTails),
            ("entries-truncated", entriesTruncated), ("crashes-in-log-write", crashesInLogWrite),
            ("crashes-in-recovery", crashesInRecovery), ("reopened", reopened),
            ("segments-recycled", segmentsRecycled), ("entries-dropped", entriesDropped),
        ]
        list += [
            ("retries", retries), ("replies-repeated", repliesRepeated), ("sessions-expired", sessionsExpired),
            ("commands-forwarded", commandsForwarded), ("flushes", flushes), ("compactions", compactions),
            ("manifests", manifestsWritten), ("crashes-in-flush", crashesInFlush),
            ("crashes-in-compaction", crashesInCompaction), ("crashes-in-manifest", crashesInManifest),
            ("crashes-in-removal", crashesInRemoval), ("crashes-in-receiving", crashesInReceiving),
            ("crashes-in-install", crashesInInstall), ("checkpoints-sent", checkpointsSent),
            ("checkpoints-installed", checkpointsInstalled), ("chunks-repeated", chunksRepeated),
        ]
        list += [
            ("first-boots", firstBoots), ("crashes-in-first-boot", crashesInFirstBoot),
            ("frames-refused", framesRefused), ("members-refused", membersRefused),
            ("files-intact", filesIntact), ("files-refused", filesRefused),
            ("files-of-one-opening", filesOfOneOpening),
            ("openings-asked-for", openingsAskedFor), ("windows-exceeded", windowsExceeded),
            ("states-diverged", statesDiverged), ("rebuilt", statesRebuilt),
            ("quarantines", quarantines), ("entries-unreadable", entriesUnreadable),
            ("options-changed", optionsChanged), ("option-conflicts", optionConflicts),
            ("proposals-differing", proposalsDiffering),
        ]
        return list
    }

    /// Adds the counts of another run.
    public mutating func add(_ other: RunCounters) {
        acknowledged += other.acknowledged
        refused += other.refused
        unknown += other.unknown
        for place in faults.indices { faults[place] += other.faults[place] }
        electionsWon += other.electionsWon
        electionsLost += other.electionsLost
        tornTails += other.tornTails
        entriesTruncated += other.entriesTruncated
        crashesInLogWrite += other.crashesInLogWrite
        crashesInRecovery += other.crashesInRecovery
        reopened += other.reopened
        retries += other.retries
        repliesRepeated += other.repliesRepeated
        sessionsExpired += other.sessionsExpired
        requestsTooOld += other.requestsTooOld
        windowsExceeded += other.windowsExceeded
        optionsChanged += other.optionsChanged
        optionConflicts += other.optionConflicts
        proposalsDiffering += other.proposalsDiffering
        commandsForwarded += other.commandsForwarded
        flushes += other.flushes
        compactions += other.compactions
        manifestsWritten += other.manifestsWritten
        crashesInFlush += other.crashesInFlush
        crashesInCompaction += other.crashesInCompaction
        crashesInManifest += other.crashesInManifest
        crashesInRemoval += other.crashesInRemoval
        crashesInReceiving += other.crashesInReceiving
        crashesInInstall += other.crashesInInstall
        entriesDropped += other.entriesDropped
        firstBoots += other.firstBoots
        crashesInFirstBoot += other.crashesInFirstBoot
        framesRefused += other.framesRefused
        filesIntact += other.filesIntact
        filesRefused += other.filesRefused
        filesOfOneOpening += other.filesOfOneOpening
        membersRefused += other.membersRefused
        openingsAskedFor += other.openingsAskedFor
        checkpointsSent += other.checkpointsSent
        chunksRepeated += other.chunksRepeated
        checkpointsInstalled += other.checkpointsInstalled
        segmentsRecycled += other.segmentsRecycled
        statesDiverged += other.statesDiverged
        statesRebuilt += other.statesRebuilt
        quarantines += other.quarantines
        entriesUnreadable += other.entriesUnreadable
        undecided += other.undecided
    }
}

extension RunCounters {
    /// Adds what an engine has counted since it was opened.
    mutating func add(_ metrics: EngineMetrics) {
        flushes += Int(clamping: metrics.flushes)
        compactions += Int(clamping: metrics.compactions)
        manifestsWritten += Int(clamping: metrics.manifests)
    }
}
