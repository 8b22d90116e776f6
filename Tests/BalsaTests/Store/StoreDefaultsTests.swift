import BalsaKeyValue
import BalsaLSM
import BalsaLog
import BalsaRaft
import XCTest

@testable import Balsa

/// The table of defaults in `Docs/Store.md` against the options.
final class StoreDefaultsTests: XCTestCase {
    private func milliseconds(_ span: TimeSpan) -> String { "\(span.nanoseconds / 1_000_000) ms" }

    private func time(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        return attoseconds == 0 ? "\(seconds) s" : "\(attoseconds / 1_000_000_000_000_000) ms"
    }

    private func size(_ bytes: Int) -> String {
        bytes % (1 << 20) == 0 ? "\(bytes >> 20) MiB" : "\(bytes >> 10) KiB"
    }

    func testPage_eachDefault_isThatOfTheOption() throws {
        let store = StoreOptions()
        let (replica, limits, engine) = (store.replica, store.replicated, store.keyValue.engine)
        let expected = [
            "StoreOptions.timeout": time(store.timeout),
            "StoreOptions.drainLimit": time(store.drainLimit),
            "StoreOptions.maxOutstandingCommands": "\(store.maxOutstandingCommands)",
            "StoreOptions.maxWaitingBytes": size(store.maxWaitingBytes),
            "SlowThresholds.logWrite": time(store.slow.logWrite),
            "SlowThresholds.apply": time(store.slow.apply),
            "SlowThresholds.turn": time(store.slow.turn),
            "SlowThresholds.call": time(store.slow.call),
            "SlowThresholds.reportInterval": time(store.slow.reportInterval),
            "ReplicaOptions.maxWaitingBytes": size(replica.maxWaitingBytes),
            "ReplicaOptions.maxWaitingReads": "\(replica.maxWaitingReads)",
            "ReplicaOptions.chunkBytes": size(replica.chunkBytes),
            "RaftOptions.minElectionTimeout": milliseconds(replica.raft.minElectionTimeout),
            "RaftOptions.maxElectionTimeout": milliseconds(replica.raft.maxElectionTimeout),
            "RaftOptions.heartbeatInterval": milliseconds(replica.raft.heartbeatInterval),
            "LogOptions.boundBytes": size(replica.log.boundBytes),
            "ReplicatedOptions.maxKeyBytes": size(limits.maxKeyBytes),
            "ReplicatedOptions.maxValueBytes": size(limits.maxValueBytes),
            "ReplicatedOptions.maxSessions": "\(limits.maxSessions)",
            "ReplicatedOptions.sessionWindow": "\(limits.sessionWindow)",
            "ReplicatedOptions.sessionIdleNanoseconds": "\(limits.sessionIdleNanoseconds / 1_000_000_000) s",
            "ReplicatedOptions.maxReplyBytes": size(limits.maxReplyBytes),
            "ReplicatedOptions.retainedRevisions": "\(limits.retainedRevisions)",
            "ReplicatedOptions.retainedNanoseconds": "\(limits.retainedNanoseconds / 1_000_000_000) s",
            "ReplicatedOptions.retentionSampleNanoseconds": "\(limits.retentionSampleNanoseconds / 1_000_000_000) s",
            "EngineOptions.memtableBytes": size(engine.memtableBytes),
            "EngineOptions.cacheBytes": size(engine.cacheBytes),
            "EngineOptions.tableMemoryBytes": size(engine.tableMemoryBytes),
            "EngineOptions.maxOpenTables": "\(engine.maxOpenTables)",
        ]
        let page = try PageClaims.page("Docs/Store.md")
        let table = try XCTUnwrap(page.components(separatedBy: "| option | default |\n|---|---|\n").last)
        var found: [String: String] = [:]
        for line in table.components(separatedBy: "\n") where line.hasPrefix("| `") {
            let cells = line.components(separatedBy: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            found[cells[1].filter { $0 != "`" }] = cells[2].filter { $0 != "," }
        }
        XCTAssertEqual(found, expected)
    }
}
