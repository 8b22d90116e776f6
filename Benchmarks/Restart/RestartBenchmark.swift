import Balsa
import BalsaPlatform
import BalsaRaft

/// How long a store is away after its process was killed, and after it was closed. Each of the two has a store of its own.
struct RestartBenchmark {
    enum Ending: String, CaseIterable {
        case killed
        case closed
    }

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
            let part = try folder.makeFolder(ending.rawValue)
            try await fill(ending, in: part)
            try await reopen(ending, in: part)
            try part.remove()
        }
    }

    /// Has a child write all keys, and ends it. Measured by the child, from the first write to the last answer.
    private func fill(_ ending: Ending, in part: WorkFolder) async throws(BenchmarkError) {
        let child = try ChildProcess([MemberProcess.command, "1", MemberProcess.alone, part.path, "0"])
        _ = try await ClusterBenchmark.awaitLeader { () throws(BenchmarkError) in
            try child.request("role") == "leader" ? child : nil
        }
        guard let nanoseconds = UInt64(try child.request("fill \(load.words)")) else {
            throw BenchmarkError("a child did not say how long it wrote")
        }
        print(try line("written", nanoseconds) + ", to be \(ending.rawValue)")
        if ending == .killed { child.kill() }
        try child.awaitEnd(isKilled: ending == .killed)
    }

    /// What is written, and what must be found.
    private var load: ClientLoad {
        ClientLoad(
            operation: .put,
            clients: min(1_000, arguments.keyCount),
            total: arguments.keyCount,
            valueBytes: arguments.valueBytes,
            keyspace: arguments.keyCount
        )
    }

    /// Opens the store and waits for the first read. What it holds is compared when the clock has stopped.
    private func reopen(_ ending: Ending, in part: WorkFolder) async throws(BenchmarkError) {
        var read = load
        (read.operation, read.clients, read.total) = (.get, 1, 1)
        let start = clock.nanoseconds()
        let store = try await LocalCluster.open(1, [:], below: part.path, StoreRuntime())
        let opened = clock.nanoseconds()
        _ = try await read.run(on: store)
        let served = clock.nanoseconds()
        print(
            try line(ending.rawValue, served - start) + " until a read is served, "
                + Text.decimal(Double(opened - start) / 1e9, 3, width: 0) + " s of it to open"
        )
        do throws(BenchmarkError) {
            try await load.verifyAll(store)
        } catch {
            await store.close()
            throw BenchmarkError("\(ending.rawValue): \(error)")
        }
        await store.close()
    }

    private func line(_ name: String, _ nanoseconds: UInt64) throws(BenchmarkError) -> String {
        guard nanoseconds > 0 else { throw BenchmarkError("\(name): nothing was measured") }
        return Text.left(name, 10) + " " + Text.decimal(Double(nanoseconds) / 1e9, 3, width: 10) + " s"
    }
}
