import BalsaPlatform

/// What a read of an acknowledged pair has found on a member.
enum ReadBack: Equatable {
    /// The pair, byte for byte.
    case there
    /// No value, or another one.
    case lost
    /// Nothing can be said: the member did not answer, or answered something else.
    case unanswered

    /// Holds an answer to `local` against what was acknowledged.
    ///
    /// - Parameters:
    ///   - answer: the words of the answer behind its name; nil where there was none.
    ///   - value: what was acknowledged.
    init(_ answer: ChildMember.Answer, expecting value: Bytes) {
        guard let words = answer, let first = words.first else {
            self = .unanswered
            return
        }
        if words.count == 3, first.elementsEqual("value".utf8) {
            self = PercentEncoding.decode(words[2]) == value ? .there : .lost
        } else if words.count == 1, first.elementsEqual("none".utf8) {
            self = .lost
        } else {
            self = .unanswered
        }
    }

    /// Reads an answer to `count`; nil if it is none.
    static func count(_ answer: ChildMember.Answer) -> Int? {
        guard let words = answer, words.count == 2, words[0].elementsEqual("ok".utf8) else { return nil }
        return Int(String(decoding: words[1], as: UTF8.self))
    }
}

/// What a member says of its state.
struct MemberFigures: Equatable {
    /// The index through which it has applied everything.
    var applied: UInt64
    /// The digest of what that gave.
    var digest: String

    /// Reads an answer to `status`; nil where it is none.
    init?(_ answer: ChildMember.Answer) {
        guard let words = answer, words.first?.elementsEqual("status".utf8) == true else { return nil }
        var (applied, digest): (UInt64?, String?)
        for word in words.dropFirst() {
            let pair = String(decoding: word, as: UTF8.self).split(separator: "=", maxSplits: 1)
            guard pair.count == 2 else { continue }
            if pair[0] == "applied" { applied = UInt64(pair[1]) }
            if pair[0] == "digest" { digest = String(pair[1]) }
        }
        guard let applied, let digest else { return nil }
        self.applied = applied
        self.digest = digest
    }
}

/// Whether members agree on their state.
enum Agreement: Equatable {
    /// Some have not applied what others have, or do not answer.
    case pending
    /// All have applied this index, and it gave the same.
    case agreed(MemberFigures)
    /// All have applied one index, and it did not give the same.
    case contradiction([MemberFigures])

    /// What the figures of all members, nil for one that does not answer, say of them.
    init(_ figures: [MemberFigures?]) {
        let known = figures.compactMap { $0 }
        guard known.count == figures.count, let first = known.first, first.applied > 0,
            known.allSatisfy({ $0.applied == first.applied })
        else {
            self = .pending
            return
        }
        self = known.allSatisfy { $0 == first } ? .agreed(first) : .contradiction(known)
    }
}
