import CBalsaPlatform

/// A *slots* block, read in place.
///
/// ```
///  0        2         4             4 + 4n          4 + 6n   4 + 6n + p
///  | n u16  | p u16   | heads u32×n | offsets u16×n | prefix | entries …
/// ```
///
/// The prefix that all keys of the block share is stored once, and every entry can be reached without the ones before
/// it. A head is the four bytes behind the prefix, as a number whose order is the bytes' order: the search runs over the
/// heads alone, which lie in a few cache lines, and touches an entry only to confirm it. An entry is
///
/// ```
///  | trailer u64 | suffix length u16 | rest of the key | value up to the next entry
/// ```
///
/// The view borrows: whoever has one keeps the memory alive. The bytes have passed ``check(_:)`` before, so that
/// nothing in here is checked again.
struct BlockView {
    /// Length of the counts at the beginning, in bytes.
    static let headerBytes = 4
    /// What an entry costs in the arrays: a head and an offset, in bytes.
    static let slotBytes = 6
    /// What an entry has before its key's rest: the trailer and the length, in bytes.
    static let entryHeaderBytes = 10

    let base: UnsafeRawPointer
    let count: Int
    let prefixLength: Int
    /// Where the entries begin.
    let entries: UnsafeRawPointer
    /// The length of all entries, in bytes.
    let entryBytes: Int

    /// A view of a block that has been checked.
    @inline(__always)
    init(checked base: UnsafeRawPointer, byteCount: Int) {
        self.base = base
        count = Int(base.load(as: UInt16.self))
        prefixLength = Int(base.load(fromByteOffset: 2, as: UInt16.self))
        let start = BlockView.headerBytes + BlockView.slotBytes * count + prefixLength
        entries = base + start
        entryBytes = byteCount - start
    }

    /// Asks the processor for what a search looks at first: the heads and offsets of a block of usual size. They arrive
    /// together, where each would wait for the one before.
    @inline(__always)
    static func prefetch(_ base: UnsafeRawPointer) {
        balsa_prefetch(base)
        balsa_prefetch(base + 64)
        balsa_prefetch(base + 128)
        balsa_prefetch(base + 192)
    }

    @inline(__always)
    var prefix: UnsafeRawPointer { entries - prefixLength }

    @inline(__always)
    private var heads: UnsafePointer<UInt32> {
        (base + BlockView.headerBytes).assumingMemoryBound(to: UInt32.self)
    }

    /// Where the entry at `position` begins, counted from ``entries``.
    @inline(__always)
    func offset(_ position: Int) -> Int {
        Int(base.load(fromByteOffset: BlockView.headerBytes + 4 * count + 2 * position, as: UInt16.self))
    }

    /// The entry at `position`, which exists.
    @inline(__always)
    func entry(_ position: Int) -> Entry {
        let start = offset(position)
        let end = position + 1 < count ? offset(position + 1) : entryBytes
        let place = entries + start
        let suffixLength = Int(place.loadUnaligned(fromByteOffset: 8, as: UInt16.self))
        return Entry(
            trailer: Trailer(rawValue: place.loadUnaligned(as: UInt64.self)),
            suffix: place + BlockView.entryHeaderBytes,
            suffixLength: suffixLength,
            valueLength: end - start - BlockView.entryHeaderBytes - suffixLength
        )
    }

    /// An entry in place. Its key is the block's prefix and the suffix.
    struct Entry {
        let trailer: Trailer
        let suffix: UnsafeRawPointer
        let suffixLength: Int
        let valueLength: Int

        @inline(__always)
        var value: UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(start: suffix + suffixLength, count: valueLength)
        }
    }

    // MARK: Searching

    /// The position of the first entry that is not before (`key`, `trailer`); ``count`` where there is none.
    @inline(__always)
    func lowerBound(_ key: UnsafeRawBufferPointer, _ trailer: Trailer) -> Int {
        switch KeyOrder.place(of: key, against: prefix, prefixLength) {
        case .before: return 0
        case .after: return count
        case .among: break
        }
        let suffix = UnsafeRawBufferPointer(rebasing: key[prefixLength...])
        let head = KeyOrder.head32(suffix.baseAddress, suffix.count)
        var low = balsa_lower_bound_32(heads, count, head)
        guard low < count, heads[low] == head else { return low }
        // Entries with the same head: usually one, but many where keys differ late or a key has many versions.
        var high = low + 1
        if high < count, heads[high] == head {
            high = head == .max ? count : low + balsa_lower_bound_32(heads + low, count - low, head + 1)
        }
        while low < high {
            let middle = low + (high - low) / 2
            if isBefore(middle, suffix, trailer) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The first entry that is not before (`key`, `trailer`), if it is of `key`.
    @inline(__always)
    func find(_ key: UnsafeRawBufferPointer, _ trailer: Trailer) -> Entry? {
        let position = lowerBound(key, trailer)
        guard position < count, key.count >= prefixLength else { return nil }
        let entry = entry(position)
        guard prefixLength + entry.suffixLength == key.count,
            balsa_compare(prefix, key.baseAddress, prefixLength) == 0,
            balsa_compare(entry.suffix, key.baseAddress.map { $0 + prefixLength }, entry.suffixLength) == 0
        else { return nil }
        return entry
    }

    /// Whether the entry at `position` comes before the key with `suffix` behind the prefix and `trailer`.
    @inline(__always)
    private func isBefore(_ position: Int, _ suffix: UnsafeRawBufferPointer, _ trailer: Trailer) -> Bool {
        let entry = entry(position)
        let order = KeyOrder.compare(
            UnsafeRawBufferPointer(start: entry.suffix, count: entry.suffixLength),
            suffix
        )
        return order != 0 ? order < 0 : entry.trailer > trailer
    }

    // MARK: Checking

    /// Whether `bytes` have the shape of a block, so that nothing that a view does with them leaves them.
    ///
    /// The checksum has been verified before; this is for blocks that were never written by a table writer.
    ///
    /// - Parameter bytes: a block, at an address that 8 divides.
    /// - Returns: the length of the longest key; nil where they do not have the shape.
    static func check(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.count >= headerBytes + slotBytes + entryHeaderBytes else { return nil }
        let count = Int(bytes.load(as: UInt16.self))
        let prefixLength = Int(bytes.load(fromByteOffset: 2, as: UInt16.self))
        // No overflow: both are less than 2^16.
        let start = headerBytes + slotBytes * count + prefixLength
        guard count > 0, start <= bytes.count, let base = bytes.baseAddress else { return nil }
        let view = BlockView(checked: base, byteCount: bytes.count)
        guard view.offset(0) == 0 else { return nil }
        var longest = 0
        for position in 0..<count {
            let begin = view.offset(position)
            let end = position + 1 < count ? view.offset(position + 1) : view.entryBytes
            guard begin <= view.entryBytes, end <= view.entryBytes, end - begin >= entryHeaderBytes else { return nil }
            let entry = view.entry(position)
            guard entry.valueLength >= 0, entry.trailer.isOfEntry else { return nil }
            longest = max(longest, entry.suffixLength)
        }
        return prefixLength + longest
    }

    /// Whether the entries are in order and the heads are those of their keys.
    ///
    /// More than safety needs, and slower: for scrubbing.
    func isOrdered() -> Bool {
        for position in 0..<count {
            let entry = entry(position)
            let suffix = UnsafeRawBufferPointer(start: entry.suffix, count: entry.suffixLength)
            guard heads[position] == KeyOrder.head32(entry.suffix, entry.suffixLength) else { return false }
            if position > 0, !isBefore(position - 1, suffix, entry.trailer) { return false }
        }
        return true
    }
}
