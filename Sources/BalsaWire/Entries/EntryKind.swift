/// What an entry is for. Kinds that this release does not know are carried, not interpreted.
///
/// 1 to 127 are entries of a group's log; 128 to 255 are records that occur only inside the files of the durable log and
/// are refused on the wire; 0 is never written.
public struct EntryKind: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The kind as it is encoded.
    public let rawValue: UInt8

    /// The kind of that code.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// An entry without effect, by which a new leader commits what earlier terms left (Raft, section 8).
    public static let noOp = EntryKind(rawValue: 1)
    /// A command to the state machine.
    public static let command = EntryKind(rawValue: 2)
    /// A configuration of the group.
    public static let configuration = EntryKind(rawValue: 3)

    /// Whether an entry of a group's log may be of this kind.
    public var isEntry: Bool { rawValue >= 1 && rawValue < 128 }

    /// The kind's name, or its code.
    public var description: String {
        switch self {
        case .noOp: "no-op"
        case .command: "command"
        case .configuration: "configuration"
        default: "kind \(rawValue)"
        }
    }
}
