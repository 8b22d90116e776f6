import Glibc

/// The pieces of one gathered write, handed to the system in portions of as many as it takes at a time.
///
/// The system wants addresses. A piece in a slab has one for as long as the slab lives; a piece that is stored inline
/// has none of its own, so its bytes are copied to a scratch place, which lasts until the next portion is loaded.
package struct GatheredWrite: ~Copyable {
    /// As many pieces as Linux takes in one call (`IOV_MAX`).
    package static let portion = 1024

    private let pieces: [Bytes]
    private var loaded = 0

    private let vectors: UnsafeMutablePointer<iovec>
    private let scratch: UnsafeMutableRawPointer
    private var first = 0
    private var end = 0

    /// Nothing loaded of `pieces` yet.
    package init(_ pieces: [Bytes]) {
        self.pieces = pieces
        let room = max(1, min(pieces.count, GatheredWrite.portion))
        vectors = .allocate(capacity: room)
        scratch = .allocate(byteCount: room * Bytes.inlineCapacity, alignment: 16)
    }

    deinit {
        vectors.deallocate()
        scratch.deallocate()
    }

    /// Whether loaded pieces are still to be written.
    package var isUnfinished: Bool { first < end }

    /// Loads the next portion. Empty pieces are left out.
    ///
    /// - Returns: whether there was one.
    package mutating func loadNext() -> Bool {
        precondition(!isUnfinished, "the portion before has not been written yet")
        (first, end) = (0, 0)
        var free = scratch
        while loaded < pieces.count, end < GatheredWrite.portion {
            let piece = pieces[loaded]
            loaded += 1
            guard !piece.isEmpty else { continue }
            if let address = piece.sharedAddress {
                vectors[end] = iovec(iov_base: UnsafeMutableRawPointer(mutating: address), iov_len: piece.count)
            } else {
                piece.withUnsafeBytes {
                    UnsafeMutableRawBufferPointer(start: free, count: $0.count).copyMemory(from: $0)
                }
                vectors[end] = iovec(iov_base: free, iov_len: piece.count)
                free += piece.count
            }
            end += 1
        }
        return isUnfinished
    }

    /// Calls `body` with what is loaded and unwritten. The addresses are valid until it returns.
    package func withVectors(_ body: (UnsafePointer<iovec>, Int32) -> Int) -> Int {
        withExtendedLifetime(pieces) { body(vectors + first, Int32(end - first)) }
    }

    /// Notes that the system wrote `count` bytes of what is loaded, which may end within a piece.
    package mutating func advance(by count: Int) {
        var left = count
        while left > 0 {
            precondition(isUnfinished, "the system wrote more than it was given")
            if left < vectors[first].iov_len {
                vectors[first].iov_base += left
                vectors[first].iov_len -= left
                return
            }
            left -= vectors[first].iov_len
            first += 1
        }
    }
}

/// Zero bytes to write, without memory for each of them.
enum Zeros {
    private static let pageBytes = 64 << 10
    private static let pages = 16

    // Never written after it was made, and never freed.
    private nonisolated(unsafe) static let page = UnsafeMutableRawBufferPointer(
        start: calloc(1, pageBytes),
        count: pageBytes
    )

    /// Calls `body` with zero bytes, `limit` of them or as many as one call should write.
    static func withVectors(upTo limit: Int, _ body: (UnsafePointer<iovec>, Int32) -> Int) -> Int {
        withUnsafeTemporaryAllocation(of: iovec.self, capacity: pages) { vectors in
            var left = limit
            var used = 0
            while used < pages, left > 0, let base = page.baseAddress {
                vectors[used] = iovec(iov_base: base, iov_len: min(left, pageBytes))
                left -= min(left, pageBytes)
                used += 1
            }
            guard used > 0, let first = vectors.baseAddress else { return 0 }
            return body(first, Int32(used))
        }
    }
}
