import BalsaPlatform

extension StorageEngine {
    /// Makes a directory that opens as an engine with the state of ``durableSeal``.
    ///
    /// Tables are shared by hard links, so that a checkpoint costs no space until this engine has compacted them away. All of
    /// it is durable when the call returns. Nothing is flushed for it.
    ///
    /// - Parameter target: the directory, which must not exist or be empty, on the same file system.
    /// - Throws: *invalid* where nothing has been sealed yet or the directory is not empty, or what went wrong with a file.
    ///   Part of the checkpoint may be there then; without its last file, CURRENT, it does not open.
    public func checkpoint(to target: String) throws(EngineError) {
        let source = try checkpoint()
        try filed { () throws(FileError) in
            try fileSystem.createDirectory(target)
            try fileSystem.syncParent(of: target)
        }
        let names = try filed { () throws(FileError) in try fileSystem.list(target) }
        guard names.isEmpty else { throw EngineError(.invalid, "\(target) is not empty") }
        for (index, file) in source.files.enumerated() {
            let path = target + "/" + file.name
            if case .table = EngineFileName(file.name) {
                try filed { () throws(FileError) in
                    try fileSystem.link(directory + "/" + file.name, to: path)
                }
                continue
            }
            let bytes = try source.read(file: index, offset: 0, count: Int(clamping: file.byteCount))
            try filed { () throws(FileError) in
                // CURRENT appears only when all that it stands for is durable.
                if EngineFileName(file.name) == .current { try fileSystem.syncDirectory(target) }
                let written = try fileSystem.open(path, .create)
                defer { written.close() }
                try written.write(bytes, at: 0)
                try written.sync()
            }
        }
        try filed { () throws(FileError) in try fileSystem.syncDirectory(target) }
    }

    /// The durable state as files, to be read and sent. It stays as it is, whatever becomes of the engine meanwhile.
    ///
    /// - Throws: *invalid* where nothing has been sealed yet, *closed*.
    public func checkpoint() throws(EngineError) -> EngineCheckpoint {
        try checkOpen()
        // Tables and record of one moment: both change under the lock, and together.
        let (view, seal, nextFileNumber) = withShared { shared in
            (unretainedView.takeUnretainedValue(), shared.durableSeal, shared.nextFileNumber)
        }
        guard let seal else { throw EngineError(.invalid, "nothing has been sealed in \(directory) yet") }
        var state = ManifestState()
        state.levels = view.version.levels.map { $0.map(\.metadata) }
        state.seal = seal
        state.floor = view.version.floor
        state.nextFileNumber = nextFileNumber + 1
        let name = EngineFileName.manifestName(nextFileNumber)
        let images: [(name: String, bytes: Bytes)]
        do {
            images = [
                (name, try Manifest.image(of: state, number: nextFileNumber, engineID: engineID)),
                (
                    EngineFileName.currentName,
                    try CurrentFile(manifestNumber: nextFileNumber, engineID: engineID).encoded()
                ),
            ]
        } catch { throw EngineError(error, in: directory + "/" + name) }
        return EngineCheckpoint(
            position: seal,
            version: view.version,
            images: images,
            directory: directory,
            fileSystem: fileSystem
        )
    }
}
