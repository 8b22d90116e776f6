import BalsaPlatform
import CBalsaPlatform
import Glibc

/// What a descriptor is ready for, or is to be watched for.
struct Readiness: OptionSet {
    let rawValue: UInt32

    init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Bytes or connections have arrived, or the other side sends no more.
    static let readable = Readiness(rawValue: EPOLLIN.rawValue | EPOLLRDHUP.rawValue)
    /// There is room for bytes, or a connection has been made.
    static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
    /// The connection has failed. Always watched for.
    static let failed = Readiness(rawValue: EPOLLERR.rawValue | EPOLLHUP.rawValue)

    /// Whether any of `other` is among these.
    func containsAny(of other: Readiness) -> Bool { rawValue & other.rawValue != 0 }
}

/// Is told when its descriptor is ready.
protocol ReadinessHandler: AnyObject {
    /// The descriptor is ready for some of what it is watched for, or has failed.
    func handle(_ readiness: Readiness)
}

/// Watches descriptors by `epoll`.
///
/// The system gives the number of a closed descriptor to the next one that is opened, while an event for the old one may
/// still be in the list that is being handled. Every registration therefore has a number of its own, which stands beside the
/// descriptor in each event, and an event with another number is dropped.
///
/// All but ``wake()`` belongs to one thread.
final class Selector {
    /// A descriptor that is watched.
    struct Registration: Equatable {
        let descriptor: Int32
        fileprivate let generation: UInt32
    }

    private struct Slot {
        let generation: UInt32
        var interest: Readiness
        let handler: any ReadinessHandler
    }

    /// That of the descriptor by which other threads wake this one.
    private static let wakeTag = UInt64.max

    private let poll: Int32
    /// By which other threads wake this one: a counter that is never read, but where it is full.
    let wakeUp: Int32
    /// Keeps ``wakeUp`` open during a call of ``wake()``. A lock would be held while the thread that is woken begins to
    /// run, which would then wait for it.
    private let wakes = UseCount()
    private let events: UnsafeMutableBufferPointer<epoll_event>
    /// How many of `events` are still to be handled.
    private var readyCount = 0
    /// How many descriptors are watched, the own one included.
    private var watchedCount = 1
    /// What is watched, by descriptor: the system always gives the lowest free number, so that the list stays short.
    private var slots: [Slot?] = []
    private var lastGeneration: UInt32 = 0

    init(maxEvents: Int) throws(TransportError) {
        poll = StandardDescriptors.avoid { epoll_create1(Int32(EPOLL_CLOEXEC)) }
        guard poll >= 0 else { throw TransportError(.system, "watch descriptors", number: .last) }
        wakeUp = StandardDescriptors.avoid { eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK)) }
        events = .allocate(capacity: maxEvents)
        guard wakeUp >= 0 else { throw TransportError(.system, "make an event descriptor", number: .last) }
        // By its edges: each call of `wake()` makes it ready anew, and the counter need not be read to end that.
        var event = epoll_event(
            events: EPOLLIN.rawValue | EPOLLET.rawValue,
            data: epoll_data_t(u64: Selector.wakeTag)
        )
        guard epoll_ctl(poll, EPOLL_CTL_ADD, wakeUp, &event) == 0 else {
            throw TransportError(.system, "watch an event descriptor", number: .last)
        }
    }

    deinit {
        closeDescriptors()
        events.deallocate()
    }

    /// Gives the descriptors back. May be called again; nothing but ``wake()`` is called afterwards, which does nothing
    /// then.
    func closeDescriptors() {
        let (wasOpen, isUnused) = wakes.close()
        if wasOpen, poll >= 0 { close(poll) }
        if isUnused { closeWakeUp() }
    }

    /// Has the wait that is under way, or else the next one, return at once. From any thread.
    func wake() {
        guard wakes.begin() else { return }
        if eventfd_write(wakeUp, 1) != 0 {
            // The only failure is a counter at its limit: it begins anew.
            var count: eventfd_t = 0
            _ = eventfd_read(wakeUp, &count)
            _ = eventfd_write(wakeUp, 1)
        }
        if wakes.end() { closeWakeUp() }
    }

    private func closeWakeUp() {
        if wakeUp >= 0 { close(wakeUp) }
    }

    /// Begins to watch a descriptor.
    func add(
        _ descriptor: Int32,
        for interest: Readiness,
        _ handler: any ReadinessHandler
    ) throws(TransportError) -> Registration {
        precondition(descriptor >= 0, "no descriptor has a negative number")
        while slots.count <= Int(descriptor) { slots.append(nil) }
        precondition(slots[Int(descriptor)] == nil, "a descriptor was closed while it was watched")
        lastGeneration &+= 1
        // The highest number is that of the wake-up.
        if lastGeneration == .max { lastGeneration = 1 }
        let registration = Registration(descriptor: descriptor, generation: lastGeneration)
        guard control(EPOLL_CTL_ADD, registration, interest) else {
            throw TransportError(.system, "watch a socket", number: .last)
        }
        slots[Int(descriptor)] = Slot(generation: lastGeneration, interest: interest, handler: handler)
        watchedCount += 1
        return registration
    }

    /// Watches for something else from now on.
    func change(_ registration: Registration, to interest: Readiness) {
        guard let slot = slot(registration), slot.interest != interest else { return }
        slots[Int(registration.descriptor)]?.interest = interest
        let isDone = control(EPOLL_CTL_MOD, registration, interest)
        precondition(isDone, "a socket was closed while it was watched")
    }

    /// Ceases to watch, before the descriptor is closed. Events that were received for it come no more.
    func remove(_ registration: Registration) {
        guard slot(registration) != nil else { return }
        slots[Int(registration.descriptor)] = nil
        watchedCount -= 1
        let isDone = control(EPOLL_CTL_DEL, registration, [])
        precondition(isDone, "a socket was closed while it was watched")
    }

    /// Forgets all handlers.
    func removeAll() { slots = [] }

    /// After how many polls everything has been handled that is ready now. The system hands out what is ready in turns.
    var pollsUntilAllAreHandled: Int { watchedCount / events.count + 1 }

    /// Waits until something is ready, if only for ``wake()``.
    ///
    /// - Returns: whether something is.
    func isReady(timeoutMilliseconds: Int32) -> Bool {
        guard readyCount == 0 else { return true }
        let count = epoll_wait(poll, events.baseAddress, Int32(events.count), timeoutMilliseconds)
        // A signal came: whoever waits looks again.
        precondition(count >= 0 || errno == EINTR, "a descriptor was closed that belongs to the loop")
        readyCount = max(0, Int(count))
        return readyCount > 0
    }

    /// Has everything handled that is ready, or becomes so in time.
    func poll(timeoutMilliseconds: Int32) {
        let isAnyReady = isReady(timeoutMilliseconds: timeoutMilliseconds)
        guard isAnyReady else { return }
        for place in 0..<readyCount {
            let event = events[place]
            // It has woken the thread, which is all.
            if event.data.u64 == Selector.wakeTag { continue }
            let descriptor = Int(event.data.u64 & 0xffff_ffff)
            let generation = UInt32(event.data.u64 >> 32)
            guard descriptor < slots.count, let slot = slots[descriptor], slot.generation == generation else {
                continue
            }
            let ready = Readiness(rawValue: event.events).intersection(slot.interest.union(.failed))
            if !ready.isEmpty { slot.handler.handle(ready) }
        }
        readyCount = 0
    }

    private func slot(_ registration: Registration) -> Slot? {
        guard Int(registration.descriptor) < slots.count, let slot = slots[Int(registration.descriptor)],
            slot.generation == registration.generation
        else { return nil }
        return slot
    }

    private func control(_ operation: Int32, _ registration: Registration, _ interest: Readiness) -> Bool {
        let tag = UInt64(registration.generation) << 32 | UInt64(UInt32(bitPattern: registration.descriptor))
        var event = epoll_event(events: interest.rawValue, data: epoll_data_t(u64: tag))
        return epoll_ctl(poll, operation, registration.descriptor, &event) == 0
    }
}

extension FileError.Number {
    /// What the last failed call of this thread left in `errno`.
    static var last: FileError.Number { FileError.Number(rawValue: errno) }
}
