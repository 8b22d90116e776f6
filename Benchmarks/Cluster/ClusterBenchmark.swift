/// The cluster workloads, in the order and with the lines of the program that measures etcd.
struct ClusterBenchmark {
    /// How long members may take to agree on a leader, in seconds.
    private static let patience = 60

    let arguments: ClusterArguments
    let folder: WorkFolder
    /// Gets each line of the results.
    let print: (String) -> Void

    init(_ arguments: ClusterArguments, in folder: WorkFolder, print: @escaping (String) -> Void) {
        self.arguments = arguments
        self.folder = folder
        self.print = print
    }

    /// Runs all loads that are wanted.
    func run() async throws(BenchmarkError) {
        let place = arguments.hasProcesses ? "each in a process of its own" : "all in this process"
        print("# \(arguments.memberCount) members, \(place), TCP on the loopback, every log on disk and synced")
        print(
            "# clients call the leader's store in its own process; etcd's clients call theirs over gRPC from another one"
        )
        let cluster: any MeasuredCluster
        if arguments.hasProcesses {
            cluster = try ProcessCluster(arguments, in: folder)
        } else {
            cluster = try await LocalCluster(arguments, in: folder)
        }
        do throws(BenchmarkError) {
            try await run(on: cluster)
        } catch {
            // What went wrong first is what is told.
            do throws(BenchmarkError) { try await cluster.close() } catch { printError("balsa-bench: \(error)") }
            throw error
        }
        try await cluster.close()
    }

    private func run(on cluster: any MeasuredCluster) async throws(BenchmarkError) {
        guard !arguments.loads.isEmpty else { throw BenchmarkError("no load was asked for") }
        // What the keys hold: nil where not every key has the value of the one round that gets are to find.
        var filled: Round?
        for (index, load) in arguments.loads.enumerated() {
            var load = load
            switch load.operation {
            case .put:
                // Two rounds in turns, and a third one for the filling: a value of the load before is an old one.
                load.round = index % 2 == 0 ? .fillrandom : .overwrite
                filled = nil
            case .get:
                if filled == nil {
                    var fill = load
                    fill.clients = min(1_000, load.keyspace)
                    try await cluster.fill(fill)
                }
                filled = load.round
            }
            print(try await cluster.run(load))
        }
    }

    /// Asks `find` again and again until it finds something.
    static func awaitLeader<Member>(
        _ find: () throws(BenchmarkError) -> Member?
    ) async throws(BenchmarkError) -> Member {
        for _ in 0..<patience * 100 {
            if let member = try find() { return member }
            do { try await Task.sleep(for: .milliseconds(10)) } catch { throw BenchmarkError("cancelled") }
        }
        throw BenchmarkError("no member leads after \(patience) s")
    }
}
