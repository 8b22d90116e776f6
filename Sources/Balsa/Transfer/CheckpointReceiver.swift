import BalsaPlatform
import BalsaRaft
import BalsaWire

/// A checkpoint that arrives from a leader, chunk by chunk, and is written to a directory as it comes.
///
/// What is kept in memory is the list of files. Each file is synced when it is whole, the directory when all are; only then
/// is the transfer complete, so that what is installed cannot be lost by a crash right behind it. The checksum that every
/// chunk carries covers all of the stream so far: the whole is verified, and not only its parts.
final class CheckpointReceiver {
    let transfer: TransferID
    /// Who sends, and in which term it did first.
    let sender: MemberID
    let term: Term
    let position: LogPosition
    let streamByteCount: UInt64
    /// Where the files go: a directory of its own, which nothing names yet.
    let directory: String

    private let fileSystem: any FileSystem
    /// The cluster that the member belongs to.
    private let cluster: UniqueID
    /// How much of the stream is here, and its checksum.
    private(set) var received: UInt64 = 0
    private var checksum: UInt32 = 0
    /// The beginning of the stream, until the list of files is whole.
    private var beginning: [UInt8] = []
    private var list: CheckpointList?
    /// The file that is being written.
    private var fileNumber = 0
    private var file: (any File)?
    private var fileOffset: UInt64 = 0
    /// Whether everything is here, durably.
    private(set) var isComplete = false

    /// The stamp of the checkpoint's last entry, once the list is here.
    var stamp: UInt64 { list?.stamp ?? 0 }

    /// Begins to receive into `directory`, which is made anew.
    init(
        _ chunk: CheckpointChunk,
        from sender: MemberID,
        term: Term,
        of cluster: UniqueID,
        into directory: String,
        in fileSystem: any FileSystem
    ) throws(FileError) {
        transfer = chunk.transfer
        self.sender = sender
        self.term = term
        position = chunk.position
        streamByteCount = chunk.streamByteCount
        self.directory = directory
        self.fileSystem = fileSystem
        self.cluster = cluster
        try fileSystem.removeDirectory(directory)
        try fileSystem.createDirectory(directory)
    }

    /// Takes a chunk. One that was here before, or that does not follow what is here, changes nothing.
    ///
    /// - Throws: what makes the transfer worthless; it is given up and `discard()`ed then.
    func take(_ chunk: CheckpointChunk) throws(CheckpointReceiverError) {
        guard chunk.offset == received, !isComplete else { return }
        let sum = chunk.bytes.withUnsafeBytes { CRC32C.extend(checksum, with: $0) }
        guard sum == chunk.streamChecksum, chunk.position == position, chunk.streamByteCount == streamByteCount else {
            throw .refused("a chunk at \(chunk.offset) is not of the checkpoint that began")
        }
        do {
            try write(chunk.bytes)
            received += UInt64(chunk.bytes.count)
            checksum = sum
            if received == streamByteCount { try finish() }
        } catch let error as FileError {
            throw .file(error)
        } catch let error as CheckpointReceiverError {
            throw error
        } catch let error as DecodingError {
            throw .refused("the list of files: \(error)")
        } catch {
            throw .refused("\(error)")
        }
    }

    private func write(_ bytes: Bytes) throws {
        var rest = bytes
        if list == nil {
            rest = try takeList(rest)
            if list != nil { try openNext() }
        }
        while let list, fileNumber < list.files.count, let file {
            let count = Int(min(UInt64(rest.count), list.files[fileNumber].byteCount - fileOffset))
            if count > 0 {
                try file.write(rest.slice(0..<count), at: fileOffset)
                fileOffset += UInt64(count)
                rest = rest.slice(count..<rest.count)
            }
            guard fileOffset == list.files[fileNumber].byteCount else { return }
            try closeFile()
            fileNumber += 1
            try openNext()
        }
        guard rest.isEmpty else { throw DecodingError(.inconsistent, "stream end", at: 0) }
    }

    /// Takes what belongs to the list and returns what is behind it.
    private func takeList(_ bytes: Bytes) throws -> Bytes {
        let before = beginning.count
        beginning.append(contentsOf: [UInt8](bytes))
        guard beginning.count >= 4 else { return Bytes() }
        let count = try CheckpointList.byteCount(of: Bytes(Array(beginning[..<4])))
        guard beginning.count >= count else { return Bytes() }
        let list = try CheckpointList(decoding: Bytes(Array(beginning[..<count])))
        guard list.cluster == cluster else {
            throw CheckpointReceiverError.refused(
                "the checkpoint is of the cluster \(list.cluster), and this member belongs to the cluster \(cluster)"
            )
        }
        guard list.streamByteCount(list: count) == streamByteCount else {
            throw DecodingError(.inconsistent, "stream bytes", at: 0)
        }
        self.list = list
        beginning = []
        return bytes.slice(count - before..<bytes.count)
    }

    private func openNext() throws(FileError) {
        guard let list, fileNumber < list.files.count else { return }
        fileOffset = 0
        file = try fileSystem.open("\(directory)/\(list.files[fileNumber].name)", .create)
    }

    private func closeFile() throws(FileError) {
        guard let file else { return }
        self.file = nil
        defer { file.close() }
        try file.sync()
    }

    private func finish() throws {
        guard let list, fileNumber == list.files.count else {
            throw DecodingError(.truncated, "stream end", at: 0)
        }
        try fileSystem.syncDirectory(directory)
        isComplete = true
    }

    /// Removes what arrived, as far as that is possible: what stays is removed when the replica is opened.
    func discard() {
        file?.close()
        file = nil
        do throws(FileError) { try fileSystem.removeDirectory(directory) } catch { leftBehind = error }
    }

    /// Why files were left behind, if they were.
    private(set) var leftBehind: FileError?
}

/// Why a transfer cannot go on.
enum CheckpointReceiverError: Error, CustomStringConvertible {
    /// What arrived is not what was sent, or not a checkpoint.
    case refused(String)
    /// It cannot be written here now.
    case file(FileError)
    /// The disk has no space for it.
    case noSpace(MissingSpace)

    var description: String {
        switch self {
        case .refused(let sentence): sentence
        case .file(let error): "it cannot be written here now: \(error)"
        case .noSpace(let missing): "\(missing)"
        }
    }
}
