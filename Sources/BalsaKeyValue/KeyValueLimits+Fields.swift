extension KeyValueLimits {
    /// How many fields there are.
    static let fieldCount = 9

    /// The fields in the order of the state's format.
    var fields: [UInt64] {
        [
            UInt64(clamping: maxKeyBytes), UInt64(clamping: maxValueBytes), UInt64(clamping: maxSessions),
            UInt64(clamping: sessionWindow), sessionIdleNanoseconds, UInt64(clamping: maxReplyBytes),
            retainedRevisions, retainedNanoseconds, retentionSampleNanoseconds,
        ]
    }

    /// The limits of which these are the fields; nil where no limits can have them.
    init?(fields: [UInt64]) {
        guard fields.count == KeyValueLimits.fieldCount, let maxKeyBytes = Int(exactly: fields[0]),
            let maxValueBytes = Int(exactly: fields[1]), let maxSessions = Int(exactly: fields[2]),
            let sessionWindow = Int(exactly: fields[3]), let maxReplyBytes = Int(exactly: fields[5])
        else { return nil }
        self.maxKeyBytes = maxKeyBytes
        self.maxValueBytes = maxValueBytes
        self.maxSessions = maxSessions
        self.sessionWindow = sessionWindow
        sessionIdleNanoseconds = fields[4]
        self.maxReplyBytes = maxReplyBytes
        retainedRevisions = fields[6]
        retainedNanoseconds = fields[7]
        retentionSampleNanoseconds = fields[8]
        guard fault == nil else { return nil }
    }

    /// What is wrong with the limits, in a sentence; nil where nothing is.
    var fault: String? {
        guard maxKeyBytes >= 0, maxKeyBytes <= 1 << 30 else { return "a key may have 0 to 2^30 bytes" }
        guard maxValueBytes >= 8, maxValueBytes <= 1 << 30 else { return "a value may have 8 to 2^30 bytes" }
        guard maxSessions >= 1 else { return "there must be room for a session" }
        guard sessionWindow >= 1, sessionWindow <= 1 << 20 else {
            return "the window of a session has 1 to 2^20 numbers"
        }
        guard maxReplyBytes >= sessionWindow * ReplyWindow.replyByteCount else {
            return "the replies of one session must have room"
        }
        guard retentionSampleNanoseconds >= 1 else { return "the samples of the retained time need a distance" }
        let bytes = ReplicatedState.encodedByteCountBound(self)
        guard let bytes, bytes <= ReplicatedState.maxEncodedBytes else {
            return "sessions, replies and samples must fit into \(ReplicatedState.maxEncodedBytes) bytes"
        }
        return nil
    }
}
