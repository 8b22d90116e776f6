import Balsa
import BalsaKeyValue
import BalsaPlatform
import BalsaRaft

/// Holds the whole state of a member against the judges' own, at what it has applied and at the oldest revision that it
/// still answers.
struct StateCheck {
    let ledger: RequestLedger

    /// A sentence about the first difference; nil where there is none, or where the disk did not let it be read.
    func difference(of machine: KeyValueMachine) -> String? {
        let applied = machine.applied.index
        guard applied <= ledger.lastIndex else { return "has applied \(applied), which nobody replied to" }
        if let sentence = difference(of: machine, at: applied) { return sentence }
        let mark = machine.retentionMark
        return mark > 0 && mark < applied ? difference(of: machine, at: mark) : nil
    }

    private func difference(of machine: KeyValueMachine, at revision: UInt64) -> String? {
        let expected = ledger.state.pairs(from: Bytes(), to: nil, at: revision)
        let found: [KeyValuePair]
        do throws(KeyValueError) {
            found = try machine.scan(
                from: Bytes(),
                to: nil,
                limit: expected.count + 1,
                order: .ascending,
                maxBytes: .max,
                at: revision
            ).pairs
        } catch {
            // A disk that fails now and then is no difference; damage is, whose place the sentence names.
            if error.code == .damaged || error.code == .compacted { return "cannot be read at \(revision): \(error)" }
            return nil
        }
        if found == expected { return nil }
        let place =
            zip(found, expected).enumerated().first { $0.element.0 != $0.element.1 }?.offset
            ?? min(found.count, expected.count)
        let present = place < found.count ? "\(found[place].key) of revision \(found[place].revision)" : "the end"
        let should =
            place < expected.count ? "\(expected[place].key) of revision \(expected[place].revision)" : "the end"
        return "at revision \(revision) of \(machine.applied.index) applied has \(present) where \(should) should be"
    }
}
