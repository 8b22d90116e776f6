import BalsaPlatform
import CBalsaPlatform

/// Keeps blocks of all tables in memory, up to a number of bytes.
///
/// There is no table from places to blocks: every ``Table`` has a word for each of its blocks (``BlockSlots``), so that
/// finding a block is one load. A hit sets a byte of the block and takes no lock. What goes is decided by SIEVE (Zhang et
/// al., NSDI 2024): blocks stand in a queue in the order in which they came; a hand moves from the oldest to the newest,
/// passes over what was found since it last came by, and evicts the first that was not. Evicted blocks are given to
/// ``Epochs``, since readers may be looking at them.
final class BlockCache: @unchecked Sendable {
    /// A block in the queue.
    private struct Node {
        var block: Unmanaged<Block>
        var slots: Unmanaged<BlockSlots>
        var number: Int
        /// Towards the newer blocks; -1 for none.
        var newer: Int
        /// Towards the older ones; -1 for none.
        var older: Int
    }

    /// How much may be kept, in bytes.
    let capacityBytes: Int
    /// Where evicted blocks wait for their readers.
    let epochs: Epochs

    private let lock = Lock()
    // All of these are guarded by the lock.
    private var nodes: [Node] = []
    private var freeNodes: [Int] = []
    private var newest = -1
    private var oldest = -1
    private var hand = -1
    private var usedBytes = 0
    private let counters = CacheCounters()

    /// An empty cache.
    ///
    /// - Parameters:
    ///   - capacityBytes: how much is kept, in bytes; 0 for nothing.
    ///   - epochs: where the readers of all tables with this cache are pinned.
    init(capacityBytes: Int, epochs: Epochs) {
        precondition(capacityBytes >= 0, "a cache cannot have a negative capacity")
        self.capacityBytes = capacityBytes
        self.epochs = epochs
    }

    /// How much is kept at the moment, in bytes. What was evicted and still has readers is not in it.
    var byteCount: Int { lock.withLock { usedBytes } }

    /// How many blocks are kept at the moment.
    var blockCount: Int { lock.withLock { nodes.count - freeNodes.count } }

    /// How often a block was found. With several readers at once some may be left out.
    var hits: UInt64 { counters.hits }

    /// How often a block was not found and had to be read.
    var misses: UInt64 { counters.misses }

    /// Counts a block that was found.
    @inline(__always)
    func noteHit() { counters.noteHit() }

    /// Counts a block that was not.
    func noteMiss() { counters.noteMiss() }

    /// Keeps a block, unless it is larger than the cache, its table is closed, or somebody else kept it first.
    func insert(_ block: Block, _ slots: BlockSlots, at number: Int) {
        var evicted: [Block] = []
        lock.withLock {
            guard block.memoryBytes <= capacityBytes, !slots.isClosed, slots.load(number) == nil else { return }
            while usedBytes > capacityBytes - block.memoryBytes { evicted.append(evictOne()) }
            append(block, slots, number)
        }
        release(evicted)
    }

    /// Drops all blocks of a table, which is closed from then on.
    func close(_ slots: BlockSlots) {
        var dropped: [Block] = []
        lock.withLock {
            slots.isClosed = true
            for number in 0..<slots.count {
                guard let block = slots.load(number) else { continue }
                dropped.append(remove(block.takeUnretainedValue().cacheNode))
            }
        }
        release(dropped)
    }

    // MARK: Under the lock

    private func append(_ block: Block, _ slots: BlockSlots, _ number: Int) {
        let retained = Unmanaged.passRetained(block)
        let node = Node(block: retained, slots: .passUnretained(slots), number: number, newer: -1, older: newest)
        let place: Int
        if let free = freeNodes.popLast() {
            place = free
            nodes[place] = node
        } else {
            place = nodes.count
            nodes.append(node)
        }
        if newest >= 0 { nodes[newest].newer = place } else { oldest = place }
        newest = place
        block.cacheNode = place
        usedBytes += block.memoryBytes
        slots.store(retained, at: number)
    }

    /// Evicts what the hand finds. There is something, since more is used than what would fit.
    private func evictOne() -> Block {
        var place = hand >= 0 ? hand : oldest
        while nodes[place].block.takeUnretainedValue().takeVisited() {
            place = nodes[place].newer >= 0 ? nodes[place].newer : oldest
        }
        hand = place
        return remove(place)
    }

    /// Takes a block out of the queue and out of its table, with the reference that the cache had.
    private func remove(_ place: Int) -> Block {
        let node = nodes[place]
        if hand == place { hand = node.newer }
        if node.newer >= 0 { nodes[node.newer].older = node.older } else { newest = node.older }
        if node.older >= 0 { nodes[node.older].newer = node.newer } else { oldest = node.newer }
        freeNodes.append(place)
        // A table drops its blocks before it goes, so the slots are there for as long as a node names them.
        node.slots.takeUnretainedValue().store(nil, at: node.number)
        let block = node.block.takeRetainedValue()
        block.cacheNode = -1
        usedBytes -= block.memoryBytes
        return block
    }

    // MARK: Outside of it

    private func release(_ blocks: [Block]) {
        guard !blocks.isEmpty else { return }
        for block in blocks { epochs.retire(block) }
        epochs.collect()
    }

    deinit {
        // No table is left, or it would have kept the cache; so no block is, either.
        precondition(nodes.count == freeNodes.count, "a cache outlives the tables that use it")
    }

    /// Whether the queue, the slots and the sum agree; a sentence about what does not. For tests.
    func checkInvariants() -> String? {
        lock.withLock {
            var place = oldest
            var previous = -1
            var count = 0
            var bytes = 0
            while place >= 0 {
                let node = nodes[place]
                let block = node.block.takeUnretainedValue()
                guard node.older == previous else { return "the queue's links disagree" }
                guard block.cacheNode == place else { return "a block does not know its place in the queue" }
                guard node.slots.takeUnretainedValue().load(node.number)?.toOpaque() == node.block.toOpaque() else {
                    return "a slot does not hold the block in the queue"
                }
                count += 1
                bytes += block.memoryBytes
                previous = place
                place = node.newer
            }
            guard previous == newest, count == nodes.count - freeNodes.count else { return "the queue lost blocks" }
            guard bytes == usedBytes else { return "the sum of the blocks is not what is said to be used" }
            return bytes <= capacityBytes ? nil : "more is kept than the capacity"
        }
    }
}
