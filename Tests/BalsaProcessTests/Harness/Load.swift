import BalsaPlatform
import BalsaRaft

/// Writers and readers that go on until they are told to stop, and what they were told.
///
/// Each key has one writer. A part of the keys is written once each; the others are overwritten all the time and read
/// meanwhile: since revisions are the order in which writes took effect, a linearizable read that began after a write was
/// acknowledged must find its revision or a later one. At the end every key must have what was acknowledged last, or
/// something of a later revision that was on its way when the load ended.
final class Load: @unchecked Sendable {
    private struct Key {
        var revision: UInt64 = 0
        var value = ""
    }

    private struct Shared {
        var keys: [String: Key] = [:]
        var acknowledged = 0
        var reads = 0
        var stale: [String] = []
        var isStopped = false
        var lastAcknowledgement = ContinuousClock.now
        var longestGap = Duration.zero
    }

    private let members: [MemberProcess]
    private let patience: Duration
    private let shared = Locked(Shared())
    private var task: Task<Void, Never>?

    /// - Parameters:
    ///   - members: to whom requests go.
    ///   - writers: how many requests to write are outstanding all the time.
    ///   - readers: how many to read.
    ///   - patience: after how long a member counts as silent, and another one is asked.
    init(on members: [MemberProcess], writers: Int = 12, readers: Int = 4, patience: Duration = .seconds(3)) {
        self.members = members
        self.patience = patience
        task = Task {
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<writers { group.addTask { await self.write(number) } }
                for number in 0..<readers { group.addTask { await self.read(number, writers) } }
            }
        }
    }

    var acknowledged: Int { shared.withLock { $0.acknowledged } }
    var reads: Int { shared.withLock { $0.reads } }
    var stale: [String] { shared.withLock { $0.stale } }
    /// The longest time between two acknowledgements.
    var longestGap: Duration { shared.withLock { max($0.longestGap, .now - $0.lastAcknowledgement) } }

    /// Begins to measure gaps anew.
    func resetGap() {
        shared.withLock { shared in
            shared.longestGap = .zero
            shared.lastAcknowledgement = .now
        }
    }

    /// Ends the load: nothing new is asked, and what is under way is waited for.
    func stop() async {
        shared.withLock { $0.isStopped = true }
        await task?.value
    }

    /// Waits until so many more writes were acknowledged.
    func advance(by count: Int) async throws {
        let before = acknowledged
        try await eventually("\(count) writes are acknowledged, and not \(acknowledged - before)") {
            acknowledged >= before + count
        }
    }

    private var isStopped: Bool { shared.withLock { $0.isStopped } }

    private func write(_ writer: Int) async {
        var target = writer % members.count
        var number = 0
        while !isStopped {
            number += 1
            let key = number % 2 == 0 ? "once-\(writer)-\(number)" : "often-\(writer)-\(number / 2 % 4)"
            let value = "v\(writer)-\(number)"
            while true {
                if let revision = await members[target].put(key, value, within: patience) {
                    acknowledge(key, value, revision)
                    break
                }
                if isStopped { return }
                target = (target + 1) % members.count
                try? await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    private func acknowledge(_ key: String, _ value: String, _ revision: UInt64) {
        shared.withLock { shared in
            if shared.keys[key].map({ $0.revision < revision }) ?? true {
                shared.keys[key] = Key(revision: revision, value: value)
            }
            shared.acknowledged += 1
            let now = ContinuousClock.now
            shared.longestGap = max(shared.longestGap, now - shared.lastAcknowledgement)
            shared.lastAcknowledgement = now
        }
    }

    private func read(_ reader: Int, _ writers: Int) async {
        var random = RandomSource(seed: UInt64(reader))
        while !isStopped {
            let key = "often-\(random.below(UInt64(writers)))-\(random.below(4))"
            let member = members[Int(random.below(UInt64(members.count)))]
            let known = shared.withLock { $0.keys[key] ?? Key() }
            guard let found = await member.read(key, within: patience) else {
                try? await Task.sleep(for: .milliseconds(10))
                continue
            }
            shared.withLock { shared in
                shared.reads += 1
                if let sentence = Load.staleness(key, found, member.id, known.revision, known.value) {
                    shared.stale.append(sentence)
                }
            }
        }
    }

    private static func staleness(
        _ key: String,
        _ found: MemberProcess.Found,
        _ member: MemberID,
        _ revision: UInt64,
        _ value: String
    ) -> String? {
        if found.revision < revision {
            return
                "member \(member) read \(key) at revision \(found.revision), though \(revision) had been acknowledged"
        }
        if found.revision == revision, revision > 0, found.value != value {
            return "member \(member) read \(found.value) of \(key) at revision \(revision), which wrote \(value)"
        }
        return nil
    }

    /// Reads every key on every member that runs, with the verb, and returns what is not as it was acknowledged.
    func losses(_ verb: String = "local") async throws -> [String] {
        let keys = shared.withLock { $0.keys.sorted { $0.key < $1.key } }
        let running = members.filter(\.isRunning)
        return try await withThrowingTaskGroup(of: [String].self) { group in
            for member in running {
                for part in 0..<8 {
                    group.addTask {
                        var losses: [String] = []
                        for place in stride(from: part, to: keys.count, by: 8) {
                            let (key, known) = keys[place]
                            guard let found = await member.read(key, verb) else {
                                throw Failure("member \(member.id) does not answer what \(key) is")
                            }
                            if let loss = Load.staleness(key, found, member.id, known.revision, known.value) {
                                losses.append(loss)
                            }
                        }
                        return losses
                    }
                }
            }
            return try await group.reduce([], +)
        }
    }
}
