import BalsaPlatform

/// One call of a simulated process to its file system, as the world sees it before it is done.
public struct DiskCall {
    /// How many calls this process has made, this one included.
    public let number: UInt64
    /// What is asked for.
    public let operation: FileError.Operation
    /// The file or directory.
    public let path: String
    /// The second path of a rename or a link.
    public let target: String?
    /// Where in the file, in bytes; for a change of size, the new size.
    public let offset: UInt64
    /// How many bytes are read or written.
    public let count: UInt64
    /// Whether the call can change what the disk holds or will hold after a power loss.
    public let isChange: Bool
    /// Whether the caller may be kept waiting; false only for ``File/readWithoutWaiting(into:at:)``.
    public let mayWait: Bool

    /// What it brings along to be written.
    let source: WriteSource?

    /// Calls `body` with the bytes to be written, in their order. They are valid only inside of ``DiskHook/answer(_:)``.
    ///
    /// A write of zeros brings no bytes, only their count.
    public func forEachPiece(_ body: (UnsafeRawBufferPointer) -> Void) {
        source?.forEach(upTo: .max, body)
    }

    /// Adds everything that the call says, the bytes to be written included, to the digest of a run.
    package func add(to digest: inout ByteDigest) {
        digest.add(number)
        digest.add(operation.rawValue)
        digest.add(path)
        if let target { digest.add(target) }
        digest.add(offset)
        digest.add(count)
        forEachPiece { digest.add($0) }
    }
}

/// What becomes of a ``DiskCall``.
public enum DiskAnswer: Equatable, Sendable {
    /// It is done.
    case proceed
    /// It fails with this number, and nothing has been done.
    ///
    /// For a failed sync of a file that means: what was written and not yet synced never becomes durable, although reads
    /// go on showing it, and a later sync succeeds without writing it.
    case fail(FileError.Number)
    /// It is done and fails with this number nevertheless.
    case failAfter(FileError.Number)
    /// A write fails for want of space after so many of its bytes have been written.
    case partial(UInt64)
    /// A read that must not wait gets nothing.
    case wouldWait
    /// The process dies, and nothing has been done.
    case crashBefore
    /// The process dies in the middle of a write, of which so many bytes have been written.
    case crashDuring(UInt64)
    /// It is done, and the process dies before it learns of it.
    case crashAfter
}

/// Sees every call of a simulated process before it is done, and decides what becomes of it.
///
/// The simulated world records calls and injects faults here. It may kill the process while it answers.
public protocol DiskHook: AnyObject {
    /// What becomes of `call`.
    func answer(_ call: DiskCall) -> DiskAnswer
}
