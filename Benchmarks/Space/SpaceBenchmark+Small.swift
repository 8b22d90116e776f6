import BalsaKeyValue
import BalsaLSM
import BalsaPlatform
import Glibc

/// A large store of small values, which a child process with few descriptors opens and reads.
extension SpaceBenchmark {
    private static let smallValueBytes = 100
    private static let maxDescriptors = 1_024
    /// What a process may take beside what its options allow, in MiB.
    private static let slackMebibytes = 64

    /// Fills a store by ascending keys, and has a child serve it.
    func small(in part: WorkFolder) throws(BenchmarkError) {
        let directory = part.path + "/small"
        let entryBytes = SpaceBenchmark.smallValueBytes + SpaceBenchmark.key("", 0).count
        let count = arguments.smallMegabytes * SpaceBenchmark.megabyte / entryBytes
        let machine = try MeasuredMachine(directory)
        let values = PeerValues(byteCount: SpaceBenchmark.smallValueBytes)
        for number in 0..<count {
            let value = Bytes(copying: values.of(number, .fillseq))
            try machine.apply(.put(key: SpaceBenchmark.key("", number), value: value))
            // Beside the writer, as the background work of a store is.
            if number % 1_024 == 0 { try machine.work(budget: 1 << 20) }
        }
        try machine.settle()
        let tables = machine.machine.metrics.levels.reduce(0) { $0 + $1.tableCount }
        machine.close()
        let options = EngineOptions()
        let budget = (options.memtableBytes + options.cacheBytes + options.tableMemoryBytes) >> 20
        let child = try ChildProcess([SpaceChild.command, directory, "\(count)"])
        let answer = try child.request("serve")
        try child.awaitEnd()
        let figures = answer.split(separator: " ").compactMap { Int($0) }
        guard figures.count == 4 else { throw BenchmarkError("a child said '\(answer)'") }
        defer { note("\(count) values in \(tables) tables; \(figures[2]) reads, \(figures[3]) us to open") }
        let name = "small"
        try report(name + ", descriptors", Double(figures[1]), places: 0, atMost: 1_024, "open")
        let bound = budget + SpaceBenchmark.slackMebibytes
        try report(name + ", memory", Double(figures[0]), places: 0, atMost: Double(bound), "MiB resident")
    }

    /// What the child does with a store.
    ///
    /// - Returns: MiB resident at most, descriptors open at most, reads, microseconds to open.
    static func serve(_ directory: String, _ count: Int) throws(BenchmarkError) -> [Int] {
        var limit = rlimit(rlim_cur: rlim_t(maxDescriptors), rlim_max: rlim_t(maxDescriptors))
        guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            throw BenchmarkError("the limit of descriptors cannot be set")
        }
        let clock = MonotonicClock()
        let start = clock.nanoseconds()
        let machine = try MeasuredMachine(directory)
        let microseconds = Int(clock.nanoseconds() - start) / 1_000
        let values = PeerValues(byteCount: smallValueBytes)
        var random = RandomSource(seed: 1)
        var descriptors = try openDescriptors()
        let reads = min(count, 100_000)
        for read in 0..<reads {
            let number = Int(random.below(UInt64(count)))
            let isRight = try measured { () throws(KeyValueError) in
                try machine.machine.withValue(of: key("", number)) { value, _ in
                    values.matches(value, number, .fillseq)
                }
            }
            guard isRight == true else { throw BenchmarkError("the value of key \(number) is missing or wrong") }
            if read % 20_000 == 0 {
                try scan(machine, from: number, count)
                descriptors = max(descriptors, try openDescriptors())
            }
            // So that there is a memtable as well.
            for part in 0..<2 {
                let key = key("new/\(part)/", read)
                try machine.apply(.put(key: key, value: Bytes(copying: values.of(read, .overwrite))))
            }
        }
        descriptors = max(descriptors, try openDescriptors())
        machine.close()
        guard let resident = ProcessFigures.residentMebibytes else {
            throw BenchmarkError("the kernel does not say how much memory is resident")
        }
        return [resident, descriptors, reads, microseconds]
    }

    private static func scan(_ machine: MeasuredMachine, from number: Int, _ count: Int) throws(BenchmarkError) {
        let page = try measured { () throws(KeyValueError) in
            try machine.machine.scan(from: key("", number), to: key("", count), limit: 1_000)
        }
        guard page.pairs.map(\.key) == (number..<min(number + 1_000, count)).map({ key("", $0) }) else {
            throw BenchmarkError("a scan from key \(number) gave \(page.pairs.count) pairs, and not those that follow")
        }
    }

    private static func openDescriptors() throws(BenchmarkError) -> Int {
        do throws(FileError) { return try LinuxFileSystem().list("/proc/self/fd").count } catch {
            throw BenchmarkError(error)
        }
    }
}

/// The child's half of the row 'small'.
enum SpaceChild {
    /// The command under which the program is such a child.
    static let command = "space-child"

    /// - Parameter words: the directory and how many values it holds.
    static func run(_ words: [String]) async throws(BenchmarkError) {
        guard words.count == 2, let count = Int(words[1]), count > 0 else {
            throw BenchmarkError("\(command) is for children of this program")
        }
        while readLine() != nil {
            do throws(BenchmarkError) {
                let figures = try SpaceBenchmark.serve(words[0], count)
                printLine("ok " + figures.map(String.init).joined(separator: " "))
            } catch {
                printLine("failed \(error)")
            }
        }
    }
}
