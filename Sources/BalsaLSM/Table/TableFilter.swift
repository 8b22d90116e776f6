import CBalsaPlatform

/// Tells of most keys that are not in a table that they are not, from one cache line and without the disk.
///
/// A blocked Bloom filter (Putze, Sanders and Singler 2007): the upper half of a key's hash chooses a line of 64 bytes,
/// the lower half six bits in it. With ten bits a key one in a hundred absent keys passes. A filter speaks of the keys
/// of entries only; range tombstones of the table concern other keys, too, and are asked apart.
struct TableFilter: @unchecked Sendable {
    /// The length of a line, in bytes.
    static let lineBytes = 64
    /// How many bits a key sets.
    static let probes = 6
    /// The most lines that a filter has: the line is chosen by 32 bits.
    static let maxLines = Int(UInt32.max)

    private let memory: RawMemory
    private let lines: UInt64

    /// A filter over lines that were written by ``build(_:bitsPerKey:into:)``.
    ///
    /// - Precondition: the memory holds whole lines, and at least one.
    init(_ memory: RawMemory, byteCount: Int) {
        precondition(
            byteCount > 0 && byteCount % TableFilter.lineBytes == 0 && byteCount <= memory.count,
            "a filter is made of lines"
        )
        self.memory = memory
        lines = UInt64(byteCount / TableFilter.lineBytes)
    }

    /// Whether a key with `hash` may be among the filter's keys. False is certain.
    @inline(__always)
    func mayContain(_ hash: UInt64) -> Bool {
        let line = memory.base + TableFilter.lineOffset(hash, lines)
        var probe = UInt32(truncatingIfNeeded: hash)
        for _ in 0..<TableFilter.probes {
            probe = probe &* TableFilter.multiplier
            let bit = probe >> 23
            let byte = (line + Int(bit >> 3)).load(as: UInt8.self)
            if byte & (1 << UInt8(bit & 7)) == 0 { return false }
        }
        return true
    }

    /// Asks the processor for the line that ``mayContain(_:)`` will look at.
    @inline(__always)
    func prefetch(_ hash: UInt64) {
        balsa_prefetch(memory.base + TableFilter.lineOffset(hash, lines))
    }

    /// The size of a filter for `keys` keys, in bytes.
    static func byteCount(keys: Int, bitsPerKey: Int) -> Int {
        let (bits, overflow) = keys.multipliedReportingOverflow(by: bitsPerKey)
        let wanted = overflow ? maxLines : bits / (8 * lineBytes) + 1
        return min(wanted, maxLines) * lineBytes
    }

    /// Appends a filter over keys with the given hashes.
    static func build(_ hashes: [UInt64], bitsPerKey: Int, into output: inout RawBuffer) {
        let byteCount = byteCount(keys: hashes.count, bitsPerKey: bitsPerKey)
        let lines = UInt64(byteCount / lineBytes)
        let start = output.extend(byteCount)
        start.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        // The lines lie scattered over megabytes: they are asked for some keys before their turn.
        let ahead = 8
        for index in hashes.indices {
            if index + ahead < hashes.count { balsa_prefetch(start + lineOffset(hashes[index + ahead], lines)) }
            let line = start + lineOffset(hashes[index], lines)
            var probe = UInt32(truncatingIfNeeded: hashes[index])
            for _ in 0..<probes {
                probe = probe &* multiplier
                let place = line + Int(probe >> 26)
                place.storeBytes(of: place.load(as: UInt8.self) | 1 << UInt8((probe >> 23) & 7), as: UInt8.self)
            }
        }
    }

    private static let multiplier: UInt32 = 0x9e37_79b9

    @inline(__always)
    private static func lineOffset(_ hash: UInt64, _ lines: UInt64) -> Int {
        Int(truncatingIfNeeded: ((hash >> 32) &* lines) >> 32) * lineBytes
    }
}
