import BalsaPlatform
import BalsaRaft

/// Each member in a process of its own, with the clients in the leader's.
final class ProcessCluster: MeasuredCluster {
    private let members: [ChildProcess]
    /// Held as long as the members are there.
    private let ports: ReservedPorts

    /// Starts the members.
    init(_ arguments: ClusterArguments, in folder: WorkFolder) throws(BenchmarkError) {
        ports = try LocalCluster.reservePorts(arguments.memberCount)
        let peers = LocalCluster.peers(on: ports)
        let list = peers.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
        var members: [ChildProcess] = []
        for member in peers.keys.sorted() {
            members.append(
                try ChildProcess([
                    MemberProcess.command, "\(member)", list, folder.path, "\(arguments.spinMicroseconds)",
                ])
            )
        }
        self.members = members
    }

    func fill(_ load: ClientLoad) async throws(BenchmarkError) { _ = try await leader().request("fill \(load.words)") }

    func run(_ load: ClientLoad) async throws(BenchmarkError) -> String {
        let leader = try await leader()
        let line = try leader.request("run \(load.words)")
        return try leader.request("role") == "leader" ? line : line + "  (not the leader all the time)"
    }

    func close() async throws(BenchmarkError) {
        // All at once: who closes alone waits for nobody.
        for member in members { member.endInput() }
        for member in members { try member.awaitEnd() }
    }

    private func leader() async throws(BenchmarkError) -> ChildProcess {
        try await ClusterBenchmark.awaitLeader { () throws(BenchmarkError) in
            for member in members where try member.request("role") == "leader" { return member }
            return nil
        }
    }
}
