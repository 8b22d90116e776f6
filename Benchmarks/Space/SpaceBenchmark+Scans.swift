import BalsaKeyValue
import BalsaLSM
import BalsaPlatform
import Glibc

/// How long calls took, by the clock on the wall and by that of the thread.
struct CallTimes {
    private let clock = MonotonicClock()
    private var wall: [UInt64] = []
    private var processor: [UInt64] = []

    /// Calls `body` and notes how long it took.
    mutating func time<Result>(_ body: () throws(BenchmarkError) -> Result) throws(BenchmarkError) -> Result {
        let (wallStart, start) = (clock.nanoseconds(), CallTimes.threadNanoseconds())
        let result = try body()
        processor.append(CallTimes.threadNanoseconds() - start)
        wall.append(clock.nanoseconds() - wallStart)
        return result
    }

    /// How long this thread has run, in nanoseconds. Other programs do not count, as they do by the clock on the wall.
    private static func threadNanoseconds() -> UInt64 {
        var time = timespec()
        let result = clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        precondition(result == 0, "every thread has a clock")
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    /// The longest and the shortest time of the thread, in milliseconds.
    var longest: Double { Double(processor.max() ?? 0) / 1e6 }
    var shortest: Double { Double(processor.min() ?? 0) / 1e6 }

    /// Median, 99.9th percentile and maximum of both clocks.
    var description: String {
        "thread \(CallTimes.line(processor)), wall \(CallTimes.line(wall)), \(wall.count) calls"
    }

    private static func line(_ times: [UInt64]) -> String {
        let sorted = times.sorted()
        let figures = [500, 999, 1_000].map { share -> String in
            let time = sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, sorted.count * share / 1_000)]
            return Text.decimal(Double(time) / 1e3, 1, width: 0)
        }
        return figures.joined(separator: "/") + " us"
    }
}

extension SpaceBenchmark {
    // MARK: Descending

    /// A descending scan of three keys, one of which was overwritten many times.
    func descending(in part: WorkFolder) throws(BenchmarkError) {
        for isFlushed in [false, true] {
            var times: [Double] = []
            for versions in [arguments.versions / 2, arguments.versions] {
                let machine = try MeasuredMachine(part.path + "/\(versions)-\(isFlushed)")
                defer { machine.close() }
                for key in ["a", "z"] { try machine.apply(.put(key: Bytes(key), value: "value")) }
                for version in 0..<versions {
                    try machine.apply(.put(key: "hot", value: Bytes("\(version)")))
                }
                if isFlushed { try machine.settle() }
                var calls = CallTimes()
                for _ in 0..<500 {
                    let page = try calls.time { () throws(BenchmarkError) in
                        try measured { () throws(KeyValueError) in
                            try machine.machine.scan(limit: 10, order: .descending)
                        }
                    }
                    guard page.pairs.map(\.key) == ["z", "hot", "a"], page.continuation == nil else {
                        throw BenchmarkError("a descending scan gave \(page.pairs.count) pairs")
                    }
                }
                note("\(versions) versions: \(calls.description)")
                times.append(calls.shortest)
            }
            let name = "descending, " + (isFlushed ? "in tables" : "in memory")
            let ratio = times[1] / max(times[0], 1e-6)
            try report(name, ratio, places: 2, atMost: 2, "times as long")
        }
    }

    // MARK: Queue

    private static let liveKeys = 1_000
    /// What a look at the front may take, in milliseconds.
    private static let frontBound = 1.0

    /// A queue from which one key is taken for each that is put, by single deletions and by ranges.
    func queue(in part: WorkFolder) throws(BenchmarkError) {
        var failure: BenchmarkError?
        for byRanges in [false, true] {
            do throws(BenchmarkError) { try queue(in: part, byRanges) } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
    }

    private func queue(in part: WorkFolder, _ byRanges: Bool) throws(BenchmarkError) {
        // Nothing that was taken is dropped, so that all of it lies before the front.
        var replicated = ReplicatedOptions()
        replicated.retainedRevisions = UInt64(10 * arguments.consumed + 100_000)
        let machine = try MeasuredMachine(part.path + "/queue-\(byRanges)", replicated: replicated)
        defer { machine.close() }
        for number in 0..<SpaceBenchmark.liveKeys { try machine.apply(put(number)) }
        let name = "queue, " + (byRanges ? "ranges" : "points")
        var failure: BenchmarkError?

        var moving = CallTimes()
        for number in 0..<arguments.consumed {
            try machine.apply(put(number + SpaceBenchmark.liveKeys))
            if byRanges, number % 100 == 99 {
                let to = SpaceBenchmark.key("queue/", number + 1)
                try machine.apply(.deleteRange(from: "queue/", to: to))
            } else if !byRanges {
                try machine.apply(.delete(key: SpaceBenchmark.key("queue/", number)))
            }
            let front = byRanges ? (number + 1) / 100 * 100 : number + 1
            _ = try look(at: front, machine, &moving, maxPages: 1)
            try machine.work(budget: 64 << 10)
        }
        note("while it moves: \(moving.description)")
        do throws(BenchmarkError) {
            try report(name + ", moving", of: moving)
        } catch { failure = error }

        // A machine that was just opened knows nothing: its first looks end early, and each gets further.
        try machine.settle()
        try machine.reopen()
        let front = byRanges ? arguments.consumed / 100 * 100 : arguments.consumed
        var first = CallTimes()
        let pages = try look(at: front, machine, &first, maxPages: .max)
        note("\(pages) pages after it was opened: \(first.description)")
        do throws(BenchmarkError) {
            try report(name + ", opened", of: first)
        } catch { failure = failure ?? error }
        var later = CallTimes()
        for _ in 0..<1_000 { _ = try look(at: front, machine, &later, maxPages: 1) }
        note("then: \(later.description)")
        do throws(BenchmarkError) {
            try report(name + ", then", of: later)
        } catch { failure = failure ?? error }
        if let failure { throw failure }
    }

    private func report(_ row: String, of times: CallTimes) throws(BenchmarkError) {
        let bound = SpaceBenchmark.frontBound
        try report(row, times.longest, places: 3, atMost: bound, "ms")
    }

    private func put(_ number: Int) -> Command.Operation {
        .put(key: SpaceBenchmark.key("queue/", number), value: "an order of ten books")
    }

    /// Looks for the first key of the queue, always from its beginning, and compares it.
    ///
    /// - Returns: how many pages it took.
    private func look(
        at number: Int,
        _ machine: MeasuredMachine,
        _ times: inout CallTimes,
        maxPages: Int
    ) throws(BenchmarkError) -> Int {
        for page in 1...maxPages {
            let found = try times.time { () throws(BenchmarkError) in
                try measured { () throws(KeyValueError) in
                    try machine.machine.scan(from: "queue/", to: "queue0", limit: 1)
                }
            }
            guard let pair = found.pairs.first else {
                guard found.continuation != nil else { throw BenchmarkError("the queue has no front") }
                continue
            }
            guard pair.key == SpaceBenchmark.key("queue/", number) else {
                throw BenchmarkError("the front of the queue is \(pair.key) in place of number \(number)")
            }
            return page
        }
        throw BenchmarkError("the front of the queue was not found within \(maxPages) pages")
    }
}
