import BalsaPlatform

/// What to compact next, and what that was found for.
struct NextCompaction {
    let version: Version
    let protected: SequenceNumber
    let damaged: DamagedTables
    /// Nil where nothing is to be done.
    let plan: CompactionPlan?
    /// What can be done in its place. Looked for once, where there is no space for the plan.
    var alternatives: CompactionAlternatives?
    /// How refusals for want of space are spread over the calls. The file system is not asked at each of them.
    var refusals = WorkBackoff()
}

/// What the background work has under way, and what it alone knows.
struct Worker {
    /// The live manifest.
    var manifest: Manifest
    /// What it says.
    var state: ManifestState
    /// Where the identities of new tables come from.
    private var identities: RandomSource
    /// Whether it is unknown what the live manifest says, because a write to it or its replacement failed. Nothing is
    /// written to it then, and nothing is removed that either outcome needs, until a new one has taken its place.
    var isManifestUncertain = false
    /// A whole manifest of which it is unknown whether CURRENT names it. It is published again, and none is written beside
    /// it: however often that fails, there is one such file.
    var uncertainManifest: Manifest?
    /// Whether the last attempt to replace the manifest failed. A step of other work goes first then, if what the manifest
    /// says is certain and it has only become long.
    var hasReplacementFailed = false
    /// Files that go as soon as the manifest is certain again: the uncertain outcome may name them.
    var heldFiles: [String] = []
    /// Whether the last removal of a file failed. Other work goes first then.
    var hasRemovalFailed = false
    var flush: FlushJob?
    /// How flushes and compactions that fail are spread over the calls.
    var flushBackoff = WorkBackoff()
    var compactionBackoff = WorkBackoff()
    var compaction: CompactionJob?
    /// What to do next, as it was found for a version.
    var next: NextCompaction?
    /// How often it was looked for.
    var looksForCompactions = 0
    /// For each level the highest key that its last compaction has reached.
    var compactionCursors: [Bytes?] = []

    init(manifest: Manifest, state: ManifestState, identities: RandomSource) {
        self.manifest = manifest
        self.state = state
        self.identities = identities
    }

    /// Whether the edits behind the image have become too long.
    func isManifestTooLong(_ options: EngineOptions) -> Bool {
        let edits = manifest.byteCount - manifest.imageByteCount
        // An image that is longer than the limit alone would have the manifest written anew at every edit.
        return edits >= max(UInt64(options.manifestBytes), manifest.imageByteCount)
    }

    /// An identity for a table that is begun.
    mutating func takeTableID() -> UInt64 { identities.next() }

    /// Gives up everything that is under way. What has been written of it is removed at the next opening.
    mutating func abandon() {
        flush?.abandon()
        compaction?.abandon()
        flush = nil
        compaction = nil
        next = nil
        manifest.close()
        uncertainManifest?.close()
    }

    /// Notes how far the compactions of a level have got.
    mutating func noteCompaction(of level: Int, through key: Bytes?) {
        while compactionCursors.count <= level { compactionCursors.append(nil) }
        compactionCursors[level] = key
    }
}
