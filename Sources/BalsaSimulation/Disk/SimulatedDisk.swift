import BalsaPlatform

/// The disk of one simulated machine, which outlives the machine's processes.
///
/// It keeps apart what processes see and what is on the device, as a machine with a page cache does. A
/// ``powerLoss(choosing:)`` leaves any combination of the operations that were not synced that a file system without
/// promises may leave; what was synced it never touches. What is lost and what is kept is drawn from a seed, so that
/// a run can be repeated.
///
/// ```swift
/// let disk = SimulatedDisk()
/// let files = disk.mount()
/// let file = try files.open("log", .create)
/// try file.write("entry", at: 0)
/// try file.sync()                      // the bytes are durable, the name is not
/// disk.powerLoss(salt: 1)              // "log" may be gone
/// ```
///
/// A disk and everything mounted from it belong to one thread at a time; nothing is locked.
public final class SimulatedDisk: @unchecked Sendable {
    /// A lock that a process holds.
    private struct HeldLock {
        let file: Int
        let directory: Int
        let process: UInt64
        let number: UInt64
    }

    var state: DiskState
    /// What is known of the crash states of equal disks, while crash points are tried.
    var knownCrashStates: KnownCrashStates?
    /// How often all processes of the machine have ended. What was opened before is dead.
    private(set) var crashes: UInt64 = 0
    private var processes: UInt64 = 0
    private var locks: [HeldLock] = []
    private var lastLock: UInt64 = 0

    /// An empty disk.
    public convenience init(options: DiskOptions = DiskOptions()) { self.init(DiskImage(options: options)) }

    /// A disk that holds what `image` does.
    public init(_ image: DiskImage) {
        precondition(image.state.options.sectorBytes > 0, "a sector has at least one byte")
        state = image.state
    }

    // MARK: Processes

    /// The disk as a new process of the machine sees it.
    ///
    /// - Parameter hook: sees every call before it is done, and decides what becomes of it.
    public func mount(_ hook: (any DiskHook)? = nil) -> SimulatedFileSystem {
        processes += 1
        return SimulatedFileSystem(disk: self, process: processes, hook: hook)
    }

    /// Ends all processes of the machine. What they wrote is kept, as the page cache of a running kernel is.
    public func processCrash() {
        crashes += 1
        locks = []
        state.closeAllFiles()
    }

    /// Ends all processes and drops, keeps or tears what was not synced, as `random` decides.
    ///
    /// One number is drawn from `random`, however much there is to decide.
    @discardableResult
    public func powerLoss(choosing random: inout RandomSource) -> PowerLossReport {
        processCrash()
        let operations = state.pendingOperations()
        var draw = PowerLossDraw(state, choosing: &random)
        let (after, report) = state.afterPowerLoss(operations, draw.outcomes(for: operations))
        state = after
        return report
    }

    /// As ``powerLoss(choosing:)``, decided by a number: the same `salt` does the same to the same disk.
    @discardableResult
    public func powerLoss(salt: UInt64) -> PowerLossReport {
        var random = RandomSource(seed: RandomSource.mix(salt))
        return powerLoss(choosing: &random)
    }

    // MARK: Images

    /// What is durable now, and nothing else.
    public func image() -> DiskImage { DiskImage(state.afterPowerLoss([], []).0) }

    /// Everything, with what is not durable, to fork a run here.
    public func snapshot() -> DiskImage { DiskImage(state) }

    /// A digest of what processes see: names, sizes, bytes, and which names are one file.
    ///
    /// The same in every process and on every machine. It costs the pages changed since the last time and a walk over
    /// the names.
    public var contentDigest: UInt64 { state.contentDigest() }

    /// How many operations are not durable.
    public var pendingOperationCount: Int { state.pendingOperations().count }

    // MARK: Looking and damaging

    /// A copy of the bytes of a file as processes see it; nil where there is no such file.
    public func contents(of path: String) -> [UInt8]? {
        guard case .file(let number)? = try? state.find(path) else { return nil }
        return state.files[number].current.array(.max, at: 0)
    }

    /// Flips the bits of `mask` in one byte of a file, on the device and in the cache, as a decaying medium does.
    ///
    /// - Returns: whether there is such a byte.
    @discardableResult
    public func corrupt(_ path: String, at offset: UInt64, mask: UInt8) -> Bool {
        guard case .file(let number)? = try? state.find(path), offset < UInt64(state.files[number].current.count) else {
            return false
        }
        state.files[number].current.flip(mask, at: Int(offset))
        if offset < UInt64(state.files[number].durable.count) {
            state.files[number].durable.flip(mask, at: Int(offset))
        }
        return true
    }

    // MARK: Locks

    /// Whether somebody holds a lock on the file, which need not exist, or on the directory.
    func isLocked(file: Int?, directory: Int) -> Bool {
        locks.contains { $0.file == file || $0.directory == directory }
    }

    /// Takes a lock for a process. Requires: nobody holds one on the file or the directory.
    func lock(_ file: Int, in directory: Int, process: UInt64) -> UInt64 {
        lastLock += 1
        locks.append(HeldLock(file: file, directory: directory, process: process, number: lastLock))
        state.openFile(file)
        return lastLock
    }

    /// Gives a lock up, unless it was given up before.
    func unlock(_ number: UInt64) {
        guard let index = locks.firstIndex(where: { $0.number == number }) else { return }
        let lock = locks.remove(at: index)
        state.closeFile(lock.file)
    }

    /// Gives up all locks of a process that has ended.
    func unlockAll(process: UInt64) {
        for lock in locks where lock.process == process { unlock(lock.number) }
    }
}

extension PagedBytes {
    /// Flips the bits of `mask` in the byte at `offset`, which exists.
    fileprivate mutating func flip(_ mask: UInt8, at offset: Int) {
        let flipped = array(1, at: offset).map { $0 ^ mask }
        flipped.withUnsafeBytes { write($0, at: offset) }
    }
}
