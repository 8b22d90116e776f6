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

    /// Reads ROOT, and makes durable that it is what it is: whoever published it may have died before its name was. The
    /// directory must exist.
    init(opening directory: String, in fileSystem: any FileSystem) throws(ReplicaError) {
        self.directory = directory
        self.fileSystem = fileSystem
        let path = directory + "/ROOT"
        do {
            root = try fileSystem.exists(path) ? try CheckpointStore.readRoot(path, in: fileSystem) : nil
            try fileSystem.syncDirectory(directory)
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

    /// Removes what is not live. Only once everything was verified: what looks left over may be what a lost root named.
    func removeOrphans() throws(ReplicaError) {
        do throws(FileError) {
            let live = root.map { name(of: $0.generation) }
            for name in try fileSystem.list(directory) where name != live {
                if name.hasPrefix("state-") || name == "ROOT.new" { try fileSystem.remove(directory + "/" + name) }
            }
        } catch {
            throw ReplicaError(error)
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

    /// Writes a checkpoint beside the live one, which stays that. Where it throws, nothing has changed, and the same may be
    /// tried again later: there may be space again.
    func prepare(_ checkpoint: CheckpointFile) throws(ReplicaError) {
        let path = path(of: nextGeneration)
        do {
            try write(try checkpoint.encoded(), to: path)
            try fileSystem.syncDirectory(directory)
            try write(try nextRoot(checkpoint).encoded(), to: directory + "/ROOT.new")
        } catch let error as FileError {
            throw ReplicaError(error)
        } catch {
            throw ReplicaError(.invalid, "the checkpoint cannot be encoded: \(error)")
        }
    }

    /// Makes the checkpoint that was prepared the live one. When it returns, it is, durably; when it throws, either may be.
    mutating func publish(_ checkpoint: CheckpointFile) throws(ReplicaError) {
        let before = root
        do throws(FileError) {
            try fileSystem.rename(directory + "/ROOT.new", to: directory + "/ROOT")
            try fileSystem.syncDirectory(directory)
            root = nextRoot(checkpoint)
            // What cannot be removed now is removed when the store is opened.
            if let before, try fileSystem.exists(path(of: before.generation)) {
                try fileSystem.remove(path(of: before.generation))
            }
        } catch {
            throw ReplicaError(error)
        }
    }

    private var nextGeneration: UInt64 { (root?.generation ?? 0) + 1 }

    private func nextRoot(_ checkpoint: CheckpointFile) -> RootFile {
        RootFile(generation: nextGeneration, position: checkpoint.position)
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
