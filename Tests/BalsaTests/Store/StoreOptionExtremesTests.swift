import BalsaKeyValue
import BalsaLSM
import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// Every figure of every options type, as small and as large as it can be: a store refuses it, or works with it. No
/// arithmetic on it stops the process.
final class StoreOptionExtremesTests: StoreTestCase {
    private typealias Path<Value> = any WritableKeyPath<StoreOptions, Value> & Sendable

    private let numbers: [Path<Int>] = [
        \.replicated.maxKeyBytes, \.replicated.maxValueBytes, \.replicated.maxSessions, \.replicated.sessionWindow,
        \.replicated.maxReplyBytes, \.replica.raft.maxInflightMessages, \.replica.raft.maxPendingReads,
        \.replica.log.sectorBytes, \.replica.log.smallestSegmentBytes, \.replica.log.largestSegmentBytes,
        \.replica.log.maxFrameBytes, \.replica.log.maxWritesInFlight, \.replica.log.boundBytes,
        \.replica.log.cacheBytes, \.replica.log.sparesWanted, \.replica.wire.maxFrameBytes,
        \.replica.maxWaitingBytes, \.replica.applyPageBytes, \.replica.workBudgetBytes, \.replica.chunkBytes,
        \.replica.maxReadQuestions, \.replica.maxWaitingReads, \.keyValue.engine.memtableBytes,
        \.keyValue.engine.maxSealedMemtables, \.keyValue.engine.maxRangeDeletionsPerMemtable,
        \.keyValue.engine.maxRangeDeletionsPerBatch, \.keyValue.engine.blockBytes, \.keyValue.engine.tableBytes,
        \.keyValue.engine.filterBitsPerKey, \.keyValue.engine.filterBitsPerKeyInLastLevel,
        \.keyValue.engine.cacheBytes, \.keyValue.engine.maxOpenTables, \.keyValue.engine.tableMemoryBytes,
        \.keyValue.engine.levelZeroTables, \.keyValue.engine.levelZeroTablesToPause, \.keyValue.engine.levels,
        \.keyValue.engine.manifestBytes, \.keyValue.engine.maxKeyBytes, \.keyValue.engine.maxValueBytes,
        \.keyValue.engine.maxBatchBytes, \.maxOutstandingCommands, \.maxWaitingBytes,
    ]
    private let counts: [Path<UInt64>] = [
        \.replicated.sessionIdleNanoseconds, \.replicated.retainedRevisions, \.replicated.retainedNanoseconds,
        \.replicated.retentionSampleNanoseconds, \.replica.raft.maxAppendBytes, \.replica.raft.maxInflightBytes,
        \.replica.raft.maxUncommittedBytes, \.replica.digestInterval, \.replica.sealStateAfterBytes,
        \.replica.entriesKeptBehindSeal, \.replica.maxBacklogBytes, \.keyValue.engine.levelBaseBytes,
        \.keyValue.engine.levelRatio, \.keyValue.engine.writeAheadLogBytes,
    ]
    private let spans: [Path<TimeSpan>] = [
        \.replica.raft.minElectionTimeout, \.replica.raft.maxElectionTimeout, \.replica.raft.heartbeatInterval,
        \.replica.sealStateAfter, \.replica.resendChunkAfter, \.replica.giveUpTransferAfter, \.replica.askAgainAfter,
        \.replica.firstBootSaysAgainAfter, \.replica.sealLogAfter, \.replica.deadlineGranularity,
    ]
    private let durations: [Path<Duration>] = [
        \.timeout, \.drainLimit, \.slow.logWrite, \.slow.apply, \.slow.turn, \.slow.call, \.slow.reportInterval,
    ]

    /// A change of one figure, with its name.
    private struct Extreme: Sendable {
        let name: String
        let change: @Sendable (inout StoreOptions) -> Void
    }

    private var extremes: [Extreme] {
        func all<Value: Sendable>(
            _ paths: [Path<Value>],
            _ values: [Value]
        ) -> [Extreme] {
            paths.flatMap { path in
                values.map { value in Extreme(name: "\(path) is \(value)") { $0[keyPath: path] = value } }
            }
        }
        let longest = Duration(secondsComponent: .max, attosecondsComponent: 0)
        let shortest = Duration(secondsComponent: .min, attosecondsComponent: 0)
        return all(numbers, [.min, .max]) + all(counts, [0, .max])
            + all(spans, [.zero, TimeSpan(nanoseconds: .max - 3_000_000_000), TimeSpan(nanoseconds: .max)])
            + all(durations, [shortest, longest])
    }

    /// The figures below a value, of which those that are structures of options are looked into.
    private func figureCount(of value: Any) -> Int {
        if value is Int || value is UInt64 || value is TimeSpan || value is Duration { return 1 }
        let isGroup =
            value is StoreOptions || value is SlowThresholds || value is ReplicaOptions || value is RaftOptions
            || value is LogOptions || value is WireOptions || value is KeyValueOptions || value is ReplicatedOptions
            || value is EngineOptions
        return isGroup ? Mirror(reflecting: value).children.reduce(0) { $0 + figureCount(of: $1.value) } : 0
    }

    func testFigures_allOfThem_areNamedHere() {
        let named = numbers.count + counts.count + spans.count + durations.count
        XCTAssertEqual(figureCount(of: StoreOptions()), named)
    }

    /// What became of an extreme.
    private enum Outcome: Equatable, Sendable {
        case refused
        case works
        case fails(String)
    }

    private static func outcome(of extreme: Extreme, in directory: String) async -> Outcome {
        var options = StoreOptions()
        // A smaller file is made faster.
        options.replica.log.smallestSegmentBytes = 64 << 10
        options.replica.log.sparesWanted = 0
        extreme.change(&options)
        let store: ReplicatedStore
        do {
            store = try await ReplicatedStore.open(at: directory, options: options)
        } catch {
            return error.reason == .invalid ? .refused : .fails("\(extreme.name): \(error)")
        }
        var outcome = Outcome.works
        do {
            try await store.put("k", "", timeout: .seconds(60))
            let entry = try await store.get("k", timeout: .seconds(60))
            if entry?.value != "" { outcome = .fails("\(extreme.name): the value is lost") }
        } catch {
            outcome = .fails("\(extreme.name): \(error)")
        }
        await store.close(drainingFor: .zero)
        return outcome
    }

    func testFigure_asSmallOrAsLargeAsItCanBe_isRefusedOrWorks() async throws {
        let directory = directory
        let outcomes = await withTaskGroup(of: Outcome.self) { group in
            for (place, extreme) in extremes.enumerated() {
                group.addTask { await StoreOptionExtremesTests.outcome(of: extreme, in: "\(directory)/\(place)") }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        for case .fails(let sentence) in outcomes { XCTFail(sentence) }
        XCTAssertGreaterThan(outcomes.filter { $0 == .refused }.count, 30)
        XCTAssertGreaterThan(outcomes.filter { $0 == .works }.count, 30)
    }
}
