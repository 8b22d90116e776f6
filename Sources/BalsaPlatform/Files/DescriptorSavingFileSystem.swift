/// What holds descriptors that it can do without for a while.
package protocol DescriptorHolder: AnyObject, Sendable {
    /// Closes one file, which is opened again when it is needed.
    ///
    /// - Returns: whether there was one.
    func giveDescriptorBack() -> Bool
}

/// A file system whose calls do not fail for want of a descriptor while a holder has one to spare.
///
/// A process has a bounded number of descriptors, and the tables of an engine may hold most of them. They serve reads,
/// which can open them again; what has to be created or listed cannot wait. So a call that finds no descriptor has a
/// holder give one back, and is made again, until nobody has any.
package final class DescriptorSavingFileSystem: FileSystem {
    private struct Entry {
        weak var holder: (any DescriptorHolder)?
    }

    /// Those who can be asked. Shared by the file systems that are bound to directories of the same one.
    private final class Holders: Sendable {
        private let entries = Locked<[Entry]>([])

        func add(_ holder: any DescriptorHolder) {
            entries.withLock { entries in
                entries.removeAll { $0.holder == nil }
                entries.append(Entry(holder: holder))
            }
        }

        func giveOneBack() -> Bool {
            // Asked outside of the lock: a holder has one of its own.
            entries.withLock { $0.compactMap(\.holder) }.contains { $0.giveDescriptorBack() }
        }
    }

    private let base: any FileSystem
    private let holders: Holders

    private init(_ base: any FileSystem, _ holders: Holders) {
        self.base = base
        self.holders = holders
    }

    /// The files of `base`, with its holders if it is such a file system already.
    package static func over(_ base: any FileSystem) -> DescriptorSavingFileSystem {
        base as? DescriptorSavingFileSystem ?? DescriptorSavingFileSystem(base, Holders())
    }

    /// Adds one that is asked for descriptors, for as long as it exists.
    package func add(_ holder: any DescriptorHolder) { holders.add(holder) }

    private func saving<Result>(_ call: () throws(FileError) -> Result) throws(FileError) -> Result {
        while true {
            do throws(FileError) {
                return try call()
            } catch {
                guard error.isOutOfDescriptors, holders.giveOneBack() else { throw error }
            }
        }
    }

    package func bound(to directory: String) throws(FileError) -> any FileSystem {
        let bound = try saving { () throws(FileError) in try base.bound(to: directory) }
        return DescriptorSavingFileSystem(bound, holders)
    }

    package func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        try saving { () throws(FileError) in try base.open(path, mode) }
    }

    package func createDirectory(_ path: String) throws(FileError) {
        try saving { () throws(FileError) in try base.createDirectory(path) }
    }

    package func list(_ directory: String) throws(FileError) -> [String] {
        try saving { () throws(FileError) in try base.list(directory) }
    }

    package func exists(_ path: String) throws(FileError) -> Bool {
        try saving { () throws(FileError) in try base.exists(path) }
    }

    package func rename(_ source: String, to target: String) throws(FileError) {
        try saving { () throws(FileError) in try base.rename(source, to: target) }
    }

    package func link(_ source: String, to target: String) throws(FileError) {
        try saving { () throws(FileError) in try base.link(source, to: target) }
    }

    package func remove(_ path: String) throws(FileError) {
        try saving { () throws(FileError) in try base.remove(path) }
    }

    package func syncDirectory(_ directory: String) throws(FileError) {
        try saving { () throws(FileError) in try base.syncDirectory(directory) }
    }

    package func lock(_ path: String) throws(FileError) -> any FileLock {
        try saving { () throws(FileError) in try base.lock(path) }
    }

    package func holder(ofLock path: String) -> String? { base.holder(ofLock: path) }

    package var maxOpenFiles: Int { base.maxOpenFiles }

    package func availableBytes(at path: String) throws(FileError) -> UInt64 {
        try saving { () throws(FileError) in try base.availableBytes(at: path) }
    }
}
