import Balsa
import BalsaLog
import BalsaPlatform
import BalsaRaft

/// One machine of the simulated world: its disk, which outlives processes, and the process that runs on it, if one does.
final class SimulatedMember {
    /// Which machine it is. That of a member has the number of the member.
    let id: MemberID
    /// As which member it is started: as the one whose machine it is, unless its disk is a copy of another's.
    let name: MemberID
    var disk: SimulatedDisk
    var process: SimulatedProcess?
    /// How often a process was started here.
    var starts: UInt64 = 0

    // What became of its directory.
    /// Whether a process of it has belonged to the cluster.
    var wasEstablished = false
    var directory = DirectoryState.whole
    /// What was done to its files since it was opened last.
    var exchanged: ExchangedFiles?
    /// The first process that runs on a directory that is not whole.
    var directorySince: UInt64 = .max
    /// Whether it was refused, and stays down.
    var isOut = false
    /// The directory as it was before each of the last openings, with the number of openings until then.
    var images: [(boot: UInt64, image: DiskImage)] = []
    /// The directory as it was right behind the latest opening, and what its files said of each other.
    var opened: (start: UInt64, image: DiskImage, claims: FileClaims)?
    /// For each peer the highest opening that it has durably remembered, by member id.
    var remembered: [UInt64]
    /// The last term in which it led and knew that its state was that of the majority.
    var confirmedTerm: Term = 0
    /// How often it is still to be ended right after its next starts, and what decides how each of them ends.
    var restartsLeft: UInt64 = 0
    var restartSalt: UInt64 = 0
    /// The paths of the tables that a fault has damaged.
    var damagedTables: [String] = []
    /// The linearizable reads that it was asked for and has not answered.
    var linearizableReads: [RequestID] = []

    // The faults in force.
    var pausedUntil = TimeSpan.zero
    var stalledUntil = TimeSpan.zero
    var noSpaceUntil = TimeSpan.zero
    var slowness: [(fault: Int, factor: UInt64)] = []
    var failsNextSync = false
    var failsNextWrite = false
    var failsNextRead = false
    var trap: CrashTrap?
    /// Numbers the decisions about calls that a fault leaves open.
    var decisions: UInt64 = 0

    /// What happened to the process while it was paused, in order.
    var held: [WorldEvent] = []

    init(id: MemberID, as name: MemberID? = nil, of members: UInt64, disk: SimulatedDisk) {
        self.id = id
        self.name = name ?? id
        remembered = Array(repeating: 0, count: Int(members) + 1)
        self.disk = disk
    }

    /// The member as the checkers of identity see it.
    var party: IdentityCheck.Party { IdentityCheck.Party(member: id, directory: directory) }

    var slowFactor: UInt64 { slowness.reduce(1) { max($0, $1.factor) } }

    /// Ends every fault of the disk and of the process.
    func heal() {
        pausedUntil = .zero
        stalledUntil = .zero
        noSpaceUntil = .zero
        slowness = []
        failsNextSync = false
        failsNextWrite = false
        failsNextRead = false
        restartsLeft = 0
        trap = nil
    }
}

/// Whether a member's directory still is what the member made of it.
enum DirectoryState {
    case whole
    case wiped
    case rolledBack
    case cloned
    /// Some of its files vanished or were exchanged, and it has not been opened since.
    case exchanged
}

/// Where a process will end: at one of its next file calls.
struct CrashTrap {
    /// How many changing calls are still done.
    var callsLeft: UInt64
    /// Whether only a write to the log counts, which is then under way when the power goes.
    var inLogWrite = false
    /// Whether the other machines lose power as well.
    var hitsAll = false
    let losesPower: Bool
    let downFor: TimeSpan
    let salt: UInt64
}

/// A process on a simulated machine. It is gone for good when it ends; another one is started in its place.
final class SimulatedProcess {
    /// Which start of its machine this is.
    let number: UInt64
    let files: SimulatedFileSystem
    var instance: Member?
    var replica: Replica? { instance?.replica }
    /// Whether the judges listen to its replica.
    var isListenedTo = false
    /// The connections that others have begun with it.
    var connections: [SimulatedConnection] = []
    /// How often it has asked to be woken; only the last time counts.
    var wakes: UInt64 = 0
    /// How many log or vote writes are under way.
    var writesUnderWay = 0
    /// Whether its state machine is in the middle of a step of background work.
    var isWorking = false
    private let startedAt: TimeSpan
    private let clockOrigin: UInt64
    private let clockRate: UInt64

    /// - Parameter clockRate: how far its clock goes in a thousand nanoseconds.
    init(number: UInt64, files: SimulatedFileSystem, startedAt: TimeSpan, clockRate: UInt64) {
        self.number = number
        self.files = files
        self.startedAt = startedAt
        self.clockRate = clockRate
        clockOrigin = 1_000_000_000 * number
    }

    /// What its clock shows.
    func clock(at now: TimeSpan) -> Instant {
        Instant(nanoseconds: clockOrigin + (now.nanoseconds - startedAt.nanoseconds) * clockRate / 1000)
    }

    /// When its clock will show `moment`; nil for readings of 208 days and more, which no run reaches.
    func worldTime(of moment: Instant) -> TimeSpan? {
        guard moment.nanoseconds < 1 << 54 else { return nil }
        let passed = moment.nanoseconds > clockOrigin ? moment.nanoseconds - clockOrigin : 0
        return TimeSpan(nanoseconds: startedAt.nanoseconds + (passed * 1000 + clockRate - 1) / clockRate)
    }
}
