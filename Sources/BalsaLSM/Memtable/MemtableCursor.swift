import CBalsaPlatform

/// A place between the entries of a memtable, which moves in both directions and visits every version of every key.
///
/// What was there at the last seek is visited; what was inserted since may or may not be. The cursor keeps its memtable
/// alive. What it lends is valid until it moves. A step allocates nothing, unless the tree is deeper than ever before.
///
/// A cursor for a reader shows one entry a key, whatever number of versions there are: the newest one that the reader
/// sees, or the oldest one if the reader sees none.
struct MemtableCursor {
    /// A node on the way from the root, and which of its children the way goes on with.
    private struct Step {
        var node: RadixReference
        /// The byte of the child; `terminator` for the leaf that ends in the node.
        var byte: Int

        static let terminator = -1
    }

    private let memtable: Memtable
    /// The trailer before all that the reader sees; nil if all versions are visited.
    private let ceiling: Trailer?
    /// The nodes above `last`, root first. As deep as there are decisions between keys, which is the key's length at most.
    private var path: [Step] = []
    /// The lowest node above the leaf. Most moves touch no other.
    private var last: Step?
    /// Whether the leaves below `last` have been asked for.
    private var isPrefetched = false
    private var leaf: RadixLeaf?
    private var version: RadixVersion?

    /// A cursor over all versions, or, of every key, over what a reader at `sequence` sees.
    init(_ memtable: Memtable, visibleAt sequence: SequenceNumber? = nil) {
        self.memtable = memtable
        ceiling = sequence.map { .seek($0) }
        path.reserveCapacity(16)
    }

    /// Whether the cursor is at an entry.
    @inline(__always)
    var isValid: Bool { version != nil }

    /// The user key of the entry. Asked only while the cursor is valid.
    @inline(__always)
    var key: UnsafeRawBufferPointer { leaf.unsafelyUnwrapped.key }

    /// The sequence number and kind of the entry. Asked only while the cursor is valid.
    @inline(__always)
    var trailer: Trailer { version.unsafelyUnwrapped.trailer }

    /// The value of the entry. Asked only while the cursor is valid.
    @inline(__always)
    var value: UnsafeRawBufferPointer { version.unsafelyUnwrapped.value }

    // MARK: Seeking

    /// Goes to the first entry there is.
    mutating func seekToFirst() {
        reset()
        let root = memtable.tree.root
        if !root.isNone { descendToFirst(root) }
    }

    /// Goes to the last entry there is: the oldest version of the highest key.
    mutating func seekToLast() {
        reset()
        let root = memtable.tree.root
        if !root.isNone { descendToLast(root) }
    }

    /// Goes to the first entry that is not before (`key`, `trailer`) in the order of entries.
    mutating func seek(_ key: UnsafeRawBufferPointer, _ trailer: Trailer) {
        guard let leaf = descend(to: key) else { return }
        let bound = ceiling.map { min($0, trailer) } ?? trailer
        if let version = leaf.version(atMost: bound) {
            self.leaf = leaf
            self.version = version
        } else {
            nextLeaf()
        }
    }

    /// Goes to the last entry whose user key is less than `key`.
    mutating func seekBefore(_ key: UnsafeRawBufferPointer) {
        // The leaf that the descent found, of `key` or of the next higher one, is the first that is too high.
        if descend(to: key) != nil || isValid {
            previousLeaf()
        } else {
            seekToLast()
        }
    }

    private mutating func reset() {
        path.removeAll(keepingCapacity: true)
        last = nil
        leaf = nil
        version = nil
    }

    /// Goes to the leaf of `key`, and returns it. Where there is none, goes to the newest entry of the next higher key,
    /// or nowhere where there is none either, and returns nil.
    private mutating func descend(to key: UnsafeRawBufferPointer) -> RadixLeaf? {
        reset()
        var reference = memtable.tree.root
        var depth = 0
        while !reference.isNone {
            reference.prefetch()
            if reference.isLeaf {
                let leaf = reference.leaf
                switch KeyBytes.order(leaf.key, key, from: depth) {
                case .same: return leaf
                case .before: nextLeaf()
                case .after: show(leaf)
                }
                return nil
            }
            let node = reference.node
            let prefix = node.prefix
            if prefix.count > 0 {
                let rest = UnsafeRawBufferPointer(rebasing: key[depth...])
                let common = KeyBytes.commonPrefix(prefix, rest, from: 0)
                if common < prefix.count {
                    // All keys below are on the same side of the one that is looked for.
                    if common == rest.count || rest[common] < prefix[common] {
                        descendToFirst(reference)
                    } else {
                        nextLeaf()
                    }
                    return nil
                }
                depth += prefix.count
            }
            if depth == key.count {
                push(Step(node: reference, byte: Step.terminator))
                reference = node.terminator
            } else {
                push(Step(node: reference, byte: Int(key[depth])))
                reference = node.child(key[depth])
                depth += 1
            }
            if reference.isNone { nextLeaf() }
        }
        return nil
    }

    // MARK: Moving

    /// Goes to the next entry: the next older version of the key, or the newest of the next key.
    mutating func next() {
        precondition(isValid, "a cursor that is at no entry has no next one")
        if ceiling == nil, let older = version.unsafelyUnwrapped.older {
            version = older
        } else {
            nextLeaf()
        }
    }

    /// Goes to the entry before: the next newer version of the key, or the oldest of the key before.
    mutating func previous() {
        precondition(isValid, "a cursor that is at no entry has none before it")
        // Versions are chained in the other direction; nearly all chains are one long.
        guard ceiling == nil else { return previousLeaf() }
        let current = version.unsafelyUnwrapped
        var newer = leaf.unsafelyUnwrapped.newest
        guard newer != current else {
            previousLeaf()
            return
        }
        while let older = newer.older, older != current { newer = older }
        version = newer
    }

    private mutating func push(_ step: Step) {
        if let last { path.append(last) }
        last = step
        isPrefetched = false
    }

    private mutating func show(_ leaf: RadixLeaf) {
        self.leaf = leaf
        version = if let ceiling { leaf.version(atMost: ceiling) ?? leaf.oldest } else { leaf.newest }
    }

    /// Shows a leaf that is reached from behind.
    private mutating func showLast(_ leaf: RadixLeaf) {
        guard ceiling == nil else { return show(leaf) }
        self.leaf = leaf
        version = leaf.oldest
    }

    /// Goes to the newest version of the first leaf behind the way that was taken.
    private mutating func nextLeaf() {
        while let step = last {
            if let (byte, child) = step.node.node.first(from: step.byte + 1) {
                last = Step(node: step.node, byte: byte)
                descendToFirst(child)
                prefetch()
                return
            }
            last = path.popLast()
            isPrefetched = false
        }
        leaf = nil
        version = nil
    }

    /// Goes to the oldest version of the last leaf before the way that was taken.
    private mutating func previousLeaf() {
        while let step = last {
            if step.byte != Step.terminator {
                let node = step.node.node
                if let (byte, child) = node.last(below: step.byte) {
                    last = Step(node: step.node, byte: byte)
                    descendToLast(child)
                    prefetch()
                    return
                }
                let terminator = node.terminator
                if !terminator.isNone {
                    last = Step(node: step.node, byte: Step.terminator)
                    showLast(terminator.leaf)
                    return
                }
            }
            last = path.popLast()
            isPrefetched = false
        }
        leaf = nil
        version = nil
    }

    /// Asks for the leaves that lie around the one the cursor has moved to. Each of them is a cache miss, and together
    /// they take hardly longer than one. A seek does not do so, for it may be all that is asked for.
    @inline(__always)
    private mutating func prefetch() {
        guard !isPrefetched, let last else { return }
        isPrefetched = last.node.node.isSmall
        last.node.node.prefetchChildren(around: last.byte)
    }

    /// Goes to the newest version of the first leaf below a link.
    private mutating func descendToFirst(_ start: RadixReference) {
        var reference = start
        while !reference.isLeaf {
            let node = reference.node
            let terminator = node.terminator
            if !terminator.isNone {
                push(Step(node: reference, byte: Step.terminator))
                reference = terminator
            } else if let (byte, child) = node.first(from: 0) {
                push(Step(node: reference, byte: byte))
                reference = child
            } else {
                preconditionFailure("a node without children")
            }
        }
        show(reference.leaf)
    }

    /// Goes to the oldest version of the last leaf below a link.
    private mutating func descendToLast(_ start: RadixReference) {
        var reference = start
        while !reference.isLeaf {
            let node = reference.node
            guard let (byte, child) = node.last(below: 256) else {
                preconditionFailure("a node without children")
            }
            push(Step(node: reference, byte: byte))
            reference = child
        }
        showLast(reference.leaf)
    }
}
