import BalsaPlatform
import BalsaRaft
import BalsaWire

/// A change that waits for its frame.
enum StagedOperation: Sendable {
    case append(EntryBatch)
    case control(ControlRecord)

    /// The length of its first record, in bytes: less than that is never written of it.
    var firstRecordByteCount: Int {
        switch self {
        case .append(let batch): batch.encodedByteCount(at: batch.firstIndex)
        case .control: EntryHeader.encodedByteCount
        }
    }
}

/// The changes that wait, in the order of their staging.
struct StagedOperations: Sendable {
    private var items: [StagedOperation] = []
    private var head = 0

    var isEmpty: Bool { head == items.count }
    var first: StagedOperation? { head < items.count ? items[head] : nil }

    mutating func append(_ operation: StagedOperation) { items.append(operation) }

    /// Takes operations of at most `maxBytes` together, or the first record where that alone is longer.
    ///
    /// A batch is split where only some of its entries fit.
    ///
    /// - Returns: the operations, and how many of them are complete.
    mutating func take(maxBytes: Int) -> (parts: [StagedOperation], complete: UInt64) {
        var parts: [StagedOperation] = []
        var complete: UInt64 = 0
        var room = maxBytes
        while head < items.count {
            if !parts.isEmpty && items[head].firstRecordByteCount > room { break }
            switch items[head] {
            case .control(let record):
                parts.append(.control(record))
                room -= EntryHeader.encodedByteCount
            case .append(let batch):
                let part = batch.prefix(maxBytes: room)
                parts.append(.append(part))
                room -= part.byteCount
                if part.count < batch.count {
                    items[head] = .append(batch.slice(from: part.lastIndex + 1, through: batch.lastIndex))
                    return (parts, complete)
                }
            }
            head += 1
            complete += 1
        }
        if head == items.count || head > 1_024 {
            items.removeSubrange(0..<head)
            head = 0
        }
        return (parts, complete)
    }
}

/// A frame that was handed out to be written.
struct FrameInFlight: Sendable {
    var number: UInt64
    /// Where the next frame goes.
    var end: LogPlace
    /// The last operation that the frame completes.
    var mark: LogMark
    /// What the log says of the member's other files once the frame is durable.
    var said: DirectoryMark
    var isFinished = false
}

/// A batch in memory, in the order of staging.
struct CachedBatch: Sendable {
    var group: GroupID
    var mark: UInt64
}
