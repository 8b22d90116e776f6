import BalsaLSM
import BalsaPlatform

/// One thing that a client does to an engine. A list of them is drawn from a seed and says nothing about options, so that
/// the same list can be run under many of them.
enum ModelOperation {
    /// At which sequence number a read looks.
    enum Moment {
        case now
        /// A part of the way from the retention mark, 0, to the last batch, 1,000.
        case old(UInt64)
        /// One of the snapshots held.
        case snapshot(Int)
    }

    /// A move of a cursor.
    enum Step {
        case first
        case last
        case seek(Bytes)
        case seekBefore(Bytes)
        case next
        case previous
    }

    /// A call that an engine refuses, and that changes nothing.
    enum Misuse {
        /// A batch that writes its first key once more.
        case repeatedKey([ModelWrite], isPut: Bool)
        /// A batch with a range deletion that is the wrong way round.
        case reversedDeletion(Bytes, Bytes)
        /// A batch of one range deletion more than a batch may hold.
        case tooManyDeletions
        /// A read of a snapshot that was closed.
        case closedSnapshot(Bytes)
        /// A read of the snapshot of another engine.
        case foreignSnapshot(Bytes)
        /// A retention mark, so much above the last batch.
        case markAhead(UInt64)
    }

    case write([ModelWrite], gap: UInt64)
    case misuse(Misuse)
    case seal(gap: UInt64)
    /// Moves the retention mark a part of the way from where it is to the last batch.
    case advanceMark(UInt64)
    case get(Bytes, Moment)
    /// A read below the retention mark, by so much.
    case getBelowMark(Bytes, UInt64)
    case scan(from: Bytes?, to: Bytes?, Moment, isBackward: Bool)
    case walk([Step], from: Bytes?, to: Bytes?, Moment)
    case takeSnapshot
    case releaseSnapshot(Int)
    /// Makes a cursor that stays, while other things happen.
    case holdCursor
    /// Looks at what the cursor that stays sees.
    case readHeldCursor
    case restart
    case checkpoint
}

/// Draws operations from a seed.
struct OperationSource {
    private var random: RandomSource
    private let keys: [Bytes]

    init(seed: UInt64) {
        random = RandomSource(seed: seed)
        keys = OperationSource.makeKeys(&random)
    }

    /// Keys of all shapes: the empty one, prefixes of each other, with a long common prefix, at the end of the order.
    private static func makeKeys(_ random: inout RandomSource) -> [Bytes] {
        var keys: [Bytes] = ["", "a", "ab", "abc", [0], [0, 0], [0xff], [0xff, 0xff], [0xff, 0xff, 0]]
        let path = "a/rather/long/common/prefix/"
        for number in 0..<16 { keys.append(Bytes(path + String(number, radix: 2))) }
        for _ in 0..<24 {
            let count = random.draw(1...6)
            keys.append(Bytes((0..<count).map { _ in UInt8(random.draw(97...100)) }))
        }
        keys.append(Bytes([UInt8](repeating: 0x62, count: 300)))
        return keys.sorted()
    }

    /// The next `count` operations.
    mutating func operations(_ count: Int) -> [ModelOperation] { (0..<count).map { _ in operation() } }

    private mutating func operation() -> ModelOperation {
        switch random.below(100) {
        case 0..<52: return .write(writes(), gap: 1 + random.below(3))
        case 52..<64: return .get(key(), moment())
        case 64..<65: return .getBelowMark(key(), 1 + random.below(3))
        case 65..<67: return .misuse(misuse())
        case 67..<75:
            return .scan(from: bound(), to: bound(), moment(), isBackward: random.chance(1, in: 2))
        case 75..<83: return .walk(steps(), from: bound(), to: bound(), moment())
        case 83..<86: return .takeSnapshot
        case 86..<88: return .releaseSnapshot(random.draw(0...9))
        case 88..<90: return .holdCursor
        case 90..<92: return .readHeldCursor
        case 92..<95: return .advanceMark(random.below(1_001))
        case 95..<97: return .seal(gap: random.below(3))
        case 97..<99: return .restart
        default: return .checkpoint
        }
    }

    private mutating func key() -> Bytes {
        if random.chance(9, in: 10) { return random.pick(keys) }
        return Bytes((0..<random.draw(0...4)).map { _ in UInt8(random.draw(95...102)) })
    }

    private mutating func bound() -> Bytes? { random.chance(2, in: 5) ? nil : key() }

    private mutating func value() -> Bytes {
        let count = random.chance(1, in: 25) ? random.draw(500...1_500) : random.draw(0...60)
        let first = UInt8(random.draw(0...255))
        return Bytes((0..<count).map { first &+ UInt8(truncatingIfNeeded: $0) })
    }

    private mutating func misuse() -> ModelOperation.Misuse {
        switch random.below(8) {
        case 0..<3: return .repeatedKey([.put(key(), value())] + writes(), isPut: random.chance(1, in: 2))
        case 3:
            let ends = [key(), key()].sorted()
            return .reversedDeletion(ends[1], ends[0])
        case 4: return .tooManyDeletions
        case 5: return .closedSnapshot(key())
        case 6: return .foreignSnapshot(key())
        default: return .markAhead(1 + random.below(1 << 60))
        }
    }

    /// Range deletions that overlap, and puts that lie in them.
    private mutating func rangeWrites() -> [ModelWrite] {
        var writes: [ModelWrite] = []
        for _ in 0..<random.draw(2...24) {
            let ends = [key(), key()].sorted()
            if ends[0] != ends[1] { writes.append(.deleteRange(ends[0], ends[1])) }
        }
        for _ in 0..<random.draw(0...2) {
            let key = key()
            let isWritten = writes.contains { if case .put(key, _) = $0 { true } else { false } }
            if !isWritten { writes.insert(.put(key, value()), at: random.draw(0...writes.count)) }
        }
        return writes
    }

    /// Writes of which no two have the same key.
    private mutating func writes() -> [ModelWrite] {
        if random.chance(1, in: 40) { return rangeWrites() }
        var writes: [ModelWrite] = []
        var used: [Bytes] = []
        for _ in 0..<random.draw(1...7) {
            let key = key()
            guard !used.contains(key) else { continue }
            used.append(key)
            switch random.below(20) {
            case 0..<14: writes.append(.put(key, value()))
            case 14..<19: writes.append(.delete(key))
            default:
                let end = self.key()
                if key != end { writes.append(.deleteRange(min(key, end), max(key, end))) }
            }
        }
        return writes
    }

    private mutating func moment() -> ModelOperation.Moment {
        switch random.below(4) {
        case 0: .old(random.below(1_001))
        case 1: .snapshot(random.draw(0...9))
        default: .now
        }
    }

    private mutating func steps() -> [ModelOperation.Step] {
        (0..<random.draw(4...16)).map { _ in
            switch random.below(12) {
            case 0: .first
            case 1: .last
            case 2, 3: .seek(key())
            case 4: .seekBefore(key())
            case 5..<9: .next
            default: .previous
            }
        }
    }
}
