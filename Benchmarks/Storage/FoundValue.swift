import BalsaLSM
import BalsaPlatform

/// The copy of a value that a read has found, in memory that is used again: what a caller gets who keeps it.
final class FoundValue {
    private let memory: UnsafeMutableRawBufferPointer
    /// Whether the last read found its key.
    private(set) var isPresent = false
    /// How long its value is, in bytes.
    private(set) var byteCount = 0

    /// Memory for values of up to `capacity` bytes. Of longer ones the beginning is copied.
    init(capacity: Int) { memory = .allocate(byteCount: capacity, alignment: 16) }

    deinit { memory.deallocate() }

    /// The bytes that were copied.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<min(byteCount, memory.count)]) }

    /// Reads a key and copies its value.
    @inline(__always)
    func read(_ key: UnsafeRawBufferPointer, from engine: StorageEngine) throws(BenchmarkError) {
        let memory = memory
        let found = try measured { () throws(EngineError) in
            try engine.get(key) { value, _ in
                memory.copyMemory(from: UnsafeRawBufferPointer(rebasing: value.prefix(memory.count)))
                return value.count
            }
        }
        isPresent = found != nil
        byteCount = found ?? 0
    }
}
