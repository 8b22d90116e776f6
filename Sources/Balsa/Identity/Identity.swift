import BalsaPlatform
import BalsaRaft
import BalsaWire

/// The file IDENTITY of a member: who it is, and which cluster it belongs to.
///
/// It is a ``TwinFile``, replaced as a whole while the first boot lasts, and never again once it says *established*,
/// unless a copy of it is damaged. `Docs/IdentityFormat.md` has the layout.
struct Identity: Hashable, Sendable {
    /// How far the first boot has come.
    enum State: Hashable, Sendable {
        /// The member belongs to nothing. It has an incarnation and waits for the others.
        case prepared
        /// It knows of a cluster that the lowest member proposes, and has told so. It takes part in nothing.
        case noted(ClusterIdentity)
        /// It is a member of the cluster, for good.
        case established(ClusterIdentity)
    }

    static let magic: UInt32 = 0x424c_4449  // "IDLB" on disk
    static let version: UInt16 = 1
    /// The length of a copy without a table.
    static let fixedByteCount = 60
    /// The length of the longest copy.
    static let maxByteCount = fixedByteCount + MemberTable.maxByteCount

    /// Which member it is.
    var member: MemberID
    /// The one life of the directory.
    var incarnation: UniqueID
    /// How far the first boot has come.
    var state: State

    /// The cluster that was noted or established; nil before.
    var cluster: ClusterIdentity? {
        switch state {
        case .prepared: nil
        case .noted(let cluster), .established(let cluster): cluster
        }
    }

    /// The cluster that the member belongs to; nil where it does not yet.
    var established: ClusterIdentity? {
        if case .established(let cluster) = state { cluster } else { nil }
    }

    private var stateCode: UInt8 {
        switch state {
        case .prepared: 1
        case .noted: 2
        case .established: 3
        }
    }

    init(member: MemberID, incarnation: UniqueID, state: State = .prepared) {
        self.member = member
        self.incarnation = incarnation
        self.state = state
    }

    func encoded() throws(DecodingError) -> Bytes {
        var writer = ByteWriter(capacity: Identity.maxByteCount, limit: Identity.maxByteCount)
        let table = cluster?.table.encoded ?? Bytes()
        try writer.uint32(Identity.magic, "magic")
        try writer.uint16(Identity.version, "version")
        try writer.uint8(stateCode, "state")
        try writer.uint8(0, "reserved")
        try writer.uint32(UInt32(Identity.fixedByteCount + table.count), "byte count")
        try writer.uint32(0, "reserved")
        try writer.uint64(member, "member")
        try writer.uniqueID(incarnation, "incarnation")
        try writer.uniqueID(cluster?.id ?? .none, "cluster")
        try writer.bytes(table, "table")
        try writer.uint32(writer.checksum(of: 0..<writer.count), "checksum")
        return Bytes(writer.array)
    }

    init(decoding bytes: Bytes) throws(DecodingError) {
        self = try bytes.withReader { reader throws(DecodingError) in try Identity(from: &reader, of: bytes) }
    }

    private init(from reader: inout ByteReader, of bytes: Bytes) throws(DecodingError) {
        guard try reader.uint32("magic") == Identity.magic else { throw DecodingError(.magic, "magic", at: 0) }
        let version = try reader.uint16("version")
        guard version <= Identity.version else { throw DecodingError(.version, "version", at: 4) }
        guard version > 0 else { throw DecodingError(.outOfBounds, "version", at: 4) }
        guard bytes.count >= Identity.fixedByteCount else {
            throw DecodingError(.truncated, "checksum", at: bytes.count)
        }
        // Nothing is believed before the checksum, not even the length: where that is another one, the checksum is,
        // too.
        let end = bytes.count - 4
        let stored = try bytes.slice(end..<bytes.count).withReader { reader throws(DecodingError) in
            try reader.uint32("checksum")
        }
        guard reader.checksum(of: 0..<end) == stored else { throw DecodingError(.checksum, "checksum", at: end) }
        let code = try reader.uint8("state")
        guard try reader.uint8("reserved") == 0 else { throw DecodingError(.outOfBounds, "reserved", at: 7) }
        guard try Int(reader.uint32("byte count")) == bytes.count else {
            throw DecodingError(.inconsistent, "byte count", at: 8)
        }
        guard try reader.uint32("reserved") == 0 else { throw DecodingError(.outOfBounds, "reserved", at: 12) }
        member = try reader.uint64("member")
        guard member != 0 else { throw DecodingError(.outOfBounds, "member", at: 16) }
        incarnation = try reader.someUniqueID("incarnation")
        let id = try reader.uniqueID("cluster")
        state = try Identity.state(code, id, bytes.slice(reader.offset..<end))
        // The table of a cluster that is established has the member as it is: else it would not be one.
        if let row = established?.table[member], row.incarnation == incarnation { return }
        if established != nil { throw DecodingError(.inconsistent, "table", at: reader.offset) }
    }

    private static func state(_ code: UInt8, _ id: UniqueID, _ table: Bytes) throws(DecodingError) -> State {
        if code == 1 {
            guard id == .none, table.isEmpty else { throw DecodingError(.inconsistent, "cluster", at: 40) }
            return .prepared
        }
        guard code == 2 || code == 3 else { throw DecodingError(.outOfBounds, "state", at: 6) }
        guard id != .none else { throw DecodingError(.outOfBounds, "cluster", at: 40) }
        let cluster = ClusterIdentity(id: id, table: try MemberTable(decoding: table))
        return code == 2 ? .noted(cluster) : .established(cluster)
    }
}
