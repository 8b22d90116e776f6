import BalsaPlatform

/// A change of what the manifest says. Fields that are nil stay as they were.
struct VersionEdit: Equatable, Sendable {
    /// A table in its level.
    struct Placed: Equatable, Sendable {
        var level: Int
        var table: TableMetadata
    }

    /// A table that is no longer in its level.
    struct Removed: Equatable, Sendable {
        var level: Int
        var number: UInt64
    }

    /// The tables that go. A table that is moved goes and comes in one edit.
    var removed: [Removed] = []
    /// The tables that come.
    var added: [Placed] = []
    /// The record of the memtable that was flushed.
    var seal: SealRecord?
    /// All files with this number or a higher one are yet to be made.
    var nextFileNumber: UInt64?
    /// The highest sequence number at or below which anything has been dropped.
    var floor: SequenceNumber?
}

/// Everything that a manifest says, and so all that an engine remembers besides its tables.
struct ManifestState: Equatable, Sendable {
    /// The most levels that a manifest may name.
    static let maxLevels = 16
    /// All numbers of files are below this one, which an engine that counts them never reaches.
    static let maxFileNumber: UInt64 = 1 << 62

    /// The tables, the first level first, each level in its order.
    var levels: [[TableMetadata]] = []
    /// The record of the last flush.
    var seal: SealRecord?
    /// All files with this number or a higher one are yet to be made.
    var nextFileNumber: UInt64 = 1
    /// The highest sequence number at or below which anything has been dropped.
    var floor: SequenceNumber = 0

    /// The edit that makes this state of an empty one.
    var image: VersionEdit {
        var edit = VersionEdit()
        for (level, tables) in levels.enumerated() {
            edit.added += tables.map { VersionEdit.Placed(level: level, table: $0) }
        }
        edit.seal = seal
        edit.nextFileNumber = nextFileNumber
        edit.floor = floor
        return edit
    }

    /// What keeps the edit from being applied; nil where nothing does, and the edit has been.
    ///
    /// Complexity: for an edit of few tables, O(log n) comparisons of keys for each of them, and O(n) steps that look
    /// at a number. An edit of many tables sorts and checks all of them, once.
    mutating func apply(_ edit: VersionEdit) -> String? {
        for removed in edit.removed {
            guard removed.level < levels.count,
                let index = levels[removed.level].firstIndex(where: { $0.number == removed.number })
            else { return "table-\(removed.number) is removed from level \(removed.level), where it is not" }
            levels[removed.level].remove(at: index)
        }
        if let seal = edit.seal {
            if let before = self.seal, seal.sequence < before.sequence || seal.retentionMark < before.retentionMark {
                return "the seal at \(seal.sequence) is older than the one before it"
            }
            self.seal = seal
        }
        if let number = edit.nextFileNumber { nextFileNumber = max(nextFileNumber, number) }
        if let sequence = edit.floor { floor = max(floor, sequence) }
        return add(edit.added) ?? byteCountFault
    }

    /// Of how many tables an edit has to be so that all are sorted rather than each put into its place.
    private static let manyTables = 16

    private mutating func add(_ added: [VersionEdit.Placed]) -> String? {
        for placed in added {
            if let fault = fault(of: placed.table) { return fault }
            while levels.count <= placed.level { levels.append([]) }
        }
        guard added.count < ManifestState.manyTables else {
            for placed in added { levels[placed.level].append(placed.table) }
            for level in levels.indices { levels[level].sort { Version.isBefore($0, $1, in: level) } }
            return Version.checkInvariants(levels)
        }
        for placed in added {
            let (level, table) = (placed.level, placed.table)
            for tables in levels {
                guard !tables.contains(where: { $0.number == table.number }) else {
                    return "\(table.fileName) is there twice"
                }
            }
            let index = Version.index(of: table, among: levels[level], in: level) { $0 }
            levels[level].insert(table, at: index)
            let neighbours = levels[level][max(0, index - 1)..<min(levels[level].count, index + 2)]
            if let fault = Version.fault(in: level, of: neighbours) { return fault }
        }
        return nil
    }

    /// What is wrong with a table that is added, whatever else there is.
    private func fault(of table: TableMetadata) -> String? {
        if table.number >= nextFileNumber { return "\(table.fileName) is yet to be made" }
        if table.largestSequence > seal?.sequence ?? 0 { return "\(table.fileName) holds what has not been sealed" }
        return nil
    }

    /// No table counts more of anything than it has bytes, so this bounds the sums of all that is counted.
    private var byteCountFault: String? {
        var byteCount: UInt64 = 0
        for tables in levels {
            for index in tables.indices {
                let (sum, overflow) = byteCount.addingReportingOverflow(tables[index].byteCount)
                if overflow { return "the tables up to \(tables[index].fileName) have more bytes than there can be" }
                byteCount = sum
            }
        }
        return nil
    }
}
