import BalsaPlatform

/// What became of a command: the same for every copy of a request of a session. `Docs/CommandFormat.md` has the layout.
public struct CommandReply: Equatable, Sendable {
    /// Whether it was executed, and if not, why.
    public var outcome: Outcome
    /// The index of the entry that decided the outcome: the revision of what it wrote, if it wrote something. For an opened
    /// session it is the session's name.
    public var revision: UInt64
    /// The new value of a counter; for a failed condition the revision of the key's value, 0 without one, or of the
    /// options in force; for an opened session its window, as ``ReplicatedOptions/sessionWindow`` was; else nil.
    public var number: Int64?

    /// A reply.
    public init(_ outcome: Outcome, revision: UInt64, number: Int64? = nil) {
        self.outcome = outcome
        self.revision = revision
        self.number = number
    }

    /// What can become of a command. More may be added.
    public struct Outcome: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        /// The byte that stands for it in encoded replies.
        public let rawValue: UInt8

        /// The outcome that a byte stands for.
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// Executed. A deletion of what was not there is executed, too.
        public static let applied = Outcome(rawValue: 1)
        /// The session is open.
        public static let sessionOpened = Outcome(rawValue: 2)
        /// The key's state, or the revision of the options, was not the expected one. Nothing has changed.
        public static let conditionFailed = Outcome(rawValue: 3)
        /// The value to be added to has not eight bytes. Nothing has changed.
        public static let notACounter = Outcome(rawValue: 4)
        /// The sum has no place in 64 bits. Nothing has changed.
        public static let overflow = Outcome(rawValue: 5)
        /// The key is longer than allowed. Nothing has changed.
        public static let keyTooLarge = Outcome(rawValue: 6)
        /// The value, or what it would have become, is longer than allowed. Nothing has changed.
        public static let valueTooLarge = Outcome(rawValue: 7)
        /// The range ends before it begins. Nothing has changed.
        public static let invalidRange = Outcome(rawValue: 8)
        /// The session has ended or never was. This copy of the request was not executed and no later one will be; whether
        /// an earlier one was, nobody knows any more.
        public static let sessionExpired = Outcome(rawValue: 9)
        /// The client has said that it has the reply to this request. This copy was not executed and no later one will be.
        public static let requestTooOld = Outcome(rawValue: 10)
        /// The number is too far above the lowest outstanding one. This copy of the request was not executed.
        public static let windowExceeded = Outcome(rawValue: 11)
        /// The options are outside of their bounds, or do not fit together. Nothing has changed.
        public static let invalidOptions = Outcome(rawValue: 12)

        private static let names = [
            "applied", "session opened", "condition failed", "not a counter", "overflow", "key too large",
            "value too large", "invalid range", "session expired", "request too old", "window exceeded",
            "invalid options",
        ]

        /// Whether this release has a meaning for the byte.
        var isKnown: Bool { rawValue >= 1 && Int(rawValue) <= Outcome.names.count }

        /// The outcome in words.
        public var description: String { isKnown ? Outcome.names[Int(rawValue) - 1] : "outcome \(rawValue)" }
    }

    /// The longest encoded reply, in bytes.
    public static let maxEncodedBytes = 64

    private static let version: UInt8 = 1
    private static let hasNumber: UInt8 = 1

    /// The encoded reply.
    public func encoded() -> Bytes {
        let slab = Slab.filled(capacity: number == nil ? 11 : 19) { buffer in
            buffer[0] = CommandReply.version
            buffer[1] = outcome.rawValue
            buffer[2] = number == nil ? 0 : CommandReply.hasNumber
            buffer.storeBytes(of: revision.littleEndian, toByteOffset: 3, as: UInt64.self)
            if let number { buffer.storeBytes(of: number.littleEndian, toByteOffset: 11, as: Int64.self) }
            return buffer.count
        }
        return Bytes(slab: slab, offset: 0, count: slab.count)
    }

    /// Reads a reply back.
    public init(decoding bytes: Bytes) throws(BalsaPlatform.DecodingError) {
        self = try bytes.withReader { reader throws(BalsaPlatform.DecodingError) in
            let version = try reader.uint8("version")
            guard version <= CommandReply.version else { throw DecodingError(.version, "version", at: 0) }
            guard version > 0 else { throw DecodingError(.outOfBounds, "version", at: 0) }
            let outcome = Outcome(rawValue: try reader.uint8("outcome"))
            guard outcome.isKnown else { throw DecodingError(.outOfBounds, "outcome", at: 1) }
            let flags = try reader.uint8("flags")
            guard flags & ~CommandReply.hasNumber == 0 else { throw DecodingError(.outOfBounds, "flags", at: 2) }
            let revision = try reader.uint64("revision")
            let number = flags == 0 ? nil : Int64(bitPattern: try reader.uint64("number"))
            try reader.finish("reply")
            return CommandReply(outcome, revision: revision, number: number)
        }
    }
}
