import CBalsaPlatform
import Glibc

/// Keeps descriptors 0, 1 and 2, and the last ones that the process may have, free of files and sockets of a store.
///
/// The system gives the lowest free number to a new descriptor. A host that has closed its standard streams, and then
/// prints, would write into the file that got the number.
///
/// The last ones are for those who cannot wait for one. On Linux the executor of Swift's tasks reads files of `/proc`
/// while it runs, and ends the process where it cannot open them. A store can do without for a while.
///
/// Every call of this package that makes a descriptor goes through ``avoid(forOthers:_:)``, but for the pipes that the
/// command line makes once, while it starts: those call ``fill()`` before.
package enum StandardDescriptors {
    /// The lowest number that a store uses.
    static let first: Int32 = 3
    /// How many descriptors a store leaves to the rest of the process.
    package static let reserve: rlim_t = 8
    /// How many more, at most, are left by connections of others, so that the store's own files and sockets get some.
    package static let reserveOfFiles: rlim_t = 16
    /// The lowest limit with such a reserve. With a lower one a store could hardly be opened.
    static let leastLimitWithReserve: rlim_t = 32
    /// How many numbers before those that are left have to be free for threads to make descriptors side by side. More
    /// threads do not ask at the same moment.
    private static let enoughForAll: Int32 = 32
    /// Held where fewer are free, by the thread that looks for one and makes its own.
    private static let turn = Lock()

    /// Makes a descriptor whose number is above 2, and is not one of the last.
    ///
    /// Numbers below that are free are taken first, by descriptors that can neither be read nor written (`O_PATH`), and
    /// stay taken: a host that prints gets the error that it got before, at every moment, and programs that it starts
    /// inherit nothing. To move the descriptor afterwards would leave a moment in which the host writes into a file. It
    /// is moved all the same if the host has closed a number meanwhile.
    ///
    /// Where only the last ones are left, nothing is made, and the error is `EMFILE`. Where few others are left,
    /// threads take turns, and a call that waits for a disk holds up the others: two that look at the same moment would
    /// both find the last free number, and each look takes one of those that are left for a moment.
    ///
    /// - Parameters:
    ///   - forOthers: whether it is for somebody else's connection, which leaves some to the files of the store, too.
    ///   - make: makes a descriptor, closed in programs that the process starts; negative where it fails, with `errno`.
    ///     It must not call this method.
    /// - Returns: the descriptor; negative where there is none, with `errno`.
    package static func avoid(forOthers: Bool = false, _ make: () -> Int32) -> Int32 {
        guard fill() else { return -1 }
        let end = firstOfReserve(forOthers)
        guard !hasEnoughForAll(before: end) else { return above(make()) }
        turn.acquire()
        let descriptor = isNextOne(before: end) ? above(make()) : -1
        let number = errno
        turn.release()
        errno = number
        return descriptor
    }

    /// The descriptor, or the same under another number where its own is one of the standard streams.
    private static func above(_ descriptor: Int32) -> Int32 {
        guard descriptor >= 0, descriptor < first else { return descriptor }
        let moved = fcntl(descriptor, F_DUPFD_CLOEXEC, first)
        let number = errno
        close(descriptor)
        errno = number
        return moved
    }

    /// How many descriptors are half of those that the process may have; at least 1.
    static var half: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return .max }
        return max(Int(clamping: limit.rlim_cur / 2), 1)
    }

    /// The first of the numbers that are left to others; the largest number where none is.
    private static func firstOfReserve(_ isForOthers: Bool) -> Int32 {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0,
            limit.rlim_cur >= leastLimitWithReserve
        else { return .max }
        let more = isForOthers ? min(reserveOfFiles, limit.rlim_cur / 8) : 0
        return Int32(clamping: limit.rlim_cur - reserve - more)
    }

    /// Whether so many numbers right before `end` are free that no thread has to look for one. Takes none.
    private static func hasEnoughForAll(before end: Int32) -> Bool {
        end == .max || (max(end - enoughForAll, first)..<end).allSatisfy { fcntl($0, F_GETFD) < 0 }
    }

    /// Whether the next descriptor leaves the reserve to others.
    ///
    /// It is looked for before anything is made: a file that was created, or a connection that was accepted, could not
    /// be given back.
    ///
    /// - Returns: false where it does not, with `errno`.
    private static func isNextOne(before end: Int32) -> Bool {
        let next = balsa_open_placeholder()
        // What else keeps a placeholder from being opened is no matter of descriptors.
        guard next >= 0 else { return errno != EMFILE && errno != ENFILE }
        close(next)
        guard next >= end else { return true }
        errno = EMFILE
        return false
    }

    /// Takes the numbers that are free.
    ///
    /// - Returns: false where there is no descriptor, with `errno`.
    package static func fill() -> Bool {
        guard (0..<first).contains(where: { fcntl($0, F_GETFD) < 0 }) else { return true }
        while true {
            let descriptor = balsa_open_placeholder()
            guard descriptor >= 0 else { return false }
            guard descriptor < first else {
                close(descriptor)
                return true
            }
        }
    }
}
