import BalsaPlatform

/// Times a workload as the programs of the other engines do: the whole of it for the rate, and every sixteenth operation
/// for the percentiles.
struct Measurement {
    private static let sampling = 16

    private let clock = MonotonicClock()

    /// Runs `operation` for the numbers below `count` and gives the line of the result to `print`.
    ///
    /// - Throws: what an operation throws. There is no result then.
    func run(
        _ name: String,
        _ count: Int,
        _ print: (String) -> Void,
        _ operation: (Int) throws(BenchmarkError) -> Void
    ) throws(BenchmarkError) {
        var samples: [UInt64] = []
        samples.reserveCapacity(count / Measurement.sampling + 1)
        let start = clock.nanoseconds()
        for number in 0..<count {
            if number % Measurement.sampling == 0 {
                let before = clock.nanoseconds()
                try operation(number)
                samples.append(clock.nanoseconds() - before)
            } else {
                try operation(number)
            }
        }
        print(Measurement.line(name, count, nanoseconds: clock.nanoseconds() - start, &samples))
    }

    /// Runs `body` once; it returns how many operations it was.
    func runWhole(
        _ name: String,
        _ print: (String) -> Void,
        _ body: () throws(BenchmarkError) -> Int
    ) throws(BenchmarkError) {
        var none: [UInt64] = []
        let start = clock.nanoseconds()
        let count = try body()
        print(Measurement.line(name, count, nanoseconds: clock.nanoseconds() - start, &none))
    }

    /// Runs `body` and returns how long it took, in seconds.
    func seconds(_ body: () throws(BenchmarkError) -> Void) throws(BenchmarkError) -> Double {
        let start = clock.nanoseconds()
        try body()
        return Double(clock.nanoseconds() - start) / 1e9
    }

    private static func line(_ name: String, _ count: Int, nanoseconds: UInt64, _ samples: inout [UInt64]) -> String {
        samples.sort()
        let median = samples.isEmpty ? 0 : samples[samples.count / 2]
        let slowest = samples.isEmpty ? 0 : samples[samples.count * 99 / 100]
        let rate = Double(count) / (Double(max(nanoseconds, 1)) / 1e9)
        return Text.left(name, 18) + " " + Text.decimal(rate, 0, width: 12) + " ops/s  p50 "
            + Text.decimal(Double(median) / 1e3, 2, width: 8) + " us  p99 "
            + Text.decimal(Double(slowest) / 1e3, 2, width: 8) + " us"
    }
}
