import BalsaPlatform
import CBalsaPlatform

/// Where each block of a table lies and which entry is its last, pinned in memory.
///
/// A search runs without branches over 8-byte heads: the part of each last key that follows what all of them share. Only
/// blocks with equal heads are told apart by whole keys and trailers. The versions of a key may span blocks; the trailer
/// in the index finds the right one of them at once.
struct TableIndex: @unchecked Sendable {
    /// Length of the counts at the beginning of the section, in bytes.
    static let headerBytes = 8
    /// What a block takes in the section besides its key: trailer, length and end of the key, in bytes.
    static let rowBytes = 16

    /// How many blocks there are.
    let count: Int
    private let prefixLength: Int
    // The section as it is in the file; the columns begin at `trailers`, `lengths`, `keyEnds`, and the prefix and the
    // rests of the keys lie behind them.
    private let section: RawMemory
    private let trailers: UnsafePointer<UInt64>
    private let keyEnds: UnsafePointer<UInt32>
    private let prefix: UnsafeRawPointer
    private let suffixes: UnsafeRawPointer
    // What is computed from it: a head for each block, and where each block begins, with the end of the last.
    private let computed: RawMemory
    private let heads: UnsafeMutablePointer<UInt64>
    private let offsets: UnsafeMutablePointer<UInt64>

    /// Decodes the index of a table whose blocks lie between the header and `end`.
    ///
    /// - Parameter section: the section, whose checksum has been verified, followed by its checksum.
    init(decoding section: RawMemory, byteCount: Int, blocksEnd end: UInt64) throws(DecodingError) {
        guard byteCount >= TableIndex.headerBytes, byteCount <= section.count else {
            throw DecodingError(.truncated, "index", at: 0)
        }
        let base = UnsafeRawPointer(section.base)
        let count = Int(base.load(as: UInt32.self))
        let prefixLength = Int(base.load(fromByteOffset: 4, as: UInt32.self))
        // No overflow: both are less than 2^32.
        let columns = TableIndex.headerBytes + count * TableIndex.rowBytes
        guard columns <= byteCount, prefixLength <= byteCount - columns, prefixLength <= TableLayout.maxKeyBytes else {
            throw DecodingError(.outOfBounds, "index counts", at: 0)
        }
        self.count = count
        self.prefixLength = prefixLength
        self.section = section
        trailers = (base + TableIndex.headerBytes).assumingMemoryBound(to: UInt64.self)
        let lengths = (base + TableIndex.headerBytes + 8 * count).assumingMemoryBound(to: UInt32.self)
        keyEnds = (base + TableIndex.headerBytes + 12 * count).assumingMemoryBound(to: UInt32.self)
        prefix = base + columns
        suffixes = base + columns + prefixLength
        computed = RawMemory(count: 8 * (2 * count + 1))
        heads = computed.base.bindMemory(to: UInt64.self, capacity: 2 * count + 1)
        offsets = heads + count

        let suffixBytes = byteCount - columns - prefixLength
        var keyEnd = 0
        var offset = UInt64(TableLayout.headerBytes)
        for block in 0..<count {
            let nextKeyEnd = Int(keyEnds[block])
            guard nextKeyEnd >= keyEnd, nextKeyEnd <= suffixBytes,
                nextKeyEnd - keyEnd <= TableLayout.maxKeyBytes - prefixLength
            else { throw DecodingError(.outOfBounds, "index key", at: columns) }
            // The offset stays below the file's size, which is held against each length before it is added.
            let step = UInt64(lengths[block]) + UInt64(TableLayout.checksumBytes)
            guard Int(lengths[block]) <= TableLayout.maxBlockBytes, step <= end, offset <= end - step else {
                throw DecodingError(.outOfBounds, "block size", at: 0)
            }
            guard Trailer(rawValue: trailers[block]).isOfEntry else {
                throw DecodingError(.outOfBounds, "index trailer", at: TableIndex.headerBytes)
            }
            heads[block] = KeyOrder.head64(suffixes + keyEnd, nextKeyEnd - keyEnd)
            offsets[block] = offset
            offset += step
            keyEnd = nextKeyEnd
        }
        offsets[count] = offset
        guard keyEnd == suffixBytes, offset == end else { throw DecodingError(.inconsistent, "index size", at: 0) }
        for block in 0..<max(count - 1, 0) {
            guard isBefore(block, suffix(block + 1), Trailer(rawValue: trailers[block + 1])) else {
                throw DecodingError(.inconsistent, "index order", at: columns)
            }
        }
    }

    /// How much memory the index takes, in bytes.
    var memoryBytes: Int { section.memoryBytes + computed.memoryBytes }

    /// Where the block with this number lies.
    @inline(__always)
    func place(_ block: Int) -> TablePlace {
        TablePlace(
            offset: offsets[block],
            byteCount: offsets[block + 1] - offsets[block] - UInt64(TableLayout.checksumBytes)
        )
    }

    /// The number of the block in which the first entry lies that is not before (`key`, `trailer`); ``count`` where
    /// there is none.
    @inline(__always)
    func find(_ key: UnsafeRawBufferPointer, _ trailer: Trailer) -> Int {
        switch KeyOrder.place(of: key, against: prefix, prefixLength) {
        case .before: return 0
        case .after: return count
        case .among: break
        }
        let rest = UnsafeRawBufferPointer(rebasing: key[prefixLength...])
        let head = KeyOrder.head64(rest.baseAddress, rest.count)
        var low = balsa_lower_bound_64(heads, count, head)
        guard low < count, heads[low] == head else { return low }
        var high = low + 1
        if high < count, heads[high] == head {
            high = head == .max ? count : low + balsa_lower_bound_64(heads + low, count - low, head + 1)
        }
        while low < high {
            let middle = low + (high - low) / 2
            if isBefore(middle, rest, trailer) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The key of the last entry of the block.
    func lastKey(of block: Int) -> Bytes {
        Bytes(Array(UnsafeRawBufferPointer(start: prefix, count: prefixLength)) + Array(suffix(block)))
    }

    /// Whether (`key`, `trailer`) is the last entry of the block.
    func isLast(_ key: UnsafeRawBufferPointer, _ trailer: Trailer, of block: Int) -> Bool {
        guard KeyOrder.place(of: key, against: prefix, prefixLength) == .among else { return false }
        let rest = UnsafeRawBufferPointer(rebasing: key[prefixLength...])
        return KeyOrder.compare(suffix(block), rest) == 0 && trailers[block] == trailer.rawValue
    }

    /// Whether the last entry of the block comes before the key with `rest` behind the prefix and `trailer`.
    @inline(__always)
    private func isBefore(_ block: Int, _ rest: UnsafeRawBufferPointer, _ trailer: Trailer) -> Bool {
        let order = KeyOrder.compare(suffix(block), rest)
        return order != 0 ? order < 0 : trailers[block] > trailer.rawValue
    }

    @inline(__always)
    private func suffix(_ block: Int) -> UnsafeRawBufferPointer {
        let start = block > 0 ? Int(keyEnds[block - 1]) : 0
        return UnsafeRawBufferPointer(start: suffixes + start, count: Int(keyEnds[block]) - start)
    }
}

/// Gathers the index while a table is written.
struct TableIndexBuilder: ~Copyable {
    private struct Row {
        let trailer: Trailer
        let byteCount: Int
        let keyEnd: Int
    }

    private var rows: [Row] = []
    private var keys = RawBuffer(capacity: 4096)
    private var prefixLength = 0

    /// Whether the index is at its limit: it tells the ends of its keys by 32 bits.
    var isFull: Bool { keys.count > Int(UInt32.max) - TableLayout.maxKeyBytes || rows.count >= Int(UInt32.max) / 2 }

    /// Adds a block of `byteCount` bytes whose last entry is (`key`, `trailer`).
    mutating func add(_ key: UnsafeRawBufferPointer, _ trailer: Trailer, byteCount: Int) {
        if rows.isEmpty {
            prefixLength = key.count
        } else {
            let first = UnsafeRawBufferPointer(start: keys.base, count: prefixLength)
            prefixLength = KeyBytes.commonPrefix(first, key, from: 0)
        }
        keys.append(key)
        rows.append(Row(trailer: trailer, byteCount: byteCount, keyEnd: keys.count))
    }

    /// The size of the section, in bytes.
    var byteCount: Int {
        TableIndex.headerBytes + rows.count * (TableIndex.rowBytes - prefixLength) + prefixLength + keys.count
    }

    /// Appends the section.
    func finish(into output: inout RawBuffer) {
        output.append(UInt32(rows.count))
        output.append(UInt32(prefixLength))
        for row in rows { output.append(row.trailer.rawValue) }
        for row in rows { output.append(UInt32(row.byteCount)) }
        for (index, row) in rows.enumerated() { output.append(UInt32(row.keyEnd - (index + 1) * prefixLength)) }
        output.append(UnsafeRawBufferPointer(start: keys.base, count: prefixLength))
        var start = 0
        for row in rows {
            output.append(UnsafeRawBufferPointer(rebasing: keys.bytes[start + prefixLength..<row.keyEnd]))
            start = row.keyEnd
        }
    }
}
