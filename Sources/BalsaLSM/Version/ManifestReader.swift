import BalsaPlatform

/// A manifest as it was found on disk.
struct ManifestReader {
    /// What it says in the end.
    private(set) var state = ManifestState()
    /// The number of the file.
    let number: UInt64
    /// The number of the engine.
    let engineID: UInt64
    /// How many bytes behind the last whole record were left by a write that was never acknowledged.
    let tornByteCount: Int

    /// Reads the manifest that CURRENT names; nil where the directory has none, because the engine's creation was not finished.
    ///
    /// - Throws: ``EngineError`` with *damaged* where something that was durable is missing or changed.
    static func read(directory: String, names: [String], fileSystem: any FileSystem) throws(EngineError)
        -> ManifestReader?
    {
        guard names.contains(EngineFileName.currentName) else {
            try checkUnfinished(directory: directory, names: names, fileSystem: fileSystem)
            return nil
        }
        let currentPath = directory + "/" + EngineFileName.currentName
        let bytes = try contents(of: currentPath, fileSystem, limit: UInt64(CurrentFile.byteCount))
        let current: CurrentFile
        do { current = try CurrentFile(decoding: bytes) } catch { throw EngineError(error, in: currentPath) }
        let name = EngineFileName.manifestName(current.manifestNumber)
        let path = directory + "/" + name
        guard names.contains(name) else { throw EngineError(.damaged, "\(path) is missing, and CURRENT names it") }
        let reader = try ManifestReader(path: path, number: current.manifestNumber, fileSystem: fileSystem)
        guard reader.engineID == current.engineID else {
            throw EngineError(.damaged, "\(path) belongs to another engine than CURRENT")
        }
        return reader
    }

    /// Throws unless the files are what a creation leaves that a crash has ended.
    ///
    /// CURRENT is the last file that a creation makes, and nothing is ever written before it is there. An engine that has
    /// lost it must not be taken for an empty one.
    private static func checkUnfinished(
        directory: String,
        names: [String],
        fileSystem: any FileSystem
    ) throws(EngineError) {
        for name in names {
            switch EngineFileName(name) {
            case .foreign, .preparedCurrent, .current: break
            case .manifest(1):
                let path = directory + "/" + name
                let empty: Bytes
                do {
                    empty = try Manifest.image(of: ManifestState(), number: 1, engineID: 0, isPadded: true)
                } catch { throw EngineError(error, in: path) }
                let size = try filed { () throws(FileError) in
                    let file = try fileSystem.open(path, .read)
                    defer { file.close() }
                    return try file.size()
                }
                guard size > UInt64(empty.count) else { break }
                throw EngineError(.damaged, "\(directory) has lost its file CURRENT: \(name) has been written to")
            case .table, .manifest, .log:
                throw EngineError(.damaged, "\(directory) has lost its file CURRENT: there is \(name)")
            }
        }
    }

    private init(path: String, number: UInt64, fileSystem: any FileSystem) throws(EngineError) {
        let bytes = try ManifestReader.contents(of: path, fileSystem, limit: UInt64(Int32.max))
        let header: ManifestRecord.FileHeader
        do {
            header = try bytes.withReader { reader throws(DecodingError) in
                try ManifestRecord.FileHeader(from: &reader)
            }
        } catch { throw EngineError(error, in: path) }
        guard header.number == number else {
            throw EngineError(.damaged, "\(path) says that it is the manifest \(header.number)")
        }
        self.number = number
        engineID = header.engineID
        var offset = ManifestRecord.FileHeader.byteCount
        while let body = ManifestRecord.body(at: offset, of: bytes, number: number) {
            let edit: VersionEdit
            do {
                edit = try VersionEdit(decoding: bytes.slice(body))
            } catch { throw EngineError(error, in: "\(path), record at byte \(offset)") }
            if let fault = state.apply(edit) {
                throw EngineError(.damaged, "\(path), record at byte \(offset): \(fault)")
            }
            offset = ManifestRecord.start(behind: body.upperBound)
        }
        // What fills the last sector may be missing: nothing depends on it.
        tornByteCount = max(0, bytes.count - offset)
        // The image was durable before CURRENT named the file, and every record before the next one was written.
        guard offset > ManifestRecord.FileHeader.byteCount else {
            throw EngineError(.damaged, "\(path): the image at its beginning is not what was written")
        }
        if let later = ManifestReader.record(behind: offset, of: bytes, number: number) {
            throw EngineError(
                .damaged,
                "\(path): there is no record at byte \(offset), and a whole one at byte \(later)"
            )
        }
    }

    /// Where behind `offset` a whole record lies; nil where none does.
    private static func record(behind offset: Int, of bytes: Bytes, number: UInt64) -> Int? {
        var place = offset + 1
        while place <= bytes.count - ManifestRecord.headerBytes {
            if ManifestRecord.body(at: place, of: bytes, number: number) != nil { return place }
            place += 1
        }
        return nil
    }

    /// The bytes of a whole file.
    private static func contents(
        of path: String,
        _ fileSystem: any FileSystem,
        limit: UInt64
    ) throws(EngineError) -> Bytes {
        let (bytes, size) = try filed { () throws(FileError) in
            let file = try fileSystem.open(path, .read)
            defer { file.close() }
            let size = try file.size()
            guard size <= limit else { return (Bytes(), size) }
            return (try file.read(Int(size), at: 0), size)
        }
        guard UInt64(bytes.count) == size else {
            throw EngineError(.damaged, "\(path) has \(size) bytes, of which \(bytes.count) could be read")
        }
        return bytes
    }
}
