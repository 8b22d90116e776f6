/// Runs every workload on a few keys, with a memtable so small that tables are made and merged, and compares every value
/// that is read; then members in one process and in three, and restarts. Fails if a row is missing at the end.
func runSmoke(in folder: WorkFolder) async throws(BenchmarkError) {
    var lines: [String] = []
    let print = { (line: String) in
        lines.append(line)
        printLine(line)
    }
    var storage = StorageArguments()
    storage.keyCount = 20_000
    storage.cacheMebibytes = 1
    storage.bufferMebibytes = 1
    let bounds = StorageBenchmark.Bounds(checkInterval: 1, syncs: 50, sharedSyncs: 80)
    try StorageBenchmark(storage, in: folder, bounds: bounds, print: print).run()

    var cluster = ClusterArguments()
    cluster.clientCounts = [1, 10]
    cluster.total = 50
    cluster.keyspace = 100
    for hasProcesses in [false, true] {
        cluster.hasProcesses = hasProcesses
        let part = try folder.makeFolder(hasProcesses ? "processes" : "cluster")
        try await ClusterBenchmark(cluster, in: part, print: print).run()
    }

    var restart = RestartArguments()
    restart.keyCount = 2_000
    try await RestartBenchmark(restart, in: try folder.makeFolder("restart"), print: print).run()
    try await SpaceBenchmark(.smoke(), in: try folder.makeFolder("space"), print: print).run()
    try SmokeRows.check(lines)
}

/// The rows that a smoke run must print. Written down here once more, so that a row that no benchmark runs any more is missed.
enum SmokeRows {
    /// How each row begins, in order; columns are separated by one space.
    static let expected: [String] = storage + cluster + cluster + restart + space

    private static let storage = [
        "fillseq", "fillbatch(100)", "fillsync", "fillsync8", "fillrandom", "overwrite", "readrandom", "readmissing",
        "seekrandom(10)", "readwhilewriting", "settle", "readrandomsettled", "readseq",
    ]
    private static let cluster = [
        "balsa put 1 clients", "balsa put 10 clients", "balsa get 1 clients", "balsa get 10 clients",
    ]
    private static let restart = ["written", "killed", "written", "closed"]
    private static let space = [
        "trickle", "delete", "descending, in memory", "descending, in tables", "queue, points, moving",
        "queue, points, opened", "queue, points, then", "queue, ranges, moving", "queue, ranges, opened",
        "queue, ranges, then", "small, descriptors", "small, memory",
    ]

    /// Refuses lines in which a row is missing, or has no figure that is a positive number.
    static func check(_ lines: [String]) throws(BenchmarkError) {
        var rest = lines.map { $0.split(separator: " ").map(String.init) }[...]
        for row in expected {
            let words = row.split(separator: " ").map(String.init)
            guard let index = rest.firstIndex(where: { $0.starts(with: words) }) else {
                throw BenchmarkError("the row \(row) was left out, or is not in its order")
            }
            let figure = rest[index].dropFirst(words.count).first ?? ""
            // Settling a few keys may take less time than the line shows, and all space may be free.
            guard let number = Double(figure), number.isFinite, number > 0 || ["settle", "delete"].contains(row) else {
                throw BenchmarkError("the row \(row) has the figure '\(figure)'")
            }
            rest = rest[(index + 1)...]
        }
    }
}
