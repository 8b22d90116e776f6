import CBalsaPlatform

/// The part of a table that can leave memory and come back: index, filter, and where its cached blocks are.
///
/// ``TableCache`` decides which tables have theirs in memory. Readers that are pinned, and cursors that hold a
/// reference, go on with a body that has left.
final class TableBody: @unchecked Sendable {
    let index: TableIndex
    /// Nil where every key may be there.
    let filter: TableFilter?
    let slots: BlockSlots
    /// How much memory index, filter and slots take, in bytes.
    let memoryBytes: Int

    init(_ sections: TableSections) {
        index = sections.index
        filter = sections.filter
        slots = BlockSlots(count: sections.index.count)
        memoryBytes = sections.memoryBytes + 8 * sections.index.count + TableBody.overheadBytes
    }

    /// What a body takes beside that: objects and rounding.
    private static let overheadBytes = 512

    /// Whether the table may have an entry of the key with `hash`. Says nothing about range tombstones.
    @inline(__always)
    func mayContain(hash: UInt64) -> Bool {
        guard let filter else { return true }
        return filter.mayContain(hash)
    }

    /// Asks the processor for the beginning of a block, if there is one of that number and the cache has it: a scan
    /// needs it soon.
    @inline(__always)
    func prefetchBlock(_ number: Int) {
        // The address alone is used, so that it does not matter whether the block is still there.
        guard number < index.count, let block = slots.load(number) else { return }
        balsa_prefetch(block.toOpaque())
        balsa_prefetch(block.toOpaque() + 64)
    }
}
