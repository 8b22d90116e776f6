import BalsaPlatform

/// How the keys of users lie among the keys of the engine: a byte for the space, four for the namespace, then the key.
///
/// The spaces below the users' are kept for what the system writes itself, and for indexes. Namespace 0 is the default, and
/// the only one for now.
enum EngineKey {
    /// Space 2, namespace 0.
    static let userPrefix: [UInt8] = [2, 0, 0, 0, 0]
    /// The bytes before the user's key.
    static let prefixByteCount = 5
    /// Behind the last key of the namespace.
    static let userEnd: Bytes = [2, 0, 0, 0, 1]

    /// The engine's key for a user's.
    static func user(_ key: UnsafeRawBufferPointer) -> Bytes {
        let slab = Slab.filled(capacity: prefixByteCount + key.count) { buffer in
            buffer.copyBytes(from: userPrefix)
            UnsafeMutableRawBufferPointer(rebasing: buffer[prefixByteCount...]).copyMemory(from: key)
            return buffer.count
        }
        return Bytes(slab: slab, offset: 0, count: slab.count)
    }

    /// The engine's key for the upper bound of a range, which is open where it is empty.
    static func upperBound(_ key: UnsafeRawBufferPointer) -> Bytes {
        key.isEmpty ? userEnd : user(key)
    }

    /// Calls `body` with the engine's key for a user's, in memory that lasts until it returns.
    static func withUser<Result, Failure: Error>(
        _ key: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeTemporaryAllocation(byteCount: prefixByteCount + key.count, alignment: 8) {
            buffer throws(Failure) in
            buffer.copyBytes(from: userPrefix)
            UnsafeMutableRawBufferPointer(rebasing: buffer[prefixByteCount...]).copyMemory(from: key)
            return try body(UnsafeRawBufferPointer(buffer))
        }
    }

    /// The user's key in a key of the engine.
    static func userKey(of key: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: key[prefixByteCount...])
    }
}
