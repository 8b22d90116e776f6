import BalsaPlatform

/// Times workloads as the programs of the other engines do: the whole of it for the rate, and every sixteenth operation
/// for the percentiles. Prints a line for each, and remembers which have been measured.
final class Measurements {
    private static let sampling = 16

    private let clock = MonotonicClock()
    private let print: (String) -> Void
    /// The names of the rows that were printed, in their order.
    private(set) var rows: [String] = []

    /// - Parameter print: gets each line.
    init(print: @escaping (String) -> Void) { self.print = print }

    /// Runs `operation` for the numbers below `count` and prints the row.
    ///
    /// - Throws: what an operation throws. There is no row then. And where there was nothing to measure.
    func run(
        _ name: String,
        _ count: Int,
        _ operation: (Int) throws(BenchmarkError) -> Void
    ) throws(BenchmarkError) {
        var samples: [UInt64] = []
        samples.reserveCapacity(max(count, 0) / Measurements.sampling + 1)
        let start = clock.nanoseconds()
        for number in 0..<max(count, 0) {
            if number % Measurements.sampling == 0 {
                let before = clock.nanoseconds()
                try operation(number)
                samples.append(clock.nanoseconds() - before)
            } else {
                try operation(number)
            }
        }
        try finish(name, count, nanoseconds: clock.nanoseconds() - start, samples)
    }

    /// Runs `body` once; it returns how many operations it was.
    func runWhole(_ name: String, _ body: () throws(BenchmarkError) -> Int) throws(BenchmarkError) {
        let start = clock.nanoseconds()
        let count = try body()
        try finish(name, count, nanoseconds: clock.nanoseconds() - start, [])
    }

    /// Runs `body` and prints how long it took.
    func runSeconds(_ name: String, _ body: () throws(BenchmarkError) -> Void) throws(BenchmarkError) {
        let start = clock.nanoseconds()
        try body()
        let seconds = Double(clock.nanoseconds() - start) / 1e9
        print(Text.left(name, 18) + " " + Text.decimal(seconds, 2, width: 12) + " s")
        rows.append(name)
    }

    /// Prints a line that belongs to the row before it.
    func note(_ line: String) { print(Text.left("", 18) + " " + line) }

    /// Refuses a run that did not measure these rows, all of them and in this order.
    func requireRows(_ names: [String]) throws(BenchmarkError) {
        guard !names.isEmpty else { throw BenchmarkError("no row was asked for") }
        if let missing = names.first(where: { !rows.contains($0) }) {
            throw BenchmarkError("the row \(missing) was left out")
        }
        guard rows == names else {
            throw BenchmarkError("the rows \(rows.joined(separator: ", ")) are not \(names.joined(separator: ", "))")
        }
    }

    private func finish(
        _ name: String,
        _ count: Int,
        nanoseconds: UInt64,
        _ samples: [UInt64]
    ) throws(BenchmarkError) {
        print(try Measurements.line(name, count, nanoseconds: nanoseconds, samples))
        rows.append(name)
    }

    /// The line of a row.
    ///
    /// - Throws: where nothing was measured, so that there is no rate.
    static func line(
        _ name: String,
        _ count: Int,
        nanoseconds: UInt64,
        _ samples: [UInt64]
    ) throws(BenchmarkError) -> String {
        let rate = Double(count) / (Double(nanoseconds) / 1e9)
        guard count > 0, rate.isFinite else {
            throw BenchmarkError("\(name): \(count) operations in \(nanoseconds) ns are no measurement")
        }
        let sorted = samples.sorted()
        func microseconds(_ share: Int) -> String {
            let sample = sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, sorted.count * share / 1_000)]
            return Text.decimal(Double(sample) / 1e3, 2, width: 8) + " us"
        }
        return Text.left(name, 18) + " " + Text.decimal(rate, 0, width: 12) + " ops/s  p50 " + microseconds(500)
            + "  p99 " + microseconds(990) + "  p99.9 " + microseconds(999)
    }
}
