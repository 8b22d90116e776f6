import BalsaPlatform

/// The replicated options in force and the revision that set them.
public struct ReplicatedOptionsEntry: Equatable, Sendable {
    /// The options.
    public var options: ReplicatedOptions
    /// The index of the entry that set them: 1 for those that the cluster was founded with. A change names it.
    public var revision: UInt64

    /// Options and their revision.
    public init(options: ReplicatedOptions, revision: UInt64) {
        self.options = options
        self.revision = revision
    }
}

extension ReplicatedOptions {
    /// An option, as the format, the command line and messages see it.
    package struct Field: Sendable {
        /// Its name.
        package let name: String
        let get: @Sendable (ReplicatedOptions) -> UInt64
        let set: @Sendable (inout ReplicatedOptions, UInt64) -> Void

        /// A number of bytes or of things. One above 2^63 is a negative one, which is outside of all bounds.
        fileprivate static func count(
            _ name: String,
            _ path: any WritableKeyPath<ReplicatedOptions, Int> & Sendable
        ) -> Field {
            Field(
                name: name,
                get: { UInt64(bitPattern: Int64($0[keyPath: path])) },
                set: { $0[keyPath: path] = Int(truncatingIfNeeded: $1) }
            )
        }

        fileprivate static func number(
            _ name: String,
            _ path: any WritableKeyPath<ReplicatedOptions, UInt64> & Sendable
        ) -> Field {
            Field(name: name, get: { $0[keyPath: path] }, set: { $0[keyPath: path] = $1 })
        }
    }

    /// All options, in the order of the format.
    package static let fields: [Field] = [
        .count("maxKeyBytes", \.maxKeyBytes), .count("maxValueBytes", \.maxValueBytes),
        .count("maxSessions", \.maxSessions), .count("sessionWindow", \.sessionWindow),
        .number("sessionIdleNanoseconds", \.sessionIdleNanoseconds), .count("maxReplyBytes", \.maxReplyBytes),
        .number("retainedRevisions", \.retainedRevisions), .number("retainedNanoseconds", \.retainedNanoseconds),
        .number("retentionSampleNanoseconds", \.retentionSampleNanoseconds),
    ]

    /// The values, in the order of ``fields``.
    var values: [UInt64] { ReplicatedOptions.fields.map { $0.get(self) } }

    /// The value of an option by its name, as it stands in the format.
    ///
    /// - Precondition: there is such an option.
    package subscript(name name: String) -> UInt64 {
        get { ReplicatedOptions.field(name).get(self) }
        set { ReplicatedOptions.field(name).set(&self, newValue) }
    }

    private static func field(_ name: String) -> Field {
        guard let field = fields.first(where: { $0.name == name }) else {
            preconditionFailure("there is no replicated option \(name)")
        }
        return field
    }

    /// Throws unless every option is within its bounds and all of them fit together.
    ///
    /// - Throws: ``KeyValueError``, *invalid*, with the rule that is broken.
    public func validate() throws(KeyValueError) {
        if let fault { throw KeyValueError(.invalid, fault) }
    }

    /// What is wrong with the options, in a sentence; nil where nothing is.
    ///
    /// Proposals are held against it, and a leader holds changes against it before they enter the log. Neither apply
    /// nor a decoder does, so a release may change these rules.
    var fault: String? {
        // Each of the members' stores has a session. With less than one for each they would end each other's for ever.
        guard maxSessions >= ReplicatedOptions.leastMaxSessions else {
            return "maxSessions must be at least \(ReplicatedOptions.leastMaxSessions), not \(maxSessions)"
        }
        // A session that ends before its first command arrives serves nobody, not even to change this option back.
        guard sessionIdleNanoseconds >= ReplicatedOptions.leastSessionIdleNanoseconds else {
            return "sessionIdleNanoseconds must be at least \(ReplicatedOptions.leastSessionIdleNanoseconds), "
                + "not \(sessionIdleNanoseconds)"
        }
        // Without keys nothing but the empty one could be written.
        guard maxKeyBytes >= 1, maxKeyBytes <= ReplicatedOptions.largestKeyBytes else {
            return "maxKeyBytes must be 1 to \(ReplicatedOptions.largestKeyBytes), not \(maxKeyBytes)"
        }
        return formatFault
    }

    private static let leastMaxSessions = 8
    private static let leastSessionIdleNanoseconds: UInt64 = 1_000_000_000

    /// What no member could hold or count with, in a sentence; nil where there is nothing.
    ///
    /// Apply, entry 1 and the decoders decide by it: it belongs to version 1 of the options' bytes, and no release
    /// changes it. Were one to, its members would refuse a state or a change that others have.
    package var formatFault: String? {
        guard maxKeyBytes >= 0, maxKeyBytes <= ReplicatedOptions.largestKeyBytes else {
            return "maxKeyBytes must be 0 to \(ReplicatedOptions.largestKeyBytes), not \(maxKeyBytes)"
        }
        guard maxValueBytes >= 8, maxValueBytes <= ReplicatedOptions.largestValueBytes else {
            return "maxValueBytes must be 8 to \(ReplicatedOptions.largestValueBytes), not \(maxValueBytes)"
        }
        guard maxSessions >= 1 else { return "maxSessions must be at least 1, not \(maxSessions)" }
        guard sessionWindow >= 1, sessionWindow <= SessionTable.largestWindow else {
            return "sessionWindow must be 1 to \(SessionTable.largestWindow), not \(sessionWindow)"
        }
        let leastReplyBytes = sessionWindow * ReplyWindow.replyByteCount
        guard maxReplyBytes >= leastReplyBytes else {
            return "maxReplyBytes must be at least \(leastReplyBytes), the replies of one session, not \(maxReplyBytes)"
        }
        guard retentionSampleNanoseconds >= 1 else { return "retentionSampleNanoseconds must be at least 1, not 0" }
        let bytes = stateByteCountBound
        guard let bytes, bytes <= ReplicatedOptions.largestStateBytes else {
            return "maxSessions, maxReplyBytes and the samples of retainedNanoseconds must fit into "
                + "\(ReplicatedOptions.largestStateBytes) bytes"
        }
        return nil
    }

    /// The longest state that options may ask for, in bytes.
    static let largestStateBytes = 16 << 20

    /// How long a state can become under the options, in bytes, as the rule counts it; nil where it would be longer
    /// than can be counted.
    ///
    /// The rule has its own numbers, which are those of version 1 of the options and stay: 4 KiB for all that has one
    /// length, 16 a sample, 40 a session. An encoding of the state whose parts are longer needs a larger maximum, not
    /// another rule.
    var stateByteCountBound: Int? {
        let samples = Int(clamping: RetentionMark.maxSamples(self)).multipliedReportingOverflow(by: 16)
        let sessions = maxSessions.multipliedReportingOverflow(by: 40)
        guard !samples.overflow, !sessions.overflow else { return nil }
        var sum = 4 << 10
        for part in [samples.partialValue, sessions.partialValue, maxReplyBytes] {
            let (next, overflow) = sum.addingReportingOverflow(part)
            if overflow { return nil }
            sum = next
        }
        return sum
    }
}

// The bytes of options, which entry 1, a command that changes them and the state carry alike.

extension ReplicatedOptions {
    private static let version: UInt16 = 1
    /// Version, number of options, options.
    static let encodedByteCount = 4 + 8 * fields.count

    /// The options as bytes. `Docs/CommandFormat.md` has the layout.
    package var encoded: Bytes {
        let slab = Slab.filled(capacity: ReplicatedOptions.encodedByteCount) { buffer in
            buffer.storeBytes(of: ReplicatedOptions.version.littleEndian, as: UInt16.self)
            buffer.storeBytes(of: UInt16(values.count).littleEndian, toByteOffset: 2, as: UInt16.self)
            for (place, value) in values.enumerated() {
                buffer.storeBytes(of: value.littleEndian, toByteOffset: 4 + 8 * place, as: UInt64.self)
            }
            return buffer.count
        }
        return Bytes(slab: slab, offset: 0, count: slab.count)
    }

    /// Reads options back. Their bounds are not looked at.
    init(decoding reader: inout ByteReader) throws(BalsaPlatform.DecodingError) {
        self.init()
        let start = reader.offset
        let version = try reader.uint16("options version")
        guard version <= ReplicatedOptions.version else {
            throw DecodingError(.version, "options version", at: start)
        }
        guard version > 0 else { throw DecodingError(.outOfBounds, "options version", at: start) }
        guard try reader.uint16("number of options") == ReplicatedOptions.fields.count else {
            throw DecodingError(.outOfBounds, "number of options", at: start + 2)
        }
        for field in ReplicatedOptions.fields { field.set(&self, try reader.uint64("option")) }
    }

    /// Reads options that take all of `bytes`.
    package init(decoding bytes: Bytes) throws(BalsaPlatform.DecodingError) {
        self = try bytes.withReader { reader throws(BalsaPlatform.DecodingError) in
            let options = try ReplicatedOptions(decoding: &reader)
            try reader.finish("options")
            return options
        }
    }

    /// The options that stand in `range` of a command whose layout was read.
    init?(_ range: Range<Int>, of raw: UnsafeRawBufferPointer) {
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: raw[range]).bytes)
        do throws(BalsaPlatform.DecodingError) { try self.init(decoding: &reader) } catch { return nil }
    }
}
