import BalsaPlatform
import BalsaRaft

/// The members of a cluster as its first configuration names them: id, incarnation, and the address at which the others
/// reach it.
///
/// ```
///  ┌─────────┬───────┬──────────────────────────────────────────────────────────┐
///  │ version │ count │ count × (member, incarnation, address byte count, address) │
///  └─────────┴───────┴──────────────────────────────────────────────────────────┘
/// ```
///
/// The same bytes stand in a member's identity file, in the messages of a first boot, and as the payload of entry 1 of the
/// log. `Docs/IdentityFormat.md` has the layout.
public struct MemberTable: Hashable, Sendable {
    /// One member.
    public struct Row: Hashable, Sendable {
        /// The member.
        public var member: MemberID
        /// The one life of its directory. A directory that was emptied has another one.
        public var incarnation: UniqueID
        /// Where the others reach it; empty for the only member of a cluster.
        public var address: String

        /// A row.
        public init(member: MemberID, incarnation: UniqueID, address: String) {
            self.member = member
            self.incarnation = incarnation
            self.address = address
        }
    }

    /// The version of the format that this release writes, and the newest that it reads.
    static let version: UInt16 = 1
    /// The longest address, in bytes: more than a host name and a port can take.
    public static let maxAddressBytes = 320
    /// How many members a table has at most: more than a cluster can be founded with, for those that join it later.
    public static let maxMembers = 31
    /// The length of the longest table, in bytes.
    package static let maxByteCount = 4 + maxMembers * (8 + 16 + 2 + maxAddressBytes)

    /// The members, by ascending id.
    public let rows: [Row]

    /// A table, in any order.
    ///
    /// - Throws: ``DecodingError``, *out of bounds* or *inconsistent*, for a list that is none of 1 to
    ///   ``maxMembers`` different members with incarnations of their own and addresses of at most ``maxAddressBytes``.
    public init(_ rows: [Row]) throws(DecodingError) {
        self.rows = rows.sorted { $0.member < $1.member }
        try check(at: 0)
    }

    private func check(at offset: Int) throws(DecodingError) {
        guard (1...MemberTable.maxMembers).contains(rows.count) else {
            throw DecodingError(.outOfBounds, "table members", at: offset)
        }
        for (place, row) in rows.enumerated() {
            guard row.member != 0, row.incarnation != .none, row.address.utf8.count <= MemberTable.maxAddressBytes
            else {
                throw DecodingError(.outOfBounds, "table row", at: offset)
            }
            // Ascending, so that a table has one encoding and no member comes twice.
            guard place == 0 || rows[place - 1].member < row.member else {
                throw DecodingError(.inconsistent, "table member", at: offset)
            }
            guard !rows[..<place].contains(where: { $0.incarnation == row.incarnation }) else {
                throw DecodingError(.inconsistent, "table incarnation", at: offset)
            }
        }
    }

    /// The row of a member; nil where the table has none.
    public subscript(member: MemberID) -> Row? { rows.first { $0.member == member } }

    /// The ids of all members, ascending.
    public var members: [MemberID] { rows.map(\.member) }

    /// The table as bytes.
    public var encoded: Bytes {
        var writer = ByteWriter(capacity: MemberTable.maxByteCount, limit: MemberTable.maxByteCount)
        do throws(DecodingError) {
            try encode(into: &writer)
        } catch {
            preconditionFailure("a table that was checked has room: \(error)")
        }
        return Bytes(writer.array)
    }

    /// Writes the table.
    package func encode(into writer: inout ByteWriter) throws(DecodingError) {
        try writer.uint16(MemberTable.version, "table version")
        try writer.uint16(UInt16(rows.count), "table members")
        for row in rows {
            try writer.uint64(row.member, "table member")
            try writer.uniqueID(row.incarnation, "table incarnation")
            try writer.uint16(UInt16(row.address.utf8.count), "table address byte count")
            try writer.bytes(Bytes(row.address), "table address")
        }
    }

    /// Reads a table that takes all of `bytes`.
    public init(decoding bytes: Bytes) throws(DecodingError) {
        self = try bytes.withReader { reader throws(DecodingError) in
            let table = try MemberTable(decoding: &reader)
            try reader.finish("table end")
            return table
        }
    }

    /// Reads a table.
    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let start = reader.offset
        let version = try reader.uint16("table version")
        guard version <= MemberTable.version else { throw DecodingError(.version, "table version", at: start) }
        guard version > 0 else { throw DecodingError(.outOfBounds, "table version", at: start) }
        let count = try reader.uint16("table members")
        guard count <= MemberTable.maxMembers else {
            throw DecodingError(.outOfBounds, "table members", at: start + 2)
        }
        var rows: [Row] = []
        for _ in 0..<count {
            let member = try reader.uint64("table member")
            let incarnation = try reader.uniqueID("table incarnation")
            rows.append(Row(member: member, incarnation: incarnation, address: try MemberTable.address(from: &reader)))
        }
        self.rows = rows
        try check(at: start)
    }

    private static func address(from reader: inout ByteReader) throws(DecodingError) -> String {
        let start = reader.offset
        let count = Int(try reader.uint16("table address byte count"))
        guard count <= maxAddressBytes else { throw DecodingError(.outOfBounds, "table address byte count", at: start) }
        let bytes = try reader.bytes(count, "table address")
        let text = String(bytes)
        // What is no UTF-8 would be mended, and then encode to something else than it came from.
        guard Bytes(text) == bytes else { throw DecodingError(.outOfBounds, "table address", at: start + 2) }
        return text
    }
}

/// A cluster: its name and its first members.
public struct ClusterIdentity: Hashable, Sendable {
    /// The name, which no other cluster has.
    public var id: UniqueID
    /// The members that made it.
    public var table: MemberTable

    /// A cluster.
    public init(id: UniqueID, table: MemberTable) {
        self.id = id
        self.table = table
    }
}
