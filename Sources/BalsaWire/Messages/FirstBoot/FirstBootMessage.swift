import BalsaPlatform
import BalsaRaft

/// What members say to each other until all of them belong to one cluster. `Docs/WireFormat.md` has the layout.
public enum FirstBootMessage: Hashable, Sendable {
    /// The sender is up and belongs to no cluster yet; its directory is in this life.
    case hello(incarnation: UniqueID)
    /// The lowest member proposes a cluster of these members and incarnations.
    case proposal(ClusterIdentity)
    /// The sender, in this life of its directory, has noted the proposal of that cluster durably.
    case noted(cluster: UniqueID, incarnation: UniqueID)
    /// The cluster exists, and these are its members.
    case established(ClusterIdentity)

    /// What kind of message it is. The numbers are those of the encoding; 0 is none of them.
    private enum Kind: UInt8 {
        case hello = 1
        case proposal = 2
        case noted = 3
        case established = 4
    }
}

extension FirstBootMessage {
    init(decoding reader: inout ByteReader) throws(DecodingError) {
        let start = reader.offset
        guard let kind = Kind(rawValue: try reader.uint8("first boot message")) else {
            throw DecodingError(.outOfBounds, "first boot message", at: start)
        }
        switch kind {
        case .hello:
            self = .hello(incarnation: try reader.someUniqueID("incarnation"))
        case .proposal:
            self = .proposal(try ClusterIdentity(decoding: &reader))
        case .noted:
            let cluster = try reader.someUniqueID("cluster")
            self = .noted(cluster: cluster, incarnation: try reader.someUniqueID("incarnation"))
        case .established:
            self = .established(try ClusterIdentity(decoding: &reader))
        }
    }

    /// Writes the fields, and returns the table that stands behind them, where there is one.
    func encode(into fields: inout FieldWriter) throws(DecodingError) -> Bytes {
        switch self {
        case .hello(let incarnation):
            try fields.uint8(Kind.hello.rawValue, "first boot message")
            try fields.someUniqueID(incarnation, "incarnation")
            return Bytes()
        case .proposal(let identity):
            try fields.uint8(Kind.proposal.rawValue, "first boot message")
            try fields.someUniqueID(identity.id, "cluster")
            return identity.table.encoded
        case .noted(let cluster, let incarnation):
            try fields.uint8(Kind.noted.rawValue, "first boot message")
            try fields.someUniqueID(cluster, "cluster")
            try fields.someUniqueID(incarnation, "incarnation")
            return Bytes()
        case .established(let identity):
            try fields.uint8(Kind.established.rawValue, "first boot message")
            try fields.someUniqueID(identity.id, "cluster")
            return identity.table.encoded
        }
    }

    /// The table of the message; nil for one without.
    package var table: MemberTable? {
        switch self {
        case .hello, .noted: nil
        case .proposal(let identity), .established(let identity): identity.table
        }
    }
}

extension ClusterIdentity {
    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        let id = try reader.someUniqueID("cluster")
        self.init(id: id, table: try MemberTable(decoding: &reader))
    }
}

extension FieldWriter {
    /// Writes an id that names something.
    mutating func someUniqueID(_ id: UniqueID, _ field: StaticString) throws(DecodingError) {
        guard id != .none else {
            throw DecodingError(.outOfBounds, field, at: WireFrameHeader.encodedByteCount + writer.count)
        }
        try uint64(id.high, field)
        try uint64(id.low, field)
    }
}
