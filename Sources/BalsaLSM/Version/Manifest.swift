import BalsaPlatform

/// The live manifest: a file `MANIFEST-<number>` that begins with an image of everything and goes on with edits.
///
/// An edit is durable when ``append(_:)`` returns. Whether an edit whose append failed is in the file is unknown, and
/// nothing is ever written behind it: the manifest is broken, and a new one must take its place before any file that
/// either outcome needs is removed.
final class Manifest {
    let number: UInt64
    /// How long the file is, in bytes.
    private(set) var byteCount: UInt64
    /// How much of that is the image it began with, in bytes.
    let imageByteCount: UInt64
    /// Whether an append has failed.
    private(set) var isBroken = false
    private let file: any File

    private init(number: UInt64, file: any File, imageByteCount: UInt64) {
        self.number = number
        self.file = file
        self.imageByteCount = imageByteCount
        byteCount = imageByteCount
    }

    /// The bytes of a manifest that says `state` and nothing else.
    static func image(of state: ManifestState, number: UInt64, engineID: UInt64) throws(DecodingError) -> Bytes {
        let body = try state.image.encoded()
        var writer = ByteWriter(capacity: body.count + 128, limit: .max)
        try ManifestRecord.FileHeader(number: number, engineID: engineID).encode(to: &writer)
        try ManifestRecord.encode(body, to: &writer, number: number, offset: UInt64(writer.count))
        return Bytes(writer.array)
    }

    /// Writes a manifest that says `state`, and makes it the live one.
    ///
    /// The names of the manifest and of the prepared CURRENT are durable before the rename, and the rename is durable when
    /// the call returns: a power loss in between leaves the old manifest live or the new one, both whole. After an error
    /// it is unknown which of the two is.
    static func begin(
        _ state: ManifestState,
        number: UInt64,
        engineID: UInt64,
        directory: String,
        fileSystem: any FileSystem
    ) throws(EngineError) -> Manifest {
        let path = directory + "/" + EngineFileName.manifestName(number)
        let prepared = directory + "/" + EngineFileName.preparedCurrentName
        let image: Bytes
        let current: Bytes
        do {
            image = try Manifest.image(of: state, number: number, engineID: engineID)
            current = try CurrentFile(manifestNumber: number, engineID: engineID).encoded()
        } catch { throw EngineError(error, in: path) }
        return try filed { () throws(FileError) in
            let file = try fileSystem.open(path, .create)
            do throws(FileError) {
                try file.write(image, at: 0)
                try file.sync()
                // What an earlier attempt left is never gone on with.
                if try fileSystem.exists(prepared) { try fileSystem.remove(prepared) }
                let currentFile = try fileSystem.open(prepared, .create)
                defer { currentFile.close() }
                try currentFile.write(current, at: 0)
                try currentFile.sync()
                try fileSystem.syncDirectory(directory)
                try fileSystem.rename(prepared, to: directory + "/" + EngineFileName.currentName)
                try fileSystem.syncDirectory(directory)
            } catch {
                file.close()
                throw error
            }
            return Manifest(number: number, file: file, imageByteCount: UInt64(image.count))
        }
    }

    /// Writes an edit behind the others. It is durable when the call returns.
    ///
    /// - Precondition: no append has failed.
    func append(_ edit: VersionEdit) throws(EngineError) {
        precondition(!isBroken, "nothing is written behind an edit whose outcome is unknown")
        var writer = ByteWriter(capacity: 256, limit: .max)
        do {
            try ManifestRecord.encode(edit.encoded(), to: &writer, number: number, offset: byteCount)
        } catch { throw EngineError(error, in: file.path) }
        let bytes = Bytes(writer.array)
        do throws(FileError) {
            try file.write(bytes, at: byteCount)
            try file.sync()
        } catch {
            isBroken = true
            throw EngineError(error)
        }
        byteCount += UInt64(bytes.count)
    }

    /// Gives the file back.
    func close() { file.close() }
}
