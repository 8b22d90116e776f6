import CBalsaPlatform

/// Comparisons of the short runs of bytes that keys are made of, without a call where a few words decide.
enum KeyBytes {
    /// Where a key is in relation to another.
    enum Order {
        case before
        case same
        case after
    }

    /// Where `left` is in relation to `right`. The bytes before `start` are known to be the same.
    @inline(__always)
    static func order(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer, from start: Int) -> Order {
        let common = commonPrefix(left, right, from: start)
        if common == left.count { return common == right.count ? .same : .before }
        if common == right.count { return .after }
        return left[common] < right[common] ? .before : .after
    }

    /// An address for no bytes, where a buffer may have none.
    @inline(__always)
    static func start(of bytes: UnsafeRawBufferPointer) -> UnsafeRawPointer {
        bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 8).unsafelyUnwrapped
    }

    /// Whether `count` bytes at both addresses are the same.
    @inline(__always)
    static func areEqual(_ left: UnsafeRawPointer, _ right: UnsafeRawPointer, _ count: Int) -> Bool {
        guard count <= 32 else { return balsa_compare(left, right, count) == 0 }
        var place = 0
        while place + 8 <= count {
            guard word(left + place) == word(right + place) else { return false }
            place += 8
        }
        while place < count {
            guard byte(left + place) == byte(right + place) else { return false }
            place += 1
        }
        return true
    }

    /// Copies `count` bytes to memory that does not overlap.
    @inline(__always)
    static func copy(_ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, _ count: Int) {
        switch count {
        case 8...16:
            // Two words, which overlap where there are fewer than 16 bytes.
            let (first, last) = (
                source.loadUnaligned(as: UInt64.self), (source + count - 8).loadUnaligned(as: UInt64.self)
            )
            target.storeBytes(of: first, as: UInt64.self)
            (target + count - 8).storeBytes(of: last, as: UInt64.self)
        case 4..<8:
            let (first, last) = (
                source.loadUnaligned(as: UInt32.self), (source + count - 4).loadUnaligned(as: UInt32.self)
            )
            target.storeBytes(of: first, as: UInt32.self)
            (target + count - 4).storeBytes(of: last, as: UInt32.self)
        default: target.copyMemory(from: source, byteCount: count)
        }
    }

    /// Up to which place both buffers hold the same bytes, of which those before `start` are known to be.
    @inline(__always)
    static func commonPrefix(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer, from start: Int) -> Int {
        let limit = min(left.count, right.count)
        let left = KeyBytes.start(of: left)
        let right = KeyBytes.start(of: right)
        var place = start
        while place + 8 <= limit {
            let difference = word(left + place) ^ word(right + place)
            guard difference == 0 else { return place + difference.trailingZeroBitCount >> 3 }
            place += 8
        }
        while place < limit, byte(left + place) == byte(right + place) { place += 1 }
        return place
    }

    @inline(__always)
    private static func word(_ address: UnsafeRawPointer) -> UInt64 {
        UInt64(littleEndian: address.loadUnaligned(as: UInt64.self))
    }

    @inline(__always)
    private static func byte(_ address: UnsafeRawPointer) -> UInt8 { address.load(as: UInt8.self) }
}
