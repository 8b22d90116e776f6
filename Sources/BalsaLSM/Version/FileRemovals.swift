import BalsaPlatform

/// The names of files that nobody needs any more, in the order in which they became so.
///
/// Whoever lets go of a file's last user adds it, on whatever thread; a step of background work removes it.
final class FileRemovals: Sendable {
    private let names = Locked<[String]>([])

    /// How many files wait.
    var count: Int { names.withLock { $0.count } }

    /// Adds a file.
    func add(_ name: String) { names.withLock { $0.append(name) } }

    /// The file to remove next. It stays in the list until it is dropped from it.
    var first: String? { names.withLock { $0.first } }

    /// Takes a file out of the list, because it has been removed.
    func drop(_ name: String) {
        names.withLock { names in
            if let index = names.firstIndex(of: name) { names.remove(at: index) }
        }
    }

    /// Puts a file that could not be removed behind the others.
    func postpone(_ name: String) {
        names.withLock { names in
            guard let index = names.firstIndex(of: name) else { return }
            names.append(names.remove(at: index))
        }
    }
}
