/// 128 random bits that name a cluster, or one incarnation of a member's directory, so that nothing else ever has the
/// same name. All zero stands for none.
public struct UniqueID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The first 64 bits.
    public var high: UInt64
    /// The last 64 bits.
    public var low: UInt64

    /// No name.
    public static let none = UniqueID(high: 0, low: 0)
    /// The length of an encoded id, in bytes.
    package static let encodedByteCount = 16

    /// The id of these bits.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The order of numbers.
    public static func < (left: UniqueID, right: UniqueID) -> Bool { (left.high, left.low) < (right.high, right.low) }

    /// 32 hexadecimal digits.
    public var description: String { UniqueID.digits(high) + UniqueID.digits(low) }

    private static func digits(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// Where unique ids come from: a sequence that 128 random bits determine, drawn by the shell for each opening of a member.
public struct UniqueIDSource: Sendable {
    private var first: RandomSource
    private var second: RandomSource

    /// The source that these 128 bits determine.
    public init(seed: UniqueID) {
        first = RandomSource(seed: seed.high)
        // Turned over, so that equal halves of a seed do not give ids of equal halves.
        second = RandomSource(seed: ~seed.low)
    }

    /// The next id, which is not ``UniqueID/none``.
    public mutating func next() -> UniqueID {
        while true {
            let id = UniqueID(high: first.next(), low: second.next())
            if id != .none { return id }
        }
    }

    /// The next 64 bits, which are not 0.
    public mutating func nextNonce() -> UInt64 {
        // Of one sequence and not of both combined: those that two equal halves of a seed give would cancel each other out for
        // ever. A single sequence holds 0 once.
        while true {
            let nonce = first.next()
            if nonce != 0 { return nonce }
        }
    }
}

extension ByteWriter {
    /// Appends an id: its first 64 bits, then its last, each little-endian.
    package mutating func uniqueID(_ id: UniqueID, _ field: StaticString) throws(DecodingError) {
        try uint64(id.high, field)
        try uint64(id.low, field)
    }
}

extension ByteReader {
    /// The next 16 bytes as an id.
    package mutating func uniqueID(_ field: StaticString) throws(DecodingError) -> UniqueID {
        let high = try uint64(field)
        return UniqueID(high: high, low: try uint64(field))
    }

    /// The next 16 bytes as an id that names something.
    package mutating func someUniqueID(_ field: StaticString) throws(DecodingError) -> UniqueID {
        let start = offset
        let id = try uniqueID(field)
        guard id != .none else { throw DecodingError(.outOfBounds, field, at: start) }
        return id
    }
}
