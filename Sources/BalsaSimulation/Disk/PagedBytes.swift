/// The bytes of a simulated file: a value, kept in pages that copies share until one of them is written.
///
/// A write costs what it touches, a copy of the whole costs a reference, and a page that was never written, or written
/// with zeros as a whole, takes no memory. Bytes behind the end are zero in every page, so that growing shows zeros.
struct PagedBytes {
    /// The size of a page, in bytes.
    static let pageBytes = 4096

    /// The largest size of a file, in bytes. It bounds the table of pages that a single stray offset can ask for.
    static let largestSize = 1 << 30

    private struct Page {
        /// All bytes of the page, or none where all of them are zero.
        var bytes: [UInt8] = []
        /// The digest of the bytes, or 0 where it is not known.
        var digest: UInt64 = 0
    }

    /// The size, in bytes.
    private(set) var count = 0

    /// The pages from the beginning; those that the table does not reach are zero.
    private var pages: [Page] = []

    /// Writes `source` at `offset`, growing to hold it.
    mutating func write(_ source: UnsafeRawBufferPointer, at offset: Int) {
        guard let start = source.baseAddress, source.count > 0 else { return }
        let end = offset + source.count
        let tableCount = (end + PagedBytes.pageBytes - 1) / PagedBytes.pageBytes
        if pages.count < tableCount {
            pages.append(contentsOf: repeatElement(Page(), count: tableCount - pages.count))
        }
        var done = 0
        while done < source.count {
            let page = (offset + done) / PagedBytes.pageBytes
            let first = (offset + done) % PagedBytes.pageBytes
            let length = min(PagedBytes.pageBytes - first, source.count - done)
            pages[page].digest = 0
            if pages[page].bytes.isEmpty {
                pages[page].bytes = PagedBytes.zeros
            }
            pages[page].bytes.withUnsafeMutableBytes { target in
                let part = UnsafeMutableRawBufferPointer(rebasing: target[first..<first + length])
                part.copyMemory(from: UnsafeRawBufferPointer(start: start + done, count: length))
            }
            done += length
        }
        count = max(count, end)
    }

    /// Writes `length` zero bytes at `offset`, growing to hold them.
    mutating func writeZeros(_ length: Int, at offset: Int) {
        guard length > 0 else { return }
        clear(offset..<offset + length)
        count = max(count, offset + length)
    }

    /// Cuts or grows to `size`. What is added is zero.
    mutating func setSize(_ size: Int) {
        if size < count {
            clear(size..<count)
            let tableCount = (size + PagedBytes.pageBytes - 1) / PagedBytes.pageBytes
            if pages.count > tableCount { pages.removeLast(pages.count - tableCount) }
        }
        count = size
    }

    /// A page of zeros, to copy from: without optimization, memory is filled byte by byte.
    private static let zeros = [UInt8](repeating: 0, count: pageBytes)

    /// Fills a part of a page.
    private static func fillWithZeros(_ part: UnsafeMutableRawBufferPointer) {
        zeros.withUnsafeBytes { part.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<part.count])) }
    }

    /// Makes a range zero without changing the size. Pages that it covers wholly give their memory back.
    private mutating func clear(_ range: Range<Int>) {
        let end = min(range.upperBound, pages.count * PagedBytes.pageBytes)
        var position = range.lowerBound
        while position < end {
            let page = position / PagedBytes.pageBytes
            let first = position % PagedBytes.pageBytes
            let length = min(PagedBytes.pageBytes - first, end - position)
            if length == PagedBytes.pageBytes {
                pages[page] = Page()
            } else if !pages[page].bytes.isEmpty {
                pages[page].digest = 0
                pages[page].bytes.withUnsafeMutableBytes { target in
                    let part = UnsafeMutableRawBufferPointer(rebasing: target[first..<first + length])
                    PagedBytes.fillWithZeros(part)
                }
            }
            position += length
        }
    }

    /// Copies bytes at `offset` into `target` until it is full or the bytes end, and returns how many.
    func read(into target: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
        let total = min(target.count, max(0, count - offset))
        var done = 0
        while done < total {
            let page = (offset + done) / PagedBytes.pageBytes
            let first = (offset + done) % PagedBytes.pageBytes
            let length = min(PagedBytes.pageBytes - first, total - done)
            let part = UnsafeMutableRawBufferPointer(rebasing: target[done..<done + length])
            if page < pages.count, !pages[page].bytes.isEmpty {
                pages[page].bytes.withUnsafeBytes { source in
                    part.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[first..<first + length]))
                }
            } else {
                PagedBytes.fillWithZeros(part)
            }
            done += length
        }
        return total
    }

    /// A copy of `length` bytes at `offset`, or fewer where the bytes end.
    func array(_ length: Int, at offset: Int) -> [UInt8] {
        let total = min(length, max(0, count - offset))
        guard total > 0 else { return [] }
        return [UInt8](unsafeUninitializedCapacity: total) { buffer, filled in
            filled = read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
        }
    }

    /// A digest of the size and the bytes.
    ///
    /// It keeps the digests of the pages, so that it costs the pages changed since the last time and a walk over the
    /// table, which is what makes it cheap to tell a thousand nearly equal disks apart.
    mutating func digest() -> UInt64 {
        var digest = ByteDigest()
        digest.add(UInt64(count))
        for index in pages.indices where !pages[index].bytes.isEmpty {
            if pages[index].digest == 0 {
                guard let value = PagedBytes.digest(ofPage: pages[index].bytes) else {
                    pages[index] = Page()
                    continue
                }
                pages[index].digest = value
            }
            digest.add(UInt64(index))
            digest.add(pages[index].digest)
        }
        return digest.value
    }

    /// The digest of a page, which is never 0; nil for a page of zeros, which must count as one that was never written.
    private static func digest(ofPage bytes: [UInt8]) -> UInt64? {
        guard bytes.contains(where: { $0 != 0 }) else { return nil }
        var digest = ByteDigest()
        bytes.withUnsafeBytes { digest.add($0) }
        return max(digest.value, 1)
    }
}
