import BalsaPlatform

/// A system call that fails inside the disk; the file system adds the operation and the path as the caller named them.
struct DiskFault: Error {
    let number: FileError.Number

    init(_ number: FileError.Number) { self.number = number }
}

// The numbers that a Linux kernel gives and that no code decides by, so that they have no name outside of here.
extension FileError.Number {
    /// `EPERM`: not allowed, whoever asks.
    static let notPermitted = FileError.Number(rawValue: 1)
    /// `EBUSY`: it is in use by the system.
    static let busy = FileError.Number(rawValue: 16)
    /// `EFBIG`: the file would be larger than a file can be.
    static let tooLarge = FileError.Number(rawValue: 27)
    /// `ENAMETOOLONG`: a part of the path is longer than a name can be.
    static let nameTooLong = FileError.Number(rawValue: 36)
}
