import BalsaPlatform
import BalsaRaft
import BalsaWire

/// What the group has agreed on, as the judges saw it: the entry of every index that any member has applied.
struct EntryLedger {
    struct Entry {
        var term: Term
        var checksum: UInt32
        /// The command; empty for an entry that is none.
        var payload: Bytes
        var isCommand: Bool
        /// The lowest term in which a member was when it applied the entry: it was committed in that term or before.
        var appliedTerm: Term
        var isAcknowledged = false
    }

    /// By index, from 1.
    private(set) var entries: [Entry] = []

    /// The highest stamp of an entry that was applied: logical time never falls along the log.
    private var lastStamp: UInt64 = 0

    /// The highest index that was applied.
    var lastIndex: LogIndex { UInt64(entries.count) }

    subscript(index: LogIndex) -> Entry { entries[Int(index) - 1] }

    /// Notes that the entry of an index was applied. Returns a sentence where another one was before.
    mutating func apply(_ header: EntryHeader, payload: @autoclosure () -> Bytes, in term: Term) -> String? {
        if header.index <= lastIndex {
            let known = self[header.index]
            guard known.term == header.term, known.checksum == header.payloadChecksum else {
                return "entry \(header.index) of term \(header.term) was applied, of term \(known.term) before"
            }
            entries[Int(header.index) - 1].appliedTerm = min(known.appliedTerm, term)
            return nil
        }
        guard header.stamp >= lastStamp else {
            return "entry \(header.index) has the stamp \(header.stamp), an earlier one \(lastStamp)"
        }
        lastStamp = header.stamp
        guard header.index == lastIndex + 1 else {
            return "entry \(header.index) was applied, though nobody had applied \(lastIndex + 1)"
        }
        entries.append(
            Entry(
                term: header.term,
                checksum: header.payloadChecksum,
                payload: payload().compact(),
                isCommand: header.kind == .command,
                appliedTerm: term
            )
        )
        return nil
    }

    /// Notes that a client was told of an index.
    mutating func acknowledge(_ index: LogIndex) {
        if index >= 1, index <= lastIndex { entries[Int(index) - 1].isAcknowledged = true }
    }
}
