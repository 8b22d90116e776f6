import CBalsaPlatform

/// An ordered map from keys to chains of versions: a trie whose nodes adapt their size to the number of children.
///
/// A key's bytes lead from the root to its leaf. A run of bytes in which all keys below agree is stored in one node (path
/// compression), and a leaf hangs where its key is the only one left, so the depth is that of the decisions between keys
/// and not their length. A lookup takes a few cache misses and no comparison of whole keys but the last. After V. Leis et
/// al., "The Adaptive Radix Tree", ICDE 2013.
///
/// One writer at a time, any number of readers, and none of them waits: what a reader can see is only ever changed by one
/// atomic store that publishes something complete (``RadixNode``, ``RadixLeaf``). There are no versions of nodes and no
/// retries. Old copies of nodes stay in the arena: a reader that is inside one finds all keys that were there when it
/// began, and no reader at a sequence number of that time may see newer ones anyway.
struct AdaptiveRadixTree {
    let arena: Arena

    /// Where the link to the root is.
    private let rootPlace: UnsafeMutableRawPointer

    /// A tree without keys.
    init(in arena: Arena) {
        self.arena = arena
        rootPlace = arena.allocate(8)
    }

    /// Where every search begins.
    @inline(__always)
    var root: RadixReference { RadixReference(at: rootPlace) }

    /// The leaf of `key`, if it has one.
    @inline(__always)
    func leaf(_ key: UnsafeRawBufferPointer) -> RadixLeaf? {
        var reference = root
        var depth = 0
        while !reference.isNone {
            reference.prefetch()
            guard !reference.isLeaf else {
                let leaf = reference.leaf
                let rest = key.count - depth
                guard leaf.keyCount == key.count,
                    KeyBytes.areEqual(leaf.keyBytes + depth, KeyBytes.start(of: key) + depth, rest)
                else { return nil }
                return leaf
            }
            let node = reference.node
            let prefix = node.prefix
            if prefix.count > 0 {
                guard key.count - depth >= prefix.count,
                    KeyBytes.areEqual(KeyBytes.start(of: prefix), KeyBytes.start(of: key) + depth, prefix.count)
                else { return nil }
                depth += prefix.count
            }
            if depth == key.count {
                reference = node.terminator
            } else {
                reference = node.child(key[depth])
                depth += 1
            }
        }
        return nil
    }

    // MARK: Writing

    /// Adds an entry. Of the entries of a key, each must have a higher sequence number than those before it.
    func insert(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ trailer: Trailer) {
        var place = rootPlace
        var depth = 0
        while true {
            let reference = RadixReference(at: place)
            reference.prefetch()
            if reference.isNone {
                RadixReference(RadixLeaf(in: arena, key, value, trailer)).publish(at: place)
                return
            }
            if reference.isLeaf {
                let leaf = reference.leaf
                let common = KeyBytes.commonPrefix(leaf.key, key, from: depth)
                if common == key.count, common == leaf.keyCount {
                    leaf.add(in: arena, value, trailer)
                } else {
                    let new = RadixLeaf(in: arena, key, value, trailer)
                    split(at: place, reference, leaf.key, new, depth..<common)
                }
                return
            }
            let node = reference.node
            let prefix = node.prefix
            let common = KeyBytes.commonPrefix(prefix, UnsafeRawBufferPointer(rebasing: key[depth...]), from: 0)
            if common < prefix.count {
                let new = RadixLeaf(in: arena, key, value, trailer)
                splitPrefix(at: place, node, new, depth: depth, common: common)
                return
            }
            depth += prefix.count
            if depth == key.count {
                place = node.terminatorPlace
            } else if let found = node.place(of: key[depth]) {
                place = found
                depth += 1
            } else {
                let leaf = RadixReference(RadixLeaf(in: arena, key, value, trailer))
                add(leaf, for: key[depth], to: node, at: place)
                return
            }
        }
    }

    /// Adds a child to a node, or to a larger copy of it.
    private func add(_ child: RadixReference, for byte: UInt8, to node: RadixNode, at place: UnsafeMutableRawPointer) {
        guard !node.add(child, for: byte) else { return }
        let grown = node.grown(in: arena)
        let isAdded = grown.add(child, for: byte)
        precondition(isAdded, "a larger node has no room for one more child")
        RadixReference(grown).publish(at: place)
    }

    /// Puts a node above a leaf, to tell it from a new one. The keys of both agree in `common`, and before.
    private func split(
        at place: UnsafeMutableRawPointer,
        _ old: RadixReference,
        _ oldKey: UnsafeRawBufferPointer,
        _ new: RadixLeaf,
        _ common: Range<Int>
    ) {
        let prefix = UnsafeRawBufferPointer(rebasing: new.key[common])
        let parent = RadixNode(in: arena, .node4, prefix: prefix)
        hang(old, oldKey, below: parent, depth: common.upperBound)
        hang(RadixReference(new), new.key, below: parent, depth: common.upperBound)
        RadixReference(parent).publish(at: place)
    }

    /// Puts a node above one whose prefix, which begins at `depth` of the keys, agrees with a new key's in `common` bytes.
    private func splitPrefix(
        at place: UnsafeMutableRawPointer,
        _ node: RadixNode,
        _ new: RadixLeaf,
        depth: Int,
        common: Int
    ) {
        let prefix = node.prefix
        let parent = RadixNode(in: arena, .node4, prefix: UnsafeRawBufferPointer(rebasing: prefix[..<common]))
        let lower = node.copied(in: arena, droppingPrefix: common + 1)
        _ = parent.add(RadixReference(lower), for: prefix[common])
        hang(RadixReference(new), new.key, below: parent, depth: depth + common)
        RadixReference(parent).publish(at: place)
    }

    /// Hangs the leaf of `key` below a node that readers do not know yet and that decides at `depth`.
    private func hang(_ leaf: RadixReference, _ key: UnsafeRawBufferPointer, below parent: RadixNode, depth: Int) {
        if depth == key.count {
            leaf.publish(at: parent.terminatorPlace)
        } else {
            _ = parent.add(leaf, for: key[depth])
        }
    }
}
