import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import XCTest

@testable import Balsa

/// Three real members, of which one writes other values than the commands say: found, stopped, rebuilt, equal.
final class StoreDivergenceTests: StoreTestCase {
    /// The anomalies that a store tells.
    private final class Anomalies: StoreObserver {
        private let noted = Locked<[Anomaly]>([])
        var all: [Anomaly] { noted.withLock { $0 } }

        func noticed(_ event: StoreEvent) {
            if case .anomaly(let anomaly) = event { noted.withLock { $0.append(anomaly) } }
        }
    }

    private func fill(_ store: ReplicatedStore, _ numbers: Range<Int>) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<64 {
                group.addTask {
                    for number in stride(from: numbers.lowerBound + worker, to: numbers.upperBound, by: 64) {
                        try await store.put(
                            Bytes("key \(number % 500)"),
                            Bytes("value \(number)"),
                            timeout: .seconds(60)
                        )
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Its role is that of any follower.
    func testStatus_ofAMemberWhoseStateDiffers_saysThatItServesNothing() async throws {
        let stores = try await openCluster()
        try await stores[0].put("k", "v", timeout: .seconds(60))
        for store in stores { await store.close() }
        let path = "\(directory)/2/groups/1"
        let files = LinuxFileSystem()
        let bytes = try XCTUnwrap(try TwinFile.read(path + "/ROOT", maxRecordBytes: RootFile.byteCount, in: files))
        var root = try TwinFile.decode(bytes) { bytes throws(BalsaPlatform.DecodingError) in
            try RootFile(decoding: bytes)
        }.record
        root.isDiverged = true
        try TwinFile.replace("ROOT", in: path, with: try root.encoded(), files)
        let wrong = try await ReplicatedStore.open(at: "\(directory)/2", member: 2, peers: peers)
        let status = await wrong.status()
        XCTAssertTrue(status.isDiverged)
        let refused = await refusal { _ = try await wrong.get("k", consistency: .local, timeout: .milliseconds(100)) }
        XCTAssertEqual(refused?.reason, .diverged)
        await wrong.close(drainingFor: .zero)
    }

    func testMember_whoseApplyDiffers_isFoundWithinTwoIntervalsStoppedAndRebuilt() async throws {
        let peers = try newPeers(3)
        var stores: [ReplicatedStore] = []
        var observers: [Anomalies] = []
        for member in 1...3 as ClosedRange<MemberID> {
            var options = StoreOptions()
            let observer = Anomalies()
            options.observer = observer
            if member == 2 { options.keyValue.plantedBugs = .writesOtherValues }
            observers.append(observer)
            stores.append(
                try await ReplicatedStore.open(
                    at: "\(directory)/\(member)",
                    member: member,
                    peers: peers,
                    options: options
                )
            )
        }
        let wrong = stores[1]
        try await stores[0].put("begin", "all is well", timeout: .seconds(60))
        try await fill(stores[0], 0..<4_200)
        try await eventually("it is found") { !observers[1].all.isEmpty }
        let found = try XCTUnwrap(
            observers[1].all.compactMap { anomaly -> LogIndex? in
                if case .stateDiverged(2, let own, let majority) = anomaly, own != majority.value {
                    majority.index
                } else {
                    nil
                }
            }.first
        )
        // It is lower where a term has begun meanwhile.
        XCTAssertLessThanOrEqual(found, 4_096)
        try await eventually("it is rebuilt") { await wrong.status().metrics.statesRebuilt == 1 }
        XCTAssertTrue(observers[1].all.contains { if case .stateRebuilt = $0 { true } else { false } })
        try await fill(stores[2], 4_200..<4_400)
        let revision = try await stores[0].put("end", "all is well")
        for store in stores {
            let end = try await store.get("end", consistency: .atLeast(revision), timeout: .seconds(60))
            XCTAssertEqual(end?.value, "all is well")
        }
        let isDiverged = await wrong.status().isDiverged
        XCTAssertFalse(isDiverged)
        let figures = [await stores[0].status(), await wrong.status(), await stores[2].status()]
        XCTAssertEqual(Set(figures.map(\.digest)).count, 1, "all are equal")
        XCTAssertEqual(Set(figures.map(\.appliedIndex)).count, 1)
        let pages = [try await stores[0].scan(limit: 10_000), try await wrong.scan(limit: 10_000, consistency: .local)]
        XCTAssertEqual(pages[0].pairs, pages[1].pairs)
        for store in stores { await store.close() }
    }
}
