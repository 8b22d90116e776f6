import BalsaPlatform
import BalsaRaft
import Foundation

/// One run of the demo: load, kill, agree, read back, agree again, count.
struct DemoRun {
    /// After how long without any progress a run is given up, in nanoseconds.
    private static let patience: UInt64 = 60_000_000_000
    /// How often a member is asked for its number of keys.
    private static let countAttempts = 100

    let members: [ChildMember]
    /// Held until the run is over: a member that is started again needs its port.
    private let ports: KeptPorts?
    private let lines: MemberLines
    let input: DemoInput
    /// How often the leader is killed during the load.
    let kills: Int
    private let clock = MonotonicClock()
    private let figures: Locked<LoadFigures>
    /// Why the run was given up, once it was.
    private let failure = Locked<String?>(nil)

    init(
        members: [ChildMember],
        ports: KeptPorts? = nil,
        lines: MemberLines = MemberLines(),
        input: DemoInput,
        kills: Int
    ) {
        self.members = members
        self.ports = ports
        self.lines = lines
        self.input = input
        self.kills = kills
        figures = Locked(LoadFigures(at: clock.nanoseconds()))
    }

    /// Loads the input, kills leaders meanwhile, and compares what the members have with what they acknowledged.
    func run() async -> DemoVerdict {
        guard await waitForLeader() else { return .failed("the members have chosen no leader") }
        printMembers()
        let before = await keyCounts()
        let begin = clock.nanoseconds()
        figures.withLock { $0 = LoadFigures(at: begin) }
        await load()
        report(Double(clock.nanoseconds() - begin) / 1e9)
        if let reason = failure.withLock({ $0 }) { return .failed(reason) }
        guard let applied = await agree() else { return .failed("the members do not agree") }
        let expected = input.lastValues
        let lost = await readBack(expected, applied)
        if let reason = failure.withLock({ $0 }) { return .failed(reason) }
        // A member that died during the read-back has recovered from its files.
        guard await agree() != nil else { return .failed("the members do not agree after the read-back") }
        let after = await keyCounts()
        printMembers()
        return DemoVerdict(
            keys: expected.count,
            members: members.count,
            lost: lost,
            keysBefore: before,
            keysAfter: after,
            kills: figures.withLock { $0.gapsOfKills.count },
            killsAsked: kills
        )
    }

    /// How many keys each member has; nil for one that does not answer in time.
    private func keyCounts() async -> [Int?] {
        var counts: [Int?] = []
        for member in members {
            var count: Int?
            for _ in 0..<DemoRun.countAttempts where count == nil {
                count = ReadBack.count(await member.request("count", within: 30))
                if count == nil { try? await Task.sleep(for: .milliseconds(100)) }
            }
            counts.append(count)
        }
        return counts
    }

    private func printMembers() {
        for member in members { lines.show(member.id, pid: member.pid, state: member.state, starts: member.starts) }
    }

    /// Whether one leads and all others follow.
    private var isWhole: Bool {
        members.contains { $0.state == "leader" }
            && members.allSatisfy { $0.state == "leader" || $0.state.hasPrefix("follower") }
    }

    private func waitForLeader() async -> Bool {
        for _ in 0..<600 {
            if isWhole { return true }
            try? await Task.sleep(for: .milliseconds(50))
        }
        return false
    }

    // MARK: Loading

    private func load() async {
        let bar = ProgressLine("loading", total: input.pairs.count)
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
                guard mayGoOn(after: answer) else { return }
                target = (target + 1) % members.count
                try? await Task.sleep(for: .milliseconds(20))
            }
            acknowledged(since: begin)
            bar.advance()
        }
    }

    /// Whether it makes sense to ask again; where it does not, the run is given up.
    private func mayGoOn(after answer: ChildMember.Answer) -> Bool {
        let silence = figures.withLock { $0.silence(at: clock.nanoseconds()) }
        return failure.withLock { failure in
            if failure == nil, silence > DemoRun.patience {
                let words = (answer ?? []).map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
                let last = words.isEmpty ? "the last request was not answered" : "the last answer was: \(words)"
                failure = "nothing was acknowledged for \(silence / 1_000_000_000) s; \(last)"
            }
            return failure == nil
        }
    }

    private static func worker(of key: Bytes) -> Int {
        Int(key.withUnsafeBytes { CRC32C.checksum($0) } % UInt32(DemoCommand.concurrency))
    }

    private func acknowledged(since begin: UInt64) {
        let now = clock.nanoseconds()
        // One worker at a time: two that saw the same leader would count one kill twice.
        let killed = figures.withLock { figures -> (id: MemberID, pid: Int32)? in
            figures.acknowledge(since: begin, at: now)
            let next = figures.gapsOfKills.count + 1
            let isDue = next <= kills && figures.acknowledged * (kills + 1) >= input.pairs.count * next
            // Of three members two must be there all the time: the next leader dies when the last one is back.
            guard isDue, isWhole, let leader = members.first(where: { $0.state == "leader" }) else { return nil }
            let pid = leader.killProcess(ifStateIs: "leader")
            guard pid > 0 else { return nil }
            figures.noteKill()
            return (leader.id, pid)
        }
        guard let killed else { return }
        ProgressLine.note("killed the leader, member \(killed.id), pid \(killed.pid), with SIGKILL")
    }

    private func report(_ seconds: Double) {
        let figures = figures.withLock { $0 }
        func milliseconds(_ nanoseconds: UInt64) -> String { String(format: "%.2f ms", Double(nanoseconds) / 1e6) }
        let p50 = LoadFigures.quantile(0.5, of: figures.latencies)
        let p99 = LoadFigures.quantile(0.99, of: figures.latencies)
        printLine(
            "\(figures.acknowledged) pairs acknowledged in \(String(format: "%.1f", seconds)) s, "
                + "\(Int(Double(figures.acknowledged) / seconds)) pairs a second, p50 \(milliseconds(p50)), "
                + "p99 \(milliseconds(p99)), \(figures.retries) retries"
        )
        if kills > 1 {
            let gaps = figures.gapsOfKills
            printLine(
                "longest time without an acknowledgement after each kill: "
                    + gaps.map(milliseconds).joined(separator: ", ")
            )
            printLine("median of \(gaps.count) kills: \(milliseconds(LoadFigures.quantile(0.5, of: gaps)))")
        }
        printLine("longest time without an acknowledgement: \(milliseconds(figures.longestGap))")
        if !input.tooLong.isEmpty { printLine("\(input.tooLong.count) lines were left out: \(DemoInput.limits)") }
    }

    // MARK: Agreeing

    /// Waits until all members report one applied index with one digest; returns the index.
    private func agree() async -> UInt64? {
        for _ in 0..<600 {
            var all: [MemberFigures?] = []
            for member in members { all.append(MemberFigures(await member.request("status", within: 2))) }
            switch Agreement(all) {
            case .agreed(let figures):
                printLine(
                    "all \(members.count) members have applied index \(figures.applied), digest \(figures.digest)"
                )
                return figures.applied
            case .contradiction(let figures):
                printLine(
                    "digests differ at index \(figures[0].applied): \(figures.map(\.digest).joined(separator: ", "))"
                )
                return nil
            case .pending:
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
        return nil
    }

    // MARK: Reading back

    /// Reads every pair on each member, from what that member itself has. Returns how many were not there.
    private func readBack(_ expected: [DemoInput.Pair], _ applied: UInt64) async -> Int {
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

    private func isThere(_ pair: DemoInput.Pair, on member: ChildMember, _ applied: UInt64) async -> Bool {
        let begin = clock.nanoseconds()
        while failure.withLock({ $0 }) == nil {
            let starts = member.starts
            if ReadBack(await member.request("local", pair.key), expecting: pair.value) == .there { return true }
            // A member that was started again may not have caught up. One that had, before it was asked, is to be believed.
            let figures = MemberFigures(await member.request("status", within: 2))
            let answer = ReadBack(await member.request("local", pair.key), expecting: pair.value)
            if answer == .there { return true }
            if answer == .lost, starts == member.starts, let figures, figures.applied >= applied {
                ProgressLine.note("member \(member.id) does not have \(DemoRun.text(pair.key))")
                return false
            }
            if clock.nanoseconds() - begin > DemoRun.patience {
                failure.withLock { $0 = $0 ?? "member \(member.id) does not answer what it has" }
            }
            try? await Task.sleep(for: .milliseconds(100))
        }
        return false
    }

    /// A key as it can be shown.
    private static func text(_ key: Bytes) -> String {
        var line: [UInt8] = []
        key.withUnsafeBytes { PercentEncoding.append($0, to: &line) }
        return String(decoding: line.prefix(100), as: UTF8.self)
    }
}
