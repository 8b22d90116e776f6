import BalsaPlatform

/// What an ``EngineCursor`` is a handle of: the merger of all sources, and which of its entries are visible.
///
/// The sources show one visible entry of each key at most, in both directions, so that the first one of the merger is
/// the newest, and no other is looked at but for its key. What a move costs beyond that are keys that are deleted,
/// which the cursor counts: after ``hiddenLimit`` of them it pauses. It leaves a note of many in a row in
/// ``EmptyRanges``, by which later cursors jump over them.
struct VisibleCursor: ~Copyable {
    /// After how many entries in a row that a range deletion hides the cursor looks for its end.
    private static let coveredEntriesBeforeJump = 4
    /// How many entries are read again at most to add a range. The next cursor adds the rest.
    private static let maxEntriesReadAgain = 10_000

    /// The sequence number up to which writes are seen.
    let readSequence: SequenceNumber
    // What the merger's sources belong to.
    private let view: ReadView
    private let bounds: KeyBounds
    private let waiting: Waiting
    private let tombstones: TombstoneCover
    private let hasTombstones: Bool
    /// Whether the memtable that writes go to is among the sources.
    private let looksAtActiveMemtable: Bool
    /// What ``memtableSequences()`` has found; nil before the first jump.
    private var knownMemtableSequences: [SequenceNumber]?
    private var merger: MergingCursor
    /// Whether the cursor is at a key, which is that of the merger's entry.
    private(set) var isValid = false
    /// The key that was looked at last, if `isKeySaved`.
    private var savedKey = RawBuffer(capacity: 64)
    private var isKeySaved = false
    /// Whether the newest visible entry of the saved key has been found, so that its other entries say nothing.
    private var isDecided = false
    /// How many entries in a row a range deletion hid.
    private var coveredEntries = 0
    private let emptyRanges: EmptyRanges
    private let limits: EmptyRanges.Limits
    private var run = HiddenRun()
    private var hasAddedRange = false

    /// How many entries may be passed without showing any of them, over all moves; then the cursor pauses. What is done
    /// beside that on their way counts, as ``CursorWork`` says.
    var hiddenLimit = Int.max
    /// How many have been passed.
    private(set) var hiddenEntries = 0
    /// What was done beside that in moves that passed some, the move under way left out.
    private var hiddenWork = 0
    /// All that has been done by the cursor and its sources besides passing entries.
    private let work: CursorWork
    /// How much that was before the move under way.
    private var workBefore = 0
    /// How much that was when the move under way came to its first entry.
    private var workAtEntry = 0
    /// Where a scan goes on after a pause: the first key that has not been looked at, or, backward, a key above it that
    /// has no value and is to be excluded. Nil if the cursor has not paused.
    private(set) var pause: Bytes?

    init(
        _ view: ReadView,
        at sequence: SequenceNumber,
        bounds: KeyBounds,
        waiting: Waiting,
        _ emptyRanges: EmptyRanges
    ) {
        self.view = view
        self.waiting = waiting
        self.emptyRanges = emptyRanges
        limits = emptyRanges.limits
        self.bounds = bounds
        readSequence = sequence
        let work = CursorWork()
        self.work = work
        var tombstones = TombstoneCover()
        var memtables: [MemtableCursor] = []
        tombstones.add(view.memtable)
        // What is written to an empty one from now on is above the sequence of the reader.
        looksAtActiveMemtable = view.memtable.entryCount > 0
        if looksAtActiveMemtable { memtables.append(view.memtable.makeCursor(visibleAt: sequence)) }
        for memtable in view.sealed {
            tombstones.add(memtable)
            guard memtable.entryCount > 0 else { continue }
            memtables.append(memtable.makeCursor(visibleAt: sequence))
        }
        var tables: [TableCursor] = []
        var levels: [LevelCursor] = []
        let version = view.version
        for table in version.levels.first ?? [] where bounds.overlaps(KeyRange(of: table.metadata)) {
            tombstones.add(table.table.tombstones)
            guard table.table.hasEntries else { continue }
            var cursor = table.table.makeCursor(fillsCache: true, visibleAt: sequence, noting: work)
            cursor.waiting = waiting
            tables.append(cursor)
        }
        for level in 1..<max(1, version.levelCount) {
            let within = version.slots(of: level).within(bounds)
            guard !within.isEmpty else { continue }
            levels.append(
                LevelCursor(within, fillsCache: true, waiting: waiting, visibleAt: sequence, noting: work)
            )
            if version.levelsWithTombstones[level] { tombstones.add(within) }
        }
        self.tombstones = tombstones
        hasTombstones = !tombstones.isEmpty
        merger = MergingCursor(
            memtables: memtables,
            tables: tables,
            levels: levels,
            bounds: bounds,
            defersDamage: true
        )
    }

    // MARK: The entry

    /// The key, lent until the cursor moves.
    ///
    /// - Precondition: the cursor is valid.
    @inline(__always)
    var key: UnsafeRawBufferPointer {
        precondition(isValid, "a cursor that is at no key has none")
        return merger.key
    }

    /// The value, lent until the cursor moves.
    ///
    /// - Precondition: the cursor is valid.
    @inline(__always)
    var value: UnsafeRawBufferPointer {
        precondition(isValid, "a cursor that is at no key has no value")
        return merger.value
    }

    /// The number of the batch that wrote the value.
    ///
    /// - Precondition: the cursor is valid.
    @inline(__always)
    var sequence: SequenceNumber {
        precondition(isValid, "a cursor that is at no key has no sequence number")
        return merger.trailer.sequence
    }

    // MARK: Seeking

    /// Goes to the first key within the bounds.
    mutating func seekToFirst() throws(EngineError) {
        begin(atBound: true)
        if let from = bounds.from, let range = from.withUnsafeBytes({ emptyRange(from: $0) }) {
            run.edge = from
            try range.end.withUnsafeBytes { end throws(EngineError) in
                try merger.seek(end, .seek(largestSequenceNumber))
            }
        } else {
            try merger.seekToFirst()
        }
        limitWorkOfSeek()
        try find()
    }

    /// Goes to the last key within the bounds.
    mutating func seekToLast() throws(EngineError) {
        begin(atBound: true)
        if let to = bounds.to, let range = to.withUnsafeBytes({ emptyRange(before: $0) }) {
            run.edge = to
            try range.start.withUnsafeBytes { start throws(EngineError) in try merger.seekBefore(start) }
        } else {
            try merger.seekToLast()
        }
        limitWorkOfSeek()
        try find()
    }

    /// Goes to the first key within the bounds that is not below `key`.
    mutating func seek(_ key: UnsafeRawBufferPointer) throws(EngineError) {
        guard bounds.isFromStart(key) else { return try seekToFirst() }
        begin()
        guard bounds.isBelowEnd(key) else { return }
        try merger.seek(key, .seek(largestSequenceNumber))
        limitWorkOfSeek()
        try find()
    }

    /// Goes to the last key within the bounds that is below `key`.
    mutating func seekBefore(_ key: UnsafeRawBufferPointer) throws(EngineError) {
        guard bounds.isBelowEnd(key) else { return try seekToLast() }
        begin()
        guard bounds.isFromStart(key) else { return }
        try merger.seekBefore(key)
        limitWorkOfSeek()
        try find()
    }

    /// Leaves half of the limit for entries, whatever the seek had to read: pages that begin with it get further.
    private mutating func limitWorkOfSeek() {
        workBefore = max(workBefore, work.units - hiddenLimit / 2)
        workAtEntry = work.units
    }

    private mutating func begin(atBound: Bool = false) {
        beginMove()
        isKeySaved = false
        coveredEntries = 0
        pause = nil
        run.begin(atBound: atBound, nextLook: limits.entriesBeforeLooking)
    }

    // MARK: Moving

    private mutating func beginMove() {
        isValid = false
        workBefore = work.units
        workAtEntry = work.units
    }

    /// Goes to the next key; becomes invalid behind the last.
    ///
    /// - Precondition: the cursor is valid.
    mutating func next() throws(EngineError) {
        precondition(isValid, "a cursor that is at no key has no next one")
        beginMove()
        if merger.isForward {
            try leave()
        } else {
            saveKey()
            // Below all versions of the key, whose sequence numbers begin at 1.
            try merger.seek(savedKey.bytes, Trailer(rawValue: 0))
        }
        try find()
    }

    /// Goes to the key before; becomes invalid before the first.
    ///
    /// - Precondition: the cursor is valid.
    mutating func previous() throws(EngineError) {
        precondition(isValid, "a cursor that is at no key has none before it")
        beginMove()
        if merger.isForward {
            saveKey()
            try merger.seekBefore(savedKey.bytes)
        } else {
            try leave()
        }
        try find()
    }

    /// Goes on from a key that was shown.
    @inline(__always)
    private mutating func leave() throws(EngineError) {
        // A single source does not show the key again.
        if merger.sourceCount > 1 || isExhausted { saveKey() } else { isKeySaved = false }
        isDecided = true
        coveredEntries = 0
        try merger.advance()
    }

    // MARK: Limits

    /// What was done in the move under way besides passing entries.
    private var workOfMove: Int { work.units - workBefore }

    /// Whether the cursor has done as much as it may without showing anything.
    private var isExhausted: Bool { hiddenEntries + hiddenWork + workOfMove >= hiddenLimit }

    // MARK: Visibility

    /// Goes on, from where the merger is, to the first entry that is the newest visible one of its key and a value.
    private mutating func find() throws(EngineError) {
        while merger.isValid {
            let trailer = merger.trailer
            if !isKeySaved || !KeyOrder.isEqual(merger.key, savedKey.bytes) {
                if isExhausted, isKeySaved {
                    notePause()
                    break
                }
                isDecided = false
            }
            if !isDecided, trailer.sequence <= readSequence {
                let tombstone = hasTombstones ? tombstones.covering(merger.key, at: readSequence) : 0
                if try isValue(trailer), tombstone <= trailer.sequence {
                    isValid = true
                    break
                }
                saveKey()
                isDecided = true
                if tombstone > trailer.sequence, try jump(tombstone) { continue }
            } else if !isDecided {
                saveKey()
            }
            hiddenEntries += 1
            run.count += 1
            if run.count >= run.nextLook, try leaveEmptyRange() { continue }
            try merger.advance()
        }
        if run.count > 0 || run.isAtBound { endRun() }
    }

    /// Leaves what a range deletion hides, in all sources that hold nothing newer than it.
    ///
    /// - Parameter tombstone: the sequence number of the deletion that hides the saved key.
    /// - Returns: whether the merger has moved.
    private mutating func jump(_ tombstone: SequenceNumber) throws(EngineError) -> Bool {
        coveredEntries += 1
        guard coveredEntries > VisibleCursor.coveredEntriesBeforeJump else { return false }
        coveredEntries = 0
        let edge = tombstones.edge(
            of: savedKey.bytes,
            coveredBy: tombstone,
            at: readSequence,
            isForward: merger.isForward
        )
        guard let edge else { return false }
        hiddenEntries += 1
        run.count += 1
        let sequences = memtableSequences()
        try merger.skip(to: edge, olderThan: tombstone, memtables: sequences)
        work.noteJump(sources: merger.sourceCount)
        return true
    }

    /// For each memtable among the sources, the highest sequence number that an entry can have.
    private mutating func memtableSequences() -> [SequenceNumber] {
        if let known = knownMemtableSequences { return known }
        let sealed = view.sealed.filter { $0.entryCount > 0 }.map(\.largestEntrySequence)
        let found = looksAtActiveMemtable ? [.max] + sealed : sealed
        knownMemtableSequences = found
        return found
    }

    // MARK: Empty ranges

    /// The known range without values that the lower bound lies in: a scan that begins at the front of a queue need not
    /// look at what was taken from it.
    private func emptyRange(from bound: UnsafeRawBufferPointer) -> EmptyRange? {
        emptyRanges.isEmpty ? nil : emptyRanges.range(around: bound, at: readSequence)
    }

    /// The known range without values that the keys right before the upper bound lie in.
    private func emptyRange(before bound: UnsafeRawBufferPointer) -> EmptyRange? {
        emptyRanges.isEmpty ? nil : emptyRanges.range(before: bound, at: readSequence)
    }

    /// Leaves the range without values that the saved key lies in, if one is known.
    ///
    /// - Returns: whether the merger has moved.
    @inline(never)
    private mutating func leaveEmptyRange() throws(EngineError) -> Bool {
        if run.edge == nil {
            // The saved key itself stays outside: the entries may be older ones of the key that was shown last.
            let key = merger.isForward ? Bytes(after: savedKey.bytes) : Bytes(copying: savedKey.bytes)
            run.edge = run.isAtBound ? bound ?? key : key
        }
        // Often enough to find a range that begins within the run, and seldom enough to cost little.
        run.nextLook = run.count + min(run.count, 64)
        guard !emptyRanges.isEmpty, let range = emptyRanges.range(around: savedKey.bytes, at: readSequence) else {
            return false
        }
        if merger.isForward {
            try range.end.withUnsafeBytes { end throws(EngineError) in
                try merger.seek(end, .seek(largestSequenceNumber))
            }
        } else {
            try range.start.withUnsafeBytes { start throws(EngineError) in try merger.seekBefore(start) }
        }
        work.noteJump(sources: merger.sourceCount)
        run.nextLook = run.count + limits.entriesBeforeLooking
        return true
    }

    /// The bound that the cursor began at; nil if there is none.
    private var bound: Bytes? { merger.isForward ? bounds.from ?? Bytes() : bounds.to }

    /// Ends the run of entries that are not shown, at the key that is shown, at the pause or at the end.
    ///
    /// What a cursor that began at its bound, and showed nothing, has passed until it pauses is noted, however few
    /// entries that are. Otherwise a caller that begins every page at the same key would not get further. After a seek
    /// within the bounds, or a key that was shown, a run that is shorter than
    /// ``EmptyRanges/Limits/entriesBeforeLooking`` has no edge and is not noted: its caller continues after the pause.
    /// A cursor that has noted a range notes no other.
    @inline(never)
    private mutating func endRun() {
        let isLong = run.count > 0 && (isRunLong || pause != nil)
        if run.count > 0 {
            hiddenWork += workOfMove
            emptyRanges.notePassed(run.count)
        }
        workBefore = work.units
        if isLong, !hasAddedRange, let range = hiddenRange() {
            // One for each cursor: a long scan must not drive out what others use.
            hasAddedRange = true
            if !emptyRanges.add(range) { prove(range) }
        }
        run.begin(atBound: false, nextLook: limits.entriesBeforeLooking)
    }

    /// Whether it took so long to pass the entries of the run that later cursors should be spared it.
    private var isRunLong: Bool { run.count + work.units - workAtEntry >= limits.entriesBeforeAdding }

    /// The keys that the run has left behind, none of which has a value at the cursor's sequence.
    private func hiddenRange() -> EmptyRange? {
        guard let edge = run.edge ?? (run.isAtBound ? bound : nil) else { return nil }
        if merger.isForward {
            let end =
                merger.isValid ? Bytes(copying: merger.key) : bounds.to ?? Bytes(after: savedKey.bytes)
            return EmptyRange(start: edge, end: end, sequence: readSequence)
        }
        let start: Bytes
        if isValid {
            start = Bytes(after: merger.key)
        } else {
            start = pause ?? bounds.from ?? Bytes()
        }
        return EmptyRange(start: start, end: edge, sequence: readSequence)
    }

    /// Reads the range again, at a sequence from which on the writer takes out of it what it puts.
    private func prove(_ range: EmptyRange) {
        guard let sequence = emptyRanges.watch(range, view.memtable) else { return }
        let bounds = KeyBounds(from: range.start, to: range.end)
        var cursor = VisibleCursor(view, at: sequence, bounds: bounds, waiting: waiting, emptyRanges)
        cursor.hasAddedRange = true
        cursor.hiddenLimit = min(run.count, VisibleCursor.maxEntriesReadAgain)
        do throws(EngineError) {
            try cursor.seekToFirst()
            emptyRanges.endWatch(through: cursor.isValid ? Bytes(copying: cursor.key) : cursor.pause ?? range.end)
        } catch {
            // The caller has its answer. The next cursor tries again.
            emptyRanges.endWatch(through: nil)
        }
    }

    private mutating func notePause() {
        pause = Bytes(copying: merger.isForward ? merger.key : savedKey.bytes)
    }

    private mutating func saveKey() {
        savedKey.removeAll()
        savedKey.append(merger.key)
        isKeySaved = true
    }

    /// Whether an entry is a value.
    @inline(__always)
    private func isValue(_ trailer: Trailer) throws(EngineError) -> Bool {
        switch trailer.kind {
        case .put: return true
        case .deletion: return false
        case .rangeDeletion, nil: throw EngineError(.damaged, "a table holds an entry of no known kind")
        }
    }
}

extension KeyOrder {
    /// Whether both are the same key. Keys of different lengths are told apart without looking at them.
    @inline(__always)
    static func isEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        left.count == right.count
            && KeyBytes.areEqual(KeyBytes.start(of: left), KeyBytes.start(of: right), left.count)
    }
}
