import Balsa
import BalsaPlatform
import BalsaRaft

/// The child's half of ``ProcessCluster`` and of ``RestartBenchmark``: one member, which does what the lines on its standard
/// input say, one after the other, and answers each with a line. The end of the input ends it in order.
///
/// - `role`: `leader` or `other`;
/// - `fill LOAD`: writes every key, and answers how many nanoseconds passed from the first call to the last answer;
/// - `run LOAD`: the line of the result.
enum MemberProcess {
    /// The command under which the program is such a child.
    static let command = "cluster-member"
    /// Instead of the members where there is only one.
    static let alone = "alone"

    /// - Parameter words: the member, where all of them are reached, the folder and the microseconds of spinning.
    static func run(_ words: [String]) async throws(BenchmarkError) {
        guard words.count == 4, let member = MemberID(words[0]), let spin = Int(words[3]) else {
            throw BenchmarkError("\(command) is for children of this program")
        }
        var peers: [MemberID: String] = [:]
        for peer in words[1].split(separator: ",") where words[1] != alone {
            let parts = peer.split(separator: "=")
            guard parts.count == 2, let id = MemberID(parts[0]) else { throw BenchmarkError("'\(peer)' is no peer") }
            peers[id] = String(parts[1])
        }
        let runtime = StoreRuntime(spin: .microseconds(spin))
        let store = try await LocalCluster.open(member, peers, below: words[2], runtime)
        while let line = readLine() {
            do throws(BenchmarkError) {
                printLine("ok " + (try await answer(line, store)))
            } catch {
                printLine("failed \(error)")
            }
        }
        await store.close()
    }

    private static func answer(_ line: String, _ store: ReplicatedStore) async throws(BenchmarkError) -> String {
        let words = line.split(separator: " ")
        switch words.first {
        case "role": return store.state == .leader ? "leader" : "other"
        case "fill":
            guard let load = ClientLoad(words: Array(words.dropFirst())) else { break }
            let clock = MonotonicClock()
            let start = clock.nanoseconds()
            try await load.fill(store)
            return "\(clock.nanoseconds() - start)"
        case "run":
            guard let load = ClientLoad(words: Array(words.dropFirst())) else { break }
            return try await load.run(on: store)
        default: break
        }
        throw BenchmarkError("'\(line)' cannot be understood")
    }
}
