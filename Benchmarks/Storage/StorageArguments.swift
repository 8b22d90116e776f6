/// What `balsa-bench storage` was asked.
struct StorageArguments: Equatable {
    static let help = """
        usage: balsa-bench storage [options]

        Runs the storage engine alone, with its write-ahead log, on this machine's disk. The workloads, their keys and the
        lines are those of the programs that measure other engines, so that runs can be laid side by side: keys of 16
        decimal digits, values that do not compress. One line a workload: name, operations a second, percentiles.

          --num N        how many keys (default 1000000)
          --value BYTES  how long a value is (default 100)
          --cache MIB    how much of the tables is kept in memory (default 256)
          --buffer MIB   how much is written to memory before it becomes a table (default 64)
          --only A,B     these workloads only; fillrandom always runs
          --dir DIR      below which folder the files go; a folder of the run's own is made there and removed at the end
                         (default: TMPDIR or /tmp)
          --help         this text

        workloads, in their order:
          \(workloads.joined(separator: " "))
        """

    /// The workloads, in the order in which they run.
    static let workloads = [
        "fillseq", "fillbatch", "fillsync", "fillrandom", "overwrite", "readrandom", "readmissing", "seekrandom",
        "readwhilewriting", "settle", "readrandomsettled", "readseq",
    ]

    var keyCount = 1_000_000
    var valueBytes = 100
    var cacheMebibytes = 256
    var bufferMebibytes = 64
    var only: [String] = []
    var directory: String?
    var wantsHelp = false

    /// Why arguments cannot be used, in a sentence.
    struct Failure: Error, Equatable {
        let line: String
    }

    init() {}

    init(_ arguments: [String]) throws(Failure) {
        var rest = arguments[...]
        while let option = rest.popFirst() {
            if option == "--help" || option == "-h" {
                wantsHelp = true
                return
            }
            guard ["--num", "--value", "--cache", "--buffer", "--only", "--dir"].contains(option) else {
                throw Failure(line: "there is no option '\(option)'; 'balsa-bench storage --help' lists them")
            }
            guard let value = rest.popFirst() else { throw Failure(line: "\(option) needs a value") }
            try take(option, value)
        }
    }

    /// Whether a workload is to run.
    func wants(_ workload: String) -> Bool { only.isEmpty || only.contains(workload) }

    private mutating func take(_ option: String, _ value: String) throws(Failure) {
        switch option {
        case "--num": keyCount = try number(option, value, 1...1_000_000_000)
        case "--value": valueBytes = try number(option, value, 1...1 << 20)
        case "--cache": cacheMebibytes = try number(option, value, 0...1 << 20)
        case "--buffer": bufferMebibytes = try number(option, value, 1...4096)
        case "--dir": directory = value
        default:
            only = value.split(separator: ",").map(String.init)
            guard let unknown = only.first(where: { !StorageArguments.workloads.contains($0) }) else { return }
            throw Failure(
                line: "there is no workload '\(unknown)', only \(StorageArguments.workloads.joined(separator: ", "))"
            )
        }
    }

    private func number(_ option: String, _ text: String, _ range: ClosedRange<Int>) throws(Failure) -> Int {
        guard let number = Int(text), range.contains(number) else {
            throw Failure(line: "\(option) is a number from \(range.lowerBound) to \(range.upperBound), not '\(text)'")
        }
        return number
    }
}
