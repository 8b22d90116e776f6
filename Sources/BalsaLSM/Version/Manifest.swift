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
    /// How much of that is the image it began with and what fills its last sector, in bytes.
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
    ///
    /// - Parameter isPadded: whether records will be written behind it.
    static func image(
        of state: ManifestState,
        number: UInt64,
        engineID: UInt64,
        isPadded: Bool = false
    ) throws(DecodingError) -> Bytes {
        let body = try state.image.encoded()
        var writer = ByteWriter(capacity: body.count + 128 + ManifestRecord.sectorBytes, limit: .max)
        try ManifestRecord.FileHeader(number: number, engineID: engineID).encode(to: &writer)
        try ManifestRecord.encode(body, to: &writer, number: number, offset: UInt64(writer.count))
        if isPadded { try ManifestRecord.pad(&writer, from: writer.count) }
        return Bytes(writer.array)
    }

    /// Writes a manifest that says `state`, and makes it the live one.
    ///
    /// - Returns: the manifest, and what failed in a way that leaves unknown whether it is live; nil if all went well.
    /// - Throws: what failed before that. The old manifest is live, and the new one's file is removed: the disk may be full,
    ///   and each attempt would take of the room that the next one needs.
    static func begin(
        _ state: ManifestState,
        number: UInt64,
        engineID: UInt64,
        directory: String,
        fileSystem: any FileSystem,
        removals: FileRemovals
    ) throws(EngineError) -> (manifest: Manifest, unknown: EngineError?) {
        do throws(EngineError) {
            let manifest = try write(state, number, engineID, directory, fileSystem)
            do throws(EngineError) {
                return (manifest, try manifest.publish(engineID: engineID, in: directory, fileSystem))
            } catch {
                manifest.close()
                throw error
            }
        } catch {
            removals.removeUnpublished(number)
            throw error
        }
    }

    /// Writes a manifest into a file of its own, which nothing names yet.
    private static func write(
        _ state: ManifestState,
        _ number: UInt64,
        _ engineID: UInt64,
        _ directory: String,
        _ fileSystem: any FileSystem
    ) throws(EngineError) -> Manifest {
        let path = directory + "/" + EngineFileName.manifestName(number)
        let image: Bytes
        do {
            image = try Manifest.image(of: state, number: number, engineID: engineID, isPadded: true)
        } catch { throw EngineError(error, in: path) }
        return try filed { () throws(FileError) in
            let file = try fileSystem.open(path, .create)
            do throws(FileError) {
                try file.write(image, at: 0)
                try file.sync()
            } catch {
                file.close()
                throw error
            }
            return Manifest(number: number, file: file, imageByteCount: UInt64(image.count))
        }
    }

    /// Makes the manifest the live one, by a new CURRENT that names it.
    ///
    /// The names of the manifest and of the prepared CURRENT are durable before the rename, and the rename is durable when
    /// the call returns: a power loss in between leaves the old manifest live or the new one, both whole. It may be called
    /// again after either kind of failure, as long as nothing has been written to the old one meanwhile.
    ///
    /// - Returns: what failed in a way that leaves unknown which of the two is live; nil if all went well.
    /// - Throws: what failed before that. CURRENT names what it named.
    func publish(
        engineID: UInt64,
        in directory: String,
        _ fileSystem: any FileSystem
    ) throws(EngineError) -> EngineError? {
        let prepared = directory + "/" + EngineFileName.preparedCurrentName
        let current: Bytes
        do {
            current = try CurrentFile(manifestNumber: number, engineID: engineID).encoded()
        } catch { throw EngineError(error, in: prepared) }
        try filed { () throws(FileError) in
            // What an earlier attempt left is never gone on with.
            if try fileSystem.exists(prepared) { try fileSystem.remove(prepared) }
            let file = try fileSystem.open(prepared, .create)
            defer { file.close() }
            try file.write(current, at: 0)
            try file.sync()
            try fileSystem.syncDirectory(directory)
        }
        do throws(FileError) {
            try fileSystem.rename(prepared, to: directory + "/" + EngineFileName.currentName)
            try fileSystem.syncDirectory(directory)
        } catch {
            return EngineError(error)
        }
        return nil
    }

    /// Writes an edit behind the others. It is durable when the call returns.
    ///
    /// - Precondition: no append has failed.
    func append(_ edit: VersionEdit) throws(EngineError) {
        precondition(!isBroken, "nothing is written behind an edit whose outcome is unknown")
        var writer = ByteWriter(capacity: ManifestRecord.sectorBytes, limit: .max)
        do {
            try ManifestRecord.encode(edit.encoded(), to: &writer, number: number, offset: byteCount)
            try ManifestRecord.pad(&writer, from: writer.count)
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
