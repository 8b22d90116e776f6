/// A write or a change of size that is not durable yet.
struct PendingWrite {
    enum Kind {
        /// Bytes that lie in the file's list of pending bytes.
        case bytes
        /// Zeros.
        case zeros
        /// A change of size to `offset`.
        case resize
    }

    /// When it was issued, among all changes of the disk.
    let sequence: UInt64
    let kind: Kind
    let offset: Int
    let count: Int
    /// Where its bytes begin among those ever appended to the list.
    let start: Int

    /// Where the write ends in the file.
    var end: Int { offset + count }
}

/// The writes of a file that are not durable yet, oldest first.
///
/// Their bytes lie one behind the other in one array, so that a write and a sync allocate nothing once it has grown.
struct PendingWrites {
    private(set) var operations: [PendingWrite] = []
    private var bytes: [UInt8] = []
    /// How many bytes have left the front of the array since the file began.
    private var removed = 0

    /// How much memory waits, in bytes: the data and an allowance for each operation.
    var cost: Int { bytes.count + operations.count * 64 }

    /// Adds a write whose bytes are the `pieces`, of which the first `count` bytes are taken.
    mutating func append(_ pieces: WriteSource, count: Int, at offset: Int, sequence: UInt64) {
        let start = removed + bytes.count
        pieces.forEach(upTo: count) { bytes.append(contentsOf: $0) }
        operations.append(.init(sequence: sequence, kind: .bytes, offset: offset, count: count, start: start))
    }

    /// Adds a write of zeros.
    mutating func appendZeros(_ count: Int, at offset: Int, sequence: UInt64) {
        let start = removed + bytes.count
        operations.append(.init(sequence: sequence, kind: .zeros, offset: offset, count: count, start: start))
    }

    /// Adds a change of size.
    mutating func appendResize(_ size: Int, sequence: UInt64) {
        let start = removed + bytes.count
        operations.append(.init(sequence: sequence, kind: .resize, offset: size, count: 0, start: start))
    }

    /// Forgets the first `count` operations.
    mutating func removeFirst(_ count: Int) {
        guard count < operations.count else {
            removed += bytes.count
            let keep = bytes.count <= 1 << 20
            bytes.removeAll(keepingCapacity: keep)
            operations.removeAll(keepingCapacity: keep)
            return
        }
        operations.removeFirst(count)
        let gone = operations[0].start - removed
        bytes.removeFirst(gone)
        removed += gone
    }

    /// Applies the part `range` of an operation, counted from its beginning, to `content`. A change of size has no parts.
    func apply(_ operation: PendingWrite, _ range: Range<Int>, to content: inout PagedBytes) {
        switch operation.kind {
        case .resize:
            content.setSize(operation.offset)
        case .zeros:
            content.writeZeros(range.count, at: operation.offset + range.lowerBound)
        case .bytes:
            let first = operation.start - removed + range.lowerBound
            bytes.withUnsafeBytes { all in
                let part = UnsafeRawBufferPointer(rebasing: all[first..<first + range.count])
                content.write(part, at: operation.offset + range.lowerBound)
            }
        }
    }

    /// Applies the whole of an operation to `content`.
    func apply(_ operation: PendingWrite, to content: inout PagedBytes) {
        apply(operation, 0..<operation.count, to: &content)
    }
}

/// A file: what its readers see, what is on the device, and the changes that lie between the two.
struct FileNode {
    /// What reads show.
    var current = PagedBytes()
    /// What a power loss leaves if it keeps none of the pending operations.
    var durable = PagedBytes()
    /// The operations since the last sync.
    var pending = PendingWrites()
    /// How many names the file has.
    var names = 0
    /// How many handles and locks hold it open.
    var opens = 0
    /// Names, durable names, names in pending operations and open handles together; without any the file is gone.
    var holds = 0

    /// Makes durable what was issued up to `sequence`.
    mutating func sync(through sequence: UInt64) {
        var count = 0
        for operation in pending.operations {
            guard operation.sequence <= sequence else { break }
            pending.apply(operation, to: &durable)
            count += 1
        }
        if count > 0 { pending.removeFirst(count) }
    }

    /// Forgets what was issued up to `sequence`, which then never becomes durable though reads still show it.
    mutating func dropPending(through sequence: UInt64) {
        let count = pending.operations.prefix { $0.sequence <= sequence }.count
        if count > 0 { pending.removeFirst(count) }
    }

    /// Writes back the oldest operations while more than `limit` bytes wait.
    mutating func writeBack(limit: Int) {
        guard pending.cost > limit, let last = pending.operations.last else { return }
        let middle = pending.operations[pending.operations.count / 2].sequence
        sync(through: middle == last.sequence ? last.sequence : middle)
    }
}
