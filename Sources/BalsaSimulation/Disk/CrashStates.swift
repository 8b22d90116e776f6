import BalsaPlatform

/// Which states of a disk a power loss at this moment may leave, tried out one by one.
///
/// Every subset of the pending operations is tried where there are no more of them than may be found; from about ten
/// operations on there are. Of those the ones tried are those in which studies of crash consistency found nearly all bugs:
/// all, none, every prefix, all but one, only one, and some at random. In either case the last write is also tried in parts
/// of its sectors.
struct CrashStates {
    /// Of how many operations a subset can be numbered.
    private static let bitsOfASubset = 20
    /// How many subsets are drawn at random.
    private static let randomSubsets = 32
    /// How many sectors of the last write are lost, kept and torn singly.
    private static let sectorsTried = 16

    private let state: DiskState
    private let operations: [PendingOperation]
    private let limit: Int
    private var digests: [UInt64] = []
    /// The states found, all different.
    private(set) var images: [DiskImage] = []

    /// Finds up to `limit` states that a power loss may leave of `state`.
    init(_ state: DiskState, limit: Int) {
        var state = state
        state.prepareDurableDigests()
        self.state = state
        self.limit = limit
        operations = state.pendingOperations()
        tryAll()
    }

    private mutating func tryAll() {
        let count = operations.count
        tryKeeping { _ in false }
        tryKeeping { _ in true }
        if count < CrashStates.bitsOfASubset, 1 << count <= limit {
            for subset in 0..<1 << count { tryKeeping { subset >> $0 & 1 == 1 } }
            tryPartsOfLastWrite()
            return
        }
        tryPartsOfLastWrite()
        for length in 0..<count where !isFull { tryKeeping { $0 < length } }
        for single in 0..<count where !isFull {
            tryKeeping { $0 != single }
            tryKeeping { $0 == single }
        }
        var random = RandomSource(seed: UInt64(count))
        for _ in 0..<CrashStates.randomSubsets where !isFull {
            var source = random.fork()
            tryKeeping { _ in source.chance(1, in: 2) }
        }
    }

    private var isFull: Bool { images.count >= limit }

    private mutating func tryKeeping(_ isKept: (Int) -> Bool) {
        add(operations.indices.map { isKept($0) ? .kept : .dropped })
    }

    /// Tries the last write in parts, once with all other operations and once with none.
    private mutating func tryPartsOfLastWrite() {
        let last = operations.lastIndex { (state.pendingWrite($0)?.count ?? 0) > 0 }
        guard let last, let write = state.pendingWrite(operations[last]) else { return }
        for part in CrashStates.parts(of: write, in: state) where !isFull {
            for others in [PowerLossOutcome.kept, .dropped] {
                var outcomes = operations.map { _ in others }
                outcomes[last] = part
                add(outcomes)
            }
        }
    }

    /// What a power loss may leave of a write besides all and nothing.
    private static func parts(of write: PendingWrite, in state: DiskState) -> [PowerLossOutcome] {
        var parts: [PowerLossOutcome] = [.sizeOnly]
        let count = state.sectorCount(of: write)
        let tried = min(count, sectorsTried)
        for sector in 0..<tried {
            parts.append(.sectors(SectorOutcome(keeping: count) { $0 < sector }))
            parts.append(.sectors(SectorOutcome(keeping: count) { $0 != sector }))
            parts.append(.sectors(SectorOutcome(keeping: count) { $0 == sector }))
        }
        guard state.options.tornSectorsLimit > 0 else { return parts }
        for sector in 0..<tried {
            let seed: UInt64? = state.options.tornSectorsHoldGarbage ? UInt64(sector) : nil
            var torn = SectorOutcome(keeping: count) { $0 < sector }
            torn.torn = [.init(sector: sector, cut: state.options.sectorBytes / 2 - 1, garbage: seed)]
            parts.append(.sectors(torn))
            torn.growsFully = true
            parts.append(.sectors(torn))
        }
        return parts
    }

    /// Adds the state that `outcomes` lead to, unless it was found before.
    private mutating func add(_ outcomes: [PowerLossOutcome]) {
        guard !isFull else { return }
        var (after, _) = state.afterPowerLoss(operations, outcomes)
        let digest = after.contentDigest()
        guard !digests.contains(digest) else { return }
        digests.append(digest)
        images.append(DiskImage(after))
    }
}

extension SectorOutcome {
    /// Keeps those of `count` sectors that `isKept` names.
    init(keeping count: Int, _ isKept: (Int) -> Bool) {
        kept = [UInt64](repeating: 0, count: (count + 63) / 64)
        for sector in 0..<count where isKept(sector) { kept[sector / 64] |= 1 << UInt64(sector % 64) }
    }
}

extension SimulatedDisk {
    /// The states that a power loss at this moment may leave, all different, at most `limit` of them.
    ///
    /// Nothing kept and everything kept come first. Where `limit` allows it, every subset of the pending operations follows,
    /// and behind them the last write in parts of its sectors; else those parts, every prefix, all but one, only one, and
    /// some subsets that are always the same. The disk stays as it is.
    public func crashStates(limit: Int = 1000) -> [DiskImage] {
        guard let known = knownCrashStates else { return CrashStates(state, limit: limit).images }
        return known.images(of: &state, limit: limit)
    }
}

/// The crash states of the disk that was asked last, for the next one if it is in the same state.
///
/// A crash behind a call and a crash before the next one leave the same disk, and so does every call that only reads.
final class KnownCrashStates {
    /// What tells the states of a disk apart that a deterministic process has worked on: what processes see, how many
    /// operations were issued, and which of them are pending.
    private struct Key: Equatable {
        var content: UInt64
        var sequence: UInt64
        var pending: [UInt64]
        var limit: Int
    }

    private var key: Key?
    private var images: [DiskImage] = []

    func images(of state: inout DiskState, limit: Int) -> [DiskImage] {
        let pending = state.pendingOperations().map(\.sequence)
        let key = Key(content: state.contentDigest(), sequence: state.sequence, pending: pending, limit: limit)
        guard key != self.key else { return images }
        self.key = key
        images = CrashStates(state, limit: limit).images
        return images
    }
}
