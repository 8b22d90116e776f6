import BalsaKeyValue
import BalsaLSM
import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaTransport

@testable import Balsa
@testable import BalsaCommand

/// Stores of this process, on files that can fail.
enum TestStores {
    /// Options with which everything that a store has to do happens within a few hundred writes: segments of the log are
    /// full, the state is sealed, tables are written and merged, and the cache holds next to nothing.
    static var tiny: StoreOptions {
        var options = StoreOptions()
        options.replica.log.smallestSegmentBytes = 32 << 10
        options.replica.log.largestSegmentBytes = 32 << 10
        options.replica.log.boundBytes = 256 << 10
        options.replica.log.cacheBytes = 16 << 10
        options.replica.sealStateAfterBytes = 32 << 10
        options.replica.entriesKeptBehindSeal = 10
        options.keyValue.engine.memtableBytes = 32 << 10
        options.keyValue.engine.tableBytes = 32 << 10
        options.keyValue.engine.levelBaseBytes = 64 << 10
        options.keyValue.engine.levelZeroTables = 2
        options.keyValue.engine.cacheBytes = 8 << 10
        options.keyValue.engine.manifestBytes = 4 << 10
        options.timeout = .seconds(5)
        return options
    }

    /// Opens a store of one member.
    static func open(
        _ directory: String,
        _ files: any FileSystem = LinuxFileSystem(),
        options: StoreOptions = tiny
    ) async throws -> ReplicatedStore {
        try await ReplicatedStore.open(
            directory,
            member: 1,
            peers: [],
            network: nil,
            options,
            .shared,
            fileSystem: files
        )
    }

    /// Opens one of several members.
    static func open(
        _ directory: String,
        _ files: any FileSystem,
        member: MemberID,
        peers: [MemberID: String]
    ) async throws -> ReplicatedStore {
        let (addresses, network) = try ReplicatedStore.network(member, peers, nil, .loopbackOnly, tiny)
        return try await ReplicatedStore.open(
            directory,
            member: member,
            peers: addresses,
            network: network,
            tiny,
            .shared,
            fileSystem: files
        )
    }

    /// All pairs of a store, read at one revision.
    static func everything(
        in store: ReplicatedStore,
        _ consistency: ReadConsistency = .linearizable,
        timeout: Duration
    ) async throws(StoreError) -> [String: String] {
        var found: [String: String] = [:]
        var page = try await store.scan(consistency: consistency, timeout: timeout)
        while true {
            for pair in page.pairs { found[String(pair.key)] = String(pair.value) }
            guard let start = page.continuation else { return found }
            page = try await store.scan(
                from: start,
                at: page.revision,
                consistency: consistency,
                timeout: timeout
            )
        }
    }

    /// The addresses of members 1, 2 and so on at these ports.
    static func peers(_ reserved: ReservedPorts) -> [MemberID: String] {
        var peers: [MemberID: String] = [:]
        for (index, port) in reserved.ports.enumerated() { peers[MemberID(index + 1)] = "127.0.0.1:\(port)" }
        return peers
    }
}

/// What was acknowledged by stores of this process.
struct Acknowledged {
    private(set) var values: [String: String] = [:]
    /// Keys whose last write was not acknowledged: they have what they had, or that.
    private(set) var open: [String: String] = [:]

    /// A value that fills about a hundredth of a segment.
    static func value(_ number: Int) -> String { "\(number)-" + String(repeating: "x", count: 300) }

    /// Puts pairs until one fails.
    ///
    /// - Returns: why one failed.
    mutating func put(_ numbers: Range<Int>, on store: ReplicatedStore, timeout: Duration? = nil) async -> StoreError? {
        for number in numbers {
            let (key, value) = ("key-\(number % 90)", Acknowledged.value(number))
            do throws(StoreError) {
                try await store.put(Bytes(key), Bytes(value), timeout: timeout)
                values[key] = value
                open[key] = nil
            } catch {
                if error.outcome == .unknown { open[key] = value }
                return error
            }
        }
        return nil
    }

    /// What is not there as it was acknowledged.
    func losses(_ store: ReplicatedStore, _ consistency: ReadConsistency = .linearizable) async throws -> [String] {
        var losses: [String] = []
        let found = try await TestStores.everything(in: store, consistency, timeout: .seconds(20))
        for (key, value) in values.sorted(by: { $0.key < $1.key }) {
            let text = found[key]
            if text != value, text == nil || text != open[key] {
                losses.append("\(key) is \(text?.prefix(20) ?? "gone"), and not \(value.prefix(20))")
            }
        }
        return losses
    }
}
