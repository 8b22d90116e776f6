import BalsaPlatform

// What an operator, a backup tool or a script does to files of a member that does not run.

extension SimulatedDisk {
    /// Removes a file or a directory with all that is in it, durably. Does nothing where there is none.
    ///
    /// - Parameter isEmptied: whether an empty file or directory stays in its place.
    public func remove(_ path: String, isEmptied: Bool) {
        done { () throws(FileError) in
            let files = mount()
            guard try files.exists(path) else { return }
            let isFile = contents(of: path) != nil
            if isFile { try files.remove(path) } else { try removeTree(path, files) }
            if isEmptied {
                if isFile { try files.open(path, .create).close() } else { try files.createDirectory(path) }
            }
            try files.syncParent(of: path)
        }
    }

    /// Puts the file or the directory of that path on another disk in the place of the one here, durably. One that the
    /// other disk does not have is removed.
    public func replace(_ path: String, from image: DiskImage) {
        remove(path, isEmptied: false)
        done { () throws(FileError) in
            let source = SimulatedDisk(image)
            guard try source.mount().exists(path) else { return }
            try mount().createDirectories(FilePath.parent(of: path))
            try copyTree(path, from: source, mount())
            try mount().syncParent(of: path)
        }
    }

    private func removeTree(_ path: String, _ files: SimulatedFileSystem) throws(FileError) {
        for name in try files.list(path) {
            let inner = path + "/" + name
            if contents(of: inner) != nil { try files.remove(inner) } else { try removeTree(inner, files) }
        }
        try files.removeDirectory(path)
    }

    private func copyTree(
        _ path: String,
        from source: SimulatedDisk,
        _ files: SimulatedFileSystem
    ) throws(FileError) {
        if let bytes = source.contents(of: path) {
            let file = try files.open(path, .create)
            defer { file.close() }
            try file.write(Bytes(bytes), at: 0)
            try file.sync()
            return
        }
        try files.createDirectory(path)
        for name in try source.mount().list(path) { try copyTree(path + "/" + name, from: source, files) }
        try files.syncDirectory(path)
    }

    /// Nothing fails on a simulated disk without a hook.
    private func done(_ body: () throws(FileError) -> Void) {
        do throws(FileError) { try body() } catch { preconditionFailure("a disk without faults: \(error)") }
    }
}
