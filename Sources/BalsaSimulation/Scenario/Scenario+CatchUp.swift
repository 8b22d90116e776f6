import BalsaRaft

extension Scenario {
    /// Three members with real limits, of which one is down while the others take `puts` puts, and then comes back.
    ///
    /// The log is bounded to 16 MiB, less than the puts take when they are many, so that the log cannot serve the member: it
    /// gets a checkpoint, and what is written meanwhile by the log. Nothing else goes wrong.
    public static func catchUp(puts: UInt64) -> Scenario {
        var scenario = Scenario(seed: 1)
        scenario.duration = .seconds(3600)
        scenario.settling = .seconds(60)
        scenario.core = 0b1110
        scenario.clients = 256
        scenario.keys = 20_000
        scenario.thinking = .microseconds(10)
        scenario.valueBytes = 100
        scenario.load = 1
        scenario.operations = puts
        scenario.answersAfterStorm = 20
        scenario.syncTime = .milliseconds(1)

        scenario.sectorBytes = 4096
        scenario.smallestSegmentBytes = 1 << 20
        scenario.largestSegmentBytes = 4 << 20
        scenario.maxFrameBytes = 1 << 20
        scenario.logBoundBytes = 16 << 20
        scenario.logCacheBytes = 4 << 20
        scenario.sealStateAfterBytes = 4 << 20
        scenario.entriesKept = 10_000
        scenario.maxAppendBytes = 1 << 20
        scenario.maxInflightMessages = 256
        scenario.maxInflightBytes = 8 << 20

        scenario.applyPageBytes = 1 << 20
        scenario.chunkBytes = 256 << 10
        scenario.workBudgetBytes = 1 << 20
        scenario.memtableBytes = 4 << 20
        scenario.blockBytes = 4096
        scenario.tableBytes = 2 << 20
        scenario.levelZeroTables = 4
        scenario.levelBaseBytes = 8 << 20
        scenario.levelRatio = 10
        scenario.cacheBytes = 8 << 20
        scenario.manifestBytes = 1 << 20
        scenario.maxSessions = 1000
        scenario.retainedRevisions = 1000

        var down = Fault(at: .milliseconds(50), kind: .kill)
        down.member = 3
        // Until the faults end.
        down.lasts = .seconds(3600)
        scenario.faults = [down]
        return scenario
    }
}
