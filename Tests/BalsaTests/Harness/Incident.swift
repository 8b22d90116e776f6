import BalsaRaft

@testable import Balsa

/// What a replica reports to an operator, by kind.
///
/// A test that causes one declares it with ``ReplicaGroup/expect(_:of:)``; ``ReplicaTestCase`` fails on all others.
struct Incident: Hashable, Comparable, CustomStringConvertible {
    let description: String

    private init(_ description: String) { self.description = description }

    static let unknownPeer = Incident("a frame of an unknown peer")
    static let malformedMessage = Incident("a malformed message")
    static let secondLeader = Incident("a second leader of one term")
    static let committedEntryContradicted = Incident("a committed entry contradicted")
    static let acknowledgedEntriesLost = Incident("acknowledged entries lost")
    static let stateDiverged = Incident("a state that differs")
    static let stateRebuilt = Incident("a state that was rebuilt")
    static let rebuiltInVain = Incident("a state that was rebuilt in vain")
    static let digestsDisagree = Incident("digests without a majority")
    static let persistFailed = Incident("a persist failed")
    static let persistStalled = Incident("a persist stalled")
    static let quorumLost = Incident("the quorum lost")
    static let undecodable = Incident("an undecodable frame")
    static let damagedCopy = Incident("a damaged copy of a file")
    static let checkpointRefused = Incident("a checkpoint refused")
    static let firstBootWaits = Incident("a first boot that waits for an operator")
    static let retrying = Incident("something that is tried again")

    static func failed(_ code: ReplicaError.Code) -> Incident { Incident("failed: \(code)") }

    static func < (left: Incident, right: Incident) -> Bool { left.description < right.description }

    init(_ anomaly: Anomaly) {
        self =
            switch anomaly {
            case .unknownPeer: .unknownPeer
            case .malformedMessage: .malformedMessage
            case .secondLeader: .secondLeader
            case .committedEntryContradicted: .committedEntryContradicted
            case .acknowledgedEntriesLost: .acknowledgedEntriesLost
            case .stateDiverged: .stateDiverged
            case .stateRebuilt: .stateRebuilt
            case .rebuiltInVain: .rebuiltInVain
            case .digestsDisagree: .digestsDisagree
            case .persistFailed: .persistFailed
            case .persistStalled: .persistStalled
            case .quorumLost: .quorumLost
            }
    }

    /// The incident that an effect reports; nil where it reports none.
    init?(_ effect: ReplicaEffect) {
        switch effect {
        case .report(let anomaly): self.init(anomaly)
        case .undecodable: self = .undecodable
        case .firstBootWaits: self = .firstBootWaits
        case .retrying: self = .retrying
        case .checkpointRefused: self = .checkpointRefused
        case .damagedCopy: self = .damagedCopy
        case .failed(let error): self = .failed(error.code)
        default: return nil
        }
    }
}
