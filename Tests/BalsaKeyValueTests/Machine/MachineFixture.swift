import BalsaLSM
import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaKeyValue

/// How a machine of a test is set up.
struct MachineOptions {
    /// The options in force before the first entry.
    var limits = ReplicatedOptions()
    var engine = EngineOptions()
    var plantedBugs: KeyValuePlantedBugs = []

    var local: KeyValueOptions {
        var options = KeyValueOptions()
        options.engine = engine
        options.plantedBugs = plantedBugs
        return options
    }
}

/// A machine on a simulated disk, and the log that it was given, which outlives it.
final class MachineFixture {
    struct Entry {
        var payload: Bytes?
        var index: UInt64
        var term: UInt64
        var stamp: UInt64
        /// What was replied when it was applied for the first time.
        var reply: CommandReply?
    }

    static let second: UInt64 = 1_000_000_000
    /// The cluster whose state it is.
    static let cluster = UniqueID(high: 0xc1, low: 0xc2)

    let disk = SimulatedDisk()
    let options: MachineOptions
    private(set) var machine: KeyValueMachine
    private(set) var log: [Entry] = []
    /// The time of the next entry.
    var stamp: UInt64 = 0
    private var nonce: UInt64 = 1_000

    init(_ options: MachineOptions = MachineOptions()) throws {
        self.options = options
        machine = try KeyValueMachine.open(
            directory: "kv",
            fileSystem: disk.mount(),
            cluster: MachineFixture.cluster,
            options: options.local,
            seed: 1
        )
        found()
    }

    /// Puts the options in force as if an entry before the first had done so: the entries of these tests count from 1.
    private func found() {
        guard machine.applied.index == 0 else { return }
        machine.state = ReplicatedState(cluster: MachineFixture.cluster, options: options.limits, revision: 1)
    }

    /// Applies a command and keeps it in the log.
    @discardableResult
    func apply(
        _ operation: Command.Operation,
        session: SessionID = .none,
        number: UInt64? = nil,
        lowest: UInt64? = nil
    ) throws -> CommandReply {
        nonce += 1
        let identity = RequestIdentity(session: session, number: number ?? nonce)
        let command = Command(identity: identity, lowestOutstanding: lowest, operation: operation)
        return try apply(command.encoded())
    }

    @discardableResult
    func apply(_ payload: Bytes) throws -> CommandReply {
        let entry = next(payload)
        let reply = try machine.apply(payload, index: entry.index, term: entry.term, stamp: entry.stamp)
        log[log.count - 1].reply = reply
        return reply
    }

    func skip() throws {
        let entry = next(nil)
        try machine.skip(index: entry.index, term: entry.term, stamp: entry.stamp)
    }

    private func next(_ payload: Bytes?) -> Entry {
        let entry = Entry(payload: payload, index: UInt64(log.count) + 1, term: 1, stamp: stamp)
        log.append(entry)
        return entry
    }

    func open() throws -> SessionID {
        let reply = try apply(.openSession)
        XCTAssertEqual(reply.outcome, .sessionOpened)
        return SessionID(rawValue: reply.revision)
    }

    func seal() throws {
        try machine.seal()
        while machine.hasWork { _ = try machine.work(budget: 1 << 20) }
    }

    /// Ends the process, opens the machine again, and replays the log behind what was durable.
    ///
    /// - Returns: the replies of the replay, with the indexes.
    @discardableResult
    func restart(isReceived: Bool = false, cluster: UniqueID = MachineFixture.cluster) throws -> [(
        UInt64, CommandReply
    )] {
        _ = disk.powerLoss(salt: UInt64(log.count))
        machine = try KeyValueMachine.open(
            directory: "kv",
            fileSystem: disk.mount(),
            cluster: cluster,
            options: options.local,
            seed: 1,
            isReceived: isReceived
        )
        found()
        return try replay(into: machine)
    }

    /// Applies the rest of the log to a machine, whose replies must be those that were given before.
    func replay(into machine: KeyValueMachine) throws -> [(UInt64, CommandReply)] {
        var replies: [(UInt64, CommandReply)] = []
        for entry in log where entry.index > machine.applied.index {
            if let payload = entry.payload {
                let reply = try machine.apply(payload, index: entry.index, term: entry.term, stamp: entry.stamp)
                XCTAssertEqual(reply, entry.reply, "entry \(entry.index)")
                replies.append((entry.index, reply))
            } else {
                try machine.skip(index: entry.index, term: entry.term, stamp: entry.stamp)
            }
        }
        return replies
    }

    func value(_ key: Bytes) throws -> Bytes? { try machine.get(key)?.value }
}

/// The bytes of a counter.
func counter(_ value: Int64) -> Bytes {
    withUnsafeBytes(of: value.littleEndian) { Bytes(copying: $0) }
}

/// Calls `body` and returns the error that it throws, which must be of the machine.
func errorOf(_ body: () throws -> Void, line: UInt = #line) -> KeyValueError? {
    do {
        try body()
        XCTFail("nothing was thrown", line: line)
        return nil
    } catch {
        return error as? KeyValueError
    }
}
