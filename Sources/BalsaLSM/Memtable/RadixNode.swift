import CBalsaPlatform

/// An inner node of the tree: what the keys below it have in common beyond the path that leads to it, and a child for
/// each byte that follows.
///
/// ```
/// all   count u16 | 2 unused | prefix count u32 | terminator u64 | … | prefix
/// 4     …  bytes 4, in an 8 | children 4 × u64
/// 16    …  bytes 16         | children 16 × u64
/// 48    …  slots 256 × u8   | children 48 × u64         slots[byte] is 1 + the child's place, 0 for none
/// 256   …  children 256 × u64
/// ```
///
/// The *terminator* is the leaf whose key ends after the prefix; it comes before all children. The bytes of the two small
/// kinds are in the order of insertion, so that a child can be added without moving another: the child is written first
/// and the count (or the slot) last, and a reader that sees the count sees the child. The prefix never changes; it is
/// stored whole, so that a lookup knows at once when it has left the keys there are.
///
/// A node that is full, or whose prefix must be cut, is copied, and the writer swaps the link to it. Readers that stand
/// on the old node find in it all that was there when they came.
struct RadixNode {
    typealias Kind = RadixReference.Kind

    private static let prefixCountOffset = 4
    private static let terminatorOffset = 8
    private static let headerBytes = 16

    let address: UnsafeMutableRawPointer
    let kind: Kind

    @inline(__always)
    init(address: UnsafeMutableRawPointer, kind: Kind) {
        self.address = address
        self.kind = kind
    }

    /// Makes a node without children.
    init(in arena: Arena, _ kind: Kind, prefix: UnsafeRawBufferPointer) {
        self.kind = kind
        address = arena.allocate(RadixNode.prefixOffset(kind) + prefix.count)
        address.storeBytes(
            of: UInt32(truncatingIfNeeded: prefix.count),
            toByteOffset: RadixNode.prefixCountOffset,
            as: UInt32.self
        )
        if let source = prefix.baseAddress, prefix.count > 0 {
            (address + RadixNode.prefixOffset(kind)).copyMemory(from: source, byteCount: prefix.count)
        }
    }

    // MARK: Layout

    @inline(__always)
    private static func childrenOffset(_ kind: Kind) -> Int {
        switch kind {
        case .leaf, .node256: headerBytes
        case .node4: headerBytes + 8
        case .node16: headerBytes + 16
        case .node48: headerBytes + 256
        }
    }

    @inline(__always)
    private static func capacity(_ kind: Kind) -> Int {
        switch kind {
        case .leaf: 0
        case .node4: 4
        case .node16: 16
        case .node48: 48
        case .node256: 256
        }
    }

    @inline(__always)
    private static func prefixOffset(_ kind: Kind) -> Int { childrenOffset(kind) + 8 * capacity(kind) }

    /// How many children there are; 256 for the largest kind, which has a place for every byte.
    @inline(__always)
    private var count: Int { Int(balsa_load_acquire_16(address)) }

    @inline(__always)
    var prefix: UnsafeRawBufferPointer {
        let count = address.load(fromByteOffset: RadixNode.prefixCountOffset, as: UInt32.self)
        return UnsafeRawBufferPointer(start: address + RadixNode.prefixOffset(kind), count: Int(count))
    }

    /// Where the link to the terminator is.
    @inline(__always)
    var terminatorPlace: UnsafeMutableRawPointer { address + RadixNode.terminatorOffset }

    /// The leaf whose key ends here, if there is one.
    @inline(__always)
    var terminator: RadixReference { RadixReference(at: terminatorPlace) }

    @inline(__always)
    private func byte(_ place: Int) -> UInt8 { balsa_load_relaxed_8(address + RadixNode.headerBytes + place) }

    @inline(__always)
    private func childPlace(_ place: Int) -> UnsafeMutableRawPointer {
        address + RadixNode.childrenOffset(kind) + 8 * place
    }

    // MARK: Finding

    /// Where the link to the child for `byte` is; nil if there is none.
    @inline(__always)
    func place(of byte: UInt8) -> UnsafeMutableRawPointer? {
        switch kind {
        case .leaf:
            return nil
        case .node4:
            // The count first: the bytes that it counts are then there to be seen.
            let count = count
            let found = RadixNode.position(of: byte, in: balsa_load_relaxed_64(address + RadixNode.headerBytes))
            return found < count ? childPlace(found) : nil
        case .node16:
            let count = count
            var found = RadixNode.position(of: byte, in: balsa_load_relaxed_64(address + RadixNode.headerBytes))
            if found == 8 {
                found += RadixNode.position(of: byte, in: balsa_load_relaxed_64(address + RadixNode.headerBytes + 8))
            }
            return found < count ? childPlace(found) : nil
        case .node48:
            let slot = balsa_load_acquire_8(address + RadixNode.headerBytes + Int(byte))
            return slot == 0 ? nil : childPlace(Int(slot) - 1)
        case .node256:
            let place = childPlace(Int(byte))
            return RadixReference(at: place).isNone ? nil : place
        }
    }

    /// The child for `byte`, if there is one.
    @inline(__always)
    func child(_ byte: UInt8) -> RadixReference {
        guard kind != .node256 else { return RadixReference(at: childPlace(Int(byte))) }
        return place(of: byte).map { RadixReference(at: $0) } ?? .none
    }

    /// The first place of `byte` among the eight of `word`, lowest first; 8 if it is not there.
    @inline(__always)
    private static func position(of byte: UInt8, in word: UInt64) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let difference = UInt64(littleEndian: word) ^ (ones &* UInt64(byte))
        // The lowest bit that is set is right; bits above it may be set by the borrow.
        return ((difference &- ones) & ~difference & (ones << 7)).trailingZeroBitCount >> 3
    }

    /// The child with the lowest byte of those ≥ `bound`, and the byte; nil if there is none.
    @inline(__always)
    func first(from bound: Int) -> (byte: Int, child: RadixReference)? {
        switch kind {
        case .leaf:
            return nil
        case .node4, .node16:
            var best = 256
            var bestPlace = 0
            for place in 0..<count {
                let byte = Int(byte(place))
                if byte >= bound, byte < best { (best, bestPlace) = (byte, place) }
            }
            return best == 256 ? nil : (best, RadixReference(at: childPlace(bestPlace)))
        case .node48:
            var byte = bound
            while byte < 256 {
                let slot = balsa_load_acquire_8(address + RadixNode.headerBytes + byte)
                if slot != 0 { return (byte, RadixReference(at: childPlace(Int(slot) - 1))) }
                byte += 1
            }
            return nil
        case .node256:
            var byte = bound
            while byte < 256 {
                let child = RadixReference(at: childPlace(byte))
                if !child.isNone { return (byte, child) }
                byte += 1
            }
            return nil
        }
    }

    /// The child with the highest byte of those < `bound`, and the byte; nil if there is none.
    @inline(__always)
    func last(below bound: Int) -> (byte: Int, child: RadixReference)? {
        switch kind {
        case .leaf:
            return nil
        case .node4, .node16:
            var best = -1
            var bestPlace = 0
            for place in 0..<count {
                let byte = Int(byte(place))
                if byte < bound, byte > best { (best, bestPlace) = (byte, place) }
            }
            return best < 0 ? nil : (best, RadixReference(at: childPlace(bestPlace)))
        case .node48:
            var byte = bound - 1
            while byte >= 0 {
                let slot = balsa_load_acquire_8(address + RadixNode.headerBytes + byte)
                if slot != 0 { return (byte, RadixReference(at: childPlace(Int(slot) - 1))) }
                byte -= 1
            }
            return nil
        case .node256:
            var byte = bound - 1
            while byte >= 0 {
                let child = RadixReference(at: childPlace(byte))
                if !child.isNone { return (byte, child) }
                byte -= 1
            }
            return nil
        }
    }

    /// Whether the node is of the kinds with a few children.
    @inline(__always)
    var isSmall: Bool { kind == .node4 || kind == .node16 }

    /// Asks for the memory of the children around `byte`, for a cursor that will visit them.
    @inline(__always)
    func prefetchChildren(around byte: Int) {
        switch kind {
        case .leaf:
            break
        case .node4, .node16:
            for place in 0..<count { RadixReference(at: childPlace(place)).prefetch() }
        case .node48, .node256:
            // Too many to ask for all of them; the next one on either side is likely to be among these.
            for next in max(byte - 4, 0)...min(byte + 4, 255) { child(UInt8(next)).prefetch() }
        }
    }

    // MARK: Changing

    /// Adds a child for a byte that has none.
    ///
    /// - Returns: whether there was room for it.
    func add(_ child: RadixReference, for newByte: UInt8) -> Bool {
        let count = count
        guard count < RadixNode.capacity(kind) else { return false }
        switch kind {
        case .leaf:
            preconditionFailure("a leaf has no children")
        case .node4, .node16:
            child.publish(at: childPlace(count))
            balsa_store_relaxed_8(address + RadixNode.headerBytes + count, newByte)
        case .node48:
            child.publish(at: childPlace(count))
            balsa_store_release_8(address + RadixNode.headerBytes + Int(newByte), UInt8(count + 1))
        case .node256:
            child.publish(at: childPlace(Int(newByte)))
        }
        balsa_store_release_16(address, UInt16(count + 1))
        return true
    }

    /// A copy with room for more children.
    func grown(in arena: Arena) -> RadixNode {
        let larger: Kind =
            switch kind {
            case .leaf, .node4: .node16
            case .node16: .node48
            case .node48, .node256: .node256
            }
        return copied(to: RadixNode(in: arena, larger, prefix: prefix))
    }

    /// A copy without the first bytes of the prefix.
    func copied(in arena: Arena, droppingPrefix dropped: Int) -> RadixNode {
        copied(to: RadixNode(in: arena, kind, prefix: UnsafeRawBufferPointer(rebasing: prefix[dropped...])))
    }

    /// Fills an empty node, which readers do not know yet, with what this one has.
    private func copied(to copy: RadixNode) -> RadixNode {
        terminator.publish(at: copy.terminatorPlace)
        switch kind {
        case .leaf:
            break
        case .node4, .node16:
            for place in 0..<count { _ = copy.add(RadixReference(at: childPlace(place)), for: byte(place)) }
        case .node48, .node256:
            var bound = 0
            while let (byte, child) = first(from: bound) {
                _ = copy.add(child, for: UInt8(byte))
                bound = byte + 1
            }
        }
        return copy
    }
}
