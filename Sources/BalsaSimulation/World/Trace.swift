import BalsaPlatform
import BalsaRaft

/// What happened in a run: a digest of every event, and a line of text for each if somebody wants to read them.
///
/// The digest covers the same whether anybody reads or not: time, member, kind, and all bytes of messages and disk calls.
struct Trace {
    private var digest = ByteDigest()
    private let write: ((String) -> Void)?
    /// How many events there were.
    private(set) var count: UInt64 = 0

    init(write: ((String) -> Void)?) { self.write = write }

    /// The digest of what was recorded so far.
    var value: UInt64 { digest.value }

    /// Records an event.
    mutating func record(_ kind: StaticString, member: MemberID, at now: TimeSpan, _ detail: @autoclosure () -> String)
    {
        count += 1
        digest.add(now.nanoseconds)
        digest.add(member)
        digest.add(UnsafeRawBufferPointer(start: kind.utf8Start, count: kind.utf8CodeUnitCount))
        if let write {
            write("\(now) \(member == 0 ? "-" : String(member)) \(kind) \(detail())")
        }
    }

    /// Adds a number to the event that was recorded last.
    mutating func add(_ number: UInt64) { digest.add(number) }

    /// Adds bytes to the event that was recorded last.
    mutating func add(_ bytes: Bytes) { bytes.withUnsafeBytes { digest.add($0) } }

    /// Adds a disk call to the event that was recorded last.
    mutating func add(_ call: DiskCall, member: MemberID, at now: TimeSpan) {
        call.add(to: &digest)
        if let write {
            write("\(now) \(member)   call \(call.operation.rawValue) \(call.path) \(call.offset)+\(call.count)")
        }
    }
}
