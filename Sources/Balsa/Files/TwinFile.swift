import BalsaPlatform

/// A small file that holds the same record twice, in different sectors, and is replaced as a whole.
///
/// ```
/// ├─ record ─┬─ zeros ─┼─ record ─┬─ zeros ─┤
/// 0                    d                   2d       d: the length of the record, rounded up to 4,096
/// ```
///
/// Damage to one copy leaves the other. Both are written before the file gets its name, so that two valid copies are
/// equal: where they differ, the file was not written by a member, and it is refused. Every record begins with its
/// magic number (4 bytes), its version (2), two bytes of its own, and its length (4). `Docs/IdentityFormat.md` has the
/// layout.
enum TwinFile {
    /// What a file holds.
    struct Found<Record> {
        var record: Record
        /// What is wrong with the copy that was not used; nil where both are valid.
        var fault: DecodingError?
    }

    /// The copies begin at multiples of it: no device writes larger sectors.
    static let sectorBytes = 4_096
    /// Where in a record its length stands, in bytes.
    private static let lengthOffset = 8

    /// How far the copies of a record are apart, in bytes.
    static func distance(_ byteCount: Int) -> Int { (byteCount + sectorBytes - 1) / sectorBytes * sectorBytes }

    /// The whole file.
    static func encoded(_ record: Bytes) -> Bytes {
        let padded = [UInt8](record) + [UInt8](repeating: 0, count: distance(record.count) - record.count)
        return Bytes(padded + padded)
    }

    /// Reads a record from the bytes of a file.
    ///
    /// - Parameter decode: reads one copy, and verifies that its length is the one that it says.
    /// - Throws: ``DecodingError`` where neither copy is valid, where both are and differ, and where the file is longer
    ///   than both. Its offset is one of the file.
    static func decode<Record: Equatable>(
        _ bytes: Bytes,
        _ decode: (Bytes) throws(DecodingError) -> Record
    ) throws(DecodingError) -> Found<Record> {
        let first = copy(in: bytes, at: 0, end: nil, decode)
        let distance: Int
        if case .success(let found) = first {
            distance = found.distance
            guard bytes.count <= 2 * distance else { throw DecodingError(.inconsistent, "file end", at: 2 * distance) }
        } else {
            // The length is not believed. A file that was not cut has two copies of one length.
            distance = bytes.count / 2
        }
        let second = copy(in: bytes, at: distance, end: bytes.count, decode)
        switch (first, second) {
        case (.success(let one), .success(let other)):
            guard one.record == other.record else { throw DecodingError(.inconsistent, "second copy", at: distance) }
            return Found(record: one.record, fault: nil)
        case (.success(let one), .failure(let fault)): return Found(record: one.record, fault: fault)
        case (.failure(let fault), .success(let other)): return Found(record: other.record, fault: fault)
        case (.failure(let fault), .failure(let other)): throw other.reason == .version ? other : fault
        }
    }

    /// The copy that begins at `offset`; the second one has to end with the file.
    private static func copy<Record>(
        in bytes: Bytes,
        at offset: Int,
        end: Int?,
        _ decode: (Bytes) throws(DecodingError) -> Record
    ) -> Result<(record: Record, distance: Int), DecodingError> {
        do throws(DecodingError) {
            let rest = bytes.slice(min(offset, bytes.count)..<bytes.count)
            let length = try rest.withReader { reader throws(DecodingError) in
                _ = try reader.bytes(lengthOffset, "copy")
                return Int(try reader.uint32("byte count"))
            }
            let record = try decode(rest.slice(0..<min(length, rest.count)))
            let distance = distance(length)
            if let end, end != offset + distance { throw DecodingError(.truncated, "padding", at: end - offset) }
            let padding = rest.slice(min(length, rest.count)..<min(distance, rest.count))
            guard padding.withUnsafeBytes({ $0.isZero }) else {
                throw DecodingError(.outOfBounds, "padding", at: length)
            }
            return .success((record, distance))
        } catch {
            return .failure(DecodingError(error.reason, error.field, at: offset + error.offset))
        }
    }

    /// The bytes of the file, at most one more than `maxRecordBytes` allows; nil where there is none.
    static func read(
        _ path: String,
        maxRecordBytes: Int,
        in fileSystem: any FileSystem
    ) throws(FileError) -> Bytes? {
        guard try fileSystem.exists(path) else { return nil }
        let file = try fileSystem.open(path, .read)
        defer { file.close() }
        return try file.read(2 * distance(maxRecordBytes) + 1, at: 0)
    }

    /// Replaces the file: both copies are written under another name and synced, then it gets its name, and the
    /// directory is synced. A crash leaves the old file or the new one.
    static func replace(
        _ name: String,
        in directory: String,
        with record: Bytes,
        _ fileSystem: any FileSystem
    ) throws(FileError) {
        let path = directory + "/" + name
        let new = path + ".new"
        // What an earlier attempt left is never gone on with.
        if try fileSystem.exists(new) { try fileSystem.remove(new) }
        let file = try fileSystem.open(new, .create)
        defer { file.close() }
        try file.write(encoded(record), at: 0)
        try file.sync()
        try fileSystem.rename(new, to: path)
        try fileSystem.syncDirectory(directory)
    }
}

/// The report about a file with one damaged copy, for an operator.
func mendedSentence(_ path: String, _ fault: DecodingError) -> String {
    "\(path): \(fault): one of its two copies is damaged, the other one is used and the file is written again"
}
