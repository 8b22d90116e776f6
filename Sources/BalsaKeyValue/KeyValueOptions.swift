import BalsaLSM

/// How this member's key-value machine is set up. All options are local: they decide no reply, and may differ from
/// member to member and from opening to opening.
public struct KeyValueOptions: Sendable {
    /// The limits of the engine. ``EngineOptions/maxKeyBytes``, ``EngineOptions/maxValueBytes`` and
    /// ``EngineOptions/maxBatchBytes`` have no effect here: the machine sets them so that no replicated option can
    /// exceed them.
    public var engine = EngineOptions()

    /// Errors built in on purpose, by which the simulation proves that its judges see what they should.
    package var plantedBugs: KeyValuePlantedBugs = []
    /// The value that ``KeyValuePlantedBugs/localLimits`` puts in the place of the replicated one.
    package var plantedMaxValueBytes: Int?

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
    /// Apply compares values with the limit that the member was opened with.
    package static let localLimits = KeyValuePlantedBugs(rawValue: 1 << 4)
    /// A command that needs what cannot be read is applied as if the key had no value.
    package static let quarantineIgnored = KeyValuePlantedBugs(rawValue: 1 << 5)
}
