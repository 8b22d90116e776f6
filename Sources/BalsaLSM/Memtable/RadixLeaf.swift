import CBalsaPlatform

/// A key of the tree, with its entries chained behind it, newest first.
///
/// ```
/// leaf     newest u64 | key count u32 | key
/// version  [older u64 |] trailer u64 | value count u32 | value
/// ```
///
/// A version is addressed by its trailer. The first one of a key follows the key in memory without a gap and has no
/// `older`, which the highest bit of its value count says. All but `newest` is written once, before it is published.
struct RadixLeaf: Equatable {
    private static let keyOffset = 12

    let address: UnsafeMutableRawPointer

    @inline(__always)
    init(address: UnsafeMutableRawPointer) { self.address = address }

    /// Makes a leaf with its first version.
    @inline(__always)
    init(
        in arena: Arena,
        _ key: UnsafeRawBufferPointer,
        _ value: UnsafeRawBufferPointer,
        _ trailer: Trailer
    ) {
        let versionOffset = RadixLeaf.keyOffset + key.count
        address = arena.allocate(versionOffset + RadixVersion.byteCount(of: value))
        address.storeBytes(of: UInt32(truncatingIfNeeded: key.count), toByteOffset: 8, as: UInt32.self)
        if let source = key.baseAddress, key.count > 0 {
            (address + RadixLeaf.keyOffset).copyMemory(from: source, byteCount: key.count)
        }
        let version = RadixVersion(address: address + versionOffset)
        version.fill(trailer, value, isOldest: true)
        balsa_store_release_64(address, UInt64(UInt(bitPattern: version.address)))
    }

    @inline(__always)
    var keyCount: Int { Int(address.load(fromByteOffset: 8, as: UInt32.self)) }

    @inline(__always)
    var keyBytes: UnsafeRawPointer { UnsafeRawPointer(address + RadixLeaf.keyOffset) }

    @inline(__always)
    var key: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: keyBytes, count: keyCount) }

    /// The version with the highest trailer. There is always one.
    @inline(__always)
    var newest: RadixVersion {
        RadixVersion(
            address: UnsafeMutableRawPointer(bitPattern: UInt(balsa_load_acquire_64(address))).unsafelyUnwrapped
        )
    }

    /// The version with the lowest trailer. It follows the key in memory, so that no chain is walked.
    @inline(__always)
    var oldest: RadixVersion { RadixVersion(address: address + RadixLeaf.keyOffset + keyCount) }

    /// The first version, in the order of the chain, whose trailer is at most `trailer`.
    ///
    /// Complexity: linear in the versions above `trailer`; constant if there are none of these, or only these.
    @inline(__always)
    func version(atMost trailer: Trailer) -> RadixVersion? {
        var version = newest
        guard version.trailer > trailer else { return version }
        guard oldest.trailer <= trailer else { return nil }
        while version.trailer > trailer {
            guard let older = version.older else { return nil }
            version = older
        }
        return version
    }

    /// Adds a version that is newer than all others.
    @inline(__always)
    func add(in arena: Arena, _ value: UnsafeRawBufferPointer, _ trailer: Trailer) {
        let newest = newest
        precondition(trailer.sequence > newest.trailer.sequence, "the writes of a key did not come in order")
        let piece = arena.allocate(8 + RadixVersion.byteCount(of: value))
        piece.storeBytes(of: UInt64(UInt(bitPattern: newest.address)), as: UInt64.self)
        let version = RadixVersion(address: piece + 8)
        version.fill(trailer, value, isOldest: false)
        balsa_store_release_64(address, UInt64(UInt(bitPattern: version.address)))
    }
}

/// One entry of a key: see ``RadixLeaf``.
struct RadixVersion: Equatable {
    private static let oldestBit: UInt32 = 1 << 31
    private static let valueOffset = 12

    let address: UnsafeMutableRawPointer

    @inline(__always)
    init(address: UnsafeMutableRawPointer) { self.address = address }

    /// How much memory a version with this value takes, in bytes, without the link to the one before it.
    @inline(__always)
    static func byteCount(of value: UnsafeRawBufferPointer) -> Int { valueOffset + value.count }

    @inline(__always)
    func fill(_ trailer: Trailer, _ value: UnsafeRawBufferPointer, isOldest: Bool) {
        let count = UInt32(truncatingIfNeeded: value.count) | (isOldest ? RadixVersion.oldestBit : 0)
        address.storeBytes(of: trailer.rawValue, as: UInt64.self)
        address.storeBytes(of: count, toByteOffset: 8, as: UInt32.self)
        if let source = value.baseAddress, value.count > 0 {
            (address + RadixVersion.valueOffset).copyMemory(from: source, byteCount: value.count)
        }
    }

    @inline(__always)
    private var count: UInt32 { address.loadUnaligned(fromByteOffset: 8, as: UInt32.self) }

    @inline(__always)
    var trailer: Trailer { Trailer(rawValue: address.loadUnaligned(as: UInt64.self)) }

    @inline(__always)
    var value: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: address + RadixVersion.valueOffset,
            count: Int(count & ~RadixVersion.oldestBit)
        )
    }

    /// The version that came before this one.
    @inline(__always)
    var older: RadixVersion? {
        guard count & RadixVersion.oldestBit == 0 else { return nil }
        let link = (address - 8).loadUnaligned(as: UInt64.self)
        return UnsafeMutableRawPointer(bitPattern: UInt(link)).map { RadixVersion(address: $0) }
    }
}
