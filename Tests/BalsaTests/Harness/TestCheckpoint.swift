import BalsaPlatform
import BalsaRaft
import BalsaWire

@testable import Balsa

/// A checkpoint in memory, to be sent without a leader.
final class TestCheckpoint: CheckpointSource {
    let state: StatePosition
    private(set) var files: [CheckpointFile]
    private var contents: [Bytes]
    /// How many bytes were read.
    private(set) var bytesRead = 0
    /// What every read fails with, if it does.
    var readFailure: StateMachineError?

    /// A checkpoint of any files.
    init(position: LogPosition, stamp: UInt64 = 0, files: [(name: String, bytes: Bytes)]) {
        state = StatePosition(position: position, stamp: stamp)
        self.files = files.map { CheckpointFile(name: $0.name, byteCount: UInt64($0.bytes.count)) }
        contents = files.map(\.bytes)
    }

    /// A checkpoint of the register machine with these registers.
    convenience init(
        position: LogPosition,
        stamp: UInt64,
        cluster: UniqueID = .none,
        state registers: [(key: Bytes, value: Bytes)]
    ) throws {
        var state = RegisterState()
        state.cluster = cluster
        for register in registers {
            let command = RegisterCommand(identity: nil, key: register.key, value: register.value)
            _ = state.apply(command, at: position.index)
        }
        state.position = StatePosition(position: position, stamp: stamp)
        self.init(position: position, stamp: stamp, files: [("seal-99999999999999999999", try state.encoded())])
    }

    func read(file: Int, offset: UInt64, count: Int) throws(StateMachineError) -> Bytes {
        if let readFailure { throw readFailure }
        bytesRead += count
        let end = min(contents[file].count, Int(offset) + count)
        return contents[file].slice(min(Int(offset), end)..<end)
    }

    /// Cuts a file short, as if it had changed under the sender's hands.
    func cut(file: Int, to count: Int) { contents[file] = contents[file].slice(0..<count) }

    /// All of it, as one transfer sends it.
    func chunks(
        of byteCount: Int,
        transfer: UInt64 = 1,
        cluster: UniqueID = .none
    ) throws -> [CheckpointChunk] {
        var sender = try CheckpointSender(
            self,
            of: cluster,
            to: 1,
            transfer: TransferID(nonce: 99, number: transfer),
            giveUpAt: .never
        )
        var chunks: [CheckpointChunk] = []
        while let chunk = try sender.nextChunk(of: byteCount, at: .zero, resendAfter: .seconds(1)) {
            sender.received(through: chunk.offset + UInt64(chunk.bytes.count), giveUpAt: .never)
            chunks.append(chunk)
        }
        return chunks
    }
}
