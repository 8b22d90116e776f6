/// What `balsa-bench cluster` was asked.
struct ClusterArguments: Equatable {
    static let help = """
        usage: balsa-bench cluster [options]

        Starts members of one store on this machine, each with a directory of its own and connections over TCP on the
        loopback, and measures writes and linearizable reads. A write returns when a majority has synced it to its disk. Each
        client has one request in flight and calls the store of the leader in the leader's process, as the users of an
        embedded store do; etcd, whose lines these resemble, is called over gRPC by clients in a process of their own. Keys
        are 16 decimal digits; values do not compress and differ by key and run. Every value that is read is compared. Before
        reads every key is written; after writes each client reads the key that it wrote last. Neither is measured.

          --members N      how many members (default 3)
          --processes      each member in a process of its own, rather than all in this one
          --clients A,B    how many clients, one run after the other (default 1,10,100,1000)
          --op A,B         put, get or both (default put,get)
          --total N        requests in each run, of which each client makes an equal share, and one at least (default: 2000
                           puts or 4000 gets of 1 client, 10000 of up to 10, else 40000)
          --value BYTES    how long a value is (default 100)
          --keyspace N     how many different keys there are (default 100000)
          --spin US        how long a loop looks for more to do before its thread sleeps, in microseconds (default 0)
          --dir DIR        below which folder the files go; a folder of the run's own is made there and removed at the end
                           (default: TMPDIR or /tmp)
          --help           this text
        """

    var memberCount = 3
    var hasProcesses = false
    var clientCounts = [1, 10, 100, 1_000]
    var operations = ClientLoad.Operation.allCases
    /// How many requests a run has; nil where that follows from the clients.
    var total: Int?
    var valueBytes = 100
    var keyspace = 100_000
    var spinMicroseconds = 0
    var directory: String?
    var wantsHelp = false

    init() {}

    init(_ arguments: [String]) throws(OptionReader.Failure) {
        var reader = OptionReader("cluster", arguments)
        let options = [
            "--members", "--processes", "--clients", "--op", "--total", "--value", "--keyspace", "--spin", "--dir",
        ]
        while let option = try reader.next(of: options) {
            switch option {
            case "--help":
                wantsHelp = true
                return
            case "--members": memberCount = try reader.number(of: option, in: 1...7)
            case "--processes": hasProcesses = true
            case "--clients": clientCounts = try reader.numbers(of: option, in: 1...100_000)
            case "--op": operations = try ClusterArguments.operations(try reader.value(of: option))
            case "--total": total = try reader.number(of: option, in: 1...1_000_000_000)
            case "--value": valueBytes = try reader.number(of: option, in: 0...PeerValues.maxValueBytes)
            case "--keyspace": keyspace = try reader.number(of: option, in: 1...100_000_000)
            case "--spin": spinMicroseconds = try reader.number(of: option, in: 0...1_000_000)
            default: directory = try reader.value(of: option)
            }
        }
    }

    private static func operations(_ text: String) throws(OptionReader.Failure) -> [ClientLoad.Operation] {
        var operations: [ClientLoad.Operation] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let operation = ClientLoad.Operation(rawValue: String(part)) else {
                throw OptionReader.Failure(line: "--op is put, get or both with a comma between them, not '\(part)'")
            }
            operations.append(operation)
        }
        return operations
    }

    /// The runs, in their order.
    var loads: [ClientLoad] {
        operations.flatMap { operation in
            clientCounts.map { clients in
                ClientLoad(
                    operation: operation,
                    clients: clients,
                    total: max(total ?? usualTotal(operation, clients), clients),
                    valueBytes: valueBytes,
                    keyspace: keyspace
                )
            }
        }
    }

    private func usualTotal(_ operation: ClientLoad.Operation, _ clients: Int) -> Int {
        if clients == 1 { return operation == .put ? 2_000 : 4_000 }
        return clients <= 10 ? 10_000 : 40_000
    }
}
