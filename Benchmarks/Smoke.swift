/// Runs every workload on a few keys, with a memtable so small that tables are made and merged, and compares every byte;
/// then members in one process and in three, and restarts.
func runSmoke(in folder: WorkFolder) async throws(BenchmarkError) {
    var storage = StorageArguments()
    storage.keyCount = 20_000
    storage.cacheMebibytes = 1
    storage.bufferMebibytes = 1
    try StorageBenchmark(storage, in: folder, comparesValues: true, maxSyncs: 50, print: printLine).run()

    var cluster = ClusterArguments()
    cluster.clientCounts = [1, 10]
    cluster.total = 50
    cluster.keyspace = 100
    for hasProcesses in [false, true] {
        cluster.hasProcesses = hasProcesses
        let part = try folder.makeFolder(hasProcesses ? "processes" : "cluster")
        try await ClusterBenchmark(cluster, in: part, print: printLine).run()
    }

    var restart = RestartArguments()
    restart.keyCount = 2_000
    try await RestartBenchmark(restart, in: try folder.makeFolder("restart"), print: printLine).run()
}
