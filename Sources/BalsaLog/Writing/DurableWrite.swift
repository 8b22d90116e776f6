import BalsaPlatform

/// A write that the caller carries out: bytes to a place of a file, followed by a sync.
///
/// A value that owns all that it needs, so that another thread may perform it. Either ``perform()``, or ``write()`` and
/// ``sync()`` with time between them. After a failure neither is tried again: the sync of a file that failed once may
/// succeed the next time without having written anything (Rebello et al., ATC 2020).
public struct DurableWrite: Sendable {
    /// The number by which its end is reported. Numbers grow by one.
    public let number: UInt64
    /// The file.
    public let file: any File
    /// Where in the file the first piece goes, in bytes.
    public let offset: UInt64
    /// What is written, one piece behind the other.
    public let pieces: [Bytes]

    /// The length of all pieces, in bytes.
    public var byteCount: Int { pieces.reduce(0) { $0 + $1.count } }

    /// The first half: hands the bytes to the system.
    public func write() throws(FileError) { try file.write(gathering: pieces, at: offset) }

    /// The second half: makes them durable.
    public func sync() throws(FileError) { try file.sync() }

    /// Both halves.
    public func perform() throws(FileError) {
        try write()
        try sync()
    }
}
