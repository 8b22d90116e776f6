import BalsaPlatform

extension StorageEngine {
    /// Opens the engine in `directory`, which is created where it does not exist.
    ///
    /// When it returns, everything up to ``durableSeal`` is there and durable under the names that it has, and a
    /// manifest of this opening's own is the live one. The manifest and all range tombstones are verified, and no table
    /// is missing. The rest of a table is verified when it is read; ``verifyAll()`` reads it all. Files that a crash
    /// left half made are removed only because all others were found: manifests at once, tables by background work.
    ///
    /// - Parameters:
    ///   - directory: where the engine's files are. Other files there are left alone.
    ///   - fileSystem: the files.
    ///   - options: the limits.
    ///   - seed: a random number, another one at each opening of any engine. The identities of the engine and of its
    ///     tables are made of it; two tables with one identity would pass for each other.
    ///   - isAccepted: asked once, with the durable seal, when everything was read and verified and nothing was changed yet.
    ///     Where it says no, the opening ends, and every byte of the directory is as it was.
    /// - Throws: *locked*, *damaged* with the name of the file, *upgrade required*, *invalid* for options outside of their
    ///   limits, or the error of a file; *invalid* also for a state that is not accepted. The directory holds what it held, as far as a
    ///   later opening can tell.
    public static func open(
        _ directory: String,
        fileSystem: any FileSystem,
        options: EngineOptions = EngineOptions(),
        seed: UInt64,
        isAccepted: (SealRecord?) -> Bool = { _ in true }
    ) throws(EngineError) -> StorageEngine {
        try options.validate()
        let files = DescriptorSavingFileSystem.over(fileSystem)
        let lock = try prepare(directory, files)
        do throws(EngineError) {
            let engine = StorageEngine(try open(directory, files, options, lock, seed, isAccepted))
            if options.hasWriteAheadLog { try engine.openLog() }
            engine.preloadTables()
            return engine
        } catch {
            lock.release()
            throw error
        }
    }

    /// Makes the directory and its name durable, and takes the lock in it.
    private static func prepare(_ directory: String, _ fileSystem: any FileSystem) throws(EngineError) -> any FileLock {
        do throws(FileError) {
            try fileSystem.createDirectory(directory)
            // At every opening: whoever made the directory may have died before its name was durable.
            try fileSystem.syncParent(of: directory)
            return try fileSystem.lock(directory + "/" + EngineFileName.lockName)
        } catch {
            guard error.operation != .lock || error.number != .wouldBlock else {
                let holder = fileSystem.holder(ofLock: error.path) ?? "another process, or another engine of this one,"
                throw EngineError(
                    .locked,
                    "\(directory) is already open; \(holder) holds \(error.path): close it there",
                    cause: error
                )
            }
            throw EngineError(error)
        }
    }

    private static func open(
        _ directory: String,
        _ fileSystem: DescriptorSavingFileSystem,
        _ options: EngineOptions,
        _ lock: any FileLock,
        _ seed: UInt64,
        _ isAccepted: (SealRecord?) -> Bool
    ) throws(EngineError) -> OpenedEngine {
        let names = try filed { () throws(FileError) in try fileSystem.list(directory) }
        guard options.hasWriteAheadLog || !names.contains(where: { EngineFileName($0) == .log }) else {
            // Without the log, batches that were acknowledged would be missing, and later ones would be there.
            throw EngineError(.invalid, "\(directory) has a write-ahead log, and the options say that it has none")
        }
        let found = try ManifestReader.read(directory: directory, names: names, fileSystem: fileSystem)
        var state = found?.state ?? ManifestState()
        var identities = RandomSource(seed: seed)
        let newEngineID = identities.next()
        let engineID = found?.engineID ?? newEngineID
        // A name of a file may have become durable without the edit that would have said that the number is taken.
        for case let number? in names.map({ EngineFileName($0).number }) {
            guard number < ManifestState.maxFileNumber else {
                throw EngineError(.damaged, "\(directory) holds a file of the last number")
            }
            if found != nil { state.nextFileNumber = max(state.nextFileNumber, number + 1) }
        }
        let epochs = Epochs()
        let cache = BlockCache(capacityBytes: options.cacheBytes, epochs: epochs)
        let removals = FileRemovals(directory: directory, fileSystem: fileSystem)
        let tables = TableCache(
            directory: directory,
            fileSystem: fileSystem,
            maxFiles: options.maxOpenTables,
            capacityBytes: options.tableMemoryBytes,
            blocks: cache
        )
        // A call of this file system that finds no descriptor can have that of a table. Sockets do not go through it:
        // for them, the tables of each engine leave half of the descriptors.
        fileSystem.add(tables)
        // Without a manifest there are no tables that it could name.
        let manifestPath = directory + "/" + EngineFileName.manifestName(found?.number ?? 1)
        let version = try openTables(of: state, in: manifestPath, names, directory, options, tables, removals)
        guard isAccepted(state.seal) else {
            throw EngineError(.invalid, "the state in \(directory) is not what its owner expects")
        }
        if let found {
            try removeManifests(besides: found.number, directory, names, fileSystem, removals)
        } else {
            try removeUnfinishedCreation(directory, names, fileSystem)
        }
        let manifest = try beginManifest(&state, engineID, directory, fileSystem, removals)
        addOrphans(names, state, replaced: found?.number, to: removals)
        return OpenedEngine(
            directory: directory,
            fileSystem: fileSystem,
            options: options,
            engineID: engineID,
            identities: identities,
            lock: lock,
            epochs: epochs,
            cache: cache,
            tables: tables,
            removals: removals,
            manifest: manifest,
            state: state,
            version: version
        )
    }

    /// Removes the manifests that CURRENT does not name, before another one is written that needs the room.
    private static func removeManifests(
        besides live: UInt64,
        _ directory: String,
        _ names: [String],
        _ fileSystem: any FileSystem,
        _ removals: FileRemovals
    ) throws(EngineError) {
        for name in names {
            if case .manifest(let number) = EngineFileName(name), number != live { removals.add(name) }
        }
        guard removals.count > 0 else { return }
        // A process that died behind the rename of CURRENT has left the manifest before it to be the durable one.
        try filed { () throws(FileError) in try fileSystem.syncDirectory(directory) }
        try removals.removeManifests()
    }

    /// Writes the manifest of this opening and makes it the live one.
    private static func beginManifest(
        _ state: inout ManifestState,
        _ engineID: UInt64,
        _ directory: String,
        _ fileSystem: any FileSystem,
        _ removals: FileRemovals
    ) throws(EngineError) -> Manifest {
        let number = state.nextFileNumber
        state.nextFileNumber += 1
        let (manifest, unknown) = try Manifest.begin(
            state,
            number: number,
            engineID: engineID,
            directory: directory,
            fileSystem: fileSystem,
            removals: removals
        )
        guard let unknown else { return manifest }
        // The next opening finds out which manifest CURRENT names, and removes the other.
        manifest.close()
        throw unknown
    }

    /// Removes the manifest of a creation that a crash has ended: the one that is made now has the same number.
    private static func removeUnfinishedCreation(
        _ directory: String,
        _ names: [String],
        _ fileSystem: any FileSystem
    ) throws(EngineError) {
        let name = EngineFileName.manifestName(1)
        guard names.contains(name) else { return }
        try filed { () throws(FileError) in try fileSystem.remove(directory + "/" + name) }
    }

    /// Makes every table of `state` readable.
    ///
    /// Their files are there; of those with range tombstones these are read and verified. The rest of a table is read
    /// when it is used: an opening that read it all would take as long as the store is large.
    private static func openTables(
        of state: ManifestState,
        in manifest: String,
        _ names: [String],
        _ directory: String,
        _ options: EngineOptions,
        _ tables: TableCache,
        _ removals: FileRemovals
    ) throws(EngineError) -> Version {
        let found = names.compactMap { name in
            if case .table(let number) = EngineFileName(name) { number } else { nil }
        }.sorted()
        var levels: [[TableHandle]] = []
        for (level, metadata) in state.levels.enumerated() {
            var handles: [TableHandle] = []
            for metadata in metadata {
                guard found.containsSorted(metadata.number) else {
                    // It was removed by somebody, or by the engine, and the record that says so is lost.
                    let path = "\(directory)/\(metadata.fileName)"
                    throw EngineError(.damaged, "\(path) is missing, and \(manifest) names it")
                }
                let table = try Table.known(metadata, in: tables, level: level)
                handles.append(TableHandle(table, removals: removals))
            }
            levels.append(handles)
        }
        // Tables below the last level of the options are read as before; compactions go no deeper.
        while levels.count < options.levels { levels.append([]) }
        return Version(levels: levels, floor: state.floor)
    }

    /// Opens a table that was just written, and verifies all of it but its blocks.
    func openNewTable(_ metadata: TableMetadata) throws(EngineError) -> TableHandle {
        TableHandle(try Table.open(metadata, in: tables), removals: removals)
    }

    /// Notes the files of this engine that nothing names any more, now that another manifest is the live one.
    static func addOrphans(
        _ names: [String],
        _ state: ManifestState,
        replaced: UInt64?,
        to removals: FileRemovals
    ) {
        if let replaced { removals.add(EngineFileName.manifestName(replaced)) }
        let live = state.levels.joined().map(\.number).sorted()
        for name in names {
            if case .table(let number) = EngineFileName(name), !live.containsSorted(number) { removals.add(name) }
        }
    }
}
