import BalsaPlatform

/// Cuts the bytes of a connection, which arrive in pieces of any length, into whole wire frames.
///
/// A frame's header is verified as soon as it is complete, so that a length is believed, and held against its limit,
/// before the body arrives. Bodies are verified by ``PeerFrame/init(decoding:options:)``: a frame whose body is damaged
/// can be dropped alone, while behind a bad header nobody knows where the next frame begins.
///
/// At most one unfinished frame is kept. Memory for it grows with what has arrived, to at most twice of that or
/// ``smallestReservation``, so that a peer which only announces a large frame gets no memory for it.
public struct FrameDecoder: ~Copyable {
    /// How much is reserved at first for a frame of which only the beginning has arrived, in bytes.
    public static let smallestReservation = 64 << 10

    private let options: WireOptions
    /// The beginning of a frame, or of its header.
    private var partial: Slab?
    /// How long the frame in `partial` will be, once its header is complete.
    private var expected: Int?
    /// Why the connection cannot be decoded any further.
    private var failure: DecodingError?

    /// A decoder at the beginning of a connection's bytes.
    public init(options: WireOptions) {
        self.options = options
    }

    /// The number of bytes kept of a frame that is not complete. A connection that ends where this is not 0 was cut off.
    public var bufferedByteCount: Int { partial?.count ?? 0 }

    /// The memory reserved for a frame that is not complete, in bytes.
    package var reservedByteCount: Int { partial?.capacity ?? 0 }

    /// Takes all of `input` and appends the frames that it completes to `frames`, each in memory of its own.
    ///
    /// - Throws: ``DecodingError`` with a place within the offending frame when a header is not acceptable. The frames
    ///   before it have been appended. The connection is of no use any more, and every further call throws the same.
    public mutating func receive(
        _ input: UnsafeRawBufferPointer,
        into frames: inout [Bytes]
    ) throws(DecodingError) {
        if let failure { throw failure }
        do {
            var rest = input[...]
            while !rest.isEmpty {
                rest = rest.dropFirst(try take(UnsafeRawBufferPointer(rebasing: rest), into: &frames))
            }
        } catch {
            failure = error
            partial = nil
            throw error
        }
    }

    /// Takes all of `input`, as ``receive(_:into:)-(UnsafeRawBufferPointer,_)`` does.
    public mutating func receive(_ input: Bytes, into frames: inout [Bytes]) throws(DecodingError) {
        try input.withUnsafeBytes { raw throws(DecodingError) in try receive(raw, into: &frames) }
    }

    /// Takes some of `input`, which is not empty, and returns how many bytes.
    private mutating func take(
        _ input: UnsafeRawBufferPointer,
        into frames: inout [Bytes]
    ) throws(DecodingError) -> Int {
        let headerByteCount = WireFrameHeader.encodedByteCount
        guard let partial else {
            // Most frames arrive whole: then they are copied once, without a detour through a buffer.
            if input.count >= headerByteCount {
                let frame = try frameByteCount(of: input)
                if frame <= input.count {
                    frames.append(Bytes(copying: UnsafeRawBufferPointer(rebasing: input[..<frame])))
                    return frame
                }
            }
            self.partial = Slab.make(capacity: headerByteCount)
            return 0
        }
        let wanted = (expected ?? headerByteCount) - partial.count
        let taken = UnsafeRawBufferPointer(rebasing: input.prefix(wanted))
        append(taken, to: partial, of: expected ?? headerByteCount)
        if expected == nil, bufferedByteCount == headerByteCount {
            expected = try self.partial.map { slab throws(DecodingError) in
                try slab.withUnsafeBytes { raw throws(DecodingError) in try frameByteCount(of: raw) }
            }
        }
        if let slab = self.partial, slab.count == expected {
            frames.append(Bytes(slab: slab, offset: 0, count: slab.count))
            self.partial = nil
            expected = nil
        }
        return taken.count
    }

    /// Copies bytes behind those in `slab`, or into a larger one where they do not fit.
    private mutating func append(_ bytes: UnsafeRawBufferPointer, to slab: Slab, of total: Int) {
        let needed = slab.count + bytes.count
        guard needed > slab.capacity else {
            slab.append(bytes)
            return
        }
        let larger = Slab.make(capacity: min(total, max(needed, 2 * slab.capacity, FrameDecoder.smallestReservation)))
        slab.withUnsafeBytes { larger.append($0) }
        larger.append(bytes)
        partial = larger
    }

    /// The length of the frame whose header `raw` begins with.
    private func frameByteCount(of raw: UnsafeRawBufferPointer) throws(DecodingError) -> Int {
        var reader = ByteReader(raw.bytes)
        return try WireFrameHeader(decoding: &reader, options: options).frameByteCount
    }
}
