/// A member of a group. Never reused; 0 stands for none.
public typealias MemberID = UInt64

/// A Raft group. 0 stands for none.
public typealias GroupID = UInt64

/// The number of a reign: at most one leader has it (Raft, section 5.1). 0 is before the first.
public typealias Term = UInt64

/// The place of an entry in the log, counted from 1; 0 is before the first.
public typealias LogIndex = UInt64

/// A term or an index above this is refused where it enters, so that counting on can never overflow.
public let largestNumber: UInt64 = 1 << 62

/// An entry's name: its index and the term in which it was created.
///
/// Two logs that hold an entry of the same position hold the same entry there and agree in all before it (the Log
/// Matching property). Positions are ordered by term first, which is the order of "more up to date" (Raft, section 5.4.1).
public struct LogPosition: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The term of the entry.
    public var term: Term
    /// The index of the entry.
    public var index: LogIndex

    /// The position before the first entry.
    public static let zero = LogPosition(term: 0, index: 0)

    /// The position of the entry of `index` and `term`.
    public init(term: Term, index: LogIndex) {
        self.term = term
        self.index = index
    }

    /// The order of "more up to date": by term, then by index.
    public static func < (left: LogPosition, right: LogPosition) -> Bool {
        (left.term, left.index) < (right.term, right.index)
    }

    /// `term/index`, as in the literature.
    public var description: String { "\(term)/\(index)" }
}

/// A moment on a member's monotonic clock, in nanoseconds since an origin that only this process knows.
public struct Instant: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Nanoseconds since the origin.
    public var nanoseconds: UInt64

    /// The origin.
    public static let zero = Instant(nanoseconds: 0)
    /// A moment that never comes.
    public static let never = Instant(nanoseconds: .max)

    /// The moment `nanoseconds` after the origin.
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// The order of time.
    public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The moment `duration` later; ``never`` where that cannot be counted.
    public static func + (left: Instant, right: TimeSpan) -> Instant {
        let (sum, overflow) = left.nanoseconds.addingReportingOverflow(right.nanoseconds)
        return overflow ? .never : Instant(nanoseconds: sum)
    }

    /// The time from `right` to `left`; zero where `left` is not later.
    public static func - (left: Instant, right: Instant) -> TimeSpan {
        TimeSpan(nanoseconds: left > right ? left.nanoseconds - right.nanoseconds : 0)
    }

    /// Seconds and milliseconds since the origin.
    public var description: String { TimeSpan(nanoseconds: nanoseconds).description }
}

/// A length of time in whole nanoseconds, never negative. The core counts in these; `Duration` is for users.
public struct TimeSpan: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The length in nanoseconds.
    public var nanoseconds: UInt64

    /// No time.
    public static let zero = TimeSpan(nanoseconds: 0)

    /// A length in nanoseconds.
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// A length in microseconds; the longest there is where that is too long to be counted.
    public static func microseconds(_ count: UInt64) -> TimeSpan { TimeSpan(nanoseconds: 1_000) * count }
    /// A length in milliseconds; the longest there is where that is too long to be counted.
    public static func milliseconds(_ count: UInt64) -> TimeSpan { TimeSpan(nanoseconds: 1_000_000) * count }
    /// A length in seconds; the longest there is where that is too long to be counted.
    public static func seconds(_ count: UInt64) -> TimeSpan { TimeSpan(nanoseconds: 1_000_000_000) * count }

    /// The order of length.
    public static func < (left: TimeSpan, right: TimeSpan) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The sum of two lengths; the longest there is where that is too long to be counted.
    public static func + (left: TimeSpan, right: TimeSpan) -> TimeSpan {
        let (sum, overflow) = left.nanoseconds.addingReportingOverflow(right.nanoseconds)
        return TimeSpan(nanoseconds: overflow ? .max : sum)
    }

    /// A multiple of a length; the longest there is where that is too long to be counted.
    public static func * (left: TimeSpan, right: UInt64) -> TimeSpan {
        let (product, overflow) = left.nanoseconds.multipliedReportingOverflow(by: right)
        return TimeSpan(nanoseconds: overflow ? .max : product)
    }

    /// The length in seconds, to the microsecond.
    public var description: String {
        let microseconds = String(nanoseconds / 1_000 % 1_000_000)
        return "\(nanoseconds / 1_000_000_000)." + String(repeating: "0", count: 6 - microseconds.utf8.count)
            + microseconds + "s"
    }
}

extension Duration {
    /// The same length for users' eyes.
    public init(_ span: TimeSpan) { self = .nanoseconds(Int64(clamping: span.nanoseconds)) }
}

extension TimeSpan {
    /// A duration from a user; negative ones count as none, and those above 292 years as 292 years.
    public init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        guard seconds >= 0, attoseconds >= 0 else {
            self.init(nanoseconds: 0)
            return
        }
        let whole = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let limit = UInt64(Int64.max)
        self.init(
            nanoseconds: whole.overflow ? limit : min(limit, whole.partialValue &+ UInt64(attoseconds) / 1_000_000_000)
        )
    }
}
