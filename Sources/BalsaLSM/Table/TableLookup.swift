import BalsaPlatform

/// What a table says of a key without reading from the disk.
enum TableLookup {
    /// The table has no such entry.
    case absent
    /// The newest entry: its trailer and its value, which is valid for as long as the caller is pinned.
    case entry(Trailer, UnsafeRawBufferPointer)
    /// This has to be read first.
    case miss(TableMiss.Part)
}

/// What a point read needs and does not find in memory.
struct TableMiss {
    let table: Table
    let part: Part

    enum Part {
        /// The table's body.
        case body
        /// The block of this number.
        case block(Int)
        /// What the kind of the key's entry means. No reading helps: ``LoadedParts/load(_:_:)`` throws *damaged*.
        case kind
    }
}

/// What a point read has read from the disk. It looks again with that, until nothing is missing.
///
/// So no reader is pinned while it waits for the disk: what others take out of memory meanwhile would have to wait for
/// it.
final class LoadedParts {
    private var bodies: [(table: Table, body: TableBody)] = []
    private var blocks: [(table: Table, number: Int, block: Block)] = []

    /// The body of a table, if it is among these.
    func body(of table: Table) -> TableBody? { bodies.first { $0.table === table }?.body }

    /// A block of a table, if it is among these.
    func block(_ number: Int, of table: Table) -> Block? {
        blocks.first { $0.table === table && $0.number == number }?.block
    }

    /// Reads what is missing. The caller holds the table and is not pinned.
    func load(_ miss: TableMiss, _ waiting: Waiting) throws(EngineError) {
        if case .kind = miss.part {
            throw EngineError(.damaged, "\(miss.table.metadata.fileName) holds an entry of no known kind")
        }
        let body: TableBody
        if let known = self.body(of: miss.table) {
            body = known
        } else {
            body = try miss.table.body(waiting)
            bodies.append((miss.table, body))
        }
        guard case .block(let number) = miss.part else { return }
        let block = try miss.table.block(number, of: body, waiting, fillsCache: true)
        blocks.append((miss.table, number, block))
    }
}
