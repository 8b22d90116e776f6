import BalsaPlatform
import Foundation

/// One run of the demo: load, kill, agree, read back.
struct DemoRun {
    let members: [ChildMember]
    let input: DemoInput
    private let clock = MonotonicClock()
    private let figures = Locked(Figures())

    private struct Figures {
        var acknowledged = 0
        var retries = 0
        var latencies: [UInt64] = []
        var lastAcknowledgement: UInt64 = 0
        var longestGap: UInt64 = 0
        var isLeaderKilled = false
    }

    init(members: [ChildMember], input: DemoInput) {
        self.members = members
        self.input = input
    }

    /// Runs, and says whether everything that was acknowledged is there.
    func run() async throws -> Bool {
        guard await waitForLeader() else {
            printLine("verdict: FAILED, the members have chosen no leader")
            return false
        }
        for member in members { printLine("member \(member.id): pid \(member.pid), \(member.state)") }
        let begin = clock.nanoseconds()
        await load()
        let seconds = Double(clock.nanoseconds() - begin) / 1e9
        report(seconds)
        guard let applied = await agree() else {
            printLine("verdict: FAILED, the members do not agree")
            return false
        }
        let lost = await readBack(applied)
        for member in members {
            printLine("member \(member.id): pid \(member.pid), \(member.state), started \(member.starts) times")
        }
        let count = lastValues.count
        printLine(
            lost == 0
                ? "verdict: nothing was lost; \(count) keys are on each of \(members.count) members, with equal digests"
                : "verdict: FAILED, \(lost) of \(count * members.count) reads did not find what was acknowledged"
        )
        return lost == 0
    }

    private func waitForLeader() async -> Bool {
        for _ in 0..<600 {
            if members.contains(where: { $0.state == "leader" }) { return true }
            try? await Task.sleep(for: .milliseconds(50))
        }
        return false
    }

    // MARK: Loading

    private func load() async {
        let bar = ProgressLine("loading", total: input.pairs.count)
        figures.withLock { $0.lastAcknowledgement = clock.nanoseconds() }
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<DemoCommand.concurrency {
                group.addTask { await load(worker, bar) }
            }
        }
    }

    /// A worker puts the pairs whose keys are its own, in the order of the file: of a key that is repeated the last wins.
    private func load(_ worker: Int, _ bar: ProgressLine) async {
        var target = worker % members.count
        for pair in input.pairs where DemoRun.worker(of: pair.key) == worker {
            let begin = clock.nanoseconds()
            while true {
                let answer = await members[target].request("put", pair.key, pair.value)
                if let word = answer?.first, word.elementsEqual("ok".utf8) { break }
                figures.withLock { $0.retries += 1 }
                target = (target + 1) % members.count
                try? await Task.sleep(for: .milliseconds(20))
            }
            acknowledged(since: begin)
            bar.advance()
        }
    }

    private static func worker(of key: Bytes) -> Int {
        Int(key.withUnsafeBytes { CRC32C.checksum($0) } % UInt32(DemoCommand.concurrency))
    }

    private func acknowledged(since begin: UInt64) {
        let now = clock.nanoseconds()
        let mustKill = figures.withLock { figures in
            figures.acknowledged += 1
            figures.latencies.append(now - begin)
            figures.longestGap = max(figures.longestGap, now - min(now, figures.lastAcknowledgement))
            figures.lastAcknowledgement = now
            guard members.count > 2, !figures.isLeaderKilled, figures.acknowledged * 2 >= input.pairs.count else {
                return false
            }
            figures.isLeaderKilled = true
            return true
        }
        guard mustKill, let leader = members.first(where: { $0.state == "leader" }) else { return }
        ProgressLine.note("killing the leader, member \(leader.id), pid \(leader.pid), with SIGKILL")
        leader.killProcess()
    }

    private func report(_ seconds: Double) {
        let figures = figures.withLock { $0 }
        let sorted = figures.latencies.sorted()
        func milliseconds(_ nanoseconds: UInt64) -> String { String(format: "%.2f ms", Double(nanoseconds) / 1e6) }
        let p50 = sorted[sorted.count / 2]
        let p99 = sorted[min(sorted.count - 1, sorted.count * 99 / 100)]
        printLine(
            "\(figures.acknowledged) pairs acknowledged in \(String(format: "%.1f", seconds)) s, "
                + "\(Int(Double(figures.acknowledged) / seconds)) pairs a second, p50 \(milliseconds(p50)), "
                + "p99 \(milliseconds(p99)), \(figures.retries) retries"
        )
        printLine("longest time without an acknowledgement: \(milliseconds(figures.longestGap))")
        if !input.tooLong.isEmpty { printLine("\(input.tooLong.count) lines were too long and left out") }
    }

    // MARK: Agreeing

    private struct Status: Equatable {
        var applied: UInt64
        var digest: String
    }

    private func status(of member: ChildMember) async -> Status? {
        guard let words = await member.request("status", within: 2), words.first?.elementsEqual("status".utf8) == true
        else {
            return nil
        }
        var status = Status(applied: 0, digest: "")
        for word in words.dropFirst() {
            let pair = String(decoding: word, as: UTF8.self).split(separator: "=", maxSplits: 1)
            guard pair.count == 2 else { continue }
            if pair[0] == "applied" { status.applied = UInt64(pair[1]) ?? 0 }
            if pair[0] == "digest" { status.digest = String(pair[1]) }
        }
        return status
    }

    /// Waits until all members report one applied index with one digest; returns the index.
    private func agree() async -> UInt64? {
        for _ in 0..<600 {
            var all: [Status] = []
            for member in members {
                if let status = await status(of: member) { all.append(status) }
            }
            if all.count == members.count, let first = all.first, first.applied > 0,
                all.allSatisfy({ $0.applied == first.applied })
            {
                guard all.allSatisfy({ $0 == first }) else {
                    printLine("digests differ at index \(first.applied): \(all.map(\.digest).joined(separator: ", "))")
                    return nil
                }
                printLine("all \(members.count) members have applied index \(first.applied), digest \(first.digest)")
                return first.applied
            }
            try? await Task.sleep(for: .milliseconds(100))
        }
        return nil
    }

    // MARK: Reading back

    /// The last value of each key.
    private var lastValues: [(key: Bytes, value: Bytes)] {
        var last: [Bytes: Bytes] = [:]
        for pair in input.pairs { last[pair.key] = pair.value }
        return last.map { ($0.key, $0.value) }.sorted { $0.key < $1.key }
    }

    /// Reads every pair on each member, from what that member itself has. Returns how many were not there.
    private func readBack(_ applied: UInt64) async -> Int {
        let expected = lastValues
        let bar = ProgressLine("reading back", total: expected.count * members.count)
        return await withTaskGroup(of: Int.self) { group in
            for member in members {
                for worker in 0..<DemoCommand.concurrency {
                    group.addTask {
                        var lost = 0
                        for place in stride(from: worker, to: expected.count, by: DemoCommand.concurrency) {
                            if await !isThere(expected[place], on: member, applied) { lost += 1 }
                            bar.advance()
                        }
                        return lost
                    }
                }
            }
            return await group.reduce(0, +)
        }
    }

    private func isThere(_ pair: (key: Bytes, value: Bytes), on member: ChildMember, _ applied: UInt64) async -> Bool {
        for _ in 0..<600 {
            let starts = member.starts
            if let words = await member.request("local", pair.key) {
                if words.count == 3, words[0].elementsEqual("value".utf8),
                    PercentEncoding.decode(words[2]) == pair.value
                {
                    return true
                }
                // A member that was started again may not have caught up; one that has is to be believed.
                if starts == member.starts, let status = await status(of: member), status.applied >= applied {
                    if let again = await member.request("local", pair.key), again.count == 3,
                        PercentEncoding.decode(again[2]) == pair.value
                    {
                        return true
                    }
                    if starts == member.starts { return false }
                }
            }
            try? await Task.sleep(for: .milliseconds(100))
        }
        return false
    }
}
