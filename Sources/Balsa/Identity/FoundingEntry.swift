import BalsaPlatform
import BalsaWire

/// The payload of entry 1: the members of a new cluster, and behind them the first options of its state machine, whose
/// bytes only that reads.
///
/// The first leader proposes it before anything else, so that no command is applied before it. `Docs/IdentityFormat.md`
/// has the layout.
package struct FoundingEntry {
    /// The members, as ``MemberTable`` encodes them.
    package let table: MemberTable
    /// The options; empty for a state machine that has none.
    package let options: Bytes

    init(table: MemberTable, options: Bytes) {
        self.table = table
        self.options = options
    }

    var encoded: Bytes {
        let table = table.encoded
        guard !options.isEmpty else { return table }
        let slab = Slab.make(capacity: table.count + options.count)
        for part in [table, options] { part.withUnsafeBytes { slab.append($0) } }
        return Bytes(slab: slab, offset: 0, count: slab.count)
    }

    /// Reads the payload of entry 1.
    package init(decoding payload: Bytes) throws(DecodingError) {
        let (table, length) = try payload.withReader { reader throws(DecodingError) in
            (try MemberTable(decoding: &reader), reader.offset)
        }
        self.init(table: table, options: payload.slice(length..<payload.count))
    }
}
