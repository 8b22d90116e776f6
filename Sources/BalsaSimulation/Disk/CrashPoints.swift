import BalsaPlatform

/// A place in a sequence of calls where the process dies.
public struct CrashPoint: Equatable, Sendable, CustomStringConvertible {
    /// On which side of the call.
    public enum Moment: String, CaseIterable, Sendable {
        /// The call is not done.
        case before
        /// The call is done, and the process never learns of it.
        case after
    }

    /// The number of the call, counted from 1.
    public let call: UInt64
    /// On which side of it.
    public let moment: Moment

    /// A place on one side of a call.
    public init(_ moment: Moment, call: UInt64) {
        self.call = call
        self.moment = moment
    }

    /// The place in words.
    public var description: String { "\(moment.rawValue) call \(call)" }
}

/// A hook that counts the calls of a process, notes what they were, and ends the process at a crash point.
public final class CrashPointHook: DiskHook {
    private let point: CrashPoint?

    /// How many calls have been made.
    public private(set) var callCount: UInt64 = 0
    /// Whether the crash point was reached.
    public private(set) var hasCrashed = false
    /// What the last call was, in words.
    public private(set) var lastCall = "no call"

    /// A hook that ends the process at `point`, or only counts.
    public init(crashingAt point: CrashPoint? = nil) { self.point = point }

    /// Counts the call, and ends the process if it is the one.
    public func answer(_ call: DiskCall) -> DiskAnswer {
        callCount += 1
        lastCall = "\(call.operation.rawValue) \(call.path)"
        guard let point, point.call == callCount else { return .proceed }
        hasCrashed = true
        return point.moment == .before ? .crashBefore : .crashAfter
    }
}

extension SimulatedDisk {
    /// Runs `work` again and again, each time on a copy of this disk and with a crash one call later, before and after
    /// the call, until it comes to its end without a crash.
    ///
    /// ```swift
    /// try disk.forEachCrashPoint { files in
    ///     try update(files)
    /// } check: { crashed, point in
    ///     for image in crashed.crashStates() { try checkRecovery(of: SimulatedDisk(image)) }
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - work: makes the calls. What it throws after its process has died is the expected end of it; what it throws
    ///     otherwise ends everything. It has to come to an end of its own, since it is run until it does.
    ///   - check: gets each crashed disk, with everything that was not durable still pending.
    /// - Returns: how many calls `work` makes.
    @discardableResult
    public func forEachCrashPoint<Failure: Error>(
        _ work: (SimulatedFileSystem) throws(Failure) -> Void,
        check: (SimulatedDisk, CrashPoint) throws(Failure) -> Void
    ) throws(Failure) -> UInt64 {
        // What the copies have in common is digested once and not by each of them.
        state.prepareDurableDigests()
        let image = snapshot()
        let known = KnownCrashStates()
        var call: UInt64 = 1
        while true {
            for moment in CrashPoint.Moment.allCases {
                let point = CrashPoint(moment, call: call)
                let hook = CrashPointHook(crashingAt: point)
                let disk = SimulatedDisk(image)
                do throws(Failure) {
                    try work(disk.mount(hook))
                } catch {
                    guard hook.hasCrashed else { throw error }
                }
                guard hook.hasCrashed else { return hook.callCount }
                disk.processCrash()
                disk.knownCrashStates = known
                try check(disk, point)
                disk.knownCrashStates = nil
            }
            call += 1
        }
    }
}
