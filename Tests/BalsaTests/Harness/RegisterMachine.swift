import BalsaPlatform
import BalsaRaft
import BalsaWire

@testable import Balsa

/// A small state machine of registers: it keeps its state in memory and writes one file a seal.
///
/// A seal is written by the background work: under another name, synced, renamed, the directory synced; only then does it
/// count as durable, and the file of the seal before is removed.
final class RegisterMachine: StateMachine {
    private(set) var state: RegisterState
    private(set) var durable: StatePosition
    /// The seals that are not durable, oldest first.
    private(set) var pending: [RegisterState] = []
    /// The indexes of the entries that were applied since it was opened.
    private(set) var appliedIndexes: [LogIndex] = []
    private(set) var isClosed = false

    private let directory: String
    private let fileSystem: any FileSystem
    private let provider: RegisterProvider
    private let isReceived: Bool
    private var bytesSinceSeal = 0

    /// Opens what an earlier machine, or a checkpoint, has left in a directory.
    init(
        _ directory: String,
        of cluster: UniqueID,
        in fileSystem: any FileSystem,
        isReceived: Bool,
        provider: RegisterProvider,
        isAccepted: (StatePosition) -> Bool
    ) throws(StateMachineError) {
        self.directory = directory
        self.fileSystem = fileSystem
        self.provider = provider
        self.isReceived = isReceived
        do {
            // Whoever renamed the last seal may have died before its name was durable.
            try fileSystem.syncDirectory(directory)
            let names = try fileSystem.list(directory)
            let seals = names.filter { $0.hasPrefix("seal-") }
            if let last = seals.last {
                state = try RegisterMachine.read("\(directory)/\(last)", in: fileSystem)
            } else {
                guard !isReceived else { throw StateMachineError("\(directory) holds no state") }
                state = RegisterState()
                state.cluster = cluster
            }
            guard state.cluster == cluster else {
                throw StateMachineError(
                    "the state in \(directory) is of the cluster \(state.cluster), and the member belongs to the "
                        + "cluster \(cluster): put back what belongs together",
                    isDamaged: true
                )
            }
            guard isAccepted(state.position) else { throw StateMachineError("the state is not accepted") }
            for name in names where name != seals.last && name != "OWNER" {
                try fileSystem.remove("\(directory)/\(name)")
            }
        } catch let error as FileError {
            throw StateMachineError(error.description, file: error)
        } catch let error as StateMachineError {
            throw error
        } catch {
            throw StateMachineError("\(directory): \(error)")
        }
        durable = state.position
    }

    private static func read(_ path: String, in fileSystem: any FileSystem) throws -> RegisterState {
        let file = try fileSystem.open(path, .read)
        defer { file.close() }
        do {
            return try RegisterState(decoding: try file.read(Int(try file.size()), at: 0))
        } catch let error as DecodingError {
            throw StateMachineError("\(path): \(error)")
        }
    }

    func value(of key: Bytes) -> Bytes? { state.value(of: key) }

    var digest: UInt64 {
        do { return try state.digest ^ (isReceived ? provider.receivedDigestMask : provider.digestMask) } catch {
            preconditionFailure("a state cannot be encoded: \(error)")
        }
    }

    // MARK: Applying

    func apply(_ entries: EntryBatch, reply: (LogIndex, Bytes) -> Void) throws(StateMachineError) -> LogIndex {
        for index in entries.firstIndex...entries.lastIndex {
            let header = entries.header(at: index)
            if header.kind == .command {
                if let error = provider.applyFailure {
                    provider.applyAttempts += 1
                    // Only of the first entry it may be said that nothing has happened.
                    if error.isUnreadable, index > entries.firstIndex { return index - 1 }
                    throw error
                }
                do {
                    let command = try RegisterCommand(decoding: entries.payload(at: index))
                    reply(index, RegisterMachine.reply(at: state.apply(command, at: index)))
                } catch {
                    throw StateMachineError("the command of entry \(index): \(error)")
                }
            }
            appliedIndexes.append(index)
            state.position = StatePosition(position: header.position, stamp: header.stamp)
            bytesSinceSeal += entries.encodedByteCount(at: index)
            // Right behind the entry that fills it, so that a seal may come anywhere within a page.
            if wantsSeal { return index }
        }
        return entries.lastIndex
    }

    /// What a caller is told of a command that took effect at an index.
    static func reply(at index: LogIndex) -> Bytes { Bytes("at \(index)") }

    func identity(of command: Bytes) -> CommandIdentity? {
        guard let command = try? RegisterCommand(decoding: command), command.identity.session != 0 else { return nil }
        return command.identity
    }

    func featureLevel(of command: Bytes) -> UInt32 { provider.featureLevel(command) }

    func refusal(of command: Bytes) -> RequestError.Reason? {
        command.count > provider.maxCommandBytes ? .tooLarge : provider.refusal(command)
    }

    var maxCommandBytes: Int { provider.maxCommandBytes }

    var commandWhileIdle: Bytes? { provider.commandWhileIdle() }

    var wantsSealSoon: Bool { provider.wantsSealSoon }

    // MARK: Sealing

    var isOverloaded: Bool { pending.count >= provider.maxPendingSeals }

    var wantsSeal: Bool { bytesSinceSeal >= provider.sealAfterBytes }

    func seal() throws(StateMachineError) {
        if let error = provider.sealFailure { throw error }
        pending.append(state)
        bytesSinceSeal = 0
    }

    var hasWork: Bool { !pending.isEmpty }

    func work(budget: Int) throws(StateMachineError) {
        guard !isClosed, let next = pending.first else { return }
        if !provider.workFailures.isEmpty { throw provider.workFailures.removeFirst() }
        do {
            try publish(next)
        } catch let error as FileError {
            throw StateMachineError(error.description, file: error)
        } catch {
            throw StateMachineError("a seal cannot be encoded: \(error)")
        }
        pending.removeFirst()
        durable = next.position
    }

    private func publish(_ seal: RegisterState) throws {
        let (draft, name) = ("\(directory)/draft", fileName(of: seal.position))
        if try fileSystem.exists(draft) { try fileSystem.remove(draft) }
        let file = try fileSystem.open(draft, .create)
        defer { file.close() }
        try file.write(try seal.encoded(), at: 0)
        try file.sync()
        try fileSystem.rename(draft, to: "\(directory)/\(name)")
        try fileSystem.syncDirectory(directory)
        for other in try fileSystem.list(directory) where other != name && other != "OWNER" {
            try fileSystem.remove("\(directory)/\(other)")
        }
    }

    /// The name of a seal's file: in bytewise order, the last one is the last seal.
    private func fileName(of position: StatePosition) -> String {
        let digits = String(position.position.index)
        return "seal-" + String(repeating: "0", count: 20 - digits.count) + digits
    }

    func checkpoint() throws(StateMachineError) -> any CheckpointSource {
        guard durable != .zero else { throw StateMachineError("nothing was sealed yet") }
        do throws(FileError) {
            return try RegisterCheckpoint(durable, directory, fileName(of: durable), in: fileSystem)
        } catch {
            throw StateMachineError(error.description, file: error)
        }
    }

    func close() { isClosed = true }
}

/// The file of a seal, held open.
final class RegisterCheckpoint: CheckpointSource {
    let state: StatePosition
    let files: [CheckpointFile]
    private let file: any File

    init(_ state: StatePosition, _ directory: String, _ name: String, in fileSystem: any FileSystem) throws(FileError) {
        self.state = state
        file = try fileSystem.open("\(directory)/\(name)", .read)
        files = [CheckpointFile(name: name, byteCount: try file.size())]
    }

    func read(file number: Int, offset: UInt64, count: Int) throws(StateMachineError) -> Bytes {
        do throws(FileError) {
            return try file.read(count, at: offset)
        } catch {
            throw StateMachineError(error.description, file: error)
        }
    }

    deinit { file.close() }
}
