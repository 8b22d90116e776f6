import BalsaPlatform

/// The options that decide what a command does: limits, sessions and retention.
///
/// They are part of the replicated state. The first leader of a new cluster writes those that it was opened with into
/// entry 1. From then on only the command ``Command/Operation/changeOptions(_:expecting:)`` changes them, at its index,
/// on every member alike. What a member is opened with later has no effect on them.
///
/// ``validate()`` names the bounds. An entry that a member has not applied yet may raise a limit, so decoders, engines
/// and connections are bounded by ``largestKeyBytes`` and ``largestValueBytes`` and not by the options in force.
public struct ReplicatedOptions: Equatable, Sendable {
    /// The longest key, in bytes; 4 KiB. 1 to ``largestKeyBytes``. A longer one is refused with *key too large*.
    public var maxKeyBytes = 4 << 10
    /// The longest value, in bytes; 1 MiB. 8, which a counter has, to ``largestValueBytes``. A longer one is refused
    /// with *value too large*. Values that are there stay when the limit is lowered.
    public var maxValueBytes = 1 << 20

    /// How many sessions may be open; 10,000. At least 8, more than a cluster has members: each store that writes has
    /// one. One more ends the least recently used one.
    public var maxSessions = 10_000
    /// How far the numbers of a session may run ahead of the lowest outstanding one; 1,024. 1 to 2^20. A session keeps
    /// the window that was in force when it was opened, so that all copies of a request are decided alike.
    public var sessionWindow = 1_024
    /// How long a session may be idle before it ends, in nanoseconds of logical time; an hour. At least a second.
    /// A session ends before its first command where that takes longer than this to be written.
    public var sessionIdleNanoseconds: UInt64 = 3_600_000_000_000
    /// How many bytes the stored replies of all sessions may take; 15 MiB. At least 26 for each number of
    /// ``sessionWindow``. Beyond it the least recently used session ends.
    public var maxReplyBytes = 15 << 20

    /// How many revisions can be read back at least, unless they are too old; 100,000.
    public var retainedRevisions: UInt64 = 100_000
    /// How long a revision can be read back at least, unless there are too many, in nanoseconds of logical time; ten
    /// minutes.
    public var retainedNanoseconds: UInt64 = 600_000_000_000
    /// The precision of ``retainedNanoseconds``, in nanoseconds; a second. At least 1.
    public var retentionSampleNanoseconds: UInt64 = 1_000_000_000

    /// The defaults.
    public init() {}

    /// The longest key that any options can allow, in bytes; 32 KiB.
    public static let largestKeyBytes = 32 << 10
    /// The longest value that any options can allow, in bytes; 256 MiB. A command with two such values fits into a
    /// frame.
    public static let largestValueBytes = 256 << 20
    /// The longest command under any options, in bytes.
    public static let largestCommandBytes = {
        var options = ReplicatedOptions()
        options.maxKeyBytes = largestKeyBytes
        options.maxValueBytes = largestValueBytes
        return options.maxCommandBytes
    }()

    /// The longest command under these options, in bytes: one with a key, a value to compare with and a value to put,
    /// or one with two keys.
    public var maxCommandBytes: Int {
        let part = 4
        // Options that nobody has validated yet count as the nearest that are valid.
        let key = min(max(maxKeyBytes, 0), ReplicatedOptions.largestKeyBytes)
        let value = min(max(maxValueBytes, 0), ReplicatedOptions.largestValueBytes)
        let pair = 2 * (part + key)
        let comparison = part + key + 2 + 2 * (part + value)
        return CommandLayout.headerByteCount + max(pair, comparison, 8 + ReplicatedOptions.encodedByteCount)
    }

    /// How a command will be answered that is refused for its size or its bounds alone, whatever the state; nil where it is
    /// not. A leader asks before it lets a command into the log. Apply decides alike, but for a change of the options,
    /// which it holds against the bounds of the format alone.
    public func refusal(of command: Command) -> CommandReply.Outcome? {
        switch command.operation {
        case .openSession, .closeSession: nil
        case .changeOptions(let options, _): options.fault == nil ? nil : .invalidOptions
        case .put(let key, let value), .append(let key, let value):
            refusal(keyByteCount: key.count, valueByteCount: value.count)
        case .delete(let key), .add(let key, _): refusal(keyByteCount: key.count, valueByteCount: 0)
        case .deleteRange(let from, let to):
            refusal(from: from.count, to: to?.count ?? 0, isReversed: to.map { !$0.isEmpty && $0 < from } ?? false)
        case .compareAndSet(let key, let condition, let change):
            refusal(
                keyByteCount: key.count,
                valueByteCount: max(ReplicatedOptions.byteCount(condition), ReplicatedOptions.byteCount(change))
            )
        }
    }

    /// As ``refusal(of:)``, for an encoded command.
    ///
    /// - Throws: ``CommandError`` where the bytes are no command, or one of a newer release. Such bytes must not enter a
    ///   log: they would stop every member.
    public func refusal(ofEncoded payload: Bytes) throws(CommandError) -> CommandReply.Outcome? {
        try payload.withUnsafeBytes { raw throws(CommandError) in
            let layout = try CommandLayout(of: raw)
            if layout.kind == .changeOptions, ReplicatedOptions(layout.value, of: raw)?.fault != nil {
                return .invalidOptions
            }
            return refusal(of: layout, in: raw)
        }
    }

    /// What apply refuses.

    func refusal(of layout: CommandLayout, in raw: UnsafeRawBufferPointer) -> CommandReply.Outcome? {
        switch layout.kind {
        case .openSession, .closeSession: nil
        case .changeOptions: ReplicatedOptions(layout.value, of: raw)?.formatFault == nil ? nil : .invalidOptions
        case .deleteRange:
            refusal(
                from: layout.key.count,
                to: layout.value.count,
                isReversed: !layout.value.isEmpty && isLess(raw, layout.value, layout.key)
            )
        default:
            refusal(
                keyByteCount: layout.key.count,
                valueByteCount: max(layout.value.count, layout.expectedValue.count)
            )
        }
    }

    private func refusal(keyByteCount: Int, valueByteCount: Int) -> CommandReply.Outcome? {
        guard keyByteCount <= maxKeyBytes else { return .keyTooLarge }
        return valueByteCount <= maxValueBytes ? nil : .valueTooLarge
    }

    private func refusal(from: Int, to: Int, isReversed: Bool) -> CommandReply.Outcome? {
        guard from <= maxKeyBytes, to <= maxKeyBytes else { return .keyTooLarge }
        return isReversed ? .invalidRange : nil
    }

    private func isLess(_ raw: UnsafeRawBufferPointer, _ left: Range<Int>, _ right: Range<Int>) -> Bool {
        raw[left].lexicographicallyPrecedes(raw[right])
    }

    private static func byteCount(_ condition: Command.Condition) -> Int {
        if case .value(let value) = condition { return value.count }
        return 0
    }

    private static func byteCount(_ change: Command.Change) -> Int {
        if case .put(let value) = change { return value.count }
        return 0
    }
}
