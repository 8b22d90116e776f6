import BalsaPlatform
import Glibc

/// How long calls took, by the clock on the wall and by that of the thread.
///
/// Both are needed to judge a long call. A bound is about the wall. If the thread ran for much less, the machine had
/// other programs to run, and the call says nothing about the code.
struct CallTimes {
    /// What an engine has done, by its counters.
    struct Work {
        /// How many blocks were read.
        var blocks: UInt64 = 0
        /// How many indexes and filters of tables were read.
        var tables: UInt64 = 0
        /// How many entries cursors passed without showing them.
        var entries: UInt64 = 0

        func since(_ before: Work) -> Work {
            Work(blocks: blocks - before.blocks, tables: tables - before.tables, entries: entries - before.entries)
        }
    }

    /// A call.
    private struct Call {
        var wall: UInt64
        /// How long the thread ran. Other programs do not count.
        var thread: UInt64
        /// How often the processor was taken from the thread.
        var switches: Int
        /// How many pages of memory the kernel had to find.
        var faults: Int
        /// What the engine did.
        var work: Work
    }

    /// What the kernel's headers call RUSAGE_THREAD.
    private static let thisThread: __rusage_who_t = 1

    private let clock = MonotonicClock()
    private var calls: [Call] = []

    /// Calls `body` and notes how long it took.
    mutating func time<Result>(
        _ counters: () -> Work = { Work() },
        _ body: () throws(BenchmarkError) -> Result
    ) throws(BenchmarkError) -> Result {
        let workBefore = counters()
        let before = CallTimes.usage()
        let (wall, thread) = (clock.nanoseconds(), CallTimes.threadNanoseconds())
        let result = try body()
        let (threadEnd, wallEnd) = (CallTimes.threadNanoseconds(), clock.nanoseconds())
        let after = CallTimes.usage()
        let work = counters()
        calls.append(
            Call(
                wall: wallEnd - wall,
                thread: threadEnd - thread,
                switches: after.switches - before.switches,
                faults: after.faults - before.faults,
                work: work.since(workBefore)
            )
        )
        return result
    }

    private static func threadNanoseconds() -> UInt64 {
        var time = timespec()
        let result = clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        precondition(result == 0, "every thread has a clock")
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    private static func usage() -> (switches: Int, faults: Int) {
        var usage = rusage()
        let result = getrusage(CallTimes.thisThread, &usage)
        precondition(result == 0, "every thread has figures")
        return (usage.ru_nivcsw, usage.ru_minflt)
    }

    /// The longest time by the clock on the wall, in milliseconds.
    var longest: Double { Double(calls.map(\.wall).max() ?? 0) / 1e6 }

    /// The shortest time of the thread, in milliseconds.
    var shortest: Double { Double(calls.map(\.thread).min() ?? 0) / 1e6 }

    /// Median, 99.9th percentile and maximum of both clocks.
    var description: String {
        "wall \(CallTimes.line(calls.map(\.wall))), thread \(CallTimes.line(calls.map(\.thread))), \(calls.count) calls"
    }

    /// What is known of the longest call by the clock on the wall, and of the one for which the thread ran longest.
    var longestDescriptions: [String] {
        let indices = [\Call.wall, \.thread].compactMap { time in
            calls.indices.max { calls[$0][keyPath: time] < calls[$1][keyPath: time] }
        }
        return Set(indices).sorted().map(description)
    }

    private func description(of index: Int) -> String {
        let call = calls[index]
        let lost = call.wall - min(call.thread, call.wall)
        let times = (CallTimes.microseconds(call.wall), CallTimes.microseconds(call.thread))
        var line =
            "call \(index + 1) took \(times.0) us, of which the thread ran \(times.1); \(call.faults) faults of pages, "
            + "\(call.work.blocks) blocks and \(call.work.tables) tables read, \(call.work.entries) entries passed"
        if call.switches > 0 || lost > CallTimes.lostNanoseconds {
            line += "; for \(CallTimes.microseconds(lost)) it did not run, with \(call.switches) forced switches"
        }
        return line
    }

    /// From how many nanoseconds on a thread that does not run is worth a word.
    private static let lostNanoseconds: UInt64 = 50_000

    private static func microseconds(_ nanoseconds: UInt64) -> String {
        Text.decimal(Double(nanoseconds) / 1e3, 1, width: 0)
    }

    private static func line(_ times: [UInt64]) -> String {
        let sorted = times.sorted()
        let figures = [500, 999, 1_000].map { share -> String in
            guard let last = sorted.last else { return "none" }
            let index = sorted.count * share / 1_000
            return microseconds(index < sorted.count ? sorted[index] : last)
        }
        return figures.joined(separator: "/") + " us"
    }
}
