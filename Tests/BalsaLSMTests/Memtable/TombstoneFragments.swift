import BalsaPlatform

@testable import BalsaLSM

extension TombstoneList {
    /// A piece: the keys in `start ..< end`, and the sequence numbers of the deletions that cover them, descending.
    struct Fragment: Equatable, Sendable {
        let start: Bytes
        let end: Bytes
        let sequences: [SequenceNumber]
    }

    /// The pieces with all that covers them, in the order of their keys. Their sequence numbers grow as the square.
    var fragments: [Fragment] {
        let deletions = deletions
        let cuts = Set(deletions.flatMap { [$0.start, $0.end] }).sorted()
        return zip(cuts, cuts.dropFirst()).compactMap { start, end in
            let sequences = deletions.filter { $0.start <= start && end <= $0.end }.map(\.sequence)
            return sequences.isEmpty ? nil : Fragment(start: start, end: end, sequences: sequences)
        }
    }
}
