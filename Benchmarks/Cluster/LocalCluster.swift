import Balsa
import BalsaPlatform
import BalsaRaft
import Glibc

/// All members in this process, on one runtime.
struct LocalCluster: MeasuredCluster {
    private let stores: [ReplicatedStore]
    /// Held as long as the members are there.
    private let ports: ReservedPorts

    /// Opens the members below a folder.
    init(_ arguments: ClusterArguments, in folder: WorkFolder) async throws(BenchmarkError) {
        let runtime = StoreRuntime(spin: .microseconds(arguments.spinMicroseconds))
        let ports = try LocalCluster.reservePorts(arguments.memberCount)
        let peers = LocalCluster.peers(on: ports)
        var stores: [ReplicatedStore] = []
        for member in peers.keys.sorted() {
            stores.append(try await LocalCluster.open(member, peers, below: folder.path, runtime))
        }
        self.stores = stores
        self.ports = ports
    }

    /// Ports of the loopback for that many members, which no other process is given while they are held.
    static func reservePorts(_ count: Int) throws(BenchmarkError) -> ReservedPorts {
        do throws(ReservedPorts.Failure) { return try ReservedPorts(count) } catch {
            throw BenchmarkError(error.description)
        }
    }

    /// Where the members on these ports are reached.
    static func peers(on ports: ReservedPorts) -> [MemberID: String] {
        var peers: [MemberID: String] = [:]
        for (place, port) in ports.ports.enumerated() { peers[MemberID(place + 1)] = "127.0.0.1:\(port)" }
        return peers
    }

    /// Opens a member in its folder; the only one where there are no peers.
    static func open(
        _ member: MemberID,
        _ peers: [MemberID: String],
        below folder: String,
        _ runtime: StoreRuntime
    ) async throws(BenchmarkError) -> ReplicatedStore {
        do throws(StoreError) {
            let directory = "\(folder)/member\(member)"
            if peers.isEmpty { return try await ReplicatedStore.open(at: directory, runtime: runtime) }
            return try await ReplicatedStore.open(at: directory, member: member, peers: peers, runtime: runtime)
        } catch {
            throw BenchmarkError("member \(member): \(error)")
        }
    }

    func fill(_ load: ClientLoad) async throws(BenchmarkError) { try await load.fill(try await leader()) }

    func run(_ load: ClientLoad) async throws(BenchmarkError) -> String {
        let leader = try await leader()
        let line = try await load.run(on: leader)
        return leader.state == .leader ? line : line + "  (not the leader all the time)"
    }

    func close() async throws(BenchmarkError) {
        for store in stores { await store.close() }
    }

    /// The store of the leader, once there is one.
    private func leader() async throws(BenchmarkError) -> ReplicatedStore {
        try await ClusterBenchmark.awaitLeader { () throws(BenchmarkError) in
            stores.first { $0.state == .leader }
        }
    }
}
