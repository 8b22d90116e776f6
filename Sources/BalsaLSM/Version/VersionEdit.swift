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
    mutating func apply(_ edit: VersionEdit) -> String? {
        for removed in edit.removed {
            guard removed.level < levels.count,
                let index = levels[removed.level].firstIndex(where: { $0.number == removed.number })
            else { return "table-\(removed.number) is removed from level \(removed.level), where it is not" }
            levels[removed.level].remove(at: index)
        }
        for placed in edit.added {
            while levels.count <= placed.level { levels.append([]) }
            levels[placed.level].append(placed.table)
        }
        for level in levels.indices { ManifestState.sort(&levels[level], level) }
        if let seal = edit.seal {
            if let before = self.seal, seal.sequence < before.sequence || seal.retentionMark < before.retentionMark {
                return "the seal at \(seal.sequence) is older than the one before it"
            }
            self.seal = seal
        }
        if let number = edit.nextFileNumber { nextFileNumber = max(nextFileNumber, number) }
        if let sequence = edit.floor { floor = max(floor, sequence) }
        return checkInvariants()
    }

    private static func sort(_ tables: inout [TableMetadata], _ level: Int) {
        if level == 0 {
            tables.sort { ($0.largestSequence, $0.number) > ($1.largestSequence, $1.number) }
        } else {
            tables.sort { $0.smallest < $1.smallest }
        }
    }

    /// What contradicts itself; nil where nothing does.
    private func checkInvariants() -> String? {
        let sealed = seal?.sequence ?? 0
        var byteCount: UInt64 = 0
        for table in levels.joined() {
            // No table counts more of anything than it has bytes, so that this bounds the sums of all that is counted.
            let (sum, overflow) = byteCount.addingReportingOverflow(table.byteCount)
            if overflow { return "the tables up to \(table.fileName) have more bytes than there can be" }
            byteCount = sum
            if table.number >= nextFileNumber { return "\(table.fileName) is yet to be made" }
            if table.largestSequence > sealed { return "\(table.fileName) holds what has not been sealed" }
        }
        return Version.checkInvariants(levels)
    }
}
