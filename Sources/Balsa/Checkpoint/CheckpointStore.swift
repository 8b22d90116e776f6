import BalsaPlatform
import BalsaRaft

/// The checkpoints of a group on disk: at most one is live, named by ROOT.
///
/// A checkpoint takes effect in four steps, each durable before the next: its file is finished and synced, its name is
/// synced, ROOT is published, and only then is the generation before removed. Whatever a crash leaves besides the live
/// generation is removed when the store is opened.
struct CheckpointStore {
    private let fileSystem: any FileSystem
    private let directory: String
    private(set) var root: RootFile?

    /// Reads ROOT and removes what is not live. The directory must exist.
    init(opening directory: String, in fileSystem: any FileSystem) throws(ReplicaError) {
        self.directory = directory
        self.fileSystem = fileSystem
        let path = directory + "/ROOT"
        do {
            root = try fileSystem.exists(path) ? try CheckpointStore.readRoot(path, in: fileSystem) : nil
            try removeOrphans()
        } catch let error as FileError {
            throw ReplicaError(error)
        } catch let error as DecodingError {
            throw ReplicaError(.damaged, "\(path): \(error)")
        } catch {
            preconditionFailure("files and decoders throw their own errors")
        }
    }

    private static func readRoot(_ path: String, in fileSystem: any FileSystem) throws -> RootFile {
        let file = try fileSystem.open(path, .read)
        defer { file.close() }
        return try RootFile(decoding: try file.read(RootFile.byteCount + 1, at: 0))
    }

    private func removeOrphans() throws(FileError) {
        let live = root.map { name(of: $0.generation) }
        for name in try fileSystem.list(directory) where name != live {
            if name.hasPrefix("state-") || name == "ROOT.new" { try fileSystem.remove(directory + "/" + name) }
        }
    }

    private func name(of generation: UInt64) -> String { "state-\(generation)" }

    private func path(of generation: UInt64) -> String { directory + "/" + name(of: generation) }

    /// The live checkpoint, verified; nil where there is none.
    func load() throws(ReplicaError) -> CheckpointFile? {
        guard let root else { return nil }
        let path = path(of: root.generation)
        do {
            let file = try fileSystem.open(path, .read)
            defer { file.close() }
            let size = try file.size()
            let checkpoint = try CheckpointFile(decoding: try file.read(Int(clamping: size), at: 0))
            guard checkpoint.position == root.position else {
                throw DecodingError(.inconsistent, "position", at: 8)
            }
            return checkpoint
        } catch let error as FileError {
            throw ReplicaError(error)
        } catch let error as DecodingError {
            throw ReplicaError(.damaged, "\(path): \(error)")
        } catch {
            preconditionFailure("files and decoders throw their own errors")
        }
    }

    /// Makes a checkpoint the live one. When it returns, it is, durably; when it throws, either may be.
    mutating func publish(_ checkpoint: CheckpointFile) throws(ReplicaError) {
        let generation = (root?.generation ?? 0) + 1
        do {
            let encoded = try checkpoint.encoded()
            try write(encoded, to: path(of: generation))
            try fileSystem.syncDirectory(directory)
            let newRoot = RootFile(generation: generation, position: checkpoint.position)
            try write(try newRoot.encoded(), to: directory + "/ROOT.new")
            try fileSystem.rename(directory + "/ROOT.new", to: directory + "/ROOT")
            try fileSystem.syncDirectory(directory)
            root = newRoot
            if generation > 1 { try fileSystem.remove(path(of: generation - 1)) }
        } catch let error as FileError {
            throw ReplicaError(error)
        } catch {
            throw ReplicaError(.invalid, "the checkpoint cannot be encoded: \(error)")
        }
    }

    /// Writes a new file and syncs it. A leftover of that name is replaced.
    private func write(_ bytes: Bytes, to path: String) throws(FileError) {
        if try fileSystem.exists(path) { try fileSystem.remove(path) }
        let file = try fileSystem.open(path, .create)
        defer { file.close() }
        try file.write(bytes, at: 0)
        try file.sync()
    }
}
