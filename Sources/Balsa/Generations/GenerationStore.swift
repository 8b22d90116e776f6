import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

/// The generations of a group's state on disk: at most one is live, named by ROOT.
///
/// A generation is a directory `state-<number>` with the files of a state machine. The first is made when the replica is
/// opened for the first time, every further one by a checkpoint that arrived. It takes effect in five steps, each
/// durable
/// before the next: its files are finished and synced, its file OWNER is written, the name of its directory is synced,
/// ROOT is published, and only then is the generation before removed. Whatever a crash leaves besides the live
/// generation is removed when the store is
/// opened.
struct GenerationStore {
    let fileSystem: any FileSystem
    let directory: String
    private let binding: FileBinding
    /// The cluster that the member belongs to; none for a replica without a member.
    var cluster: UniqueID { binding.owner.cluster }
    /// The latest opening that had published ROOT when it was read; nil without a ROOT.
    private(set) var foundMark: Opening?
    private(set) var root: RootFile?
    private let order = RootOrder()
    /// A sentence for each of ROOT and OWNER that has a damaged copy; ``confirm()`` writes both again.
    private(set) var mended: [String] = []
    /// OWNER of the live generation where it has to be written again: one of its copies is damaged, or it does not say
    /// what ROOT says.
    private var mendedOwner: StateOwner?
    /// Where the ids of generations come from.
    private var ids: UniqueIDSource
    /// The highest number that a directory has had.
    private var highest: UInt64 = 0

    /// Reads ROOT, and changes nothing.
    init(
        opening directory: String,
        in fileSystem: any FileSystem,
        binding: FileBinding = .unbound
    ) throws(ReplicaError) {
        self.directory = directory
        self.binding = binding
        self.fileSystem = fileSystem
        ids = UniqueIDSource(seed: UniqueID(high: RandomSource.mix(binding.seed), low: RandomSource.mix(~binding.seed)))
        let path = directory + "/ROOT"
        do {
            let found = try GenerationStore.readRoot(path, in: fileSystem)
            root = found?.record
            mended += found?.fault.map { [mendedSentence(path, $0)] } ?? []
        } catch let error as FileError {
            throw ReplicaError(error)
        } catch let error as DecodingError {
            throw ReplicaError(error, in: path)
        } catch {
            preconditionFailure("files and decoders throw their own errors")
        }
        guard root?.owner ?? binding.owner == binding.owner else {
            throw ReplicaError(
                .damaged,
                "\(path) belongs to another member's directory: put back what belongs together"
            )
        }
        guard root?.group ?? Replica.group == Replica.group else {
            throw ReplicaError(
                .damaged,
                "\(path) belongs to group \(root?.group ?? 0) and not to group \(Replica.group): "
                    + "put back what belongs together"
            )
        }
        foundMark = root?.mark
        highest = root?.generation ?? 0
    }

    /// Throws where the directory of the live generation is gone or is not the one that ROOT names. Changes nothing.
    ///
    /// The name of the directory and the file OWNER in it were durable before ROOT was published.
    mutating func checkLive() throws(ReplicaError) {
        guard let root else { return }
        let directory = path(of: root.generation)
        let path = directory + "/" + StateOwner.fileName
        let found: TwinFile.Found<StateOwner>
        do {
            guard try fileSystem.exists(directory) else {
                throw ReplicaError(.damaged, "\(directory) is missing, though \(self.directory)/ROOT names it")
            }
            guard let bytes = try TwinFile.read(path, maxRecordBytes: StateOwner.byteCount, in: fileSystem) else {
                throw ReplicaError(
                    .damaged,
                    "\(path) is missing: \(directory) is not the state that ROOT names, or has lost files: "
                        + "put it back as a whole"
                )
            }
            found = try TwinFile.decode(bytes) { bytes throws(DecodingError) in try StateOwner(decoding: bytes) }
        } catch let error as ReplicaError {
            throw error
        } catch let error as FileError {
            throw ReplicaError(error)
        } catch let error as DecodingError {
            throw ReplicaError(error, in: path)
        } catch {
            preconditionFailure("files and decoders throw their own errors")
        }
        if let sentence = mistake(of: found.record, at: path, root, directory) {
            throw ReplicaError(.damaged, sentence)
        }
        if let fault = found.fault {
            mended.append(mendedSentence(path, fault))
            mendedOwner = found.record
        }
        guard found.record.isDiverged != root.isDiverged else { return }
        // A crash came between the two, or one of them was put back as it was before.
        self.root?.isDiverged = true
        mendedOwner = found.record
        mendedOwner?.isDiverged = true
    }

    /// Why a directory is not that of the live generation, by the file in it that says whose it is; nil where it is.
    private func mistake(
        of found: StateOwner,
        at path: String,
        _ root: RootFile,
        _ directory: String
    ) -> String? {
        guard found.owner == binding.owner else {
            return "\(path) belongs to another member's directory: put back what belongs together"
        }
        guard found.group == root.group, found.generation == root.generation, found.id == root.state else {
            return "\(directory) is the state of generation \(found.generation) of group \(found.group) with the id "
                + "\(found.id), and \(self.directory)/ROOT names generation \(root.generation) of group \(root.group) "
                + "with the id \(root.state): put back what belongs together"
        }
        return nil
    }

    /// Makes durable that ROOT is what it is. The process that published it may have died before its name was durable, or been
    /// told that the sync of its name had failed, after which another sync proves nothing. So it is published once more.
    ///
    /// It gets the mark of this opening.
    mutating func confirm() throws(ReplicaError) {
        root?.mark = binding.mark
        do {
            if let mendedOwner { try write(mendedOwner) }
            mendedOwner = nil
            if let root { try publish(root) } else { try fileSystem.syncDirectory(directory) }
        } catch {
            throw GenerationStore.failure(error)
        }
    }

    private static func failure(_ error: any Error) -> ReplicaError {
        if let error = error as? FileError { return ReplicaError(error) }
        return ReplicaError(.invalid, "the root cannot be encoded: \(error)")
    }

    private static func readRoot(_ path: String, in fileSystem: any FileSystem) throws -> TwinFile.Found<RootFile>? {
        guard let bytes = try TwinFile.read(path, maxRecordBytes: RootFile.byteCount, in: fileSystem) else {
            return nil
        }
        return try TwinFile.decode(bytes) { bytes throws(DecodingError) in try RootFile(decoding: bytes) }
    }

    /// Removes what is not live. Only once everything was verified, since what looks left over may be what a lost root named; and
    /// only behind ``confirm()``, since the name of the live root may not be durable.
    func removeOrphans() throws(ReplicaError) {
        do throws(FileError) {
            let live = root.map { name(of: $0.generation) }
            for name in try fileSystem.list(directory) where name != live {
                if name.hasPrefix("state-") { try fileSystem.removeDirectory(directory + "/" + name) }
                if name == "ROOT.new" { try fileSystem.remove(directory + "/" + name) }
            }
        } catch {
            throw ReplicaError(error)
        }
    }

    private func name(of generation: UInt64) -> String { "state-\(generation)" }

    /// The directory of a generation.
    func path(of generation: UInt64) -> String { directory + "/" + name(of: generation) }

    /// How much space OWNER and the ROOT that replaces the present one take, in bytes.
    static let publicationByteCount = UInt64(
        2 * (TwinFile.distance(StateOwner.byteCount) + TwinFile.distance(RootFile.byteCount))
    )

    /// How much space the file system has for another generation, in bytes; nil where that is not known.
    var availableBytes: UInt64? {
        do throws(FileError) { return try fileSystem.availableBytes(at: directory) } catch { return nil }
    }

    /// A number that no directory has.
    mutating func takeGeneration() -> UInt64 {
        highest += 1
        return highest
    }

    /// Makes the directory of a new replica's first generation, empty, and durable under its name.
    mutating func createFirst() throws(ReplicaError) -> UInt64 {
        let generation = takeGeneration()
        do throws(FileError) {
            try fileSystem.removeDirectory(path(of: generation))
            try fileSystem.createDirectory(path(of: generation))
            try fileSystem.syncDirectory(directory)
        } catch {
            throw ReplicaError(error)
        }
        return generation
    }

    /// Makes a generation, whose files are durable, the live one. When it returns, it is, durably; when it throws, either
    /// may be.
    mutating func publish(_ generation: UInt64, at position: LogPosition) throws(ReplicaError) {
        let id = ids.next()
        let owner = StateOwner(owner: binding.owner, group: Replica.group, generation: generation, id: id)
        let next = RootFile(generation: generation, position: position, binding: binding, state: id)
        do {
            try write(owner)
            try publish(next)
        } catch {
            throw GenerationStore.failure(error)
        }
        root = next
    }

    /// Notes durably that the live generation differs from the state of the majority. The next generation does not.
    ///
    /// OWNER says it as well, and first: a ROOT that is put back as it was before does not make the member forget it.
    /// Where one of the two cannot be written, the other one is nevertheless: one is enough for the next opening.
    ///
    /// - Throws: why a file could not be written. Another call writes both again.
    mutating func markDiverged() throws(FileError) {
        guard var next = root, !next.isDiverged else { return }
        next.isDiverged = true
        var owner = StateOwner(owner: next.owner, group: next.group, generation: next.generation, id: next.state)
        owner.isDiverged = true
        let bytes: Bytes
        do { bytes = try owner.encoded() } catch { preconditionFailure("OWNER has a fixed size: \(error)") }
        var failure: FileError?
        do throws(FileError) {
            try TwinFile.replace(StateOwner.fileName, in: path(of: next.generation), with: bytes, fileSystem)
        } catch { failure = error }
        try order.write { () throws(FileError) in try GenerationStore.publish(next, in: directory, fileSystem) }
        if let failure { throw failure }
        root = next
    }

    /// The note that the live generation, which a checkpoint brought, was found to be the state of the others; nil
    /// where there is nothing to note. ``confirmed(_:)`` follows it.
    func confirmation() -> RootConfirmation? {
        guard var next = root, next.receivedIndex > 0 else { return nil }
        next.isConfirmed = true
        return RootConfirmation(next, in: directory, fileSystem, order)
    }

    /// The note was written, unless something else was.
    mutating func confirmed(_ confirmation: RootConfirmation) {
        if confirmation.isWritten, confirmation.root.generation == root?.generation { root?.isConfirmed = true }
    }

    private func write(_ owner: StateOwner) throws {
        try TwinFile.replace(StateOwner.fileName, in: path(of: owner.generation), with: try owner.encoded(), fileSystem)
    }

    private func publish(_ root: RootFile) throws {
        try order.write { try GenerationStore.publish(root, in: directory, fileSystem) }
    }

    static func publish(_ root: RootFile, in directory: String, _ fileSystem: any FileSystem) throws(FileError) {
        let bytes: Bytes
        do { bytes = try root.encoded() } catch { preconditionFailure("ROOT has a fixed size: \(error)") }
        // The names of the generation's directory and of the new root, each before what builds upon it.
        try fileSystem.syncDirectory(directory)
        try TwinFile.replace("ROOT", in: directory, with: bytes, fileSystem)
    }

    /// Removes a generation that is not live any more. What cannot be removed now is removed when the store is opened.
    func remove(_ generation: UInt64) throws(FileError) {
        try fileSystem.removeDirectory(path(of: generation))
    }
}
