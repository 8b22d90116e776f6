import BalsaPlatform
import CBalsaPlatform

/// A part of a table that cannot be read: reads of its keys fail, and everything else goes on.
///
/// The table stays where it is, out of all compactions, and compactions of other tables drop nothing in the keys
/// between its bounds: a repair needs what newer and older tables say of them. An engine learns of damage when it
/// reads, and forgets it when it is closed.
public struct QuarantinedRange: Equatable, Sendable, CustomStringConvertible {
    /// The file's path.
    public let file: String
    /// The level that the table is in.
    public let level: Int
    /// The lowest key that may be affected.
    public let smallest: Bytes
    /// The highest key that may be affected.
    public let largest: Bytes
    /// What is wrong.
    public let reason: String

    /// File, level and range in one line.
    public var description: String { text { "\($0)" } }

    /// The same, with the keys as `name` writes them.
    package func text(namingKeys name: (Bytes) -> String) -> String {
        "\(file) of level \(level), keys from \(name(smallest)) to \(name(largest)): \(reason)"
    }
}

/// The damaged tables at one moment: what a compaction, and the choice of one, goes around.
struct DamagedTables: Equatable, Sendable {
    /// No tables.
    static let none = DamagedTables(numbers: [], bounds: [])

    /// Their numbers, ascending. No compaction reads these tables.
    let numbers: [UInt64]
    /// The bounds of each, in the order of the numbers. No compaction drops anything between them.
    let bounds: [KeyRange]

    /// Whether there are none.
    var isEmpty: Bool { numbers.isEmpty }

    /// Whether the table with `number` is one of them.
    func contains(_ number: UInt64) -> Bool { !numbers.isEmpty && numbers.containsSorted(number) }

    /// Whether `range` has a key in common with the bounds of one of them. Complexity: O(n).
    func overlap(_ range: KeyRange) -> Bool { bounds.contains { $0.overlaps(range) } }

    /// Whether one of them is not among `others` and overlaps `range`.
    func overlap(_ range: KeyRange, besides others: DamagedTables) -> Bool {
        zip(numbers, bounds).contains { !others.contains($0) && $1.overlaps(range) }
    }
}

/// The tables of an engine that are damaged, as far as reads have found out. Any thread may note one.
final class Quarantine: @unchecked Sendable {
    private struct Entry {
        /// The number of the table.
        let number: UInt64
        /// How many tables were noted before.
        let place: Int
        /// What a repair is about.
        var range: QuarantinedRange
        /// The bounds of the table.
        let bounds: KeyRange
    }

    private struct State {
        var entries: [Entry] = []
        /// How many tables were noted, those that are gone included.
        var found = 0
    }

    private let state = Locked(State())
    /// What ``state`` says, for those who ask in every step. Written with the lock.
    private let cells: UnsafeMutableRawPointer

    /// Where ``cells`` has what.
    private enum Cell {
        static let found = 0
        static let entries = 8
        static let byteCount = 16
    }

    init() {
        cells = .allocate(byteCount: Cell.byteCount, alignment: 8)
        cells.initializeMemory(as: UInt8.self, repeating: 0, count: Cell.byteCount)
    }

    deinit { cells.deallocate() }

    /// How many tables were found to be damaged, those that are gone included. It never falls.
    var found: Int { Int(balsa_load_acquire_64(cells + Cell.found)) }

    /// Whether no table is known to be damaged now.
    var isEmpty: Bool { balsa_load_acquire_64(cells + Cell.entries) == 0 }

    /// What cannot be read, in the order in which it was found: one range for each table.
    var ranges: [QuarantinedRange] { ranges(after: 0) }

    /// The same without the first `count` tables that were found.
    func ranges(after count: Int) -> [QuarantinedRange] {
        state.withLock { $0.entries.filter { $0.place >= count }.map(\.range) }
    }

    /// The damaged tables as of now.
    var damaged: DamagedTables {
        let entries = state.withLock { $0.entries }.sorted { $0.number < $1.number }
        return DamagedTables(numbers: entries.map(\.number), bounds: entries.map(\.bounds))
    }

    /// Notes damage. Of a table that is known to be damaged, the range grows.
    func note(_ range: QuarantinedRange, of table: TableMetadata) {
        state.withLock { state in
            guard let index = state.entries.firstIndex(where: { $0.number == table.number }) else {
                let bounds = KeyRange(of: table)
                state.entries.append(Entry(number: table.number, place: state.found, range: range, bounds: bounds))
                state.found += 1
                publish(state)
                return
            }
            let known = state.entries[index].range
            state.entries[index].range = QuarantinedRange(
                file: known.file,
                level: range.level,
                smallest: min(known.smallest, range.smallest),
                largest: max(known.largest, range.largest),
                reason: known.reason
            )
        }
    }

    /// Forgets a table that is gone.
    func forget(_ number: UInt64) {
        state.withLock { state in
            state.entries.removeAll { $0.number == number }
            publish(state)
        }
    }

    private func publish(_ state: State) {
        balsa_store_release_64(cells + Cell.entries, UInt64(state.entries.count))
        balsa_store_release_64(cells + Cell.found, UInt64(state.found))
    }
}
