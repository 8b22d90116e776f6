import BalsaPlatform
import BalsaSimulation

@testable import BalsaLSM

/// Has an engine take tables for damaged that are not. All answers stay what they are; only compactions go around the
/// tables, and keep what lies between their bounds.
struct ClaimedDamage {
    /// An entry of a table.
    private struct Entry: Hashable {
        let key: Bytes
        let sequence: SequenceNumber
        let isDeletion: Bool
    }

    /// More at a time would leave the first level nothing that it could merge.
    private static let maxTables = 2

    /// What has to stay as long as the engine is open.
    private var kept: Set<Entry> = []
    /// How often a table was taken for damaged.
    private(set) var count = 0

    /// Takes one more table for damaged, if there are not too many of them.
    mutating func claim(in engine: StorageEngine, _ random: inout RandomSource) throws {
        let version = engine.retainedView().version
        let tables = Array(version.levels.joined())
        guard engine.quarantines.count < ClaimedDamage.maxTables, !tables.isEmpty else { return }
        let table = tables[Int(random.below(UInt64(tables.count)))]
        let (smallest, largest) = (table.metadata.smallest, table.metadata.largest)
        table.table.quarantine(
            QuarantinedRange(
                file: table.metadata.fileName,
                level: table.table.level,
                smallest: smallest,
                largest: largest,
                reason: "a test says so"
            )
        )
        let range = KeyRange(of: table.metadata)
        for entry in try ClaimedDamage.entries(of: version) where smallest <= entry.key && !range.isBefore(entry.key) {
            kept.insert(entry)
        }
        count += 1
    }

    /// How much is gone that had to stay.
    func missing(in engine: StorageEngine) throws -> Int {
        guard !kept.isEmpty else { return 0 }
        return kept.subtracting(try ClaimedDamage.entries(of: engine.retainedView().version)).count
    }

    /// Forgets all, as an engine does that is closed.
    mutating func forget() { kept = [] }

    private static func entries(of version: Version) throws -> Set<Entry> {
        let tables = version.levels.joined().map { $0.table.makeCursor(fillsCache: false) }
        var merger = MergingCursor(memtables: [], tables: tables, levels: [], bounds: KeyBounds())
        var entries: Set<Entry> = []
        try merger.seekToFirst()
        while merger.isValid {
            let trailer = merger.trailer
            let isDeletion = trailer.kind == .deletion
            entries.insert(Entry(key: Bytes(copying: merger.key), sequence: trailer.sequence, isDeletion: isDeletion))
            try merger.advance()
        }
        return entries
    }
}
