import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

/// What a log holds of a group, as far as a caller can see it.
struct GroupContent: Equatable, CustomStringConvertible {
    var group: GroupID
    var base: LogPosition
    var last: LogPosition
    var payloads: [String]

    var description: String { "\(group): \(base) \(payloads) \(last)" }
}

extension LogOptions {
    /// Limits so small that a few entries fill a segment.
    static var tiny: LogOptions {
        var options = LogOptions()
        options.sectorBytes = 64
        options.smallestSegmentBytes = 1_024
        options.largestSegmentBytes = 2_048
        options.maxFrameBytes = 512
        options.boundBytes = 4_096
        options.cacheBytes = 256
        return options
    }
}

/// A batch of one entry for each payload, behind `previous`.
func batch(
    _ group: GroupID,
    after previous: LogPosition,
    term: Term,
    stamp: UInt64 = 0,
    _ payloads: [String]
) -> EntryBatch {
    var builder = EntryBatch.Builder(group: group, previous: previous, capacityBytes: 64)
    for payload in payloads { builder.append(term: term, stamp: stamp, kind: .command, payload: Bytes(payload)) }
    return builder.finish()
}

/// Everything that `log` holds, read entry by entry through its interface.
func contents(of log: Log) throws(LogError) -> [GroupContent] {
    var all: [GroupContent] = []
    // A group that holds nothing at position zero is as good as unknown.
    for group in log.knownGroups where log.last(group) != .zero {
        var payloads: [String] = []
        var index = log.base(group).index + 1
        while index <= log.last(group).index {
            let batch = try log.entries(group, from: index, through: log.last(group).index, maxBytes: 300)
            for index in batch.firstIndex...batch.lastIndex { payloads.append(String(batch.payload(at: index))) }
            index = batch.lastIndex + 1
        }
        all.append(GroupContent(group: group, base: log.base(group), last: log.last(group), payloads: payloads))
    }
    return all
}

/// Drives a log as a shell would, and remembers its contents after every operation.
final class LogDriver {
    let log: Log
    /// The contents after the operation of that number.
    private(set) var history: [[GroupContent]] = []

    init(_ files: any FileSystem, options: LogOptions = .tiny) throws(LogError) {
        log = try Log.open(files, directory: "log", options: options).log
        history = [try contents(of: log)]
    }

    /// Remembers the contents after the operations staged since.
    private func note() throws(LogError) {
        let now = try contents(of: log)
        while UInt64(history.count) <= log.mark.number { history.append(now) }
    }

    func append(_ group: GroupID, term: Term, _ payloads: [String]) throws(LogError) {
        log.append(batch(group, after: log.last(group), term: term, payloads))
        try note()
    }

    func truncate(_ group: GroupID, after index: LogIndex) throws(LogError) {
        log.truncate(group, after: index)
        try note()
    }

    func compact(_ group: GroupID, through position: LogPosition) throws(LogError) {
        log.compact(group, through: position)
        try note()
    }

    func reset(_ group: GroupID, to base: LogPosition) throws(LogError) {
        log.reset(group, to: base)
        try note()
    }

    /// Writes everything staged, and does all work on files.
    func flush() throws(FileError) {
        while true {
            if let write = log.nextWrite() {
                try write.perform()
                log.writeFinished(write.number)
            } else if let task = log.nextTask() {
                while try !task.step(budgetBytes: 1_024) {}
                log.taskFinished(task)
            } else {
                return
            }
        }
    }

    func seal() throws(FileError) {
        log.stageSeal()
        try flush()
    }
}
