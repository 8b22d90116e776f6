import CBalsaPlatform

/// An immutable run of bytes: the currency of the package for keys, values, commands and encoded entries.
///
/// Up to 15 bytes are stored inline; anything longer is a range of a shared, reference-counted ``Slab``. Copying a value
/// and taking a ``slice(_:)`` of it never copies bytes. A slice keeps the whole slab alive, so code that keeps a few
/// bytes of a large buffer for long takes ``compact()`` of them.
///
/// ```swift
/// let key: Bytes = "user/42"
/// let value = Bytes([1, 2, 3])
/// key.withUnsafeBytes { raw in … }
/// ```
public struct Bytes: Sendable {
    /// The number of bytes that are stored without a slab.
    public static let inlineCapacity = 15

    // Three words. With an owner, `first` is the offset in the slab and `second` the count. Without one, the bytes lie
    // in `first` and the low seven bytes of `second`, and the count in its highest byte. The unused inline bytes are
    // zero, so that two inline values are equal exactly when their words are.
    @usableFromInline let owner: Slab?
    @usableFromInline let first: UInt64
    @usableFromInline let second: UInt64

    @inlinable
    init(owner: Slab?, first: UInt64, second: UInt64) {
        self.owner = owner
        self.first = first
        self.second = second
    }

    /// No bytes.
    @inlinable
    public init() {
        self.init(owner: nil, first: 0, second: 0)
    }

    /// A copy of the bytes of `buffer`.
    public init(copying buffer: UnsafeRawBufferPointer) {
        guard buffer.count > Bytes.inlineCapacity else {
            var words: (UInt64, UInt64) = (0, 0)
            Swift.withUnsafeMutableBytes(of: &words) { target in
                target.copyMemory(from: buffer)
                target[Bytes.inlineCapacity] = UInt8(buffer.count)
            }
            self.init(owner: nil, first: words.0, second: words.1)
            return
        }
        let slab = Slab.make(capacity: buffer.count)
        slab.append(buffer)
        self.init(owner: slab, first: 0, second: UInt64(buffer.count))
    }

    /// A copy of the bytes of `span`.
    public init(copying span: RawSpan) {
        self = span.withUnsafeBytes { Bytes(copying: $0) }
    }

    /// A copy of `array`.
    public init(_ array: [UInt8]) {
        self = array.withUnsafeBytes { Bytes(copying: $0) }
    }

    /// The UTF-8 bytes of `string`.
    public init(_ string: String) {
        var string = string
        self = string.withUTF8 { Bytes(copying: UnsafeRawBufferPointer($0)) }
    }

    /// The range `offset ..< offset + count` of a slab, without a copy.
    ///
    /// - Precondition: the slab has been filled that far; bytes of a slab are never written again.
    public init(slab: Slab, offset: Int, count: Int) {
        precondition(offset >= 0 && count >= 0 && count <= slab.count - offset, "the range lies outside of the slab")
        if count <= Bytes.inlineCapacity {
            self = slab.withUnsafeBytes {
                Bytes(copying: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count]))
            }
        } else {
            self.init(owner: slab, first: UInt64(offset), second: UInt64(count))
        }
    }

    /// The number of bytes.
    @inlinable
    public var count: Int {
        owner == nil ? Int(second >> 56) : Int(second)
    }

    /// Whether there are no bytes.
    @inlinable
    public var isEmpty: Bool { count == 0 }

    /// Calls `body` with the bytes, which are valid only until it returns.
    @inlinable
    public func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        if let owner {
            let start = owner.base + Int(first)
            defer { withExtendedLifetime(owner) {} }
            return try body(UnsafeRawBufferPointer(start: start, count: Int(second)))
        }
        let words = (first, second)
        return try Swift.withUnsafeBytes(of: words) { raw throws(Failure) -> Result in
            try body(UnsafeRawBufferPointer(rebasing: raw[0..<Int(words.1 >> 56)]))
        }
    }

    /// Calls `body` with a reader over the bytes.
    @inlinable
    public func withReader<Result, Failure: Error>(
        _ body: (inout ByteReader) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeBytes { raw throws(Failure) -> Result in
            var reader = ByteReader(raw.bytes)
            return try body(&reader)
        }
    }

    /// The bytes `range.lowerBound ..< range.upperBound` of these, sharing their storage.
    ///
    /// - Precondition: the range lies within `0 ..< count`.
    public func slice(_ range: Range<Int>) -> Bytes {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "the slice lies outside of the bytes")
        if let owner, range.count > Bytes.inlineCapacity {
            return Bytes(owner: owner, first: first + UInt64(range.lowerBound), second: UInt64(range.count))
        }
        return withUnsafeBytes { Bytes(copying: UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    /// The same bytes in storage of their own, if they share a larger slab.
    public func compact() -> Bytes {
        // The capacity and not what is filled: that may be growing on another thread.
        guard let owner, owner.capacity > count else { return self }
        return withUnsafeBytes { Bytes(copying: $0) }
    }

    /// Where the bytes lie if that is in a slab, valid for as long as this value or another of the slab exists; nil for
    /// bytes that are stored inline.
    var sharedAddress: UnsafeRawPointer? {
        owner.map { UnsafeRawPointer($0.base + Int(first)) }
    }

    /// The byte at `position`.
    ///
    /// - Precondition: `position` lies within `0 ..< count`.
    public subscript(position: Int) -> UInt8 {
        precondition(position >= 0 && position < count, "the position lies outside of the bytes")
        return withUnsafeBytes { $0[position] }
    }
}

extension Bytes: Hashable {
    /// Whether both hold the same bytes.
    public static func == (left: Bytes, right: Bytes) -> Bool {
        if left.owner == nil, right.owner == nil { return left.first == right.first && left.second == right.second }
        guard left.count == right.count else { return false }
        return left.withUnsafeBytes { a in
            right.withUnsafeBytes { b in balsa_compare(a.baseAddress, b.baseAddress, a.count) == 0 }
        }
    }

    /// Feeds the bytes to `hasher`. The result differs between processes and decides nothing that must be repeatable.
    public func hash(into hasher: inout Hasher) {
        withUnsafeBytes { hasher.combine(bytes: $0) }
    }
}

extension Bytes: Comparable {
    /// The bytewise order, in which a prefix comes before what it begins.
    public static func < (left: Bytes, right: Bytes) -> Bool {
        left.withUnsafeBytes { a in
            right.withUnsafeBytes { b in
                let order = balsa_compare(a.baseAddress, b.baseAddress, min(a.count, b.count))
                return order == 0 ? a.count < b.count : order < 0
            }
        }
    }
}

extension Bytes: ExpressibleByStringLiteral {
    /// The UTF-8 bytes of a literal.
    public init(stringLiteral value: String) { self.init(value) }
}

extension Bytes: ExpressibleByArrayLiteral {
    /// The bytes of a literal.
    public init(arrayLiteral elements: UInt8...) { self.init(elements) }
}

extension Bytes: CustomStringConvertible {
    /// The bytes as text where they are printable ASCII, other bytes as `\xNN`; cut after 64 bytes.
    public var description: String {
        var text = ""
        withUnsafeBytes { raw in
            for byte in raw.prefix(64) {
                if byte >= 0x20 && byte < 0x7f && byte != UInt8(ascii: "\\") {
                    text.unicodeScalars.append(Unicode.Scalar(byte))
                } else {
                    text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
                }
            }
        }
        return count > 64 ? text + "… (\(count) bytes)" : text
    }
}

extension Array where Element == UInt8 {
    /// A copy of `bytes`.
    public init(_ bytes: Bytes) {
        self = bytes.withUnsafeBytes { [UInt8]($0) }
    }
}

extension String {
    /// The text that `bytes` encode in UTF-8, with replacement characters where they do not.
    public init(_ bytes: Bytes) {
        self = bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }
}
