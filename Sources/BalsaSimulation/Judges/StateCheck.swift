import BalsaKeyValue
import BalsaLSM
import BalsaPlatform
import BalsaRaft

/// A state that can be read whole, at the revisions that it still has.
protocol ReadableState {
    /// The last entry that was applied.
    var appliedIndex: LogIndex { get }
    /// Reads below this revision are refused.
    var retentionMark: UInt64 { get }
    /// All pairs at a revision, at most `limit`.
    func pairs(at revision: UInt64, limit: Int) throws(KeyValueError) -> [KeyValuePair]
    /// The same, but for ranges of keys that cannot be read because one of these files is damaged.
    func pairs(
        at revision: UInt64,
        limit: Int,
        damaged: [String]
    ) throws(KeyValueError) -> (pairs: [KeyValuePair], unreadable: [UnreadableKeys])
}

/// Keys that cannot be read, both ends included; all from the smallest one on where there is no largest.
struct UnreadableKeys {
    var smallest: Bytes
    var largest: Bytes?

    func contains(_ key: Bytes) -> Bool { smallest <= key && largest.map { key <= $0 } ?? true }
}

extension ReadableState {
    func pairs(
        at revision: UInt64,
        limit: Int,
        damaged: [String]
    ) throws(KeyValueError) -> (pairs: [KeyValuePair], unreadable: [UnreadableKeys]) {
        (try pairs(at: revision, limit: limit), [])
    }
}

extension KeyValueMachine: ReadableState {
    var appliedIndex: LogIndex { applied.index }

    func pairs(at revision: UInt64, limit: Int) throws(KeyValueError) -> [KeyValuePair] {
        try pairs(at: revision, limit: limit, damaged: []).pairs
    }

    func pairs(
        at revision: UInt64,
        limit: Int,
        damaged: [String]
    ) throws(KeyValueError) -> (pairs: [KeyValuePair], unreadable: [UnreadableKeys]) {
        var pairs: [KeyValuePair] = []
        var unreadable: [UnreadableKeys] = []
        var next: Bytes? = Bytes()
        // A page ends early where much is hidden.
        while let from = next, pairs.count < limit {
            let rest = limit - pairs.count
            do throws(KeyValueError) {
                let page = try scan(from: from, to: nil, limit: rest, order: .ascending, maxBytes: .max, at: revision)
                pairs += page.pairs
                next = page.continuation
            } catch {
                guard Certificate.isDamage(error, of: damaged), let range = error.cause?.quarantine else { throw error }
                // The scan goes on behind what cannot be read, which has to be where it was.
                let keys = KeyValueMachine.userKeys(of: range)
                guard let largest = keys.largest else {
                    unreadable.append(UnreadableKeys(smallest: keys.smallest, largest: nil))
                    break
                }
                guard largest >= from else { throw error }
                unreadable.append(UnreadableKeys(smallest: keys.smallest, largest: largest))
                next = Bytes([UInt8](largest) + [0])
            }
        }
        return (pairs.filter { pair in !unreadable.contains { $0.contains(pair.key) } }, unreadable)
    }
}

/// Holds the whole state of a member against the reference state, at what it has applied and at the oldest revision that it
/// still answers.
struct StateCheck {
    let ledger: RequestLedger
    /// The tables that a fault has damaged: what they hold need not be readable.
    var damaged: [String] = []

    /// Throws at the first difference. A disk that does not let the state be read now is none.
    func check(_ id: MemberID, _ state: some ReadableState, at now: TimeSpan) throws(Violation) {
        try checkRetentionMark(id, state, at: now)
        guard let sentence = difference(of: state) else { return }
        throw Violation(.equalStates, "member \(id) \(sentence)", at: now)
    }

    /// A member refuses no revision that it has to keep.
    func checkRetentionMark(_ id: MemberID, _ state: some ReadableState, at now: TimeSpan) throws(Violation) {
        let (mark, applied) = (state.retentionMark, state.appliedIndex)
        guard applied <= ledger.lastIndex else { return }
        let highest = ledger.highestRetentionMark(at: applied)
        guard mark > highest else { return }
        throw Violation(
            .equalStates,
            "member \(id) refuses revisions below \(mark), and has to keep those from \(highest) on: it has applied \(applied)",
            at: now
        )
    }

    private func difference(of state: some ReadableState) -> String? {
        let applied = state.appliedIndex
        guard applied <= ledger.lastIndex else { return "has applied \(applied), which nobody replied to" }
        if let sentence = difference(of: state, at: applied) { return sentence }
        let mark = state.retentionMark
        return mark > 0 && mark < applied ? difference(of: state, at: mark) : nil
    }

    private func difference(of state: some ReadableState, at revision: UInt64) -> String? {
        var expected = ledger.state.pairs(from: Bytes(), to: nil, at: revision)
        let found: [KeyValuePair]
        do throws(KeyValueError) {
            let answer = try state.pairs(at: revision, limit: expected.count + 1, damaged: damaged)
            found = answer.pairs
            expected.removeAll { pair in answer.unreadable.contains { $0.contains(pair.key) } }
        } catch {
            // A disk that fails now and then is no difference; every other reason is.
            return Certificate.isFailedDisk(error) ? nil : "cannot be read at \(revision): \(error)"
        }
        if found == expected { return nil }
        let place =
            zip(found, expected).enumerated().first { $0.element.0 != $0.element.1 }?.offset
            ?? min(found.count, expected.count)
        let present = place < found.count ? "\(found[place].key) of revision \(found[place].revision)" : "the end"
        let should =
            place < expected.count ? "\(expected[place].key) of revision \(expected[place].revision)" : "the end"
        return "at revision \(revision) of \(state.appliedIndex) applied has \(present) where \(should) should be"
    }
}
