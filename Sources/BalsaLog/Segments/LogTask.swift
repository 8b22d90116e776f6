import BalsaPlatform

/// Work on the log's files that takes long and blocks nobody: preparing a segment, removing dead ones.
///
/// A task owns all that it needs, so that another thread may carry it out, step by step. Its end is reported to the log
/// by ``Log/taskFinished(_:)`` or ``Log/taskFailed(_:_:)``. Each step is ordered so that a crash behind any call leaves
/// files that recovery understands:
///
/// ```
/// new       create N.preparing, header, zeros, sync │ rename to N.log, sync directory
/// recycled  rename D.log to N.preparing, sync directory, header, sync │ rename to N.log, sync directory
/// removed   remove D.log, sync directory, the next higher number
/// ```
///
/// A recycled segment leaves the log with the first rename, before its bytes change, and that is made durable first:
/// otherwise a power loss could leave the file under both names.
public final class LogTask: @unchecked Sendable {
    // One thread at a time uses a task: the log's owner hands it over and takes it back.

    /// What a task is for.
    enum Work: Equatable {
        /// Makes a segment of a new file.
        case create
        /// Makes a segment of the dead segment of that number.
        case recycle(UInt64)
        /// Removes dead segments, lowest number first.
        case remove([UInt64])
    }

    private enum Step {
        case clear
        case take
        case zeros(UInt64)
        case sync
        case publish
        case removal(Int)
        case done
    }

    let work: Work
    /// The header of the segment that is made; meaningless for a removal.
    let header: SegmentHeader
    private let fileSystem: any FileSystem
    private let directory: String
    private var next: Step
    private var file: (any File)?
    /// The prepared segment, once the task is done.
    private(set) var segment: Segment?

    init(_ work: Work, header: SegmentHeader, fileSystem: any FileSystem, directory: String) {
        self.work = work
        self.header = header
        self.fileSystem = fileSystem
        self.directory = directory
        if case .remove = work { next = .removal(0) } else { next = .clear }
    }

    /// What the task does, in one line.
    public var summary: String {
        switch work {
        case .create: "create segment \(header.number) of \(header.byteCount) bytes"
        case .recycle(let dead): "recycle segment \(dead) as \(header.number)"
        case .remove(let numbers): "remove \(numbers.count) segments"
        }
    }

    /// Does the next part of the work.
    ///
    /// - Parameter budgetBytes: about how many bytes to write at most.
    /// - Returns: whether all is done.
    /// - Throws: ``FileError`` when a call failed. The task is then over.
    public func step(budgetBytes: Int) throws(FileError) -> Bool {
        do {
            next = try advance(next, budgetBytes: UInt64(max(budgetBytes, 4_096)))
        } catch {
            file?.close()
            giveSpaceBack()
            throw error
        }
        if case .done = next { return true }
        return false
    }

    /// Removes what was prepared: it is of no use any more, and most likely it is space that is missing. Where that fails, too,
    /// the next attempt does it.
    private func giveSpaceBack() {
        if case .remove = work { return }
        do throws(FileError) {
            if try fileSystem.exists(preparingPath) { try fileSystem.remove(preparingPath) }
        } catch {
            return
        }
    }

    private var preparingPath: String { LogFileName.preparingPath(directory, header.number) }

    private func advance(_ step: Step, budgetBytes: UInt64) throws(FileError) -> Step {
        switch step {
        case .clear:
            // What an earlier attempt left is never gone on with.
            if try fileSystem.exists(preparingPath) { try fileSystem.remove(preparingPath) }
            return .take
        case .take:
            return try take()
        case .zeros(let offset):
            let count = min(budgetBytes, header.byteCount - offset)
            try file?.writeZeros(count, at: offset)
            return offset + count < header.byteCount ? .zeros(offset + count) : .sync
        case .sync:
            try file?.sync()
            return .publish
        case .publish:
            return try publish()
        case .removal(let position):
            return try remove(position)
        case .done:
            return .done
        }
    }

    /// Makes or takes the file and writes its header.
    private func take() throws(FileError) -> Step {
        if case .recycle(let dead) = work {
            try fileSystem.rename(LogFileName.segmentPath(directory, dead), to: preparingPath)
            try fileSystem.syncDirectory(directory)
            let file = try fileSystem.open(preparingPath, .readWrite)
            self.file = file
            try file.write(header.encoded(), at: 0)
            return .sync
        }
        let file = try fileSystem.open(preparingPath, .create)
        self.file = file
        try file.write(header.encoded(), at: 0)
        return .zeros(header.firstFrame)
    }

    /// Gives the file its name. It is opened again, so that its path is the one that errors should tell.
    private func publish() throws(FileError) -> Step {
        let path = LogFileName.segmentPath(directory, header.number)
        file?.close()
        file = nil
        try fileSystem.rename(preparingPath, to: path)
        try fileSystem.syncDirectory(directory)
        segment = Segment(header: header, file: try fileSystem.open(path, .readWrite))
        return .done
    }

    private func remove(_ position: Int) throws(FileError) -> Step {
        guard case .remove(let numbers) = work, position < numbers.count else { return .done }
        let path = LogFileName.segmentPath(directory, numbers[position])
        // An earlier attempt may have got as far as the removal and not been told so.
        if try fileSystem.exists(path) { try fileSystem.remove(path) }
        try fileSystem.syncDirectory(directory)
        return position + 1 < numbers.count ? .removal(position + 1) : .done
    }
}
