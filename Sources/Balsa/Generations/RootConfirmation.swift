import BalsaPlatform
import BalsaWire

/// The order in which ROOT is written by the two threads that do so: that of the replica, which waits for what it
/// writes, and the one that does the background work.
///
/// The lock is held while ROOT is written and synced. So the replica's thread, when it has something to write there,
/// may wait for a write and a few syncs of the other one. That is rare: it writes ROOT when its state is found to
/// differ, and when a checkpoint is installed, which makes files durable itself.
final class RootOrder: @unchecked Sendable {
    private let condition = Condition()
    // Touched under the lock of `condition` only, which is what makes the class safe to share.
    private var count: UInt64 = 0

    /// How often ROOT was written.
    var writes: UInt64 { condition.withLock { count } }

    /// Writes ROOT, while nobody else does. Where `expected` is another number than that of the writes so far, it
    /// writes nothing. Returns whether it did.
    @discardableResult
    func write<Failure: Error>(after expected: UInt64? = nil, _ body: () throws(Failure) -> Void) throws(Failure)
        -> Bool
    {
        try condition.withLock { () throws(Failure) -> Bool in
            guard expected ?? count == count else { return false }
            // Also where it fails: it may have been written.
            count += 1
            try body()
            return true
        }
    }
}

/// A note for ROOT: the live generation, which a checkpoint brought, was found to be the state of the others. Nothing
/// waits for it to be noted. The thread that decides about leadership does not write it, and waits for a write of it
/// that is under way only where it has to write ROOT itself.
final class RootConfirmation {
    /// ROOT with the note.
    let root: RootFile
    private let directory: String
    private let fileSystem: any FileSystem
    private let order: RootOrder
    private let expected: UInt64
    /// Whether ROOT has the note. Where it was written for another reason meanwhile, it does not.
    private(set) var isWritten = false

    init(_ root: RootFile, in directory: String, _ fileSystem: any FileSystem, _ order: RootOrder) {
        self.root = root
        self.directory = directory
        self.fileSystem = fileSystem
        self.order = order
        expected = order.writes
    }

    /// Writes it durably, on any thread.
    func write() throws(FileError) {
        isWritten = try order.write(after: expected) { () throws(FileError) in
            try GenerationStore.publish(root, in: directory, fileSystem)
        }
    }
}
