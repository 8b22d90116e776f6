import Balsa
import BalsaLog
import BalsaRaft

/// A property of a scenario as a line of its file: a name and a number.
private struct ScenarioField {
    let name: String
    let read: @Sendable (Scenario) -> UInt64
    let write: @Sendable (inout Scenario, UInt64) -> Void
    let range: ClosedRange<UInt64>

    init(
        _ name: String,
        _ range: ClosedRange<UInt64>,
        _ read: @escaping @Sendable (Scenario) -> UInt64,
        _ write: @escaping @Sendable (inout Scenario, UInt64) -> Void
    ) {
        self.name = name
        self.read = read
        self.write = write
        self.range = range
    }
}

private let hour: UInt64 = 3_600_000_000_000
private let megabytes: UInt64 = 64 << 20

private let scenarioFields: [ScenarioField] = [
    ScenarioField("seed", 0...UInt64.max, { $0.seed }, { $0.seed = $1 }),
    ScenarioField("members", 1...7, { $0.members }, { $0.members = $1 }),
    ScenarioField("duration", 0...hour, { $0.duration.nanoseconds }, { $0.duration.nanoseconds = $1 }),
    ScenarioField("settling", 0...hour, { $0.settling.nanoseconds }, { $0.settling.nanoseconds = $1 }),
    ScenarioField("core", 0...255, { $0.core }, { $0.core = $1 }),
    ScenarioField("clients", 1...1024, { $0.clients }, { $0.clients = $1 }),
    ScenarioField("keys", 1...1 << 20, { $0.keys }, { $0.keys = $1 }),
    ScenarioField("thinking", 1...hour, { $0.thinking.nanoseconds }, { $0.thinking.nanoseconds = $1 }),
    ScenarioField("patience", 1...hour, { $0.patience.nanoseconds }, { $0.patience.nanoseconds = $1 }),
    ScenarioField("value-bytes", 1...1 << 20, { $0.valueBytes }, { $0.valueBytes = $1 }),
    ScenarioField("load", 0...1, { $0.load }, { $0.load = $1 }),
    ScenarioField("operations", 0...1 << 32, { $0.operations }, { $0.operations = $1 }),
    ScenarioField("answers-after-storm", 0...1 << 20, { $0.answersAfterStorm }, { $0.answersAfterStorm = $1 }),
    ScenarioField("network-delay", 0...hour, { $0.networkDelay.nanoseconds }, { $0.networkDelay.nanoseconds = $1 }),
    ScenarioField("network-jitter", 0...hour, { $0.networkJitter.nanoseconds }, { $0.networkJitter.nanoseconds = $1 }),
    ScenarioField("write-time", 0...hour, { $0.writeTime.nanoseconds }, { $0.writeTime.nanoseconds = $1 }),
    ScenarioField("sync-time", 0...hour, { $0.syncTime.nanoseconds }, { $0.syncTime.nanoseconds = $1 }),
    ScenarioField("garbage", 0...1, { $0.garbageInTornSectors }, { $0.garbageInTornSectors = $1 }),
    ScenarioField("clock-drift", 0...500, { $0.clockDrift }, { $0.clockDrift = $1 }),
    ScenarioField("sector-bytes", 64...65536, { $0.sectorBytes }, { $0.sectorBytes = $1 }),
    ScenarioField("smallest-segment", 1024...megabytes, { $0.smallestSegmentBytes }, { $0.smallestSegmentBytes = $1 }),
    ScenarioField("largest-segment", 1024...megabytes, { $0.largestSegmentBytes }, { $0.largestSegmentBytes = $1 }),
    ScenarioField("spare-segments", 0...16, { $0.spareSegments }, { $0.spareSegments = $1 }),
    ScenarioField("max-frame", 512...megabytes, { $0.maxFrameBytes }, { $0.maxFrameBytes = $1 }),
    ScenarioField("writes-in-flight", 1...64, { $0.maxWritesInFlight }, { $0.maxWritesInFlight = $1 }),
    ScenarioField("log-bound", 1024...1 << 40, { $0.logBoundBytes }, { $0.logBoundBytes = $1 }),
    ScenarioField("log-cache", 0...1 << 40, { $0.logCacheBytes }, { $0.logCacheBytes = $1 }),
    ScenarioField("seal-state-after", 1024...1 << 40, { $0.sealStateAfterBytes }, { $0.sealStateAfterBytes = $1 }),
    ScenarioField("entries-kept", 0...1 << 40, { $0.entriesKept }, { $0.entriesKept = $1 }),
    ScenarioField("max-append", 64...megabytes, { $0.maxAppendBytes }, { $0.maxAppendBytes = $1 }),
    ScenarioField("inflight-messages", 1...1 << 20, { $0.maxInflightMessages }, { $0.maxInflightMessages = $1 }),
    ScenarioField("inflight-bytes", 64...1 << 40, { $0.maxInflightBytes }, { $0.maxInflightBytes = $1 }),
    ScenarioField("apply-page", 64...megabytes, { $0.applyPageBytes }, { $0.applyPageBytes = $1 }),
    ScenarioField("chunk-bytes", 16...1 << 20, { $0.chunkBytes }, { $0.chunkBytes = $1 }),
    ScenarioField("work-budget", 64...megabytes, { $0.workBudgetBytes }, { $0.workBudgetBytes = $1 }),
    ScenarioField("memtable-bytes", 256...1 << 30, { $0.memtableBytes }, { $0.memtableBytes = $1 }),
    ScenarioField("block-bytes", 128...32768, { $0.blockBytes }, { $0.blockBytes = $1 }),
    ScenarioField("table-bytes", 256...1 << 30, { $0.tableBytes }, { $0.tableBytes = $1 }),
    ScenarioField("level-zero-tables", 1...64, { $0.levelZeroTables }, { $0.levelZeroTables = $1 }),
    ScenarioField("level-base", 256...1 << 40, { $0.levelBaseBytes }, { $0.levelBaseBytes = $1 }),
    ScenarioField("level-ratio", 2...100, { $0.levelRatio }, { $0.levelRatio = $1 }),
    ScenarioField("filter-bits", 0...32, { $0.filterBits }, { $0.filterBits = $1 }),
    ScenarioField("cache-bytes", 0...1 << 40, { $0.cacheBytes }, { $0.cacheBytes = $1 }),
    ScenarioField("manifest-bytes", 64...1 << 30, { $0.manifestBytes }, { $0.manifestBytes = $1 }),
    ScenarioField("max-sessions", 8...100_000, { $0.maxSessions }, { $0.maxSessions = $1 }),
    ScenarioField(
        "session-idle",
        1_000_000_000...hour,
        { $0.sessionIdle.nanoseconds },
        { $0.sessionIdle.nanoseconds = $1 }
    ),
    ScenarioField("retained-revisions", 0...1 << 40, { $0.retainedRevisions }, { $0.retainedRevisions = $1 }),
    ScenarioField("proposals", 0...1 << 48, { $0.proposals }, { $0.proposals = $1 }),
    ScenarioField("option-changes", 0...1000, { $0.optionChanges }, { $0.optionChanges = $1 }),
]

extension Scenario {
    private static var header: String { "balsa-scenario 1" }

    /// The scenario as the text of a file: a header, a line a property, a line a fault. `Docs/ScenarioFormat.md`.
    public var text: String {
        var lines = [Scenario.header]
        for field in scenarioFields { lines.append("\(field.name)=\(field.read(self))") }
        for fault in faults { lines.append(fault.description) }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Reads a scenario from the text of a file. Properties that are not named keep their defaults; empty lines and those
    /// that begin with `#` do not count.
    ///
    /// - Throws: ``ScenarioError`` with the line that cannot be read.
    public init(text: String) throws(ScenarioError) {
        var lines = text.split(whereSeparator: \.isNewline).filter { !$0.hasPrefix("#") }[...]
        guard lines.popFirst().map(String.init) == Scenario.header else {
            throw ScenarioError("the first line of a scenario is \"\(Scenario.header)\"")
        }
        self.init(seed: 0)
        for line in lines {
            if line.hasPrefix("fault ") {
                faults.append(try Fault(line: line))
                continue
            }
            let parts = line.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, let field = scenarioFields.first(where: { $0.name == parts[0] }) else {
                throw ScenarioError("not a property of a scenario: \(line)")
            }
            guard let value = UInt64(parts[1]), field.range.contains(value) else {
                throw ScenarioError("\(parts[0]) is \(field.range.lowerBound) to \(field.range.upperBound): \(line)")
            }
            field.write(&self, value)
        }
        // Unless it says otherwise, everybody is healthy in the end.
        self = withCore
        try validate()
    }

    /// The same with all members as its ``core``, where that names none.
    var withCore: Scenario {
        guard core == 0 else { return self }
        var scenario = self
        scenario.core = memberIDs.reduce(0) { $0 | Scenario.bit($1) }
        return scenario
    }

    /// Checks that the scenario can be run.
    ///
    /// - Throws: ``ScenarioError`` with the first property that cannot be: a number outside of its range, a fault of a
    ///   member that there is not, a ``core`` that is no majority, or limits that contradict each other.
    public func validate() throws(ScenarioError) {
        for field in scenarioFields where !field.range.contains(field.read(self)) {
            let (lowest, highest) = (field.range.lowerBound, field.range.upperBound)
            throw ScenarioError("\(field.name) is \(lowest) to \(highest): \(field.name)=\(field.read(self))")
        }
        for fault in faults {
            guard fault.at <= .seconds(3600), fault.lasts <= .seconds(3600), fault.rate <= 1_000_000 else {
                throw ScenarioError("at and lasts are at most an hour, rate at most 1000000: \(fault)")
            }
            guard fault.member > 0 || !fault.kind.hitsOne else { throw ScenarioError("which member? \(fault)") }
            guard fault.member <= members, fault.peer <= members else {
                throw ScenarioError("there is no such member: \(fault)")
            }
        }
        let known = memberIDs.reduce(0) { $0 | Scenario.bit($1) }
        let core = withCore.core
        let healthy = memberIDs.count { core & Scenario.bit($0) != 0 }
        guard core & ~known == 0, healthy > members / 2 else {
            throw ScenarioError("core is a majority of the members, as bits by member id: core=\(core)")
        }
        do { try replicaOptions([]).log.validate() } catch { throw ScenarioError(error.description) }
    }
}
