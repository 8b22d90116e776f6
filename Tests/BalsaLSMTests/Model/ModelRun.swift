import BalsaPlatform
import BalsaSimulation

@testable import BalsaLSM

/// Runs operations against an engine under given settings, beside the model, and holds every answer against it.
///
/// It does what a replica does: it seals when the engine asks for it, lets work be done when it likes, and after a crash it
/// applies again what lies behind the last durable seal.
final class ModelRun {
    /// A cursor that stays while other things happen, and what it should see.
    private final class HeldCursor {
        var cursor: EngineCursor
        let expected: [ModelPair]

        init(_ cursor: consuming EngineCursor, expected: [ModelPair]) {
            self.cursor = cursor
            self.expected = expected
        }
    }

    private struct AppliedBatch {
        var writes: [ModelWrite]
        var sequence: SequenceNumber
    }

    private static let directory = "data/engine"
    private static let smallDiskBytes: UInt64 = 4 << 20
    private static let filler = "data/filler"

    private let settings: ModelSettings
    private let disk: SimulatedDisk
    private var random: RandomSource
    /// How many pages of scans ended before their range did.
    private(set) var earlyPages = 0
    private var faults: RandomFaults
    private var engine: StorageEngine
    /// The tables that were looked at last. Weak, since to hold them would keep files that the engine wants to remove.
    private weak var checkedVersion: Version?
    private var model = EngineModel()

    private var applied: [AppliedBatch] = []
    /// The records of all seals, in order.
    private var seals: [SealRecord] = []
    private var lastSequence: SequenceNumber = 0
    private var mark: SequenceNumber = 0
    private var snapshots: [EngineSnapshot] = []
    private var held: HeldCursor?
    private var checkpoints = 0
    /// Whether the disk is full.
    private var isFull = false
    /// Which tables the engine takes for damaged.
    private var damage = ClaimedDamage()
    /// What steps of work have failed with since the engine was opened.
    private var workErrors: [EngineError] = []
    /// How many steps of work failed because the disk was full.
    private(set) var fullDiskFailures = 0
    /// How often a writer waited on a full disk that had space for what it waited for.
    private(set) var waitsOnFullDisk = 0
    /// What was not as it should be.
    private(set) var problems: [String] = []
    /// What the client has seen, the same under all settings.
    private(set) var history: [String] = []

    init(_ settings: ModelSettings, seed: UInt64) throws {
        self.settings = settings
        random = RandomSource(seed: seed)
        var diskOptions = DiskOptions()
        if settings.fullDiskPercent > 0 { diskOptions.capacityBytes = ModelRun.smallDiskBytes }
        disk = SimulatedDisk(options: diskOptions)
        let files = disk.mount()
        try files.createDirectory("data")
        try files.syncDirectory("/")
        faults = RandomFaults(seed: seed, oneIn: settings.faultsOneIn)
        engine = try StorageEngine.open(
            ModelRun.directory,
            fileSystem: disk.mount(faults),
            options: settings.options,
            seed: 1
        )
        rememberEarly()
    }

    /// Has cursors note and look for ranges without values after a few entries, since there are only a few keys.
    private func rememberEarly() {
        engine.emptyRanges.limits = EmptyRanges.Limits(entriesBeforeLooking: 1, entriesBeforeAdding: 2)
    }

    /// How many calls were made to fail.
    var faultCount: Int { faults.count }
    /// How often the engine was made to take a table for damaged.
    var damageCount: Int { damage.count }
    /// The engine's figures.
    var metrics: EngineMetrics { engine.metrics }

    /// Does one operation after the other, and then looks at everything.
    func run(_ operations: [ModelOperation]) throws {
        for operation in operations {
            try perform(operation)
            if settings.fullDiskPercent > 0 { try fillOrEmptyDisk() }
            if settings.damagePercent > 0, random.below(100) < settings.damagePercent {
                try damage.claim(in: engine, &random)
            }
            if random.below(100) < settings.workPercent { try work() }
        }
        try finish()
    }

    private func finish() throws {
        held = nil
        try emptyDisk()
        try workToTheEnd("at the end")
        try checkEverything("at the end")
        let version = engine.retainedView().version
        snapshots = []
        try workToTheEnd("with nothing held")
        // The same tables are the same answers.
        if engine.retainedView().version !== version { try checkEverything("with nothing held") }
        try checkDamage()
        try engine.verifyAll()
    }

    /// Does all work that there is. Nothing is written meanwhile, so all that it copies has a bound.
    private func workToTheEnd(_ place: String) throws {
        let before = engine.metrics
        let held = before.levels.reduce(0) { $0 + $1.byteCount } + UInt64(before.sealsWaiting * 64 << 10)
        let limit = before.compactedBytesIn + ModelRun.maxCopies * (held + 64 << 10)
        var steps = 0
        while try work(failing: false) {
            steps += 1
            guard steps % 64 == 0, engine.metrics.compactedBytesIn > limit else { continue }
            return problems.append("work finds no end \(place), at \(engine.metrics)")
        }
    }

    /// How often what an engine holds is copied at most by the compactions that follow the last write, and more.
    private static let maxCopies: UInt64 = 50

    /// Looks whether everything is there that compactions have to keep beside a damaged table.
    private func checkDamage() throws {
        expect(try damage.missing(in: engine), 0, "entries beside a damaged table that are gone")
    }

    /// Compares all that can be read, at every sequence number.
    private func checkEverything(_ place: String) throws {
        checkInvariants(place)
        for sequence in mark...max(mark, lastSequence) {
            expect(try engine.pairs(at: sequence), model.pairs(at: sequence), "\(place), at \(sequence)")
        }
        expect(engine.floor <= engine.durableSeal?.retentionMark ?? 0, "the floor is above the mark \(place)")
    }

    /// Looks at the levels, unless they are those that were looked at last: a version never changes.
    private func checkInvariants(_ place: String) {
        let version = engine.retainedView().version
        guard version !== checkedVersion else { return }
        checkedVersion = version
        expect(engine.checkInvariants(), nil, place)
    }

    /// Notes a problem where two things are not the same.
    private func expect<Value: Equatable>(_ found: Value, _ expected: Value, _ what: @autoclosure () -> String) {
        if found != expected { problems.append("\(what()): \(found) in place of \(expected)") }
    }

    /// Notes a problem where something does not hold.
    private func expect(_ holds: Bool, _ what: @autoclosure () -> String) {
        if !holds { problems.append(what()) }
    }

    /// Notes a problem where a call does not throw what it should.
    private func expect(throws code: EngineError.Code, _ what: String, _ call: () throws(EngineError) -> Void) {
        do throws(EngineError) {
            try call()
            problems.append("\(what) succeeds")
        } catch {
            expect(error.code, code, what)
        }
    }

    // MARK: The shell

    /// Does a step of background work. Where a call was made to fail it may fail as a whole.
    ///
    /// - Returns: whether there was anything to do.
    @discardableResult
    private func work(failing: Bool = true) throws -> Bool {
        let before = faults.count
        faults.isArmed = failing
        defer { faults.isArmed = false }
        do {
            let result = try engine.work(budget: random.pick(settings.budgets))
            checkInvariants("invariants")
            return result != .idle
        } catch {
            // Work that fails again and again rests, and a call without an attempt throws what the last one failed
            // with.
            let isExpected =
                faults.count > before || workErrors.contains(error) || (isFull && error.cause?.number == .noSpace)
            guard isExpected, error.code == .file else { throw error }
            workErrors.append(error)
            if isFull, error.cause?.number == .noSpace { fullDiskFailures += 1 }
            checkInvariants("invariants")
            return true
        }
    }

    /// Lets another file take nearly all space, or gives it back.
    private func fillOrEmptyDisk() throws {
        if isFull {
            if random.chance(1, in: 6) { try emptyDisk() }
        } else if random.below(100) < settings.fullDiskPercent {
            let files = disk.mount()
            let file = try files.open(ModelRun.filler, .create)
            defer { file.close() }
            let rest = random.pick([0, 2_000, 20_000, 40_000, 100_000] as [UInt64])
            let available = try files.availableBytes(at: "data")
            try file.setSize(available - min(available, rest))
            isFull = true
        }
    }

    /// How many steps of work a writer waits at most for what has space.
    private static let maxStepsOnFullDisk = 100_000

    /// Whether the disk is full, but not for the flushes and for a merge of the first level that a writer waits for,
    /// each with its edit of the manifest or a new one.
    private func hasSpaceForWriter() throws -> Bool {
        guard isFull else { return false }
        let metrics = engine.metrics
        let view = engine.retainedView()
        let tables = metrics.levels[0].byteCount + view.sealed.reduce(0) { $0 + UInt64($1.byteCount) + 16 << 10 }
        return try disk.mount().availableBytes(at: "data") > 2 * tables + 2 * metrics.manifestBytes + 16 << 10
    }

    private func emptyDisk() throws {
        guard isFull else { return }
        let files = disk.mount()
        try files.remove(ModelRun.filler)
        // A power loss must not bring it back.
        try files.syncDirectory("data")
        isFull = false
    }

    private func seal(at sequence: SequenceNumber) throws {
        let record = SealRecord(
            sequence: sequence,
            term: UInt64(seals.count),
            stamp: sequence &* 7,
            // While batches are applied again, they have not reached the mark yet.
            retentionMark: min(mark, sequence),
            systemState: Bytes("state \(seals.count)")
        )
        try engine.seal(record)
        seals.append(record)
        lastSequence = sequence
    }

    private func apply(_ batch: AppliedBatch) throws {
        // A shell that goes on writing would make the engine hold more and more; it waits for the work. A long job among
        // many failures would never come to its end.
        var steps = 0
        while engine.pressure == .stopped {
            steps += 1
            if steps == 30 {
                if try hasSpaceForWriter() { waitsOnFullDisk += 1 } else { try emptyDisk() }
            }
            if isFull, steps == ModelRun.maxStepsOnFullDisk {
                problems.append("the writer waits for ever on a full disk, at \(engine.metrics)")
                try emptyDisk()
            }
            guard steps < 1_000_000 else { return problems.append("work finds no end, and the pressure is up") }
            guard try work(failing: steps < 30) else {
                return problems.append("there is nothing to do, and yet the pressure is up")
            }
        }
        try engine.apply(WriteBatch(batch.writes), sequence: batch.sequence)
        expect(engine.lastSequence, batch.sequence, "last sequence")
        if engine.wantsSeal { try seal(at: batch.sequence) }
    }

    /// Ends the engine's life, and opens it again.
    private func restart() throws {
        held = nil
        try emptyDisk()
        try checkDamage()
        damage.forget()
        workErrors = []
        snapshots = []
        let durable = engine.durableSeal
        switch random.pick(settings.endings) {
        case .close: engine.close()
        case .processCrash: disk.processCrash()
        case .powerLoss: disk.powerLoss(salt: random.next())
        }
        faults = RandomFaults(seed: random.next(), oneIn: settings.faultsOneIn)
        engine = try StorageEngine.open(
            ModelRun.directory,
            fileSystem: disk.mount(faults),
            options: settings.options,
            seed: 1
        )
        rememberEarly()
        let found = engine.durableSeal
        expect(found?.sequence ?? 0 >= durable?.sequence ?? 0, "a durable seal is lost")
        if let found { expect(seals.contains(found), "\(found) was never sealed") }
        let base = found?.sequence ?? 0
        expect(try engine.pairs(), model.pairs(at: base), "behind a restart, at \(base)")
        // Until the writes behind it are applied again, its own mark counts.
        if let found {
            for at in [found.retentionMark, (found.retentionMark + base) / 2] {
                expect(try engine.pairs(at: at), model.pairs(at: at), "behind a restart at \(base), at \(at)")
            }
        }
        // Those behind the recovered one are made again, when the engine asks for them.
        let last = lastSequence
        seals = found.map { [$0] } ?? []
        try engine.advanceRetentionMark(to: min(mark, base))
        for batch in applied where batch.sequence > base { try apply(batch) }
        if last > engine.lastSequence { try seal(at: last) }
        lastSequence = last
        try engine.advanceRetentionMark(to: mark)
    }

    /// Makes a checkpoint, and looks at it by another engine.
    private func checkpoint() throws {
        checkpoints += 1
        try emptyDisk()
        let directory = "data/checkpoint-\(checkpoints)"
        guard let seal = engine.durableSeal else {
            // Before the first seal there is nothing that a checkpoint could hold.
            return expect(throws: .invalid, "a checkpoint of nothing") { () throws(EngineError) in
                try engine.checkpoint(to: directory)
            }
        }
        try engine.checkpoint(to: directory)
        let files = disk.mount()
        let copy = try StorageEngine.open(directory, fileSystem: files, options: settings.options, seed: 1)
        expect(copy.durableSeal, seal, "the seal of a checkpoint")
        expect(try copy.pairs(), model.pairs(at: seal.sequence), "a checkpoint")
        expect(copy.checkInvariants(), nil, "invariants of a checkpoint")
        copy.close()
        for name in try files.list(directory) { try files.remove(directory + "/" + name) }
        try files.remove(directory)
    }

    // MARK: The client

    private func perform(_ operation: ModelOperation) throws {
        switch operation {
        case .write(let writes, let gap):
            let batch = AppliedBatch(writes: writes, sequence: lastSequence + gap)
            model.apply(writes, sequence: batch.sequence)
            applied.append(batch)
            try apply(batch)
            lastSequence = batch.sequence
        case .seal(let gap): try seal(at: lastSequence + gap)
        case .advanceMark(let part):
            mark += (lastSequence - mark) * part / 1_000
            try engine.advanceRetentionMark(to: mark)
        case .get(let key, let moment): try get(key, moment)
        case .getBelowMark(let key, let distance):
            guard mark >= distance else { return }
            expect(throws: .compacted, "a read below the mark") { () throws(EngineError) in
                _ = try engine.get(key, at: mark - distance)
            }
        case .misuse(let misuse): try refuse(misuse)
        case .scan(let start, let end, let moment, _) where isReversed(start, end),
            .walk(_, let start, let end, let moment) where isReversed(start, end):
            expect(throws: .invalid, "a range that ends before it begins") { () throws(EngineError) in
                _ = try cursor(from: start, to: end, moment)
            }
        case .scan(let start, let end, let moment, let isBackward):
            let expected = model.pairs(from: start, to: end, at: sequence(moment))
            var cursor = try cursor(from: start, to: end, moment)
            let found = try isBackward ? cursor.pairsBackward() : cursor.pairs()
            see("scan", found, expected)
            try scanPaged(from: start, to: end, moment, isBackward: isBackward, expected)
        case .walk(let steps, let start, let end, let moment):
            let expected = model.pairs(from: start, to: end, at: sequence(moment))
            var cursor = try cursor(from: start, to: end, moment)
            try walk(&cursor, steps, expected)
        case .takeSnapshot: snapshots.append(engine.snapshot())
        case .releaseSnapshot(let index):
            if !snapshots.isEmpty { snapshots.remove(at: index % snapshots.count).close() }
        case .holdCursor:
            let expected = model.pairs(at: lastSequence)
            held = HeldCursor(try engine.makeCursor(), expected: expected)
        case .readHeldCursor:
            guard let held else { return }
            see("held", try held.cursor.pairs(), held.expected)
        case .restart: try restart()
        case .checkpoint: try checkpoint()
        }
    }

    /// Scans in pages that end after a few pairs, or after a few entries that are not shown. How many pages there are
    /// is a matter of the settings, so the history does not tell.
    private func scanPaged(
        from start: Bytes?,
        to end: Bytes?,
        _ moment: ModelOperation.Moment,
        isBackward: Bool,
        _ expected: [ModelPair]
    ) throws {
        var (start, end) = (start, end)
        var found: [ModelPair] = []
        let limit = 1 + history.count % 4
        scanning: while true {
            var cursor = try cursor(from: start, to: end, moment)
            cursor.limitHiddenEntries(to: limit)
            if isBackward { try cursor.seekToLast() } else { try cursor.seekToFirst() }
            while let pair = cursor.pair {
                found.append(pair)
                if isBackward { try cursor.previous() } else { try cursor.next() }
            }
            guard let pause = cursor.pause else { break scanning }
            earlyPages += 1
            guard pause != (isBackward ? end : start) else {
                return expect(pause, nil, "a page that gets no further")
            }
            if isBackward { end = pause } else { start = pause }
        }
        expect(isBackward ? found.reversed() : found, expected, "a scan in pages of \(limit) hidden entries")
    }

    private func isReversed(_ start: Bytes?, _ end: Bytes?) -> Bool {
        guard let start, let end else { return false }
        return end < start
    }

    /// Calls the engine with what makes no sense. It says so, and nothing changes.
    private func refuse(_ misuse: ModelOperation.Misuse) throws {
        let last = engine.lastSequence
        switch misuse {
        case .repeatedKey(let writes, let isPut):
            guard case .put(let key, let value)? = writes.first else { return }
            refuse(WriteBatch(writes + [isPut ? .put(key, value) : .delete(key)]), "a batch that repeats a key")
        case .reversedDeletion(let start, let end):
            guard end < start else { return }
            refuse(WriteBatch([.put("a", "b"), .deleteRange(start, end)]), "a reversed range deletion")
        case .tooManyDeletions:
            let count = settings.options.maxRangeDeletionsPerBatch + 1
            refuse(WriteBatch((0..<count).map { .deleteRange("a", "b\($0)".bytes) }), "a batch of too many deletions")
        case .closedSnapshot(let key):
            let snapshot = engine.snapshot()
            snapshot.close()
            refuse(key, in: snapshot, "a closed snapshot")
        case .foreignSnapshot(let key):
            let other = try StorageEngine.open(
                "other",
                fileSystem: SimulatedDisk().mount(),
                options: settings.options,
                seed: 1
            )
            refuse(key, in: other.snapshot(), "a snapshot of another engine")
        case .markAhead(let distance):
            let mark = engine.retentionMark
            expect(throws: .invalid, "a mark above the last batch") { () throws(EngineError) in
                try engine.advanceRetentionMark(to: last + distance)
            }
            expect(engine.retentionMark, mark, "the mark after one that was refused")
        }
        expect(engine.lastSequence, last, "the last sequence after a misuse")
    }

    private func refuse(_ batch: WriteBatch, _ what: String) {
        expect(throws: .invalid, what) { () throws(EngineError) in
            try engine.apply(batch, sequence: engine.lastSequence + 1)
        }
    }

    private func refuse(_ key: Bytes, in snapshot: EngineSnapshot, _ what: String) {
        expect(throws: .invalid, "a read of \(what)") { () throws(EngineError) in _ = try engine.get(key, in: snapshot)
        }
        expect(throws: .invalid, "a cursor of \(what)") { () throws(EngineError) in
            _ = try engine.makeCursor(in: snapshot)
        }
    }

    /// Compares what was seen with what should be.
    private func see(_ what: String, _ found: [ModelPair], _ expected: [ModelPair]) {
        expect(found, expected, "\(what), the \(history.count). answer")
        history.append("\(what) \(found)")
    }

    private func sequence(_ moment: ModelOperation.Moment) -> SequenceNumber {
        switch moment {
        case .now: return lastSequence
        case .old(let part): return mark + (lastSequence - mark) * part / 1_000
        case .snapshot(let index):
            return snapshots.isEmpty ? lastSequence : snapshots[index % snapshots.count].sequence
        }
    }

    private func get(_ key: Bytes, _ moment: ModelOperation.Moment) throws {
        let at = sequence(moment)
        let found: (value: Bytes, sequence: SequenceNumber)?
        switch moment {
        case .now: found = try engine.get(key)
        case .old: found = try engine.get(key, at: at)
        case .snapshot(let index):
            found =
                snapshots.isEmpty
                ? try engine.get(key) : try engine.get(key, in: snapshots[index % snapshots.count])
        }
        let pairs = found.map { [ModelPair(key: key, value: $0.value, sequence: $0.sequence)] } ?? []
        see("get", pairs, model.pair(key, at: at).map { [$0] } ?? [])
    }

    private func cursor(
        from start: Bytes?,
        to end: Bytes?,
        _ moment: ModelOperation.Moment
    ) throws(EngineError) -> EngineCursor {
        switch moment {
        case .now: return try engine.makeCursor(from: start, to: end)
        case .old: return try engine.makeCursor(from: start, to: end, at: sequence(moment))
        case .snapshot(let index):
            guard !snapshots.isEmpty else { return try engine.makeCursor(from: start, to: end) }
            return try engine.makeCursor(from: start, to: end, in: snapshots[index % snapshots.count])
        }
    }

    private func walk(_ cursor: inout EngineCursor, _ steps: [ModelOperation.Step], _ expected: [ModelPair]) throws {
        // Where the model's cursor is; nil for nowhere.
        var place: Int?
        for step in steps {
            switch step {
            case .first:
                try cursor.seekToFirst()
                place = expected.isEmpty ? nil : 0
            case .last:
                try cursor.seekToLast()
                place = expected.isEmpty ? nil : expected.count - 1
            case .seek(let key):
                try cursor.seek(key)
                place = expected.firstIndex { $0.key >= key }
            case .seekBefore(let key):
                try cursor.seekBefore(key)
                place = expected.lastIndex { $0.key < key }
            case .next:
                guard let before = place else { continue }
                try cursor.next()
                place = before + 1 < expected.count ? before + 1 : nil
            case .previous:
                guard let before = place else { continue }
                try cursor.previous()
                place = before > 0 ? before - 1 : nil
            }
            see("\(step)", cursor.pair.map { [$0] } ?? [], place.map { [expected[$0]] } ?? [])
        }
    }
}
