/// What one writer has written to one key, one value after another, and what reads of the key may find.
///
/// Every value is written by one call at a time, which may be made several times until one is acknowledged. Each of those calls
/// may have taken effect, at a revision of its own, before the next value is written or after it: one that was not acknowledged
/// may be on its way for long. A value is therefore *settled* where its only call was acknowledged, and *open* otherwise.
struct KeyHistory {
    private struct Write {
        let value: String
        /// The revision that was acknowledged.
        var revision: UInt64?
        /// How many calls were made.
        var calls = 0
    }

    /// What was known when a read began.
    struct Reading {
        /// The revision that was acknowledged last; 0 where none was.
        let revision: UInt64
    }

    private var writes: [Write] = []
    /// The value of each revision that was acknowledged or read.
    private var values: [UInt64: String] = [:]

    var isAcknowledged: Bool { writes.contains { $0.revision != nil } }

    /// A call to write a value is made.
    mutating func begin(_ value: String) {
        if writes.last?.value != value { writes.append(Write(value: value)) }
        writes[writes.count - 1].calls += 1
    }

    /// A call to write the value that was begun last was acknowledged.
    ///
    /// - Returns: why that cannot be; nil where it can.
    mutating func acknowledge(_ value: String, _ revision: UInt64) -> String? {
        guard writes.last?.value == value else { return "\(value) was acknowledged, and is not what is written" }
        let last = writes.dropLast().compactMap(\.revision).last ?? 0
        writes[writes.count - 1].revision = revision
        guard revision > last else { return "\(value) has the revision \(revision), and was written after \(last)" }
        return note(value, revision)
    }

    /// A read begins.
    func beginRead() -> Reading { Reading(revision: writes.compactMap(\.revision).last ?? 0) }

    /// Why a read that began then cannot have found this; nil where it can.
    mutating func violation(of found: MemberProcess.Found, begun: Reading) -> String? {
        guard found.revision >= begun.revision else {
            return "revision \(found.revision) was read, though \(begun.revision) had been acknowledged"
        }
        guard found.revision > 0 else { return nil }
        guard let write = writes.first(where: { $0.value == found.value }) else {
            return "\(found.value) was read at revision \(found.revision), and was never written"
        }
        if write.calls == 1, let revision = write.revision, revision != found.revision {
            return "\(found.value) was read at revision \(found.revision), and written once, at \(revision)"
        }
        return note(found.value, found.revision)
    }

    /// A revision has one value.
    private mutating func note(_ value: String, _ revision: UInt64) -> String? {
        if let other = values.updateValue(value, forKey: revision), other != value {
            return "revision \(revision) has the value \(value), and had \(other)"
        }
        return nil
    }
}
