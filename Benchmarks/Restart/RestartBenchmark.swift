import Balsa
import BalsaPlatform
import BalsaRaft

/// How long a store is away after its process was killed, and after it was closed.
struct RestartBenchmark {
    private enum Ending: String, CaseIterable {
        case killed
        case closed
    }

    /// How many keys are looked at once the store serves again.
    private static let checkedKeys = 1_000

    let arguments: RestartArguments
    let folder: WorkFolder
    /// Gets each line of the results.
    let print: (String) -> Void
    private let clock = MonotonicClock()

    init(_ arguments: RestartArguments, in folder: WorkFolder, print: @escaping (String) -> Void) {
        self.arguments = arguments
        self.folder = folder
        self.print = print
    }

    /// Measures both.
    func run() async throws(BenchmarkError) {
        print("# a store of one member, \(arguments.keyCount) keys of 16 bytes, values of \(arguments.valueBytes)")
        for ending in Ending.allCases {
            try fill(ending)
            try await reopen(ending)
        }
    }

    /// Has a child write all keys, and ends it.
    private func fill(_ ending: Ending) throws(BenchmarkError) {
        let child = try ChildProcess([MemberProcess.command, "1", MemberProcess.alone, folder.path, "0"])
        let start = clock.nanoseconds()
        _ = try child.request("fill \(load.words)")
        let seconds = Double(clock.nanoseconds() - start) / 1e9
        print(line("written", seconds))
        if ending == .killed { child.kill() }
        try child.awaitEnd(isKilled: ending == .killed)
    }

    private var load: ClientLoad {
        ClientLoad(
            operation: .put,
            clients: min(1_000, arguments.keyCount),
            total: arguments.keyCount,
            valueBytes: arguments.valueBytes,
            keyspace: arguments.keyCount
        )
    }

    /// Opens the store and waits for the first read.
    private func reopen(_ ending: Ending) async throws(BenchmarkError) {
        let start = clock.nanoseconds()
        let store = try await LocalCluster.open(1, [:], below: folder.path, StoreRuntime())
        let opened = clock.nanoseconds()
        var reads = load
        (reads.operation, reads.clients, reads.total) = (.get, 1, 1)
        _ = try await reads.run(on: store)
        let served = clock.nanoseconds()
        print(
            line(ending.rawValue, Double(served - start) / 1e9) + " until a read is served, "
                + Text.decimal(Double(opened - start) / 1e9, 3, width: 0) + " s of it to open"
        )
        (reads.clients, reads.total) = (10, RestartBenchmark.checkedKeys)
        _ = try await reads.run(on: store)
        await store.close()
    }

    private func line(_ name: String, _ seconds: Double) -> String {
        Text.left(name, 10) + " " + Text.decimal(seconds, 3, width: 10) + " s"
    }
}
