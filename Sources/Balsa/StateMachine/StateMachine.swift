import BalsaPlatform
import BalsaRaft
import BalsaWire

/// A position in the log and the logical time there.
public struct StatePosition: Hashable, Sendable {
    /// The last entry that is contained.
    public var position: LogPosition
    /// Its stamp.
    public var stamp: UInt64

    /// Before the first entry.
    public static let zero = StatePosition(position: .zero, stamp: 0)

    /// A position and its stamp.
    public init(position: LogPosition, stamp: UInt64) {
        self.position = position
        self.stamp = stamp
    }
}

/// The name of a command: which of a caller's requests it is. The same request, sent twice, has the same name.
public struct CommandIdentity: Hashable, Sendable {
    /// The session; 0 for a command outside of any.
    public var session: UInt64
    /// The number within the session.
    public var number: UInt64

    /// A name.
    public init(session: UInt64, number: UInt64) {
        self.session = session
        self.number = number
    }
}

/// What a group agrees on: a state that commands change, one after the other, in the order of the log, and that lives in a
/// directory of its own.
///
/// Every member applies the same commands to the same state, so an apply must be a function of the state, the command,
/// its position and its stamp alone: no clock, no chance, nothing of this machine. Nothing is synced by an apply: the log
/// is what makes a command durable. From time to time the replica asks for a *seal*, which the state machine makes durable
/// in the background; what a crash leaves is the state as of the last durable seal, *D*, and the entries behind D are
/// applied again from the log.
///
/// An error that a caller caused is part of the reply. An error that is thrown says that this member cannot go on: it
/// stops, and nothing is answered, because to skip a command would let the members drift apart.
///
/// One owner calls, one call at a time, but for ``work(budget:)``: it may run on another thread beside the others, never
/// twice at once.
public protocol StateMachine: AnyObject {
    /// What a crash would leave: the position of the last seal that is durable. It grows with ``work(budget:)``.
    var durable: StatePosition { get }

    /// A number that is equal on two members when they have applied the same entries with the same results, and another
    /// one when they have not, as far as 64 bits can tell. Of what the files hold it says nothing.
    var digest: UInt64 { get }

    /// How long a command may be under the options that are in force, in bytes. It only decides how much a member keeps
    /// waiting: an entry that is longer, because it was allowed when it was written, is applied all the same.
    var maxCommandBytes: Int { get }

    /// The options that this member was opened with and that differ from those in force; empty where none does, or
    /// where the state machine has no replicated options.
    var optionDifferences: [OptionDifference] { get }

    /// Applies committed entries in order, without gaps, beginning behind what is applied already.
    ///
    /// What an entry adds to the state may be much more than the entry, so that a few of them can fill what a seal would have
    /// to empty: after each entry the state machine may stop, and is given the rest again later.
    ///
    /// - Parameters:
    ///   - entries: the entries; those that are not commands change nothing, but for entry 1, a configuration, behind
    ///     whose table of members ``StateMachineProvider/foundingOptions`` stand.
    ///   - reply: to be called once for each *command* that is applied, in order, with its index and what its caller is told.
    /// - Returns: the index of the last entry that was applied: at least the first, and fewer than all only where
    ///   ``wantsSeal`` is true now, or the next one needs what cannot be read.
    /// - Throws: ``StateMachineError`` where a command cannot be applied here, as one of a newer release cannot. One
    ///   that is ``StateMachineError/isUnreadable`` is about the first entry, and has changed nothing.
    func apply(_ entries: EntryBatch, reply: (LogIndex, Bytes) -> Void) throws(StateMachineError) -> LogIndex

    /// The name of a command; nil for bytes that are none, and for commands that have none.
    func identity(of command: Bytes) -> CommandIdentity?

    /// Why a command should not enter the log; nil where it may. Looked at by the leader, before it proposes.
    func refusal(of command: Bytes) -> RequestError.Reason?

    /// The feature level of a command: every member has to have it before one of them may propose the command.
    func featureLevel(of command: Bytes) -> UInt32

    /// A command for the leader to propose where nobody else proposes anything: one that changes nothing but lets
    /// logical time pass, which the state machine waits for. Nil if it waits for nothing; an idle group then stays at
    /// rest. Asked for seldom.
    var commandWhileIdle: Bytes? { get }

    /// Whether nothing more should be applied until ``work(budget:)`` has got on.
    var isOverloaded: Bool { get }

    /// Whether it would be good to seal now.
    var wantsSeal: Bool { get }

    /// Whether a seal should not wait for as long as one may wait where little is written: space that could be given
    /// back waits for it.
    var wantsSealSoon: Bool { get }

    /// Seals the state as of the last entry that was applied. It becomes durable by ``work(budget:)``.
    func seal() throws(StateMachineError)

    /// What was found to be damaged in the background since the last call, and is not needed to go on: sentences for an
    /// operator.
    func takeDamage() -> [String]

    /// Whether a part of the state is known to be unreadable, so that no peer would accept a checkpoint of it.
    var isDamaged: Bool { get }

    /// Whether there is anything to be done in the background.
    var hasWork: Bool { get }

    /// Does a part of what is to be done in the background, about `budget` bytes of it. It reads and writes files.
    ///
    /// - Throws: ``StateMachineError``. With a ``StateMachineError/file``, what was being done has been undone and is
    ///   tried again by a later call; without one the state is damaged.
    func work(budget: Int) throws(StateMachineError)

    /// The durable state, held still to be read while the state machine goes on.
    func checkpoint() throws(StateMachineError) -> any CheckpointSource

    /// Gives up files and locks. Nothing is called afterwards. What is not durable is lost, as in a crash.
    func close()
}

extension StateMachine {
    /// The lowest level, which every release has.
    public func featureLevel(of command: Bytes) -> UInt32 { 0 }

    /// Nothing waits for it.
    public var wantsSealSoon: Bool { false }

    /// None.
    public var optionDifferences: [OptionDifference] { [] }

    /// Nothing.
    public func takeDamage() -> [String] { [] }

    /// It is not.
    public var isDamaged: Bool { false }

    /// None.
    public var commandWhileIdle: Bytes? { nil }
}

/// A replicated option that a member was opened with another value of. Its own value has no effect.
public struct OptionDifference: Equatable, Sendable, CustomStringConvertible {
    /// The name of the option.
    public let name: String
    /// The value that the member was opened with.
    public let proposed: UInt64
    /// The value in force.
    public let inForce: UInt64

    /// A difference.
    public init(name: String, proposed: UInt64, inForce: UInt64) {
        self.name = name
        self.proposed = proposed
        self.inForce = inForce
    }

    /// The difference in a few words.
    public var description: String { "\(name): \(proposed) proposed, \(inForce) in force" }
}

/// A checkpoint, as files that do not change while this exists.
public protocol CheckpointSource: AnyObject {
    /// What the checkpoint contains everything through.
    var state: StatePosition { get }
    /// The names of the files, without directory, in ascending bytewise order, and their lengths in bytes.
    var files: [CheckpointFile] { get }
    /// Reads `count` bytes of the file of that number at `offset`; all of them.
    func read(file: Int, offset: UInt64, count: Int) throws(StateMachineError) -> Bytes
}

/// Opens state machines: one when the replica is opened, and a new one whenever a checkpoint is installed.
public protocol StateMachineProvider: AnyObject {
    /// Throws where no state machine can be opened with the provider's options, whatever a directory holds. Called
    /// before anything is created.
    func validate() throws(StateMachineError)

    /// The first options of a new cluster's state machines, as this member proposes them. The first leader's are the
    /// end of entry 1; those of all others are never used.
    var foundingOptions: Bytes { get }

    /// Opens the state machine in a directory that exists.
    ///
    /// - Parameters:
    ///   - directory: the directory: empty, or left by an earlier state machine, or the files of a ``CheckpointSource``.
    ///     Beside those it may hold files `OWNER` and `OWNER.new`, which belong to the replica: they are neither
    ///     read nor removed.
    ///   - cluster: the cluster that the member belongs to, none for a replica without a member. The state machine
    ///     keeps it with the state, and refuses a state of another cluster.
    ///   - fileSystem: the files.
    ///   - isReceived: whether the directory was received from a peer and is opened for the first time.
    ///   - isAccepted: to be asked once, with what the state contains durably, when everything was read and verified and before
    ///     anything is changed. Where it says no, the state is refused: this throws, and every byte is as it was.
    /// - Throws: ``StateMachineError``; the directory holds what it held, as far as a reader can tell, and to the byte where the
    ///   state itself is at fault.
    func open(
        _ directory: String,
        of cluster: UniqueID,
        in fileSystem: any FileSystem,
        isReceived: Bool,
        isAccepted: (StatePosition) -> Bool
    ) throws(StateMachineError) -> any StateMachine
}

extension StateMachineProvider {
    /// None.
    public var foundingOptions: Bytes { Bytes() }
}

/// Why a state machine cannot go on.
public struct StateMachineError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The reason in a sentence.
    public let description: String
    /// The file operation that failed, where one did.
    public let file: FileError?
    /// Whether the state or a command is of a newer release.
    public let needsUpgrade: Bool
    /// Whether bytes are not what was written; the description names the file and the offset.
    public let isDamaged: Bool
    /// Whether a part of the state cannot be read, and everything else can. What was attempted has changed nothing.
    public let isUnreadable: Bool

    /// An error with its reason.
    public init(
        _ description: String,
        file: FileError? = nil,
        needsUpgrade: Bool = false,
        isDamaged: Bool = false,
        isUnreadable: Bool = false
    ) {
        self.isUnreadable = isUnreadable
        self.description = description
        self.file = file
        self.needsUpgrade = needsUpgrade
        self.isDamaged = isDamaged
    }
}
