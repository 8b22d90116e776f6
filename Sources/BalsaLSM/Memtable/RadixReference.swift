import CBalsaPlatform

/// A link of the tree: the address of a node or a leaf, with what lies there in the low three bits. A reader knows what
/// it is going to before the memory arrives. All zero for no link.
struct RadixReference: Equatable {
    enum Kind: UInt64 {
        case leaf = 0
        case node4 = 1
        case node16 = 2
        case node48 = 3
        case node256 = 4
    }

    private static let kindBits: UInt64 = 7

    let rawValue: UInt64

    /// No link.
    static let none = RadixReference(rawValue: 0)

    @inline(__always)
    init(rawValue: UInt64) { self.rawValue = rawValue }

    @inline(__always)
    init(_ leaf: RadixLeaf) {
        rawValue = UInt64(UInt(bitPattern: leaf.address))
    }

    @inline(__always)
    init(_ node: RadixNode) {
        rawValue = UInt64(UInt(bitPattern: node.address)) | node.kind.rawValue
    }

    /// The link that was published at `place`, with all that lies behind it.
    @inline(__always)
    init(at place: UnsafeRawPointer) {
        rawValue = balsa_load_acquire_64(place)
    }

    /// Publishes the link at `place`, and all that was written before.
    @inline(__always)
    func publish(at place: UnsafeMutableRawPointer) {
        balsa_store_release_64(place, rawValue)
    }

    @inline(__always)
    var isNone: Bool { rawValue == 0 }

    /// Asks for the memory that lies there: two cache lines, which hold all but the value of most leaves and the part of
    /// most nodes that a search looks at.
    @inline(__always)
    func prefetch() {
        let address = UInt(rawValue & ~RadixReference.kindBits)
        balsa_prefetch(UnsafeRawPointer(bitPattern: address))
        balsa_prefetch(UnsafeRawPointer(bitPattern: address &+ 64))
    }

    /// Whether a leaf lies there. Asked of a link that is one.
    @inline(__always)
    var isLeaf: Bool { rawValue & RadixReference.kindBits == Kind.leaf.rawValue }

    /// The leaf. Asked of a link to one.
    @inline(__always)
    var leaf: RadixLeaf { RadixLeaf(address: address) }

    /// The node. Asked of a link to one.
    @inline(__always)
    var node: RadixNode {
        RadixNode(address: address, kind: Kind(rawValue: rawValue & RadixReference.kindBits) ?? .node4)
    }

    @inline(__always)
    private var address: UnsafeMutableRawPointer {
        // Not nil: the link is one.
        UnsafeMutableRawPointer(bitPattern: UInt(rawValue & ~RadixReference.kindBits)).unsafelyUnwrapped
    }
}
