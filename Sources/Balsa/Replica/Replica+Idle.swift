import BalsaPlatform
import BalsaRaft
import BalsaWire

extension Replica {
    /// After how long without an entry a leader asks its state machine for one, and so how often it proposes one at
    /// most.
    static let idleInterval = TimeSpan.seconds(10)

    /// Lets logical time pass in a group that is idle, while the state machine waits for that.
    ///
    /// Logical time passes with entries only. Nothing is proposed while anybody else proposes, before the last entry
    /// has been applied here, or when the state machine waits for nothing.
    func proposeIfIdle() {
        guard raft.role == .leader, !isClosed else {
            idleDeadline = .never
            return
        }
        let last = raft.log.lastIndex
        guard idleDeadline != .never, idleIndex == last else {
            idleIndex = last
            idleDeadline = now + Replica.idleInterval
            return
        }
        guard now >= idleDeadline else { return }
        idleDeadline = now + Replica.idleInterval
        guard applied.position.index == last, let command = machine.commandWhileIdle else { return }
        metrics.idleCommands += 1
        propose([], commands: [command])
    }
}
