import CBalsaPlatform

/// The open block of a table writer. ``BlockView`` has the layout.
///
/// The common prefix is known only when the block is complete, so keys and values are kept apart until then.
struct BlockBuilder: ~Copyable {
    private struct Row {
        let trailer: Trailer
        let keyEnd: Int
        let valueEnd: Int
    }

    private var keys = RawBuffer(capacity: 4096)
    private var values = RawBuffer(capacity: 8192)
    private var rows: [Row] = []
    private var prefixLength = 0

    var isEmpty: Bool { rows.isEmpty }
    var count: Int { rows.count }

    /// The key of the last entry, while there is one.
    var lastKey: UnsafeRawBufferPointer { key(rows.count - 1) }
    /// The trailer of the last entry, while there is one.
    var lastTrailer: Trailer { rows[rows.count - 1].trailer }

    /// The size of the block as it is, in bytes.
    var byteCount: Int { byteCount(prefixLength: prefixLength, entries: rows.count) + keys.count + values.count }

    /// What the size would be with one more entry, in bytes.
    func byteCount(adding key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Int {
        byteCount(prefixLength: prefixLength(with: key), entries: rows.count + 1) + keys.count + key.count
            + values.count + value.count
    }

    mutating func add(_ key: UnsafeRawBufferPointer, _ trailer: Trailer, _ value: UnsafeRawBufferPointer) {
        prefixLength = prefixLength(with: key)
        keys.append(key)
        values.append(value)
        rows.append(Row(trailer: trailer, keyEnd: keys.count, valueEnd: values.count))
    }

    /// Appends the block to `output` and begins a new one.
    mutating func finish(into output: inout RawBuffer) {
        precondition(!rows.isEmpty && rows.count <= Int(UInt16.max), "a block has entries, and numbers them by 16 bits")
        let base = output.extend(byteCount)
        base.storeBytes(of: UInt16(rows.count).littleEndian, as: UInt16.self)
        base.storeBytes(of: UInt16(prefixLength).littleEndian, toByteOffset: 2, as: UInt16.self)
        var head = base + BlockView.headerBytes
        var offset = head + 4 * rows.count
        let prefix = offset + 2 * rows.count
        prefix.copyMemory(from: keys.base, byteCount: prefixLength)
        let entries = prefix + prefixLength
        var place = entries
        var keyStart = 0
        var valueStart = 0
        for row in rows {
            let suffix = UnsafeRawPointer(keys.base + keyStart + prefixLength)
            let suffixLength = row.keyEnd - keyStart - prefixLength
            let valueLength = row.valueEnd - valueStart
            head.storeBytes(of: KeyOrder.head32(suffix, suffixLength).littleEndian, as: UInt32.self)
            offset.storeBytes(of: UInt16(place - entries).littleEndian, as: UInt16.self)
            place.storeBytes(of: row.trailer.rawValue.littleEndian, as: UInt64.self)
            place.storeBytes(of: UInt16(suffixLength).littleEndian, toByteOffset: 8, as: UInt16.self)
            place += BlockView.entryHeaderBytes
            place.copyMemory(from: suffix, byteCount: suffixLength)
            place += suffixLength
            place.copyMemory(from: values.base + valueStart, byteCount: valueLength)
            place += valueLength
            head += 4
            offset += 2
            keyStart = row.keyEnd
            valueStart = row.valueEnd
        }
        rows.removeAll(keepingCapacity: true)
        keys.removeAll()
        values.removeAll()
        prefixLength = 0
    }

    private func byteCount(prefixLength: Int, entries: Int) -> Int {
        BlockView.headerBytes + prefixLength
            + entries * (BlockView.slotBytes + BlockView.entryHeaderBytes - prefixLength)
    }

    /// Keys come in order, so that what the first and the last share is shared by all.
    private func prefixLength(with key: UnsafeRawBufferPointer) -> Int {
        guard !rows.isEmpty else { return key.count }
        let first = UnsafeRawBufferPointer(start: keys.base, count: prefixLength)
        return KeyBytes.commonPrefix(first, key, from: 0)
    }

    private func key(_ position: Int) -> UnsafeRawBufferPointer {
        let start = position > 0 ? rows[position - 1].keyEnd : 0
        return UnsafeRawBufferPointer(start: keys.base + start, count: rows[position].keyEnd - start)
    }
}
