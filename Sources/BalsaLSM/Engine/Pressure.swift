/// How far the engine's background work is behind its writer.
///
/// A value and never a wait: who writes decides what to do about it. It is computed from the state at the moment that it is
/// asked for, so that it can never stay up when the work has caught up.
public enum Pressure: Equatable, Sendable {
    /// Write on.
    case none
    /// Write slower, in proportion: 0 where it begins, 1 where the next step is to stop.
    case slow(Double)
    /// Write nothing until work has been done.
    case stopped
}
