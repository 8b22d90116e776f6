import BalsaPlatform
import CBalsaPlatform

/// Says when nobody can be looking at something any more.
///
/// Readers follow pointers that a writer may take out of a structure at any moment. They count no references, which
/// would make every reader write to the same cache line. Instead a reader *pins* the epoch, a number that only grows,
/// while it reads; and what the writer took out is *retired* under the epoch of that moment, and released once no pin
/// of that epoch or an earlier one is left.
///
/// Why that is enough. A pin notes the epoch in a slot of its own (1), then reads the epoch again (2), and only then
/// follows pointers (3). A writer takes a pointer out (a), then advances the epoch (b), and then looks at the slots (c).
/// All of 1, 2, b and c are sequentially consistent, so they have one order. If 2 comes before b, so does 1, and c sees
/// the slot, whose epoch is at most the retired object's. If b comes before 2, then 2 reads what b has written, and 3
/// finds the pointer gone.
///
/// There are as many slots as threads can be expected to read at once. A reader that finds none free notes its pin in a
/// list under the lock, which is slower and just as right.
final class Epochs: @unchecked Sendable {
    /// What keeps everything that could be reached when it was made. Given back once, by any thread.
    struct Pin: Sendable {
        /// The number of the slot, or 0 for a pin in the list.
        fileprivate let slot: Int
        fileprivate let epoch: UInt64
    }

    /// What waits for readers to leave.
    private struct Retired {
        let object: AnyObject
        /// The last epoch in which a reader may have come upon the object.
        let epoch: UInt64
    }

    /// What only a thread with the lock touches.
    private struct Shared {
        /// In the order of their epochs.
        var retired: [Retired] = []
        /// The epochs of pins that found no slot.
        var crowded: [UInt64] = []
    }

    private static let slotCount = 128
    private static let lineBytes = 64

    // The first line holds the epoch, each of the others a slot: the epoch of its pin, or 0. Two readers never write to
    // the same line.
    private let memory: UnsafeMutableRawPointer
    private let lock = Lock()
    private var shared = Shared()

    /// Nothing is pinned and nothing retired.
    init() {
        let byteCount = (Epochs.slotCount + 1) * Epochs.lineBytes
        memory = .allocate(byteCount: byteCount, alignment: Epochs.lineBytes)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        balsa_store_64(memory, 1)
    }

    deinit {
        precondition(oldestPin == .max, "the epochs were freed while a reader had one pinned")
        memory.deallocate()
    }

    /// How many objects wait to be released.
    var retiredCount: Int { lock.withLock { shared.retired.count } }

    // MARK: Readers

    /// Pins the epoch: what can be reached from now on stays until ``unpin(_:)``.
    @inline(__always)
    func pin() -> Pin {
        pin(in: Epochs.preferredSlot) ?? pinElsewhere()
    }

    /// Gives a pin back.
    ///
    /// What a caller retained while it had the pin is retained when this runs: the optimizer moves no retain past a
    /// call that it cannot look into, and the other branch takes a lock.
    @inline(__always)
    func unpin(_ pin: Pin) {
        if pin.slot > 0 {
            balsa_store_release_64_opaque(memory + Epochs.lineBytes * pin.slot, 0)
        } else {
            unpinFromList(pin)
        }
    }

    /// Calls `body` with the epoch pinned.
    @inline(__always)
    func withPin<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        let pin = pin()
        defer { unpin(pin) }
        return try body()
    }

    /// Pins the epoch in a slot, if that is free.
    @inline(__always)
    private func pin(in slot: Int) -> Pin? {
        let place = memory + Epochs.lineBytes * slot
        guard balsa_load_relaxed_64(place) == 0 else { return nil }
        let epoch = balsa_load_64(memory)
        guard balsa_compare_exchange_64(place, 0, epoch) else { return nil }
        // The second look of the proof above, for its order and not for its value.
        _ = balsa_load_64(memory)
        return Pin(slot: slot, epoch: epoch)
    }

    /// A slot that other threads are not likely to prefer. Threads have stacks far apart, so the address of a variable
    /// tells them apart without asking the system who is running. Nothing but the speed depends on it.
    @inline(__always)
    private static var preferredSlot: Int {
        var mark: UInt8 = 0
        let address = withUnsafeMutablePointer(to: &mark) { UInt64(UInt(bitPattern: $0)) }
        return 1 + Int(truncatingIfNeeded: ((address >> 18) &* 0x9e37_79b9_7f4a_7c15) >> 57)
    }

    /// Pins any free slot, or the list where there is none.
    @inline(never)
    private func pinElsewhere() -> Pin {
        for slot in 1...Epochs.slotCount {
            if let pin = pin(in: slot) { return pin }
        }
        // Whoever collects takes the lock after it has advanced the epoch. If it does so before this, the reader sees
        // all that it took out; if after, it sees the reader.
        return lock.withLock {
            let epoch = balsa_load_64(memory)
            shared.crowded.append(epoch)
            return Pin(slot: 0, epoch: epoch)
        }
    }

    @inline(never)
    private func unpinFromList(_ pin: Pin) {
        lock.withLock {
            guard let place = shared.crowded.firstIndex(of: pin.epoch) else {
                preconditionFailure("a pin was given back twice")
            }
            shared.crowded.swapAt(place, shared.crowded.count - 1)
            shared.crowded.removeLast()
        }
    }

    // MARK: Writers

    /// Takes over a reference to an object that no reader can come upon any more, and lets it go when those that may
    /// have done so are gone. Whoever retires calls ``collect()`` now and then.
    func retire(_ object: AnyObject) {
        lock.withLock {
            shared.retired.append(Retired(object: object, epoch: balsa_fetch_add_64(memory, 1)))
        }
    }

    /// Releases what no reader can be looking at.
    func collect() {
        // Let go outside of the lock: what is freed may retire something else.
        let free: [Retired] = lock.withLock {
            guard !shared.retired.isEmpty else { return [] }
            let oldest = oldestPin
            let kept = shared.retired.firstIndex { $0.epoch >= oldest } ?? shared.retired.count
            guard kept > 0 else { return [] }
            let free = Array(shared.retired[..<kept])
            shared.retired.removeFirst(kept)
            return free
        }
        withExtendedLifetime(free) {}
    }

    /// The lowest pinned epoch; the highest number where nothing is pinned. Called with the lock.
    private var oldestPin: UInt64 {
        var oldest = shared.crowded.min() ?? .max
        for number in 1...Epochs.slotCount {
            let epoch = balsa_load_64(memory + Epochs.lineBytes * number)
            if epoch != 0 { oldest = min(oldest, epoch) }
        }
        return oldest
    }
}
