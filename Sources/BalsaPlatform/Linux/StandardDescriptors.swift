import CBalsaPlatform
import Glibc

/// Keeps descriptors 0, 1 and 2 free of files and sockets of a store.
///
/// The system gives the lowest free number to a new descriptor. A host that has closed its standard streams, and then
/// prints, would write into the file that got the number. Every call of this package that makes a descriptor goes
/// through ``avoid(_:)``.
package enum StandardDescriptors {
    /// The lowest number that a store uses.
    static let first: Int32 = 3

    /// Makes a descriptor whose number is above 2.
    ///
    /// Numbers below that are free are taken first, by descriptors that can neither be read nor written (`O_PATH`), and
    /// stay taken: a host that prints gets the error that it got before, at every moment, and programs that it starts
    /// inherit nothing. To move the descriptor afterwards would leave a moment in which the host writes into a file. It
    /// is moved all the same if the host has closed a number meanwhile.
    ///
    /// - Parameter make: makes a descriptor, closed in programs that the process starts; negative where it fails, with
    ///   `errno`.
    /// - Returns: the descriptor; negative where there is none, with `errno`.
    package static func avoid(_ make: () -> Int32) -> Int32 {
        guard fill() else { return -1 }
        let descriptor = make()
        guard descriptor >= 0, descriptor < first else { return descriptor }
        let moved = fcntl(descriptor, F_DUPFD_CLOEXEC, first)
        let number = errno
        close(descriptor)
        errno = number
        return moved
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
