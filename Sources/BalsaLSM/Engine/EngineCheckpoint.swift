import BalsaPlatform

/// An engine's durable state as files, to be sent elsewhere: an engine opens a directory that holds copies of them.
///
/// The tables are kept for as long as the checkpoint is; compactions go on and cannot remove them. The manifest and CURRENT
/// are images in memory, so that nothing is written here. Whoever receives the files syncs them and their directory before
/// it relies on them. One thread at a time reads a checkpoint.
public final class EngineCheckpoint: @unchecked Sendable {
    /// A file of a checkpoint.
    public struct FileInfo: Equatable, Sendable {
        /// Its name in the engine's directory.
        public let name: String
        /// Its size, in bytes.
        public let byteCount: UInt64
    }

    /// What the state contains everything up to.
    public let position: SealRecord
    /// The files, in the order in which they are best written: CURRENT comes last.
    public let files: [FileInfo]
    private let directory: String
    private let fileSystem: any FileSystem
    // What keeps the tables' files in existence.
    private let version: Version
    /// The bytes of the files that are not on disk, which are the last of ``files``.
    private let images: [Bytes]
    // The file that was read last; files are read front to back.
    private let opened = Locked<(any File)?>(nil)

    init(
        position: SealRecord,
        version: Version,
        images: [(name: String, bytes: Bytes)],
        directory: String,
        fileSystem: any FileSystem
    ) {
        self.position = position
        self.version = version
        self.images = images.map(\.bytes)
        self.directory = directory
        self.fileSystem = fileSystem
        files =
            version.levels.joined().map { FileInfo(name: $0.metadata.fileName, byteCount: $0.metadata.byteCount) }
            + images.map { FileInfo(name: $0.name, byteCount: UInt64($0.bytes.count)) }
    }

    deinit { close() }

    /// Reads a part of a file.
    ///
    /// - Parameters:
    ///   - file: the file's place in ``files``.
    ///   - offset: where to begin, in bytes from the file's beginning.
    ///   - count: how many bytes to read at most.
    /// - Returns: the bytes; fewer where the file ends.
    /// - Throws: *invalid* where there is no such file or place, or what went wrong with the file.
    public func read(file: Int, offset: UInt64, count: Int) throws(EngineError) -> Bytes {
        guard files.indices.contains(file), count >= 0, offset <= files[file].byteCount else {
            throw EngineError(.invalid, "the checkpoint has no such place")
        }
        let rest = Int(clamping: files[file].byteCount - offset)
        let wanted = min(count, rest)
        if file >= files.count - images.count {
            let image = images[file - (files.count - images.count)]
            return image.slice(Int(offset)..<Int(offset) + wanted)
        }
        let path = directory + "/" + files[file].name
        let bytes = try filed { () throws(FileError) in try self.handle(path).read(wanted, at: offset) }
        guard bytes.count == wanted else { throw EngineError(.damaged, "\(path) has become shorter") }
        return bytes
    }

    /// Gives the file back that was read last. The checkpoint can still be read.
    public func close() {
        let file = opened.withLock { opened in
            defer { opened = nil }
            return opened
        }
        file?.close()
    }

    private func handle(_ path: String) throws(FileError) -> any File {
        let known = opened.withLock { $0 }
        if let known, known.path == path { return known }
        known?.close()
        let file = try fileSystem.open(path, .read)
        opened.withLock { $0 = file }
        return file
    }
}
