import BalsaKeyValue
import BalsaLSM
import BalsaPlatform

/// What happens to a queue, so that it can happen again after a crash.
private enum QueueStep {
    /// A key is put at the end.
    case put(Int)
    /// A key is taken from the front.
    case take(Int)
    /// All keys up to one are taken that are left.
    case takeAll(upTo: Int)
    /// Some keys are taken at once.
    case takeRange(Range<Int>)
}

/// How keys are taken from a queue.
private enum QueueKind: String, CaseIterable {
    /// One by one.
    case points
    /// A hundred at once, by deletions that all begin at the beginning of the queue.
    case ranges
    /// Of each hundred, half one by one and half at once. Values are a thousand bytes long, and the process dies.
    case mixed

    /// What is done when `number` keys were taken or wait to be.
    func steps(after number: Int, live: Int) -> [QueueStep] {
        let put = QueueStep.put(number + live)
        switch self {
        case .points: return [put, .take(number)]
        case .ranges: return number % 100 == 99 ? [put, .takeAll(upTo: number + 1)] : [put]
        case .mixed:
            if number % 100 < 50 { return [put, .take(number)] }
            return number % 100 == 99 ? [put, .takeRange(number - 49..<number + 1)] : [put]
        }
    }

    /// The first key that is left after the steps of `number`.
    func front(after number: Int) -> Int {
        switch self {
        case .points: return number + 1
        case .ranges: return (number + 1) / 100 * 100
        case .mixed: return number % 100 < 50 || number % 100 == 99 ? number + 1 : number / 100 * 100 + 50
        }
    }
}

extension SpaceBenchmark {
    private static let liveKeys = 1_000
    /// What a page may take, in milliseconds.
    private static let pageBound = 1.0
    /// How many pages a look through the queue may take. A machine whose pages get no further would take any number.
    private static let mostPages = 100_000

    /// Calls `page` until it says that it was the last.
    ///
    /// - Parameters:
    ///   - limit: how many pages there may be.
    ///   - what: what is looked for, for the error.
    /// - Returns: how many it took.
    static func countPages(
        atMost limit: Int,
        _ what: String,
        _ page: () throws(BenchmarkError) -> Bool
    ) throws(BenchmarkError) -> Int {
        for number in 1...limit where try page() { return number }
        throw BenchmarkError("\(what) was not found within \(limit) \(limit == 1 ? "page" : "pages")")
    }

    /// Queues from which one key is taken for each that is put.
    func queue(in part: WorkFolder) throws(BenchmarkError) {
        var failure: BenchmarkError?
        for kind in QueueKind.allCases {
            do throws(BenchmarkError) { try queue(in: part, kind) } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
    }

    private func queue(in part: WorkFolder, _ kind: QueueKind) throws(BenchmarkError) {
        // Nothing that was taken is dropped, so that all of it lies before the front.
        var replicated = ReplicatedOptions()
        replicated.retainedRevisions = UInt64(10 * arguments.consumed + 100_000)
        let machine = try MeasuredMachine(part.path + "/queue-\(kind)", replicated: replicated)
        defer { machine.close() }
        // What a log of the group would hold: entry 1 are the options.
        var log = (0..<SpaceBenchmark.liveKeys).map { QueueStep.put($0) }
        for step in log { try machine.apply(operation(step, kind)) }
        let name = "queue, \(kind)"
        // Long values take as much space in a tenth of the number.
        let count = kind == .mixed ? max(arguments.consumed / 10, 1) : arguments.consumed
        var failure: BenchmarkError?

        var moving = CallTimes()
        for number in 0..<count {
            for step in kind.steps(after: number, live: SpaceBenchmark.liveKeys) {
                try machine.apply(operation(step, kind))
                log.append(step)
            }
            _ = try look(at: kind.front(after: number), machine, &moving, maxPages: 1)
            try machine.work(budget: 64 << 10)
        }
        let front = kind.front(after: count - 1)
        try hold(name + ", moving", moving, &failure)

        // A machine that was just opened knows nothing: its first looks end early, and each gets further.
        if kind != .mixed { try machine.settle() }
        try machine.reopen()
        for step in log.dropFirst(Int(machine.machine.applied.index) - 1) { try machine.apply(operation(step, kind)) }
        var first = CallTimes()
        let pages = try look(at: front, machine, &first, maxPages: SpaceBenchmark.mostPages)
        try hold(name + ", opened", first, &failure)
        note("\(pages) pages")
        var later = CallTimes()
        for _ in 0..<1_000 { _ = try look(at: front, machine, &later, maxPages: 1) }
        try hold(name + ", then", later, &failure)

        // The same from the front down to the beginning, where nothing is left.
        if kind != .mixed { try machine.settle() }
        try machine.reopen()
        for step in log.dropFirst(Int(machine.machine.applied.index) - 1) { try machine.apply(operation(step, kind)) }
        var back = CallTimes()
        try lookBack(from: front, machine, &back)
        try hold(name + ", descending", back, &failure)
        if let failure { throw failure }
    }

    private func operation(_ step: QueueStep, _ kind: QueueKind) -> Command.Operation {
        func key(_ number: Int) -> Bytes { SpaceBenchmark.key("queue/", number) }
        switch step {
        case .put(let number):
            let value = kind == .mixed ? Bytes(copying: values.of(number, .fillseq)) : "an order of ten books"
            return .put(key: key(number), value: value)
        case .take(let number): return .delete(key: key(number))
        case .takeAll(let end): return .deleteRange(from: "queue/", to: key(end))
        case .takeRange(let numbers): return .deleteRange(from: key(numbers.lowerBound), to: key(numbers.upperBound))
        }
    }

    /// Holds the longest call against the bound. A figure above it is an error only at the end, so that all are shown.
    private func hold(_ row: String, _ times: CallTimes, _ failure: inout BenchmarkError?) throws(BenchmarkError) {
        do throws(BenchmarkError) {
            try report(row, times.longest, places: 3, atMost: SpaceBenchmark.pageBound, "ms")
        } catch { failure = failure ?? error }
        note(times.description)
        for line in times.longestDescriptions { note(line) }
    }

    private static func work(of machine: MeasuredMachine) -> CallTimes.Work {
        let metrics = machine.machine.metrics
        return CallTimes.Work(
            blocks: metrics.cacheMisses,
            tables: metrics.tableReads,
            entries: metrics.hiddenEntries
        )
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
        try SpaceBenchmark.countPages(atMost: maxPages, "the front of the queue") { () throws(BenchmarkError) in
            let found = try times.time({ SpaceBenchmark.work(of: machine) }) { () throws(BenchmarkError) in
                try measured { () throws(KeyValueError) in
                    try machine.machine.scan(from: "queue/", to: "queue0", limit: 1)
                }
            }
            guard let pair = found.pairs.first else {
                guard found.continuation != nil else { throw BenchmarkError("the queue has no front") }
                return false
            }
            guard pair.key == SpaceBenchmark.key("queue/", number) else {
                throw BenchmarkError("the front of the queue is \(pair.key) in place of number \(number)")
            }
            return true
        }
    }

    /// Looks for a key before the front, where none is left.
    private func lookBack(
        from number: Int,
        _ machine: MeasuredMachine,
        _ times: inout CallTimes
    ) throws(BenchmarkError) {
        let end = SpaceBenchmark.key("queue/", number)
        let what = "the beginning of the queue"
        _ = try SpaceBenchmark.countPages(atMost: SpaceBenchmark.mostPages, what) { () throws(BenchmarkError) in
            let page = try times.time({ SpaceBenchmark.work(of: machine) }) { () throws(BenchmarkError) in
                try measured { () throws(KeyValueError) in
                    try machine.machine.scan(from: "queue/", to: end, limit: 1, order: .descending)
                }
            }
            guard page.pairs.isEmpty else { throw BenchmarkError("\(page.pairs[0].key) has come back") }
            return page.continuation == nil
        }
    }
}
