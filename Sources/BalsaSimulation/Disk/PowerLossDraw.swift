import BalsaPlatform

/// Draws what a power loss does to each pending operation.
///
/// Real devices lose the youngest writes most of the time, and now and then any. A quarter of the draws therefore keeps
/// everything up to some operation and half of that one, a quarter keeps all or nothing, and half decides operation by
/// operation, with a share of kept ones that is drawn as well.
struct PowerLossDraw {
    private var random: RandomSource
    private let state: DiskState
    private var tornLeft: Int

    /// A draw for the operations pending in `state`. It draws from `random` once, however many there are.
    init(_ state: DiskState, choosing random: inout RandomSource) {
        self.state = state
        self.random = random.fork()
        tornLeft = state.options.tornSectorsLimit
    }

    /// One outcome for each of `operations`.
    mutating func outcomes(for operations: [PendingOperation]) -> [PowerLossOutcome] {
        switch random.below(8) {
        case 0:
            return operations.map { _ in .dropped }
        case 1:
            return operations.map { _ in .kept }
        case 2, 3:
            let last = Int(random.below(UInt64(operations.count) + 1))
            return operations.enumerated().map { index, operation in
                index < last ? .kept : index == last ? partial(operation) : .dropped
            }
        default:
            let keptOfSixteen = random.pick([4, 8, 12]) as UInt64
            return operations.map { random.chance(keptOfSixteen, in: 16) ? .kept : lost($0) }
        }
    }

    /// An outcome of an operation that is not kept.
    private mutating func lost(_ operation: PendingOperation) -> PowerLossOutcome {
        random.chance(1, in: 2) ? .dropped : partial(operation)
    }

    /// An outcome between kept and dropped, where there is one.
    private mutating func partial(_ operation: PendingOperation) -> PowerLossOutcome {
        guard let write = state.pendingWrite(operation), write.count > 0 else { return .dropped }
        if random.chance(1, in: 4) { return .sizeOnly }
        let count = state.sectorCount(of: write)
        var sectors = SectorOutcome()
        sectors.kept = (0..<(count + 63) / 64).map { _ in random.next() }
        sectors.growsFully = random.chance(1, in: 2)
        while tornLeft > 0, random.chance(1, in: 2) {
            let sector = Int(random.below(UInt64(count)))
            guard !sectors.torn.contains(where: { $0.sector == sector }) else { break }
            let garbage = state.options.tornSectorsHoldGarbage ? random.next() : nil
            let cut = Int(random.below(UInt64(state.options.sectorBytes)))
            sectors.torn.append(.init(sector: sector, cut: cut, garbage: garbage))
            tornLeft -= 1
        }
        return .sectors(sectors)
    }
}
