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
    /// How many calls are making a descriptor. Each takes a number that still looks free.
    private static let callsUnderWay = Locked(0)

    /// Makes a descriptor whose number is above 2, and is not one of the last.
    ///
    /// Numbers below that are free are taken first, by descriptors that can neither be read nor written (`O_PATH`), and
    /// stay taken: a host that prints gets the error that it got before, at every moment, and programs that it starts
    /// inherit nothing. To move the descriptor afterwards would leave a moment in which the host writes into a file. It
    /// is moved all the same if the host has closed a number meanwhile.
    ///
    /// Where only the last ones are left, nothing is made, and the error is `EMFILE`. That is found out before
    /// anything is made: a file that was created, or a connection that was accepted, could not be given back. One
    /// number must be free for this call, and one for each call that is under way on another thread. So threads make
    /// descriptors side by side, and none waits for the disk of another. At the limit a call may be refused although it
    /// would have got a number: if another one, still under way, fails or has got its own already.
    ///
    /// - Parameters:
    ///   - forOthers: whether it is for somebody else's connection, which leaves some to the files of the store, too.
    ///   - make: makes a descriptor, closed in programs that the process starts; negative where it fails, with `errno`.
    ///     It must not call this method.
    /// - Returns: the descriptor; negative where there is none, with `errno`.
    package static func avoid(forOthers: Bool = false, _ make: () -> Int32) -> Int32 {
        guard fill() else { return -1 }
        let end = firstOfReserve(forOthers)
        guard end < .max else { return above(make()) }
        let mayBegin = callsUnderWay.withLock { count in
            guard hasFree(count + 1, before: end) else { return false }
            count += 1
            return true
        }
        guard mayBegin else {
            errno = EMFILE
            return -1
        }
        let descriptor = above(make())
        let number = errno
        callsUnderWay.withLock { $0 -= 1 }
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

    /// Whether so many numbers before `end` are free. Takes none, and waits for nothing.
    ///
    /// - Complexity: one short system call for each number from `end` down to the last one that counts. The system
    ///   gives the lowest numbers first, so that they are few unless nearly all are taken.
    private static func hasFree(_ count: Int, before end: Int32) -> Bool {
        var missing = count
        for number in (first..<max(end, first)).reversed() where fcntl(number, F_GETFD) < 0 {
            missing -= 1
            if missing == 0 { return true }
        }
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
