/// A hash table that can be asked for a key and not for its contents.
///
/// The order in which Swift's hash collections list their elements differs from process to process, because their hash
/// function is seeded at start. A decision that follows such an order cannot be replayed, so `Set` and `Dictionary` do
/// not occur in the deterministic modules. This type is what they use instead to find something by its key: it has no
/// iterator, no list of keys and no description of its elements, and answers nothing that depends on the hash
/// function. What needs an order lies in a sorted array, beside the table if need be.
///
/// Looking up, inserting and removing take amortised constant time.
public struct LookupTable<Key: Hashable, Value> {
    @usableFromInline var storage: [Key: Value]

    /// An empty table.
    ///
    /// - Parameter minimumCapacity: for how many keys to reserve memory.
    @inlinable
    public init(minimumCapacity: Int = 0) {
        storage = Dictionary(minimumCapacity: minimumCapacity)
    }

    /// The number of keys.
    @inlinable
    public var count: Int { storage.count }

    /// Whether there are no keys.
    @inlinable
    public var isEmpty: Bool { storage.isEmpty }

    /// The value of `key`; nil where there is none. Assigning a value inserts or replaces, assigning nil removes.
    @inlinable
    public subscript(key: Key) -> Value? {
        get { storage[key] }
        _modify { yield &storage[key] }
    }

    /// The value of `key`, or `initial` where there is none; changing it inserts it.
    @inlinable
    public subscript(key: Key, default initial: @autoclosure () -> Value) -> Value {
        get { storage[key, default: initial()] }
        _modify { yield &storage[key, default: initial()] }
    }

    /// Whether `key` has a value.
    @inlinable
    public func contains(_ key: Key) -> Bool { storage[key] != nil }

    /// Gives `key` a value.
    ///
    /// - Returns: the value that it had before.
    @inlinable
    @discardableResult
    public mutating func insert(_ value: Value, for key: Key) -> Value? {
        storage.updateValue(value, forKey: key)
    }

    /// Removes `key`.
    ///
    /// - Returns: the value that it had.
    @inlinable
    @discardableResult
    public mutating func remove(_ key: Key) -> Value? {
        storage.removeValue(forKey: key)
    }

    /// Removes every key.
    @inlinable
    public mutating func removeAll(keepingCapacity: Bool = false) {
        storage.removeAll(keepingCapacity: keepingCapacity)
    }

    /// Makes room for `capacity` keys in all, so that inserting up to that many moves nothing.
    @inlinable
    public mutating func reserveCapacity(_ capacity: Int) {
        storage.reserveCapacity(capacity)
    }
}

extension LookupTable: Sendable where Key: Sendable, Value: Sendable {}

extension LookupTable: Equatable where Value: Equatable {}

extension LookupTable: CustomStringConvertible, CustomReflectable {
    /// How many keys there are. Naming them would give away the order of the hash table.
    public var description: String { "LookupTable(\(count) keys)" }

    /// No children, for the same reason.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
