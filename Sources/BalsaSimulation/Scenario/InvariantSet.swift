/// The invariants whose violation ends a run.
///
/// All of them, as a rule. With fewer, a run goes on past a violation of the others, so that a checker is shown to find
/// an error by itself, and not only behind another one that looks first.
public struct InvariantSet: Equatable, Sendable {
    /// A bit for each case of ``Invariant``, in their order.
    private var bits: UInt32 = 0

    /// Every invariant.
    public static let all = InvariantSet(Invariant.allCases)

    /// The given invariants.
    public init(_ invariants: [Invariant]) {
        for invariant in invariants { bits |= InvariantSet.bit(invariant) }
    }

    /// Whether a violation of `invariant` ends a run.
    public func contains(_ invariant: Invariant) -> Bool { bits & InvariantSet.bit(invariant) != 0 }

    /// The invariants in the order of ``Invariant``.
    public var invariants: [Invariant] { Invariant.allCases.filter(contains) }

    private static func bit(_ invariant: Invariant) -> UInt32 {
        guard let position = Invariant.allCases.firstIndex(of: invariant) else {
            preconditionFailure("an invariant is one of all")
        }
        return 1 << UInt32(position)
    }
}

extension Invariant {
    /// The name as a word of a command line: `one-vote-a-term`.
    public var word: String { String(rawValue.map { $0 == " " ? "-" : $0 }) }

    /// The invariant of that name, with blanks or hyphens between its words.
    public init?(word: String) {
        guard let found = Invariant.allCases.first(where: { $0.rawValue == word || $0.word == word }) else {
            return nil
        }
        self = found
    }
}
