import BalsaPlatform

/// A range of user keys, closed below, and above unless it says otherwise.
struct KeyRange: Equatable, Sendable {
    /// The lowest key.
    var smallest: Bytes
    /// The highest key.
    var largest: Bytes
    /// Whether ``largest`` itself is outside.
    var largestIsExclusive: Bool

    /// The range of what a table says anything about.
    init(of table: TableMetadata) {
        smallest = table.smallest
        largest = table.largest
        largestIsExclusive = table.largestIsExclusive
    }

    /// The range of keys that a run of range tombstones covers.
    init(of run: TombstoneList.Run) {
        smallest = run.start
        largest = run.end
        largestIsExclusive = true
    }

    /// The first key behind the range.
    var end: Bytes { largestIsExclusive ? largest : largest.withUnsafeBytes { Bytes(Array($0) + [0]) } }

    /// Whether both have a key in common.
    func overlaps(_ other: KeyRange) -> Bool { !isBefore(other.smallest) && !other.isBefore(smallest) }

    /// Whether the whole range lies before `key`.
    func isBefore(_ key: Bytes) -> Bool { largestIsExclusive ? largest <= key : largest < key }

    /// Grows the range so that it covers `other`.
    mutating func formUnion(_ other: KeyRange) {
        smallest = min(smallest, other.smallest)
        if other.largest > largest {
            largest = other.largest
            largestIsExclusive = other.largestIsExclusive
        } else if other.largest == largest {
            largestIsExclusive = largestIsExclusive && other.largestIsExclusive
        }
    }

    /// The range that covers all of `tables`; nil for none.
    static func covering(_ tables: [TableHandle]) -> KeyRange? {
        guard var range = tables.first.map({ KeyRange(of: $0.metadata) }) else { return nil }
        for table in tables.dropFirst() { range.formUnion(KeyRange(of: table.metadata)) }
        return range
    }
}
