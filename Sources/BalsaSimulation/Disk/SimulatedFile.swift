import BalsaPlatform

/// An open file of a simulated process.
final class SimulatedFile: File, @unchecked Sendable {
    /// The path under which the file was opened.
    let path: String
    let fileSystem: SimulatedFileSystem
    private let number: Int
    private let isWritable: Bool
    private var isOpen = true

    /// A handle to a file that the disk has counted as open.
    init(path: String, number: Int, isWritable: Bool, fileSystem: SimulatedFileSystem) {
        self.path = path
        self.number = number
        self.isWritable = isWritable
        self.fileSystem = fileSystem
    }

    deinit { close() }

    func size() throws(FileError) -> UInt64 {
        try fileSystem.perform(.size, path) { state, _ throws(DiskFault) in
            try checkOpen()
            return UInt64(state.files[number].current.count)
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError) -> Int {
        let count = UInt64(buffer.count)
        return try fileSystem.perform(.read, path, offset: offset, count: count) { state, _ throws(DiskFault) in
            try read(state, buffer, offset)
        }
    }

    func readWithoutWaiting(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError) -> Int? {
        let nothing: Int?? = .some(nil)
        return try fileSystem.perform(
            .read,
            path,
            offset: offset,
            count: UInt64(buffer.count),
            ifWaiting: nothing
        ) { state, _ throws(DiskFault) -> Int? in
            try read(state, buffer, offset)
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) {
        try write(.buffer(bytes), at: offset)
    }

    func write(gathering pieces: [Bytes], at offset: UInt64) throws(FileError) {
        try write(.pieces(pieces), at: offset)
    }

    func writeZeros(_ count: UInt64, at offset: UInt64) throws(FileError) {
        try fileSystem.perform(
            .write,
            path,
            offset: offset,
            count: count,
            isChange: true
        ) { state, allowed throws(DiskFault) in
            try checkWritable()
            try state.writeZeros(number, count, at: offset, allowed: allowed)
        }
    }

    func setSize(_ size: UInt64) throws(FileError) {
        try fileSystem.perform(.size, path, offset: size, isChange: true) { state, _ throws(DiskFault) in
            try checkOpen()
            guard isWritable else { throw DiskFault(.invalid) }
            try state.setSize(number, size)
        }
    }

    func sync() throws(FileError) {
        try endSync(try beginSync())
    }

    func close() {
        guard isOpen else { return }
        isOpen = false
        fileSystem.closeFile(number)
    }

    // MARK: Syncs that take time

    /// Notes what has been written so far.
    func beginSync() throws(FileError) -> SyncInFlight {
        guard fileSystem.isAlive else { throw FileError(.sync, path, .ended) }
        return SyncInFlight(file: self, sequence: fileSystem.disk.state.sequence)
    }

    /// Makes durable what was noted.
    func endSync(_ sync: SyncInFlight) throws(FileError) {
        // Only a sync that reaches the device can fail there and lose what was written.
        let reachesDevice = isOpen
        try fileSystem.perform(
            .sync,
            path,
            isChange: true,
            whenFailed: { state in
                if reachesDevice { state.files[number].dropPending(through: sync.sequence) }
            }
        ) { state, _ throws(DiskFault) in
            try checkOpen()
            state.files[number].sync(through: sync.sequence)
            // As a store on real files does, for which a file that cannot be found again is lost.
            guard state.files[number].names > 0 else { throw DiskFault(.exchanged) }
        }
    }

    // MARK: Parts

    private func write(_ source: WriteSource, at offset: UInt64) throws(FileError) {
        try fileSystem.perform(
            .write,
            path,
            offset: offset,
            count: UInt64(source.count),
            isChange: true,
            source: source
        ) { state, allowed throws(DiskFault) in
            try checkWritable()
            try state.write(number, source, at: offset, allowed: allowed)
        }
    }

    private func read(
        _ state: DiskState,
        _ buffer: UnsafeMutableRawBufferPointer,
        _ offset: UInt64
    ) throws(DiskFault) -> Int {
        try checkOpen()
        guard offset <= UInt64(Int64.max) - UInt64(buffer.count) else { throw DiskFault(.invalid) }
        return state.files[number].current.read(into: buffer, at: Int(offset))
    }

    private func checkOpen() throws(DiskFault) {
        guard isOpen else { throw DiskFault(.closed) }
    }

    private func checkWritable() throws(DiskFault) {
        // The system has one number for both: the handle is not one that can be written.
        guard isOpen, isWritable else { throw DiskFault(.closed) }
    }
}

/// A sync of one file that the device is busy with.
public struct SyncInFlight: Sendable {
    let file: SimulatedFile
    /// The number of the last operation that it makes durable.
    let sequence: UInt64
}

/// A lock of a simulated process.
final class SimulatedFileLock: FileLock, @unchecked Sendable {
    private let disk: SimulatedDisk
    private let number: UInt64

    /// A lock that the disk has noted under `number`.
    init(disk: SimulatedDisk, number: UInt64) {
        self.disk = disk
        self.number = number
    }

    deinit { release() }

    func release() { disk.unlock(number) }
}
