import Glibc

/// System calls that answer with -1 and an error number, as typed errors.
enum SystemCall {
    /// Makes a call on a path, again for as long as signals interrupt it.
    static func run(
        _ operation: FileError.Operation,
        _ path: String,
        _ call: (UnsafePointer<CChar>) -> Int32
    ) throws(FileError) {
        try checkPath(operation, path)
        try run(operation, checked: path, call)
    }

    /// Makes a call on a path that was looked through for a zero byte before.
    static func run(
        _ operation: FileError.Operation,
        checked path: String,
        _ call: (UnsafePointer<CChar>) -> Int32
    ) throws(FileError) {
        // The error number is read before the string that the system reads is given back.
        let number = path.withCString { cPath in repeated { Int(call(cPath)) }.number }
        if let number { throw FileError(operation, path, number) }
    }

    /// Makes a call on two paths. What the system refuses is told of the first.
    static func run(
        _ operation: FileError.Operation,
        _ source: String,
        _ target: String,
        _ call: (UnsafePointer<CChar>, UnsafePointer<CChar>) -> Int32
    ) throws(FileError) {
        try checkPath(operation, target)
        try run(operation, source) { cSource in target.withCString { cTarget in call(cSource, cTarget) } }
    }

    /// Makes a call on a descriptor that counts bytes, or answers 0.
    @discardableResult
    static func run(
        _ operation: FileError.Operation,
        on path: String,
        _ call: () -> Int
    ) throws(FileError) -> Int {
        let (result, number) = repeated(call)
        if let number { throw FileError(operation, path, number) }
        return result
    }

    /// A string may hold a zero byte, at which the system would take the path to end: another file would be meant.
    private static func checkPath(_ operation: FileError.Operation, _ path: String) throws(FileError) {
        guard !path.utf8.contains(0) else { throw FileError(operation, path, .invalid) }
    }

    /// The result of `call`, and the error number where that is negative, which must be taken before anything else runs.
    private static func repeated(_ call: () -> Int) -> (result: Int, number: FileError.Number?) {
        while true {
            let result = call()
            guard result < 0 else { return (result, nil) }
            let number = FileError.Number.current
            if number != .interrupted { return (result, number) }
        }
    }
}

/// File descriptors: small numbers that the system gives to somebody else as soon as they are closed.
enum Descriptor {
    /// Opens `path` with `flags`, closed in programs that the process starts.
    ///
    /// Without `O_DIRECTORY` only a regular file is opened: the system would open a directory for reading, too.
    static func open(_ path: String, _ flags: Int32, _ operation: FileError.Operation) throws(FileError) -> Int32 {
        try open(FileLocation(directory: nil, name: path), path, flags, operation)
    }

    /// Opens what is at a location. Errors name it by `path`.
    static func open(
        _ location: FileLocation,
        _ path: String,
        _ flags: Int32,
        _ operation: FileError.Operation
    ) throws(FileError) -> Int32 {
        var descriptor: Int32 = -1
        try SystemCall.run(operation, path) { _ in
            descriptor = location.name.withCString { name in
                StandardDescriptors.avoid { openat(location.descriptor, name, flags | O_CLOEXEC, 0o600) }
            }
            return descriptor
        }
        guard flags & O_DIRECTORY == 0 else { return descriptor }
        do throws(FileError) {
            let status = try status(of: descriptor, operation, path)
            switch status.st_mode & S_IFMT {
            case S_IFREG: return descriptor
            case S_IFDIR: throw FileError(operation, path, .isDirectory)
            default: throw FileError(operation, path, .invalid)
            }
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// Lets its owner alone read and write a file that was just made: the process' mask may have taken away even that.
    static func makePrivate(
        _ descriptor: Int32,
        _ operation: FileError.Operation,
        _ path: String
    ) throws(FileError) {
        try SystemCall.run(operation, on: path) { Int(fchmod(descriptor, 0o600)) }
    }

    /// What the system knows of an open file.
    static func status(
        of descriptor: Int32,
        _ operation: FileError.Operation,
        _ path: String
    ) throws(FileError) -> stat {
        var status = stat()
        try SystemCall.run(operation, on: path) { Int(fstat(descriptor, &status)) }
        return status
    }

    /// Closes a descriptor.
    ///
    /// The result says nothing that counts: what was to be durable was synced before. Nor is an interrupted call made
    /// again, since on Linux the descriptor is free by then and may already be somebody else's.
    static func close(_ descriptor: Int32) {
        _ = Glibc.close(descriptor)
    }
}

extension FileError.Number {
    /// What the last failed call of this thread left in `errno`.
    static var current: FileError.Number { FileError.Number(rawValue: errno) }
}
