/// From when on an operation counts as slow. What takes longer is told to the observer as ``StoreEvent/slow(_:)``.
public struct SlowThresholds: Equatable, Sendable {
    /// A write to the log and its sync; 250 ms.
    public var logWrite: Duration = .milliseconds(250)
    /// Applying what was committed, between two looks at the network; 100 ms. Nothing else of the member happens meanwhile.
    public var apply: Duration = .milliseconds(100)
    /// One turn of the store's thread; 100 ms. Who calls and who is connected waits meanwhile.
    public var turn: Duration = .milliseconds(100)
    /// A call of the store's user; 1 s.
    public var call: Duration = .seconds(1)
    /// How far reports of one kind are apart at least; 1 s. What comes in between is counted.
    public var reportInterval: Duration = .seconds(1)

    /// The defaults.
    public init() {}
}

/// An operation that took long, and at what.
public struct SlowOperation: Equatable, Sendable, CustomStringConvertible {
    /// What can be slow.
    public enum Kind: Int, CaseIterable, Equatable, Sendable, CustomStringConvertible {
        /// A write to the log or to the vote, with its sync.
        case logWrite
        /// Applying entries to the state.
        case apply
        /// A turn of the store's thread.
        case turn
        /// A command of the store's user.
        case command
        /// A read of the store's user.
        case read

        /// The kind in words.
        public var description: String {
            switch self {
            case .logWrite: "log write"
            case .apply: "applying"
            case .turn: "turn of the store's thread"
            case .command: "command"
            case .read: "read"
            }
        }
    }

    /// A part of the time.
    public struct Part: Equatable, Sendable {
        /// What was done, or waited for.
        public var name: String
        /// For how long.
        public var duration: Duration

        /// A part of the time.
        public init(_ name: String, _ duration: Duration) {
            self.name = name
            self.duration = duration
        }
    }

    /// What was slow.
    public var kind: Kind
    /// How long it took.
    public var duration: Duration
    /// From when on it counts as slow.
    public var threshold: Duration
    /// Where the time went, as far as it is known.
    public var parts: [Part] = []
    /// How much was done in that time; empty where there is nothing to say.
    public var detail = ""
    /// How many others of the kind were slow since the last report, and were not reported.
    public var unreportedCount = 0

    /// Everything in one line.
    public var description: String {
        var text = "\(kind) took \(duration), longer than \(threshold)"
        if !parts.isEmpty { text += ": " + parts.map { "\($0.name) \($0.duration)" }.joined(separator: ", ") }
        if !detail.isEmpty { text += "; " + detail }
        if unreportedCount > 0 { text += "; \(unreportedCount) more since the last report" }
        return text
    }
}
