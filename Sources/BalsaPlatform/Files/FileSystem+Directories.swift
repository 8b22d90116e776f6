extension FileSystem {
    /// Makes durable that `path` exists under its name: syncs the directory that it lies in.
    ///
    /// A directory whose own name is lost takes with it all that was synced inside.
    package func syncParent(of path: String) throws(FileError) {
        try syncDirectory(FilePath.parent(of: path))
    }

    /// Creates a directory, and those above it that are missing, durably. Does nothing to those that exist.
    package func createDirectories(_ path: String) throws(FileError) {
        do throws(FileError) {
            try createDirectory(path)
        } catch  where error.number == .notFound {
            let parent = FilePath.parent(of: path)
            guard parent != ".", parent != "/", parent != path else { throw error }
            try createDirectories(parent)
            try createDirectory(path)
        }
        // Also of one that exists: its maker may have died before its name was durable.
        try syncParent(of: path)
    }

    /// Removes a directory and the files in it. Does nothing where there is none.
    package func removeDirectory(_ directory: String) throws(FileError) {
        guard try exists(directory) else { return }
        for name in try list(directory) { try remove(directory + "/" + name) }
        try remove(directory)
    }
}

/// Parts of paths.
package enum FilePath {
    /// The directory that `path` lies in.
    package static func parent(of path: String) -> String {
        let trimmed = path.count > 1 && path.hasSuffix("/") ? path.dropLast() : path[...]
        guard let slash = trimmed.lastIndex(of: "/") else { return "." }
        return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
    }
}
