import CBalsaPlatform

/// The order of keys and of entries, on borrowed bytes.
///
/// Keys are ordered bytewise, a prefix before what it begins. Entries are ordered by key, and those of one key newest
/// first, which is by descending trailer.
enum KeyOrder {
    /// Negative, zero or positive as `left` comes before, is or comes after `right`.
    @inline(__always)
    static func compare(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
        let order = balsa_compare(left.baseAddress, right.baseAddress, min(left.count, right.count))
        return order != 0 ? Int(order) : left.count - right.count
    }

    /// The first four bytes at `start` as a number whose order is the bytes' order, zeros for bytes that are missing.
    ///
    /// Equal heads say nothing: a missing byte and a zero byte look the same.
    @inline(__always)
    static func head32(_ start: UnsafeRawPointer?, _ count: Int) -> UInt32 {
        guard let start, count > 0 else { return 0 }
        guard count < 4 else { return UInt32(bigEndian: start.loadUnaligned(as: UInt32.self)) }
        var head: UInt32 = 0
        for index in 0..<count {
            head |= UInt32(start.load(fromByteOffset: index, as: UInt8.self)) << UInt32(24 - 8 * index)
        }
        return head
    }

    /// As ``head32(_:_:)``, of eight bytes.
    @inline(__always)
    static func head64(_ start: UnsafeRawPointer?, _ count: Int) -> UInt64 {
        guard let start, count > 0 else { return 0 }
        guard count < 8 else { return UInt64(bigEndian: start.loadUnaligned(as: UInt64.self)) }
        var head: UInt64 = 0
        for index in 0..<count {
            head |= UInt64(start.load(fromByteOffset: index, as: UInt8.self)) << UInt64(56 - 8 * index)
        }
        return head
    }

    /// Where `key` lies with respect to all keys that begin with `prefix`.
    @inline(__always)
    static func place(
        of key: UnsafeRawBufferPointer,
        against prefix: UnsafeRawPointer,
        _ length: Int
    ) -> PrefixPlace {
        let order = balsa_compare(key.baseAddress, prefix, min(key.count, length))
        if order != 0 { return order < 0 ? .before : .after }
        return key.count < length ? .before : .among
    }
}

/// Where a key lies with respect to all keys with a certain prefix.
enum PrefixPlace {
    /// Before all of them.
    case before
    /// It has the prefix itself.
    case among
    /// Behind all of them.
    case after
}
