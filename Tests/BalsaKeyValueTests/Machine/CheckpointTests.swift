import BalsaKeyValue
import BalsaLSM
import BalsaPlatform
import BalsaSimulation
import XCTest

/// A state that is sent to a peer, and one whose files are damaged.
final class CheckpointTests: XCTestCase {
    /// Copies the durable state to another disk and opens it there.
    private func send(
        _ store: MachineFixture,
        to disk: SimulatedDisk,
        cluster: UniqueID = MachineFixture.cluster
    ) throws -> KeyValueMachine {
        let source = try store.machine.checkpoint()
        let files = disk.mount()
        try files.createDirectory("peer")
        for (number, info) in source.files.enumerated() {
            let file = try files.open("peer/" + info.name, .create)
            try file.write(try source.read(file: number, offset: 0, count: Int(info.byteCount)), at: 0)
            try file.sync()
            file.close()
        }
        try files.syncDirectory("peer")
        return try KeyValueMachine.open(
            directory: "peer",
            fileSystem: files,
            cluster: cluster,
            options: store.options.local,
            seed: 1,
            isReceived: true
        )
    }

    func testAPeerGoesOnFromACheckpointAsIfItHadAppliedTheLog() throws {
        let store = try MachineFixture()
        let session = try store.open()
        let before = try store.apply(.add(key: "n", amount: 4), session: session, number: 1, lowest: 1)
        try store.apply(.put(key: "gone", value: "x"))
        try store.apply(.deleteRange(from: "g", to: "h"))
        store.stamp = 77
        try store.seal()
        let after = try store.apply(.add(key: "n", amount: 5), session: session, number: 2, lowest: 1)

        let disk = SimulatedDisk()
        let peer = try send(store, to: disk)
        XCTAssertEqual(peer.applied, KeyValuePosition(index: 4, term: 1, stamp: 0))
        XCTAssertEqual(peer.durable, peer.applied)
        XCTAssertEqual(try store.replay(into: peer).map(\.1), [after])
        XCTAssertEqual(peer.digest, store.machine.digest)
        XCTAssertEqual(try peer.scan().pairs, try store.machine.scan().pairs)

        let again = Command(
            identity: RequestIdentity(session: session, number: 1),
            lowestOutstanding: 1,
            operation: .add(key: "n", amount: 4)
        )
        XCTAssertEqual(try peer.apply(again.encoded(), index: 6, term: 1, stamp: 77), before)
        XCTAssertEqual(try peer.get("n")?.value, counter(9))
        peer.close()
    }

    /// Found in a member's own directory, or received: both are told by the state itself.
    func testState_ofAnotherCluster_isRefusedByBothClustersAndKeepsEveryByte() throws {
        let store = try MachineFixture()
        try store.apply(.put(key: "a", value: "1"))
        try store.seal()
        let other = UniqueID(high: 0xd1, low: 0xd2)
        for isReceived in [true, false] {
            if !isReceived { store.machine.close() }
            let directory = isReceived ? "peer" : "kv"
            let sentence =
                "damaged: the manifest that \(directory)/CURRENT names: the system state is of the cluster "
                + "00000000000000c100000000000000c2, and the member belongs to the cluster "
                + "00000000000000d100000000000000d2: put back what belongs together"
            let disk = isReceived ? SimulatedDisk() : store.disk
            let digest = store.disk.contentDigest
            let error = errorOf {
                if isReceived {
                    _ = try send(store, to: disk, cluster: other)
                } else {
                    _ = try store.restart(cluster: other)
                }
            }
            XCTAssertEqual(error?.code, .damaged)
            XCTAssertEqual(error?.description, sentence)
            XCTAssertEqual(store.disk.contentDigest, digest)
        }
        // What the sentence advises: the state is put back beside the member of its own cluster.
        try store.restart()
        XCTAssertEqual(try store.value("a"), "1")
    }

    func testAnErrorOfTheEngineIsThrownAndNeverAReply() throws {
        var options = MachineOptions()
        options.engine.cacheBytes = 0
        let store = try MachineFixture(options)
        try store.apply(.put(key: "a", value: "1"))
        try store.seal()
        let names = try store.disk.mount().list("kv").filter { $0.hasPrefix("table-") }
        XCTAssertEqual(names.count, 1)
        let table = try "kv/" + XCTUnwrap(names.first)
        let byteCount = try XCTUnwrap(store.disk.contents(of: table)).count
        for offset in 0..<byteCount { store.disk.corrupt(table, at: UInt64(offset), mask: 1) }

        let operation = Command.Operation.compareAndSet(key: "a", condition: .absent, then: .put("2"))
        XCTAssertEqual(errorOf { try store.apply(operation) }?.code, .damaged)
        // Nothing has changed: what follows the entry has to wait for it.
        XCTAssertEqual(errorOf { try store.apply(.put(key: "b", value: "1")) }?.code, .invalid)
        XCTAssertEqual(store.machine.applied.index, 1)
        XCTAssertEqual(errorOf { _ = try store.machine.get("a") }?.code, .damaged)
    }

}
