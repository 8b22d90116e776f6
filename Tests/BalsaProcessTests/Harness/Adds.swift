import BalsaPlatform
import BalsaRaft

/// Calls that each add 1 to a counter of its own, through all members, until they are told to stop.
final class Adds: Sendable {
    private struct Shared {
        /// Whether the call of each counter was acknowledged.
        var calls: [String: Bool] = [:]
        var isStopped = false

        var acknowledged: Int { calls.values.count { $0 } }
    }

    private let shared = Locked(Shared())
    private let task: Task<Void, Never>

    /// - Parameters:
    ///   - members: to whom requests go.
    ///   - callers: how many calls are under way at each member all the time.
    init(on members: [MemberProcess], callers: Int = 8) {
        let shared = shared
        task = Task {
            await withTaskGroup(of: Void.self) { group in
                for member in members {
                    for caller in 0..<callers {
                        group.addTask { await Adds.call(member, caller, shared) }
                    }
                }
            }
        }
    }

    private static func call(_ member: MemberProcess, _ caller: Int, _ shared: Locked<Shared>) async {
        var number = 0
        while !shared.withLock({ $0.isStopped }) {
            guard member.isRunning else {
                try? await Task.sleep(for: .milliseconds(2))
                continue
            }
            number += 1
            let key = "add-\(member.id)-\(caller)-\(number)"
            shared.withLock { $0.calls[key] = false }
            // A member that was killed does not answer. The call is not made again: whether it took effect is unknown.
            if await member.request("add", key, "1", within: .seconds(60))?.first == "ok" {
                shared.withLock { $0.calls[key] = true }
            }
        }
    }

    /// Waits until so many more calls were acknowledged.
    func advance(by count: Int) async throws {
        let before = shared.withLock { $0.acknowledged }
        try await eventually("\(count) more calls are acknowledged") {
            shared.withLock { $0.acknowledged } >= before + count
        }
    }

    /// Makes no more calls, and waits for those under way.
    func stop() async {
        shared.withLock { $0.isStopped = true }
        await task.value
    }

    /// What is wrong with the counters that a member has applied; and how many of the calls were acknowledged.
    func faults(on member: MemberProcess) async throws -> (faults: [String], acknowledged: Int) {
        let calls = shared.withLock { $0.calls.sorted { $0.key < $1.key } }
        let faults = try await withThrowingTaskGroup(of: [String].self) { group in
            for part in 0..<64 {
                group.addTask {
                    var faults: [String] = []
                    for index in stride(from: part, to: calls.count, by: 64) {
                        let (key, isAcknowledged) = (calls[index].key, calls[index].value)
                        guard let found = await member.read(key, "local", within: .seconds(60)) else {
                            throw Failure("member \(member.id) does not answer what \(key) is")
                        }
                        let isOne = found.value == "%01%00%00%00%00%00%00%00"
                        let isAbsent = found.revision == 0 && !isAcknowledged
                        if !isOne && !isAbsent { faults.append("\(key), acknowledged \(isAcknowledged): \(found)") }
                    }
                    return faults
                }
            }
            return try await group.reduce([], +)
        }
        return (faults, calls.count { $0.value })
    }
}
