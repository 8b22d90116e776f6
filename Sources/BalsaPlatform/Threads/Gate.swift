import Synchronization

/// Lets calls in until it is closed, and tells when the last of those inside has left.
///
/// ```swift
/// guard gate.enter() else { throw Closed() }
/// defer { gate.leave() }
/// ```
///
/// Entering and leaving take no lock: they are on the path of every call.
public final class Gate: Sendable {
    /// Twice the number of calls inside, plus 1 once the gate is closed.
    private let state = Atomic<Int>(0)
    private let whenEmpty = Locked<(@Sendable () -> Void)?>(nil)

    /// A gate that is open.
    public init() {}

    /// How many calls are inside.
    public var count: Int { state.load(ordering: .relaxed) >> 1 }

    /// Goes in.
    ///
    /// - Returns: whether the gate was open. Only then ``leave()`` has to follow.
    public func enter() -> Bool {
        let after = state.wrappingAdd(2, ordering: .acquiringAndReleasing).newValue
        guard after & 1 == 1 else { return true }
        // Whoever left last in between has seen this call, and has left the telling to it.
        leave()
        return false
    }

    /// Goes out.
    public func leave() {
        let after = state.wrappingSubtract(2, ordering: .acquiringAndReleasing).newValue
        if after == 1 { tell() }
    }

    /// Closes the gate: nobody gets in any more. May be called once.
    ///
    /// - Parameter isEmpty: called once, when the last call that is inside leaves, on its thread; or now, where none is.
    public func close(_ isEmpty: @escaping @Sendable () -> Void) {
        whenEmpty.withLock { $0 = isEmpty }
        let before = state.bitwiseOr(1, ordering: .acquiringAndReleasing).oldValue
        precondition(before & 1 == 0, "a gate is closed once")
        if before == 0 { tell() }
    }

    private func tell() {
        let isEmpty = whenEmpty.withLock { whenEmpty in
            defer { whenEmpty = nil }
            return whenEmpty
        }
        isEmpty?()
    }
}
