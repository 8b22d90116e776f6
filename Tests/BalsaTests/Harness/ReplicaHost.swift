import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// A replica with its disk, and what its effects asked for that is not done yet.
final class ReplicaHost {
    let id: MemberID
    var disk = SimulatedDisk()
    let provider = RegisterProvider()
    /// Sees the file calls of the processes that are opened from now on.
    var hook: (any DiskHook)?
    var replica: Replica?
    var files: SimulatedFileSystem?
    var wakeAt = Instant.never
    /// Whether writes wait in ``held`` until a test lets them go.
    var holdsWrites = false
    var held: [ReplicaWrite] = []
    /// Whether steps of background work wait in ``heldWork``.
    var holdsWork = false
    var heldWork: [StateWork] = []
    /// What its callers were told.
    var replies: [(id: RequestID, reply: Reply)] = []
    /// The requests of the process that runs, which are to be answered.
    var open: [RequestID] = []
    /// Which register a read is about, and what it held when the read was answered.
    var readKeys: [RequestID: Bytes] = [:]
    var values: [RequestID: String] = [:]
    /// What left for peers, arrived or not.
    var sent: [PeerFrame] = []
    var undecodable: [BalsaPlatform.DecodingError] = []
    var anomalies: [Anomaly] = []
    /// Why checkpoints were refused.
    var refusedCheckpoints: [String] = []
    /// The kinds of what it has reported, in all of its processes.
    var incidents: Set<Incident> = []
    /// The kinds that the test expects, each at least once.
    var expectedIncidents: Set<Incident> = []
    var starts: UInt64 = 0

    init(id: MemberID) { self.id = id }

    func reply(to id: RequestID) -> Reply? { replies.first { $0.id == id }?.reply }

    var machine: RegisterMachine? { replica?.machine as? RegisterMachine }

    /// The digest of the state that it has now. A member that is down has none, and fails the test.
    func digest(file: StaticString = #filePath, line: UInt = #line) throws -> UInt64 {
        try XCTUnwrap(machine, "member \(id) is down", file: file, line: line).digest
    }

    /// The messages of the core among what left.
    var messages: [Message] { sent.compactMap { $0.envelope?.message } }

    /// The chunks of checkpoints among what left.
    var chunks: [CheckpointChunk] {
        sent.compactMap { if case .checkpointChunk(let chunk) = $0.content { chunk } else { nil } }
    }

    /// The questions for a read index among what left.
    var questions: [ReadID] {
        messages.compactMap { if case .readRequest(let id) = $0.body { id } else { nil } }
    }

    /// The commands that were passed on among what left.
    var forwards: [ForwardedCommand] {
        sent.compactMap { if case .forward(let command) = $0.content { command } else { nil } }
    }

    /// Why commands of others were not taken, among what left.
    var refusals: [ForwardResponse] {
        sent.compactMap { if case .forwardResponse(let response) = $0.content { response } else { nil } }
    }
}
