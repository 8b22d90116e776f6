import BalsaPlatform

/// The names of files that nobody needs any more, in the order in which they became so.
///
/// Whoever lets go of a file's last user adds it, on whatever thread; a step of background work removes it. Manifests do not
/// wait for that: another one needs the room that they take.
final class FileRemovals: Sendable {
    /// With how many manifests that cannot be removed no other one is written beside them.
    static let maxManifests = 4

    private let directory: String
    private let fileSystem: any FileSystem
    private let names = Locked<[String]>([])

    /// A list for the files of `directory`.
    init(directory: String, fileSystem: any FileSystem) {
        self.directory = directory
        self.fileSystem = fileSystem
    }

    /// How many files wait.
    var count: Int { names.withLock { $0.count } }

    /// Adds a file.
    func add(_ name: String) { names.withLock { $0.append(name) } }

    /// The file to remove next. It stays in the list until it has been removed.
    var first: String? { names.withLock { $0.first } }

    /// Removes a file of the list. One that cannot be removed waits behind the others.
    func remove(_ name: String) throws(FileError) {
        do throws(FileError) {
            try fileSystem.remove(directory + "/" + name)
        } catch  where error.number == .notFound {
            // An earlier attempt may have got as far as the removal and not been told so.
        } catch {
            names.withLock { names in
                guard let index = names.firstIndex(of: name) else { return }
                names.append(names.remove(at: index))
            }
            throw error
        }
        names.withLock { names in
            if let index = names.firstIndex(of: name) { names.remove(at: index) }
        }
    }

    // MARK: Manifests

    private var manifests: [String] {
        names.withLock { names in
            names.filter { if case .manifest = EngineFileName($0) { true } else { false } }
        }
    }

    /// Removes the manifests of the list. Called before another one is written.
    ///
    /// - Throws: why one could not be removed, if so many are left that no other may be written.
    func removeManifests() throws(EngineError) {
        var failure: FileError?
        for name in manifests {
            do throws(FileError) { try remove(name) } catch { failure = error }
        }
        if let failure, manifests.count >= FileRemovals.maxManifests { throw EngineError(failure) }
    }

    /// Removes a manifest that nothing has ever named, or of which only the attempt to write it is there.
    ///
    /// If that fails it waits with the others: the caller has the error that led here, which says more.
    func removeUnpublished(_ number: UInt64) {
        let name = EngineFileName.manifestName(number)
        add(name)
        do throws(FileError) {
            try remove(name)
        } catch {
            // It is in the list, which says that it is still there.
        }
    }
}
