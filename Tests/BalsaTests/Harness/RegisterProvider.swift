import BalsaPlatform
import BalsaRaft

@testable import Balsa

/// Opens register machines, and tells them what a test wants of them: to fail, to be overloaded, to refuse.
final class RegisterProvider: StateMachineProvider {
    /// Why a machine cannot be opened; asked with whether it was received.
    var openFailure: (_ isReceived: Bool) -> StateMachineError? = { _ in nil }
    /// Why a command cannot be applied.
    var applyFailure: StateMachineError?
    /// How often that was said.
    var applyAttempts = 0
    /// Why the state cannot be sealed.
    var sealFailure: StateMachineError?
    /// What the next steps of background work fail with, one after the other.
    var workFailures: [StateMachineError] = []
    /// Why a command should not enter the log.
    var refusal: (Bytes) -> RequestError.Reason? = { _ in nil }
    /// By which bits the digest of a machine whose state did not come from a peer differs from the true one.
    var digestMask: UInt64 = 0
    /// And of one that came from a peer.
    var receivedDigestMask: UInt64 = 0
    /// The feature level of a command.
    var featureLevel: (Bytes) -> UInt32 = { _ in 0 }
    /// How long a command may be.
    var maxCommandBytes = 1 << 20
    /// What an idle leader is to propose.
    var commandWhileIdle: () -> Bytes? = { nil }
    /// Whether a machine wants a seal soon.
    var wantsSealSoon = false
    /// After how many bytes of entries a machine wants to seal.
    var sealAfterBytes = Int.max
    /// With how many seals that are not durable a machine is overloaded.
    var maxPendingSeals = Int.max
    /// Every machine that was opened, with whether it was received.
    private(set) var opened: [(machine: RegisterMachine, isReceived: Bool)] = []

    func validate() {}

    func open(
        _ directory: String,
        of cluster: UniqueID,
        in fileSystem: any FileSystem,
        isReceived: Bool,
        isAccepted: (StatePosition) -> Bool
    ) throws(StateMachineError) -> any StateMachine {
        if let error = openFailure(isReceived) { throw error }
        let machine = try RegisterMachine(
            directory,
            of: cluster,
            in: fileSystem,
            isReceived: isReceived,
            provider: self,
            isAccepted: isAccepted
        )
        opened.append((machine, isReceived))
        return machine
    }
}
