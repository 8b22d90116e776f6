import CBalsaPlatform
import Glibc

/// The kernel's random numbers: the one place where chance enters. Everything else draws from a ``RandomSource``.
public enum SystemRandom {
    /// 64 unpredictable bits, such as the seed of a ``RandomSource`` or half of an identity.
    ///
    /// Waits once in a machine's life, shortly after it was switched on, until the kernel has gathered enough chance.
    public static func seed() -> UInt64 {
        var value: UInt64 = 0
        var result = 0
        repeat {
            result = withUnsafeMutableBytes(of: &value) { balsa_random($0.baseAddress, $0.count) }
        } while result < 0 && errno == EINTR
        // Up to 256 bytes are given whole or, by a kernel without the call, not at all. Such a kernel cannot run the
        // program this far: the standard library takes the seed of its hash tables from the same call.
        precondition(result == MemoryLayout<UInt64>.size, "the kernel has no random numbers")
        return value
    }
}
