import CBalsaPlatform
import Glibc

/// An open file of ``LinuxFileSystem``.
///
/// May be used by several threads at once. Closing waits for nobody: the descriptor is given back by the last call that
/// uses it, so that a call can never reach a file that got the same number in the meantime.
final class LinuxFile: File {
    /// The path under which the file was opened.
    let path: String

    private let descriptor: Int32

    // Throws where the file's directory is not what its path names any more.
    private let checkDirectory: @Sendable () throws(FileError) -> Void

    // The first failure of a sync.
    private let failedSync = Locked<FileError?>(nil)

    private let uses = UseCount()

    /// A file with a descriptor that it will close.
    ///
    /// - Parameter checkDirectory: is called after each sync, and throws where the file cannot be found by its path any
    ///   more.
    init(
        owning descriptor: Int32,
        path: String,
        checkDirectory: @escaping @Sendable () throws(FileError) -> Void = { () throws(FileError) in }
    ) {
        self.descriptor = descriptor
        self.path = path
        self.checkDirectory = checkDirectory
    }

    deinit { close() }

    func size() throws(FileError) -> UInt64 {
        try use(.size) { descriptor throws(FileError) in
            UInt64(clamping: try Descriptor.status(of: descriptor, .size, path).st_size)
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError) -> Int {
        let start = try place(.read, offset, count: buffer.count)
        return try use(.read) { descriptor throws(FileError) in
            var done = 0
            while done < buffer.count, let base = buffer.baseAddress {
                let count = try SystemCall.run(.read, on: path) {
                    pread(descriptor, base + done, buffer.count - done, start + off_t(done))
                }
                if count == 0 { break }
                done += count
            }
            return done
        }
    }

    func readWithoutWaiting(
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    ) throws(FileError) -> Int? {
        let start = try place(.read, offset, count: buffer.count)
        return try use(.read) { descriptor throws(FileError) in
            guard let base = buffer.baseAddress, buffer.count > 0 else { return 0 }
            do throws(FileError) {
                return try SystemCall.run(.read, on: path) {
                    balsa_pread_nowait(descriptor, base, buffer.count, start)
                }
            } catch  where error.number == .wouldBlock || error.number == .unsupported || error.number == .noSystemCall
            {
                // Not every file system can say what it holds in memory, and an old kernel cannot even be asked.
                return nil
            }
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) {
        let start = try place(.write, offset, count: bytes.count)
        try use(.write) { descriptor throws(FileError) in
            var done = 0
            while done < bytes.count, let base = bytes.baseAddress {
                done += try progress {
                    pwrite(descriptor, base + done, bytes.count - done, start + off_t(done))
                }
            }
        }
    }

    func write(gathering pieces: [Bytes], at offset: UInt64) throws(FileError) {
        var total = 0
        for piece in pieces {
            let (sum, overflow) = total.addingReportingOverflow(piece.count)
            guard !overflow else { throw FileError(.write, path, .invalid) }
            total = sum
        }
        let start = try place(.write, offset, count: total)
        try use(.write) { descriptor throws(FileError) in
            var done = 0
            var gather = GatheredWrite(pieces)
            while gather.loadNext() {
                while gather.isUnfinished {
                    let count = try progress {
                        gather.withVectors { pwritev(descriptor, $0, $1, start + off_t(done)) }
                    }
                    gather.advance(by: count)
                    done += count
                }
            }
        }
    }

    func writeZeros(_ count: UInt64, at offset: UInt64) throws(FileError) {
        guard let length = Int(exactly: count) else { throw FileError(.write, path, .invalid) }
        let start = try place(.write, offset, count: length)
        try use(.write) { descriptor throws(FileError) in
            var done = 0
            while done < length {
                done += try progress {
                    Zeros.withVectors(upTo: length - done) { pwritev(descriptor, $0, $1, start + off_t(done)) }
                }
            }
        }
    }

    func setSize(_ size: UInt64) throws(FileError) {
        let end = try place(.size, size, count: 0)
        try use(.size) { descriptor throws(FileError) in
            _ = try SystemCall.run(.size, on: path) { Int(ftruncate(descriptor, end)) }
        }
    }

    /// Syncs of one file take turns, and after one has failed all others do: the system tells a failed write to one sync
    /// alone, which need not be the one that waited for it.
    func sync() throws(FileError) {
        try failedSync.withLock { failure throws(FileError) in
            if let failure { throw failure }
            do throws(FileError) {
                try use(.sync) { descriptor throws(FileError) in
                    _ = try SystemCall.run(.sync, on: path) { Int(fdatasync(descriptor)) }
                    // After the sync: what is acknowledged then was in a file that can be found. One that somebody has
                    // removed, or renamed another one over, has no name.
                    let names = try SystemCall.run(.sync, on: path) { Int(balsa_link_count(descriptor)) }
                    guard names > 0 else { throw FileError(.sync, path, .exchanged) }
                }
                try checkDirectory()
            } catch {
                failure = error
                throw error
            }
        }
    }

    func close() {
        if uses.close().isUnused { Descriptor.close(descriptor) }
    }

    /// Calls `body` with the descriptor, which stays open until it returns.
    private func use<Result>(
        _ operation: FileError.Operation,
        _ body: (Int32) throws(FileError) -> Result
    ) throws(FileError) -> Result {
        guard uses.begin() else { throw FileError(operation, path, .closed) }
        defer { if uses.end() { Descriptor.close(descriptor) } }
        return try body(descriptor)
    }

    /// How many bytes a write call wrote. A call that writes nothing and reports no error would be repeated for ever.
    private func progress(_ call: () -> Int) throws(FileError) -> Int {
        let count = try SystemCall.run(.write, on: path, call)
        guard count > 0 else { throw FileError(.write, path, .inputOutput) }
        return count
    }

    /// The system's form of `offset`, if it can express that and the end of `count` bytes there.
    private func place(_ operation: FileError.Operation, _ offset: UInt64, count: Int) throws(FileError) -> off_t {
        guard let start = off_t(exactly: offset), !start.addingReportingOverflow(off_t(count)).overflow else {
            throw FileError(operation, path, .invalid)
        }
        return start
    }
}
