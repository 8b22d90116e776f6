import BalsaPlatform

/// The limits by which commands are decided.
///
/// They take part in what a command does, so every member of a group must have the same. They are written into the
/// state, which cannot be opened with others, and they enter its digest.
public struct KeyValueLimits: Equatable, Sendable {
    /// The longest key, in bytes; 4 KiB.
    public var maxKeyBytes = 4 << 10
    /// The longest value, in bytes; 1 MiB.
    public var maxValueBytes = 1 << 20

    /// How many sessions may be open; 10,000. One more ends the least recently used one.
    public var maxSessions = 10_000
    /// How far the numbers of a session may run ahead of the lowest outstanding one; 1,024.
    public var sessionWindow = 1_024
    /// How long a session may rest before it ends, in nanoseconds of logical time; an hour.
    public var sessionIdleNanoseconds: UInt64 = 3_600_000_000_000
    /// How much room the stored replies of all sessions may take, in bytes; 15 MiB. Beyond it the least recently used
    /// session ends.
    public var maxReplyBytes = 15 << 20

    /// How many revisions can be read back at least, unless they are too old; 100,000.
    public var retainedRevisions: UInt64 = 100_000
    /// How long a revision can be read back at least, unless there are too many, in nanoseconds of logical time; ten
    /// minutes.
    public var retainedNanoseconds: UInt64 = 600_000_000_000
    /// How exactly that is measured, in nanoseconds; a second.
    public var retentionSampleNanoseconds: UInt64 = 1_000_000_000

    /// The defaults.
    public init() {}

    /// How a command will be answered that is refused for its size or its bounds alone, whatever the state; nil where it is
    /// not. A leader asks before it lets a command into the log, and apply decides by the same function.
    public func refusal(of command: Command) -> CommandReply.Outcome? {
        switch command.operation {
        case .openSession, .closeSession: nil
        case .put(let key, let value), .append(let key, let value):
            refusal(keyByteCount: key.count, valueByteCount: value.count)
        case .delete(let key), .add(let key, _): refusal(keyByteCount: key.count, valueByteCount: 0)
        case .deleteRange(let from, let to):
            refusal(from: from.count, to: to?.count ?? 0, isReversed: to.map { !$0.isEmpty && $0 < from } ?? false)
        case .compareAndSet(let key, let condition, let change):
            refusal(
                keyByteCount: key.count,
                valueByteCount: max(KeyValueLimits.byteCount(condition), KeyValueLimits.byteCount(change))
            )
        }
    }

    /// As ``refusal(of:)``, for an encoded command.
    ///
    /// - Throws: ``CommandError`` where the bytes are no command, or one of a newer release. Such bytes must not enter a
    ///   log: they would stop every member.
    public func refusal(ofEncoded payload: Bytes) throws(CommandError) -> CommandReply.Outcome? {
        try payload.withUnsafeBytes { raw throws(CommandError) in refusal(of: try CommandLayout(of: raw), in: raw) }
    }

    func refusal(of layout: CommandLayout, in raw: UnsafeRawBufferPointer) -> CommandReply.Outcome? {
        switch layout.kind {
        case .openSession, .closeSession: nil
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
