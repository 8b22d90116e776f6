import BalsaPlatform
import BalsaRaft

/// A file of a checkpoint: its name, without a directory, and its length in bytes.
public struct CheckpointFile: Equatable, Sendable {
    /// The name: 1 to 64 letters, digits, hyphens, underscores and dots, and no dot in front. `OWNER` and `OWNER.new`
    /// are refused: files of the replica have these names in the same directory.
    public var name: String
    /// The length, in bytes.
    public var byteCount: UInt64

    /// A file.
    public init(name: String, byteCount: UInt64) {
        self.name = name
        self.byteCount = byteCount
    }

    /// Whether the name is one that may be made a file of. What comes from a peer must not lead out of its directory.
    var hasValidName: Bool {
        let bytes = name.utf8
        guard name != "OWNER", name != "OWNER.new" else { return false }
        guard bytes.count >= 1, bytes.count <= 64, bytes.first != UInt8(ascii: ".") else { return false }
        return bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default:
                false
            }
        }
    }
}

/// What a checkpoint looks like on its way: one stream of bytes, which is a list of files and behind it their contents.
///
/// ```
///  ┌────────────┬─────────┬─────────┬───────┬───────┬───────────────────────────────────┬──────────┬────────┬──
///  │ list bytes │ version │ cluster │ stamp │ count │ count × (bytes, name bytes, name) │ checksum │ file 0 │ …
///  └────────────┴─────────┴─────────┴───────┴───────┴───────────────────────────────────┴──────────┴────────┴──
/// ```
///
/// The stream is cut into chunks anywhere. `Docs/CheckpointFormat.md` has the layout.
struct CheckpointList: Equatable {
    static let version: UInt16 = 1
    /// The list's length, its version, the cluster, the stamp and the number of files.
    static let fixedByteCount = 4 + 2 + UniqueID.encodedByteCount + 8 + 4
    /// More files than any checkpoint has. It bounds the list to 8 MiB.
    static let maxFiles: UInt32 = 100_000
    static let maxByteCount = 8 << 20

    /// The cluster whose state it is.
    var cluster: UniqueID
    /// The stamp of the checkpoint's last entry.
    var stamp: UInt64
    /// The files, in ascending bytewise order of their names.
    var files: [CheckpointFile]

    init(cluster: UniqueID, stamp: UInt64, files: [CheckpointFile]) {
        self.cluster = cluster
        self.stamp = stamp
        self.files = files
    }

    func encoded() throws(DecodingError) -> Bytes {
        var writer = ByteWriter(capacity: 64 * (files.count + 1), limit: CheckpointList.maxByteCount)
        try writer.uint32(0, "list bytes")
        try writer.uint16(CheckpointList.version, "list version")
        try writer.uniqueID(cluster, "cluster")
        try writer.uint64(stamp, "stamp")
        guard files.count <= Int(CheckpointList.maxFiles) else { throw DecodingError(.outOfBounds, "files", at: 30) }
        try writer.uint32(UInt32(files.count), "files")
        var previous = Bytes()
        for file in files {
            guard file.hasValidName, previous < Bytes(file.name) else {
                throw DecodingError(.outOfBounds, "file name", at: writer.count)
            }
            previous = Bytes(file.name)
            try writer.uint64(file.byteCount, "file bytes")
            try writer.uint8(UInt8(file.name.utf8.count), "file name bytes")
            try writer.bytes(Bytes(file.name), "file name")
        }
        writer.overwrite(UInt32(writer.count + 4), at: 0)
        try writer.uint32(writer.checksum(of: 0..<writer.count), "list checksum")
        return Bytes(writer.array)
    }

    /// The length of the list at the beginning of a stream, of which at least four bytes are there.
    static func byteCount(of beginning: Bytes) throws(DecodingError) -> Int {
        let count = try beginning.withReader { reader throws(DecodingError) in try reader.uint32("list bytes") }
        guard count >= fixedByteCount + 4, count <= maxByteCount else {
            throw DecodingError(.outOfBounds, "list bytes", at: 0)
        }
        return Int(count)
    }

    init(decoding bytes: Bytes) throws(DecodingError) {
        self = try bytes.withReader { reader throws(DecodingError) in try CheckpointList(from: &reader) }
    }

    private init(from reader: inout ByteReader) throws(DecodingError) {
        let total = reader.remaining
        guard try reader.uint32("list bytes") == total, total >= CheckpointList.fixedByteCount + 4 else {
            throw DecodingError(.inconsistent, "list bytes", at: 0)
        }
        let version = try reader.uint16("list version")
        guard version <= CheckpointList.version else { throw DecodingError(.version, "list version", at: 4) }
        guard version > 0 else { throw DecodingError(.outOfBounds, "list version", at: 4) }
        let checksum = reader.checksum(of: 0..<total - 4)
        cluster = try reader.uniqueID("cluster")
        stamp = try reader.uint64("stamp")
        let count = try reader.uint32("files")
        // A file takes ten bytes at least: a count that the bytes cannot hold is none.
        guard count <= CheckpointList.maxFiles, Int(count) <= reader.remaining / 10 else {
            throw DecodingError(.outOfBounds, "files", at: 30)
        }
        files = []
        for _ in 0..<count {
            let byteCount = try reader.uint64("file bytes")
            let at = reader.offset
            let name = String(try reader.bytes(Int(try reader.uint8("file name bytes")), "file name"))
            let file = CheckpointFile(name: name, byteCount: byteCount)
            // In ascending order, so that no name can come twice.
            guard file.hasValidName, Bytes(files.last?.name ?? "") < Bytes(name) else {
                throw DecodingError(.outOfBounds, "file name", at: at)
            }
            files.append(file)
        }
        guard try reader.uint32("list checksum") == checksum else {
            throw DecodingError(.checksum, "list checksum", at: total - 4)
        }
        try reader.finish("list end")
    }

    /// How long the stream is, list and files; nil where that is more than a number can say.
    func streamByteCount(list: Int) -> UInt64? {
        var sum = UInt64(list)
        for file in files {
            let (next, overflow) = sum.addingReportingOverflow(file.byteCount)
            if overflow { return nil }
            sum = next
        }
        return sum
    }
}
