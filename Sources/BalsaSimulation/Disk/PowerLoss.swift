import BalsaPlatform

/// What a power loss has done to the operations that were not durable.
public struct PowerLossReport: Equatable, Sendable {
    /// How many writes and changes of size were kept whole.
    public internal(set) var keptWrites = 0
    /// How many were dropped whole.
    public internal(set) var droppedWrites = 0
    /// How many writes were kept in some of their sectors only, or only in the size that they gave the file.
    public internal(set) var partialWrites = 0
    /// How many sectors were torn.
    public internal(set) var tornSectors = 0
    /// How many changes of names were kept.
    public internal(set) var keptEntries = 0
    /// How many were dropped.
    public internal(set) var droppedEntries = 0
}

/// What a power loss does to one pending operation.
enum PowerLossOutcome {
    /// Nothing of it is on the device.
    case dropped
    /// All of it is.
    case kept
    /// The file has the size that the write gave it, and none of its bytes.
    case sizeOnly
    /// Some sectors of a write are on the device.
    case sectors(SectorOutcome)
}

/// Which sectors of a write are on the device. Sectors are counted from the first that the write touches.
struct SectorOutcome {
    /// A sector that the device was writing when the power went.
    struct Torn {
        let sector: Int
        /// Where the new bytes end, in bytes from where the write enters the sector; taken modulo what it has there.
        let cut: Int
        /// The seed of the garbage that fills the sector instead, if it does.
        let garbage: UInt64?
    }

    /// One bit a sector, 64 in each word; sectors without a word are not kept.
    var kept: [UInt64] = []
    /// Sectors that are torn, whether kept or not.
    var torn: [Torn] = []
    /// Whether the file has the size that the write gave it even if its last sectors are missing.
    var growsFully = false

    /// Whether a sector is kept.
    func keeps(_ sector: Int) -> Bool { sector / 64 < kept.count && kept[sector / 64] >> UInt64(sector % 64) & 1 == 1 }
}

/// Where a pending operation is found.
struct PendingOperation {
    enum Place {
        case write(file: Int, index: Int)
        case entry(index: Int)
    }

    let sequence: UInt64
    let place: Place

    /// Whether it is a change of names.
    var isEntry: Bool {
        if case .entry = place { true } else { false }
    }
}

extension DiskState {
    /// All pending operations in the order of their issue.
    func pendingOperations() -> [PendingOperation] {
        var operations: [PendingOperation] = []
        for file in files.indices {
            for (index, write) in files[file].pending.operations.enumerated() {
                operations.append(.init(sequence: write.sequence, place: .write(file: file, index: index)))
            }
        }
        for (index, entry) in pendingEntries.enumerated() {
            operations.append(.init(sequence: entry.sequence, place: .entry(index: index)))
        }
        return operations.sorted { $0.sequence < $1.sequence }
    }

    /// The write of a pending operation; nil for a change of names.
    func pendingWrite(_ operation: PendingOperation) -> PendingWrite? {
        guard case .write(let file, let index) = operation.place else { return nil }
        return files[file].pending.operations[index]
    }

    /// How many sectors a write touches.
    func sectorCount(of write: PendingWrite) -> Int {
        guard write.count > 0 else { return 0 }
        return (write.end - 1) / options.sectorBytes - write.offset / options.sectorBytes + 1
    }

    /// The disk after a power loss that does `outcomes` to `operations`: nothing is pending, and all is durable.
    ///
    /// A rename that is kept keeps what gave its source that name: a name can be moved only from where it is. Names in
    /// directories without a durable name are gone, and so are files without one. Outcomes for changes of names other
    /// than *dropped* count as *kept*.
    func afterPowerLoss(_ operations: [PendingOperation], _ outcomes: [PowerLossOutcome]) -> (
        DiskState, PowerLossReport
    ) {
        var report = PowerLossReport()
        var contents = files.map(\.durable)
        var keptEntries = [Bool](repeating: false, count: pendingEntries.count)
        for (operation, outcome) in zip(operations, outcomes) {
            switch operation.place {
            case .entry(let index):
                if case .dropped = outcome { continue }
                keptEntries[index] = true
            case .write(let file, let index):
                apply(outcome, toWrite: index, of: file, content: &contents[file], &report)
            }
        }
        keepSourcesOfRenames(&keptEntries)
        report.keptEntries = keptEntries.count { $0 }
        report.droppedEntries = keptEntries.count - report.keptEntries
        var tables = directories.map(\.durable)
        for index in pendingEntries.indices where keptEntries[index] {
            for assignment in pendingEntries[index].assignments {
                _ = tables[assignment.directory].assign(assignment.name, assignment.inode)
            }
        }
        return (rebuilt(contents, tables), report)
    }

    /// Marks, for each rename that is kept, the operation that gave its source the name.
    private func keepSourcesOfRenames(_ kept: inout [Bool]) {
        for index in pendingEntries.indices.reversed() where kept[index] && pendingEntries[index].isRename {
            guard let source = pendingEntries[index].assignments.first else { continue }
            let giver = pendingEntries[..<index].lastIndex { earlier in
                earlier.assignments.contains { $0.sharesPlace(with: source) }
            }
            if let giver { kept[giver] = true }
        }
    }

    private func apply(
        _ outcome: PowerLossOutcome,
        toWrite index: Int,
        of file: Int,
        content: inout PagedBytes,
        _ report: inout PowerLossReport
    ) {
        let pending = files[file].pending
        let write = pending.operations[index]
        switch outcome {
        case .dropped:
            report.droppedWrites += 1
        case .kept:
            pending.apply(write, to: &content)
            report.keptWrites += 1
        case .sizeOnly:
            let grows = write.end > content.count
            if grows { content.setSize(write.end) }
            report.partialWrites += grows ? 1 : 0
            report.droppedWrites += grows ? 0 : 1
        case .sectors(let sectors):
            apply(sectors, of: write, in: pending, to: &content)
            report.partialWrites += 1
            report.tornSectors += sectors.torn.count
        }
    }

    /// Applies the sectors of a write that are on the device.
    private func apply(
        _ sectors: SectorOutcome,
        of write: PendingWrite,
        in pending: PendingWrites,
        to content: inout PagedBytes
    ) {
        let size = options.sectorBytes
        let firstSector = write.offset / size
        for sector in 0..<sectorCount(of: write) {
            let start = max(write.offset, (firstSector + sector) * size)
            let end = min(write.end, (firstSector + sector + 1) * size)
            guard let torn = sectors.torn.first(where: { $0.sector == sector }) else {
                if sectors.keeps(sector) {
                    pending.apply(write, start - write.offset..<end - write.offset, to: &content)
                }
                continue
            }
            if let seed = torn.garbage {
                let last = min((firstSector + sector + 1) * size, max(content.count, write.end))
                content.writeGarbage((firstSector + sector) * size..<last, seed: seed)
            } else {
                let cut = end - start > 1 ? 1 + torn.cut % (end - start - 1) : 1
                pending.apply(write, start - write.offset..<start - write.offset + cut, to: &content)
            }
        }
        if sectors.growsFully { content.setSize(max(content.count, write.end)) }
    }

    /// A disk of what can be reached from the root, with numbers in the order in which it is found.
    private func rebuilt(_ contents: [PagedBytes], _ tables: [EntryTable]) -> DiskState {
        var state = DiskState(options: options)
        var newNumbers = [Int?](repeating: nil, count: files.count)
        var left = [(old: DiskState.root, new: DiskState.root)]
        while let (old, new) = left.popLast() {
            for entry in tables[old].entries {
                let inode: Inode
                switch entry.inode {
                case .directory(let number):
                    let made = state.makeDirectory()
                    left.append((number, made))
                    inode = .directory(made)
                case .file(let number):
                    let made = newNumbers[number] ?? state.makeFile(holding: contents[number])
                    newNumbers[number] = made
                    inode = .file(made)
                }
                state.addDurableEntry(entry.name, of: new, inode)
            }
        }
        return state
    }

    /// A file whose content is durable, which nothing holds yet.
    private mutating func makeFile(holding content: PagedBytes) -> Int {
        let number = makeFile()
        files[number].current = content
        files[number].durable = content
        return number
    }

    /// Adds a name that processes see and that is durable.
    private mutating func addDurableEntry(_ name: FileName, of directory: Int, _ inode: Inode) {
        _ = directories[directory].current.assign(name, inode)
        _ = directories[directory].durable.assign(name, inode)
        hold(inode)
        hold(inode)
        countNames(inode, 1)
    }
}

extension PagedBytes {
    /// Fills a range with garbage that `seed` determines, growing to hold it.
    mutating func writeGarbage(_ range: Range<Int>, seed: UInt64) {
        var random = RandomSource(seed: seed)
        let bytes = range.map { _ in UInt8(truncatingIfNeeded: random.next() >> 56) }
        bytes.withUnsafeBytes { write($0, at: range.lowerBound) }
    }
}
