import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import BalsaTransport

/// Why a store cannot do what it was asked.
public struct StoreError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Whether a write took effect; *not applied* for everything that is no write.
    public let outcome: RequestError.Outcome
    /// What happened.
    public let reason: RequestError.Reason
    /// The member that leads, as far as this one knows; 0 where it does not.
    public let leader: MemberID
    /// What happened in a sentence, where there is more to say.
    public let message: String

    /// An error.
    public init(
        _ outcome: RequestError.Outcome,
        _ reason: RequestError.Reason,
        leader: MemberID = 0,
        _ message: String = ""
    ) {
        self.outcome = outcome
        self.reason = reason
        self.leader = leader
        self.message = message
    }

    init(_ error: RequestError, _ message: String = "") {
        // Calls go through any member: that this one does not lead matters only where it knows of nobody who does.
        let isLeaderless = error.reason == .notLeader && error.leader == 0
        let sentence = message.isEmpty && error.reason == .damaged ? StoreError.damage : message
        self.init(error.outcome, isLeaderless ? .noQuorum : error.reason, leader: error.leader, sentence)
    }

    private static let damage =
        "a key that this call needs, or a command that has to be applied before it, lies in a part of a table that "
        + "cannot be read; `.local` reads of other keys go on; `StoreStatus.engine.quarantined` and "
        + "`StoreEvent.damaged` of the member that found it name the file, the level and the range of keys"

    init(_ error: ReplicaError) {
        switch error.code {
        case .invalid: self.init(.notApplied, .invalid, error.message)
        case .locked: self.init(.notApplied, .inUse, error.message)
        default: self.init(.notApplied, .failed, error.description)
        }
    }

    /// Why a member cannot be reached by others.
    ///
    /// - Parameter kind: the reason, where the error does not say it.
    init(_ error: TransportError, otherwise kind: RequestError.Reason) {
        let sentence = error.sentence
        switch error.code {
        case .insecure:
            let advice =
                "pass `security: .insecureNetwork` if something else protects the network, or listen on the loopback"
            self.init(.notApplied, .insecure, "\(sentence): \(advice)")
        case .invalid: self.init(.notApplied, .invalid, sentence)
        case .system where error.number == .addressInUse:
            self.init(
                .notApplied,
                .inUse,
                "\(sentence): stop the process that listens there, or listen on another port"
            )
        default: self.init(.notApplied, kind, sentence)
        }
    }

    init(_ error: KeyValueError) {
        let reason: RequestError.Reason =
            switch error.code {
            case .invalid: .invalid
            case .compacted: .compacted
            case .futureRevision: .futureRevision
            default: error.cause?.quarantine == nil ? .failed : .damaged
            }
        self.init(.notApplied, reason, sentence: error.description)
    }

    /// An error whose sentence may begin with the reason, which is not said twice.
    private init(_ outcome: RequestError.Outcome, _ reason: RequestError.Reason, sentence: String) {
        let prefix = "\(reason): "
        self.init(outcome, reason, sentence.hasPrefix(prefix) ? String(sentence.dropFirst(prefix.count)) : sentence)
    }

    /// Whether the same call may succeed a little later, without having had an effect.
    public var isRetriable: Bool {
        let passing: [RequestError.Reason] = [
            .busy, .notLeader, .noQuorum, .superseded, .startingUp, .diverged, .damaged, .deadlineExceeded,
            .upgradeRequired,
        ]
        return outcome == .notApplied && passing.contains(reason)
    }

    /// Reason, outcome and message in one line.
    public var description: String {
        "\(reason) (\(outcome.rawValue))" + (message.isEmpty ? "" : ": \(message)")
    }

    /// The same as ``description``, where the error's type is known, as in a `catch` of a call of a store.
    ///
    /// An `any Error` asks Foundation instead, which knows only its own protocol `LocalizedError`. This package does
    /// not import Foundation; `Docs/Store.md` has the line with which a program adds the conformance.
    public var localizedDescription: String { description }
}
