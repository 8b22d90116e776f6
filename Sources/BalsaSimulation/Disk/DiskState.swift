import BalsaPlatform

/// Everything that a simulated disk holds, as a value: a copy shares all bytes until one side changes them.
///
/// It follows the model that crash-consistency research uses for a POSIX file system without promises. What processes
/// see is *current*. What is on the device is *durable*. Between the two lie the pending operations in the order of
/// their issue, the writes with their file and the changes of names with the disk, since a rename may touch two
/// directories. A sync moves operations from pending to durable; a power loss keeps any subset of them.
struct DiskState {
    /// What kind of disk it is.
    let options: DiskOptions
    /// The files by number. Numbers of files that are gone are used again.
    var files: [FileNode] = []
    /// The directories by number. The root is number 0.
    var directories: [DirectoryNode]
    /// The changes of names that are not durable, oldest first.
    var pendingEntries: [EntryOperation] = []
    /// How many bytes the files have together that have a name or are open.
    private(set) var usedBytes: UInt64 = 0

    private var freeFiles: [Int] = []
    private var freeDirectories: [Int] = []
    private var lastSequence: UInt64 = 0

    /// The number of the root directory.
    static let root = 0

    /// An empty disk.
    init(options: DiskOptions) {
        self.options = options
        var root = DirectoryNode()
        root.holds = 1
        directories = [root]
    }

    /// How many bytes can still be written.
    var availableBytes: UInt64 { options.capacityBytes - min(usedBytes, options.capacityBytes) }

    /// The number of the latest operation.
    var sequence: UInt64 { lastSequence }

    /// The number of the next operation.
    mutating func nextSequence() -> UInt64 {
        lastSequence += 1
        return lastSequence
    }

    // MARK: Lifetimes

    /// An empty file that nothing holds yet.
    mutating func makeFile() -> Int {
        if let number = freeFiles.popLast() { return number }
        files.append(FileNode())
        return files.count - 1
    }

    /// An empty directory that nothing holds yet.
    mutating func makeDirectory() -> Int {
        if let number = freeDirectories.popLast() { return number }
        directories.append(DirectoryNode())
        return directories.count - 1
    }

    /// Counts one more name, durable name, pending name or handle of `inode`.
    mutating func hold(_ inode: Inode) {
        switch inode {
        case .file(let number): files[number].holds += 1
        case .directory(let number): directories[number].holds += 1
        }
    }

    /// Counts one less, and forgets what nothing holds any more.
    mutating func release(_ inode: Inode) {
        switch inode {
        case .file(let number):
            files[number].holds -= 1
            guard files[number].holds == 0 else { return }
            files[number] = FileNode()
            freeFiles.append(number)
        case .directory(let number):
            directories[number].holds -= 1
            guard directories[number].holds == 0 else { return }
            forgetDirectory(number)
        }
    }

    /// Forgets a directory that can never be reached again, with the pending operations on its names.
    private mutating func forgetDirectory(_ number: Int) {
        let node = directories[number]
        directories[number] = DirectoryNode()
        var orphans = node.current.entries.map(\.inode) + node.durable.entries.map(\.inode)
        for entry in node.current.entries { countNames(entry.inode, -1) }
        for index in pendingEntries.indices {
            let gone = pendingEntries[index].assignments.filter { $0.directory == number }
            guard !gone.isEmpty else { continue }
            orphans += gone.compactMap(\.inode)
            pendingEntries[index].assignments.removeAll { $0.directory == number }
        }
        pendingEntries.removeAll { $0.assignments.isEmpty }
        freeDirectories.append(number)
        for orphan in orphans { release(orphan) }
    }

    /// Counts the current names of a file, whose bytes take space while it has one or is open.
    mutating func countNames(_ inode: Inode, _ change: Int) {
        guard case .file(let number) = inode else { return }
        changeUse(of: number) { $0.names += change }
    }

    /// Holds a file open.
    mutating func openFile(_ number: Int) {
        changeUse(of: number) { $0.opens += 1 }
        hold(.file(number))
    }

    /// Ends one hold of ``openFile(_:)``.
    mutating func closeFile(_ number: Int) {
        changeUse(of: number) { $0.opens -= 1 }
        release(.file(number))
    }

    /// Ends all holds of ``openFile(_:)``: every process has ended.
    mutating func closeAllFiles() {
        for number in files.indices {
            while files[number].opens > 0 { closeFile(number) }
        }
    }

    private mutating func changeUse(of number: Int, _ change: (inout FileNode) -> Void) {
        let before = files[number].names + files[number].opens
        change(&files[number])
        let after = files[number].names + files[number].opens
        let size = UInt64(files[number].current.count)
        if before == 0, after > 0 { usedBytes += size }
        if before > 0, after == 0 { usedBytes -= size }
    }

    // MARK: Files

    /// Writes the first `allowed` bytes of `source` at `offset`, as far as there is space.
    mutating func write(_ number: Int, _ source: WriteSource, at offset: UInt64, allowed: UInt64) throws(DiskFault) {
        let range = try place(offset, UInt64(source.count))
        let room = spaceLimit(number, range)
        let count = Int(min(UInt64(min(range.count, room)), allowed))
        if count > 0 {
            let sequence = nextSequence()
            grow(number, to: range.lowerBound + count)
            files[number].pending.append(source, count: count, at: range.lowerBound, sequence: sequence)
            var position = range.lowerBound
            source.forEach(upTo: count) { piece in
                files[number].current.write(piece, at: position)
                position += piece.count
            }
            files[number].writeBack(limit: options.dirtyBytesLimit)
        }
        guard room >= range.count else { throw DiskFault(.noSpace) }
    }

    /// Writes the first `allowed` of `length` zeros at `offset`, as far as there is space.
    mutating func writeZeros(
        _ number: Int,
        _ length: UInt64,
        at offset: UInt64,
        allowed: UInt64
    ) throws(DiskFault) {
        let range = try place(offset, length)
        let room = spaceLimit(number, range)
        let count = Int(min(UInt64(min(range.count, room)), allowed))
        if count > 0 {
            let sequence = nextSequence()
            grow(number, to: range.lowerBound + count)
            files[number].pending.appendZeros(count, at: range.lowerBound, sequence: sequence)
            files[number].current.writeZeros(count, at: range.lowerBound)
            files[number].writeBack(limit: options.dirtyBytesLimit)
        }
        guard room >= range.count else { throw DiskFault(.noSpace) }
    }

    /// Cuts or grows a file.
    mutating func setSize(_ number: Int, _ size: UInt64) throws(DiskFault) {
        let range = try place(size, 0)
        let old = files[number].current.count
        guard range.lowerBound != old else { return }
        let growth = UInt64(max(0, range.lowerBound - old))
        guard growth <= availableBytes else { throw DiskFault(.noSpace) }
        let sequence = nextSequence()
        usedBytes = usedBytes + growth - UInt64(max(0, old - range.lowerBound))
        files[number].pending.appendResize(range.lowerBound, sequence: sequence)
        files[number].current.setSize(range.lowerBound)
    }

    /// The bytes `offset ..< offset + count` as a range, if a file can have them.
    private func place(_ offset: UInt64, _ count: UInt64) throws(DiskFault) -> Range<Int> {
        let (end, overflow) = offset.addingReportingOverflow(count)
        guard !overflow, end <= UInt64(Int64.max) else { throw DiskFault(.invalid) }
        guard end <= UInt64(PagedBytes.largestSize) else { throw DiskFault(.tooLarge) }
        return Int(offset)..<Int(end)
    }

    /// How many bytes of a write to `range` there is space for. Holes take space as everything else does.
    private func spaceLimit(_ number: Int, _ range: Range<Int>) -> Int {
        let largestEnd = UInt64(files[number].current.count) + availableBytes
        guard largestEnd < UInt64(range.upperBound) else { return range.count }
        return max(0, Int(largestEnd) - range.lowerBound)
    }

    private mutating func grow(_ number: Int, to end: Int) {
        usedBytes += UInt64(max(0, end - files[number].current.count))
    }
}
