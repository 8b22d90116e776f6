import BalsaLSM

/// How a key-value machine is set up.
public struct KeyValueOptions: Sendable {
    /// The limits by which commands are decided: the same on every member of a group.
    public var limits = KeyValueLimits()
    /// The limits of the engine, which may differ from member to member.
    public var engine = EngineOptions()

    /// Errors built in on purpose, by which the simulation proves that its judges see what they should.
    package var plantedBugs: KeyValuePlantedBugs = []

    /// The defaults.
    public init() {}
}

/// Errors that the simulation can build into a key-value machine.
package struct KeyValuePlantedBugs: OptionSet, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// A copy of a request is executed again.
    package static let deduplicationOff = KeyValuePlantedBugs(rawValue: 1 << 0)
    /// A state that came from a peer loses its sessions when it is opened.
    package static let sessionsLostInCheckpoint = KeyValuePlantedBugs(rawValue: 1 << 1)
    /// A machine that is opened says that it contains one entry more than it does.
    package static let replaysBehindTheWrongEntry = KeyValuePlantedBugs(rawValue: 1 << 2)
    /// A machine whose state did not come from a peer writes other values than the commands say, now and then.
    package static let writesOtherValues = KeyValuePlantedBugs(rawValue: 1 << 3)
}
