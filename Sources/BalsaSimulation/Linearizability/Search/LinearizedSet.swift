import BalsaPlatform

/// Which operations of a history have been put in order.
///
/// Answered operations and those of unknown outcome are counted apart: of the former all early ones are in the set, of
/// the latter any may be missing for ever.
struct LinearizedSet {
    private let place: [Int]
    private let isAnswered: [Bool]
    private var answered: PositionSet
    private var unknown: PositionSet
    /// A number for every answered operation in the set, combined by exclusive or (Zobrist 1970), so that a change of
    /// the set costs one operation however large the set is.
    private(set) var answeredHash: UInt64 = 0

    /// An empty set over operations that are answered or not.
    init(isAnswered: [Bool]) {
        var place: [Int] = []
        var counts = (answered: 0, unknown: 0)
        for answered in isAnswered {
            place.append(answered ? counts.answered : counts.unknown)
            if answered { counts.answered += 1 } else { counts.unknown += 1 }
        }
        self.place = place
        self.isAnswered = isAnswered
        answered = PositionSet(capacity: counts.answered)
        unknown = PositionSet(capacity: counts.unknown)
    }

    /// How many answered operations are in the set.
    var answeredCount: Int { answered.count }

    /// Whether an operation is in the set.
    func contains(_ operation: Int) -> Bool {
        isAnswered[operation] ? answered.contains(place[operation]) : unknown.contains(place[operation])
    }

    /// Adds an operation that is not in the set.
    mutating func insert(_ operation: Int) {
        if isAnswered[operation] {
            answeredHash ^= RandomSource.mix(UInt64(operation) &+ 1)
            answered.insert(place[operation])
        } else {
            unknown.insert(place[operation])
        }
    }

    /// Removes an operation that is in the set.
    mutating func remove(_ operation: Int) {
        if isAnswered[operation] {
            answeredHash ^= RandomSource.mix(UInt64(operation) &+ 1)
            answered.remove(place[operation])
        } else {
            unknown.remove(place[operation])
        }
    }

    /// Appends words that name exactly the answered operations in the set.
    func appendAnswered(to target: inout [UInt64]) { answered.appendName(to: &target) }

    /// Appends the unknown operations in the set, a bit each.
    func appendUnknown(to target: inout [UInt64]) { unknown.appendWords(to: &target) }
}
