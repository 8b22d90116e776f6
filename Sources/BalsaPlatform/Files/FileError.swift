/// A file operation that failed: which, on what, and what the system said.
///
/// Whether a failed write or sync has taken effect is unknown. After a failed sync the page cache may show bytes that
/// never reached the disk, and a second sync may succeed without writing them (Rebello et al., ATC 2020); nothing is
/// therefore retried on that file.
public struct FileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The operations of ``FileSystem`` and ``File``.
    public enum Operation: String, Sendable {
        /// Opening or creating a file.
        case open
        /// Reading bytes.
        case read
        /// Writing bytes.
        case write
        /// Making a file's bytes durable.
        case sync
        /// Changing a file's size, or asking for it.
        case size
        /// Renaming a file.
        case rename
        /// Making a hard link.
        case link
        /// Removing a file or a directory.
        case remove
        /// Listing a directory.
        case list
        /// Creating a directory.
        case createDirectory = "create directory"
        /// Making a directory's entries durable.
        case syncDirectory = "sync directory"
        /// Taking a lock.
        case lock
        /// Asking for a file's or a file system's state.
        case status
    }

    /// The system's error number, with the few that code decides by as constants.
    public struct Number: RawRepresentable, Equatable, Sendable {
        /// The value of `errno`.
        public let rawValue: Int32

        /// A number by its value.
        public init(rawValue: Int32) { self.rawValue = rawValue }

        /// `EPERM`: the system does not permit it to this user, or to nobody, as with an immutable file.
        public static let notPermitted = Number(rawValue: 1)
        /// `ENOENT`: there is no such file or directory.
        public static let notFound = Number(rawValue: 2)
        /// `EINTR`: a signal came before the call did anything.
        public static let interrupted = Number(rawValue: 4)
        /// `EIO`: the device failed.
        public static let inputOutput = Number(rawValue: 5)
        /// `EBADF`: the file has been closed.
        public static let closed = Number(rawValue: 9)
        /// `EAGAIN`: somebody else holds the lock.
        public static let wouldBlock = Number(rawValue: 11)
        /// `EACCES`: the process may not.
        public static let accessDenied = Number(rawValue: 13)
        /// `EEXIST`: it exists already.
        public static let exists = Number(rawValue: 17)
        /// `ENOTDIR`: a part of the path is a file.
        public static let notDirectory = Number(rawValue: 20)
        /// `EISDIR`: it is a directory.
        public static let isDirectory = Number(rawValue: 21)
        /// `EINVAL`: the arguments do not fit.
        public static let invalid = Number(rawValue: 22)
        /// `ENFILE`: the system has as many files open as it can.
        public static let tooManyOpenFilesInSystem = Number(rawValue: 23)
        /// `EMFILE`: the process has as many files open as it may.
        public static let tooManyOpenFiles = Number(rawValue: 24)
        /// `ENOSPC`: no space is left.
        public static let noSpace = Number(rawValue: 28)
        /// `EROFS`: the file system is mounted to be read only.
        public static let readOnly = Number(rawValue: 30)
        /// `ENOLCK`: no locks can be had.
        public static let noLocks = Number(rawValue: 37)
        /// `ENOSYS`: the kernel does not have the call.
        public static let noSystemCall = Number(rawValue: 38)
        /// `ENOTEMPTY`: the directory is not empty.
        public static let notEmpty = Number(rawValue: 39)
        /// `EOPNOTSUPP`: the file system does not do this.
        public static let unsupported = Number(rawValue: 95)
        /// `EADDRINUSE`: another socket has the address.
        public static let addressInUse = Number(rawValue: 98)
        /// `ESTALE`: the file, or a directory above it, was renamed, replaced, covered or removed after it had been
        /// opened, so that its path does not name it any more.
        public static let exchanged = Number(rawValue: 116)
        /// `EDQUOT`: the user may take no more space.
        public static let quotaExceeded = Number(rawValue: 122)
        /// `ESHUTDOWN`: the process that asks has ended. Only a simulated file system says so, of a simulated process.
        public static let ended = Number(rawValue: 108)
    }

    /// Which operation failed.
    public let operation: Operation
    /// The file or directory.
    public let path: String
    /// What the system said.
    public let number: Number

    /// A failed operation.
    public init(_ operation: Operation, _ path: String, _ number: Number) {
        self.operation = operation
        self.path = path
        self.number = number
    }

    /// Whether the process or the system has no descriptor left. Nothing was done.
    public var isOutOfDescriptors: Bool { number == .tooManyOpenFiles || number == .tooManyOpenFilesInSystem }

    /// Whether the file system has no space left, or the user none of what it may take.
    package var isOutOfSpace: Bool { number == .noSpace || number == .quotaExceeded }

    /// The failure in one line.
    public var description: String { "\(operation.rawValue) \(path): \(number.sentence)" }
}
