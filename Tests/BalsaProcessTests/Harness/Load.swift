import BalsaPlatform
import BalsaRaft

/// Writers and readers that go on until they are told to stop, and what they were told.
///
/// Each key has one writer, and each value is written by one call, which is made again until it is acknowledged. A part of the
/// keys is written once each; the others are overwritten all the time and read meanwhile. ``KeyHistory`` says which reads of a key
/// are linearizable, exactly: a read finds what was acknowledged last before it began, or a value whose write was under way
/// while it was under way, at a revision that fits.
final class Load: @unchecked Sendable {
    private struct Shared {
        var keys: [String: KeyHistory] = [:]
        var acknowledged = 0
        var reads = 0
        var valuesRead = 0
        var violations: [String] = []
        var isStopped = false
    }

    /// How many there were, so that each has keys of its own.
    private static let count = Locked(0)

    private let name: String
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
        name = "load-\(Load.count.withLock { $0 += 1; return $0 })"
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
    /// How many reads were answered.
    var reads: Int { shared.withLock { $0.reads } }
    /// How many of them found a value.
    var valuesRead: Int { shared.withLock { $0.valuesRead } }
    /// What was read that cannot be, each in a sentence.
    var violations: [String] { shared.withLock { $0.violations } }

    /// Ends the load: nothing new is asked, and what is under way is waited for.
    func stop() async {
        shared.withLock { $0.isStopped = true }
        await task?.value
    }

    /// Waits until so many more writes were acknowledged, and so many reads answered that found a value.
    func advance(by count: Int, reads: Int = 1) async throws {
        let before = (acknowledged, valuesRead)
        try await eventually(
            "\(count) writes and \(reads) reads are answered: \(acknowledged - before.0) and \(valuesRead - before.1)"
        ) {
            acknowledged >= before.0 + count && valuesRead >= before.1 + reads
        }
    }

    private var isStopped: Bool { shared.withLock { $0.isStopped } }

    private func write(_ writer: Int) async {
        var target = writer % members.count
        var number = 0
        while !isStopped {
            number += 1
            let key = number % 2 == 0 ? "\(name)-once-\(writer)-\(number)" : "\(name)-often-\(writer)-\(number / 2 % 4)"
            let value = "v\(writer)-\(number)"
            while true {
                shared.withLock { $0.keys[key, default: KeyHistory()].begin(value) }
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
            if let violation = shared.keys[key, default: KeyHistory()].acknowledge(value, revision) {
                shared.violations.append("\(key): \(violation)")
            }
            shared.acknowledged += 1
        }
    }

    private func read(_ reader: Int, _ writers: Int) async {
        var random = RandomSource(seed: UInt64(reader))
        while !isStopped {
            let key = "\(name)-often-\(random.below(UInt64(writers)))-\(random.below(4))"
            let member = members[Int(random.below(UInt64(members.count)))]
            let begin = shared.withLock { $0.keys[key, default: KeyHistory()].beginRead() }
            guard let found = await member.read(key, within: patience) else {
                try? await Task.sleep(for: .milliseconds(10))
                continue
            }
            shared.withLock { shared in
                shared.reads += 1
                if found.revision > 0 { shared.valuesRead += 1 }
                if let violation = shared.keys[key, default: KeyHistory()].violation(of: found, begun: begin) {
                    shared.violations.append("\(key) on member \(member.id): \(violation)")
                }
            }
        }
    }

    /// Reads every key on every member that runs, with the verb, and returns what cannot be there after the load.
    func losses(_ verb: String = "local") async throws -> [String] {
        let keys = shared.withLock { $0.keys.sorted { $0.key < $1.key } }
        let running = members.filter(\.isRunning)
        guard !running.isEmpty, keys.contains(where: { $0.value.isAcknowledged }) else {
            throw Failure("there is nothing to be lost: \(running.count) members run, of \(keys.count) keys")
        }
        return try await withThrowingTaskGroup(of: [String].self) { group in
            for member in running {
                for part in 0..<8 {
                    group.addTask {
                        var losses: [String] = []
                        for index in stride(from: part, to: keys.count, by: 8) {
                            let key = keys[index].key
                            var history = keys[index].value
                            guard let found = await member.read(key, verb) else {
                                throw Failure("member \(member.id) does not answer what \(key) is")
                            }
                            if let violation = history.violation(of: found, begun: history.beginRead()) {
                                losses.append("\(key) on member \(member.id): \(violation)")
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
