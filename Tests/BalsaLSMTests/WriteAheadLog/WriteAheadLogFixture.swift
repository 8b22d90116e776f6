import BalsaPlatform
import BalsaSimulation

@testable import BalsaLSM

/// A batch as the log sees it.
struct LoggedBatch: Equatable, CustomStringConvertible {
    let sequence: SequenceNumber
    let content: Bytes

    init(_ sequence: SequenceNumber, _ content: Bytes) {
        self.sequence = sequence
        self.content = content
    }

    var description: String { "\(sequence):\(content.count > 20 ? "…" : String(content))" }
}

/// A log that was opened, and the batches that were found.
struct OpenedLog {
    static let engineID: UInt64 = 0x1122_3344_5566_7788
    static let directory = "engine"

    let log: WriteAheadLog
    let batches: [LoggedBatch]

    /// Opens the log on a disk, on which it may not exist yet.
    init(
        _ files: SimulatedFileSystem,
        flushedThrough: SequenceNumber = 0,
        engineID: UInt64 = OpenedLog.engineID,
        options: EngineOptions = EngineOptions()
    ) throws {
        // The directory is the engine's to make durable.
        try files.createDirectory(OpenedLog.directory)
        try files.syncDirectory("/")
        var found: [LoggedBatch] = []
        log = try WriteAheadLog.open(
            OpenedLog.directory,
            engineID: engineID,
            flushedThrough: flushedThrough,
            fileSystem: files,
            options: options,
            sectorBytes: 128
        ) { sequence, raw in
            found.append(LoggedBatch(sequence, Bytes(copying: raw)))
        }
        batches = found
    }

    /// Opens the log that a disk holds, by a process of its own.
    static func batches(on disk: SimulatedDisk, flushedThrough: SequenceNumber = 0) throws -> [LoggedBatch] {
        try OpenedLog(disk.mount(), flushedThrough: flushedThrough).batches
    }

    /// The path of the file with that number.
    static func path(_ number: UInt64) -> String { WriteAheadLogFileName.file(number).path(in: directory) }
}

extension WriteAheadLog {
    /// Appends a batch, and gives back what was appended.
    @discardableResult
    func append(_ sequence: SequenceNumber, _ content: Bytes) throws(EngineError) -> LoggedBatch {
        try content.withUnsafeBytes { raw throws(EngineError) in try append(raw, sequence: sequence) }
        return LoggedBatch(sequence, content)
    }
}

extension SimulatedDisk {
    /// Replaces a file's bytes, durably.
    func replace(_ path: String, with bytes: [UInt8]) throws {
        let files = mount()
        let file = try files.open(path, .readWrite)
        try file.setSize(UInt64(bytes.count))
        try file.write(Bytes(bytes), at: 0)
        try file.sync()
    }

    /// A disk that holds the same, to be damaged.
    func copy() -> SimulatedDisk { SimulatedDisk(snapshot()) }
}

/// Lets the calls fail that a test chooses.
final class FailingCalls: DiskHook {
    /// What becomes of a call; nil to do it.
    var fault: (DiskCall) -> DiskAnswer? = { _ in nil }
    /// The calls made, in words.
    private(set) var calls: [String] = []

    func answer(_ call: DiskCall) -> DiskAnswer {
        calls.append("\(call.operation.rawValue) \(call.path)")
        return fault(call) ?? .proceed
    }
}
