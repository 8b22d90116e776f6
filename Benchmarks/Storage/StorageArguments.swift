import BalsaLSM
import BalsaPlatform

/// What `balsa-bench storage` was asked.
struct StorageArguments: Equatable {
    static let help = """
        usage: balsa-bench storage [options]

        Runs the storage engine alone, with its write-ahead log, on this machine's disk. The workloads, their keys and the
        lines are those of the programs that measure other engines, so that runs can be laid side by side: keys of 16
        decimal digits, values that do not compress and differ by key and workload. One line a workload: name, operations a
        second, percentiles of every 16th operation. Every 64th value that is read is compared with the one written last.

          --num N        how many keys; at least 100 (default 1000000)
          --value BYTES  how long a value is (default 100); at most \(maxBatchedValueBytes) with fillbatch, which writes
                         \(batchCount) at once
          --cache MIB    how much of the tables is kept in memory (default 256)
          --buffer MIB   how much is written to memory before it becomes a table (default 64)
          --only A,B     these workloads only; fillrandom always runs
          --compressible the second half of each value is zeros; this engine does not compress
          --dir DIR      below which folder the files go; a folder of the run's own is made there and removed at the end
                         (default: TMPDIR or /tmp)
          --help         this text

        workloads, in their order:
          \(workloads.joined(separator: " "))
        """

    /// The workloads, in the order in which they run.
    static let workloads = [
        "fillseq", "fillbatch", "fillsync", "fillsync8", "fillrandom", "overwrite", "readrandom", "readmissing",
        "seekrandom",
        "readwhilewriting", "settle", "readrandomsettled", "readseq",
    ]

    /// How many keys a batch of fillbatch draws.
    static let batchCount = 100
    /// With fewer keys fillbatch would have nothing to do.
    static let minKeyCount = batchCount
    /// The longest value of which a batch of fillbatch holds enough.
    static let maxBatchedValueBytes: Int = {
        var batch = WriteBatch()
        let emptyBytes = batch.byteCount
        batch.put(Bytes([UInt8](repeating: 0, count: KeyText.byteCount)), Bytes())
        let overheadBytes = batch.byteCount - emptyBytes
        return (EngineOptions().maxBatchBytes - emptyBytes) / batchCount - overheadBytes
    }()

    var keyCount = 1_000_000
    var valueBytes = 100
    var cacheMebibytes = 256
    var bufferMebibytes = 64
    var only: [String] = []
    var isCompressible = false
    var directory: String?
    var wantsHelp = false

    init() {}

    init(_ arguments: [String]) throws(OptionReader.Failure) {
        var reader = OptionReader("storage", arguments)
        let options = ["--num", "--value", "--cache", "--buffer", "--only", "--compressible", "--dir"]
        while let option = try reader.next(of: options) {
            switch option {
            case "--help":
                wantsHelp = true
                return
            case "--num": keyCount = try reader.number(of: option, in: StorageArguments.minKeyCount...1_000_000_000)
            case "--value": valueBytes = try reader.number(of: option, in: 1...PeerValues.maxValueBytes)
            case "--cache": cacheMebibytes = try reader.number(of: option, in: 0...1 << 20)
            case "--buffer": bufferMebibytes = try reader.number(of: option, in: 1...4096)
            case "--compressible": isCompressible = true
            case "--dir": directory = try reader.value(of: option)
            default: only = try StorageArguments.workloads(try reader.value(of: option))
            }
        }
        guard !wants("fillbatch") || valueBytes <= StorageArguments.maxBatchedValueBytes else {
            throw OptionReader.Failure(
                line: "fillbatch writes \(StorageArguments.batchCount) values at once, and a batch has at most "
                    + "\(EngineOptions().maxBatchBytes) bytes: --value is at most \(StorageArguments.maxBatchedValueBytes), "
                    + "not \(valueBytes), unless --only leaves fillbatch out"
            )
        }
    }

    /// Whether a workload is to run.
    func wants(_ workload: String) -> Bool { only.isEmpty || only.contains(workload) }

    /// The rows that the results must have, in their order.
    var rows: [String] {
        let names = ["fillbatch": "fillbatch(100)", "seekrandom": "seekrandom(10)"]
        return StorageArguments.workloads.filter { wants($0) || $0 == "fillrandom" }.map { names[$0] ?? $0 }
    }

    private static func workloads(_ text: String) throws(OptionReader.Failure) -> [String] {
        let names = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard let unknown = names.first(where: { !workloads.contains($0) }) else { return names }
        throw OptionReader.Failure(line: "there is no workload '\(unknown)', only \(workloads.joined(separator: ", "))")
    }
}
