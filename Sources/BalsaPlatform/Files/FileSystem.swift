/// How a file is opened.
public enum OpenMode: Sendable {
    /// An existing file, to read.
    case read
    /// An existing file, to read and write.
    case readWrite
    /// A file that must not exist yet, to read and write; created with permission 0600.
    case create
}

/// The files of a machine, at the granularity of system calls.
///
/// There are two implementations: ``LinuxFileSystem``, and the simulated disk of a simulated member, which loses what
/// was not synced and fails on demand. They pass one conformance suite. Paths are absolute or relative to the working
/// directory, with `/` between their parts.
///
/// What a path names may change while a process runs. ``bound(to:)`` gives a file system that goes on reaching the
/// files of a directory that were there when it was bound, and that fails where the directory's path names another one.
///
/// Durability has two halves. ``File/sync()`` makes a file's bytes durable; ``syncDirectory(_:)`` makes durable that
/// the file exists under its name. A name that was created, renamed or removed and not followed by a directory sync
/// may or may not be there after a power loss, in any combination.
public protocol FileSystem: AnyObject, Sendable {
    /// The same files, bound to a directory: the path of the directory, which must exist, is resolved now and never
    /// again.
    ///
    /// What is created, renamed, linked or removed below it, and what is synced, fails with *exchanged* once the
    /// directory, or one below it, is not what its path names, and a file that has no name any more. A file system
    /// whose paths nobody else changes may return itself.
    func bound(to directory: String) throws(FileError) -> any FileSystem

    /// Opens a file.
    ///
    /// - Throws: ``FileError`` with *not found* or, for ``OpenMode/create``, *exists*; nothing has changed then.
    func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File

    /// Creates a directory, whose parent must exist. Does nothing where it exists already.
    func createDirectory(_ path: String) throws(FileError)

    /// The names of the files and directories in a directory, sorted bytewise, without `.` and `..`.
    func list(_ directory: String) throws(FileError) -> [String]

    /// Whether there is a file or directory of that name.
    func exists(_ path: String) throws(FileError) -> Bool

    /// Gives a file another name, replacing atomically what had that name. Where both are names of the same file
    /// already, nothing happens, and `source` stays.
    func rename(_ source: String, to target: String) throws(FileError)

    /// Gives a file one more name, which must not exist.
    func link(_ source: String, to target: String) throws(FileError)

    /// Removes a name of a file, or an empty directory. The file itself goes with its last name and last open handle.
    func remove(_ path: String) throws(FileError)

    /// Makes the entries of a directory durable.
    func syncDirectory(_ directory: String) throws(FileError)

    /// Takes an exclusive lock on a file, which is created if need be, and on the directory that it lies in.
    ///
    /// There is one lock at a time in a directory. A caller that finds the file removed, or under another name, is
    /// refused all the same, because the directory is locked; and nothing is created then. The lock holds against other
    /// processes and against other callers in this process, until it is released.
    ///
    /// - Throws: ``FileError`` with *would block* when somebody else holds it.
    func lock(_ path: String) throws(FileError) -> any FileLock

    /// Which process holds the lock on a file, in words, for the sentence of a refusal; nil where that is not known.
    func holder(ofLock path: String) -> String?

    /// How many bytes can still be written on the file system that holds `path`; the largest number where it does not
    /// say.
    func availableBytes(at path: String) throws(FileError) -> UInt64

    /// How many files that can be opened again, such as the tables of an engine, one owner should have open at once, so
    /// that the process has descriptors left for sockets and other files. Other owners do not count. Asked before each
    /// such file is opened, since the system's limit may be changed.
    var maxOpenFiles: Int { get }
}

extension FileSystem {
    /// This file system, not bound to anything.
    public func bound(to directory: String) throws(FileError) -> any FileSystem { self }

    /// Not known.
    public func holder(ofLock path: String) -> String? { nil }

    /// Any number: the files take no descriptors.
    public var maxOpenFiles: Int { .max }
}

/// An exclusive lock, held until it is released or the process ends.
public protocol FileLock: AnyObject, Sendable {
    /// Gives the lock up. Doing so twice has no effect.
    func release()
}

/// An open file.
///
/// Reads and writes name their place, so that several threads may use one file. A write that was cut short by the
/// system or interrupted by a signal is continued inside the call.
public protocol File: AnyObject, Sendable {
    /// The path under which the file was opened.
    var path: String { get }

    /// The file's size, in bytes.
    func size() throws(FileError) -> UInt64

    /// Reads bytes at `offset` into `buffer` until it is full or the file ends.
    ///
    /// - Returns: how many bytes were read.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError) -> Int

    /// As ``read(into:at:)``, if that needs no waiting for the disk.
    ///
    /// - Returns: how many bytes were read, which may be fewer than the file has there; nil where none could be read
    ///   without waiting.
    func readWithoutWaiting(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError) -> Int?

    /// Writes `bytes` at `offset`, growing the file if need be. What lies between its old end and `offset` reads as zero.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError)

    /// Writes `pieces` one behind the other, beginning at `offset`, in as few system calls as their number allows.
    func write(gathering pieces: [Bytes], at offset: UInt64) throws(FileError)

    /// Writes `count` zero bytes at `offset`.
    ///
    /// They are really written: blocks that are merely allocated are converted at their first write, which costs as much
    /// as growing the file.
    func writeZeros(_ count: UInt64, at offset: UInt64) throws(FileError)

    /// Cuts or grows the file. Added bytes read as zero.
    func setSize(_ size: UInt64) throws(FileError)

    /// Makes durable what was written before the call, and the size needed to read it (`fdatasync`).
    func sync() throws(FileError)

    /// Closes the file. Closing twice has no effect; any other use after it throws.
    func close()
}

extension File {
    /// A copy of `count` bytes at `offset`, or fewer where the file ends.
    public func read(_ count: Int, at offset: UInt64) throws(FileError) -> Bytes {
        let slab = try Slab.filled(capacity: count) { buffer throws(FileError) in
            try read(into: buffer, at: offset)
        }
        return Bytes(slab: slab, offset: 0, count: slab.count)
    }

    /// Writes `bytes` at `offset`.
    public func write(_ bytes: Bytes, at offset: UInt64) throws(FileError) {
        try bytes.withUnsafeBytes { raw throws(FileError) in try write(raw, at: offset) }
    }
}
