import BalsaRaft

/// One thing that goes wrong in a run: when, what, to whom, for how long.
///
/// Faults are drawn before a run begins, or read from a file, never in the course of it: what a fault decides while it
/// lasts, such as which message is lost, follows from its `salt` and from counters alone. A run can therefore be repeated
/// with some of its faults left out, which is how a failing one is shrunk.
public struct Fault: Equatable, Sendable {
    /// The kinds of fault.
    public enum Kind: String, CaseIterable, Sendable {
        /// The process of a member ends between two events; its machine goes on.
        case kill
        /// A member loses power.
        case powerLoss = "power-loss"
        /// The process ends at one of its next file calls: before it, in its middle, or after it.
        case killInCall = "kill-in-call"
        /// The machine loses power at one of the member's next file calls.
        case powerLossInCall = "power-loss-in-call"
        /// The machine of the leader of the moment loses power while it writes its log.
        case powerLossOfLeader = "power-loss-of-leader"
        /// All machines lose power at once, while the leader of the moment writes its log; they start again one by one.
        case blackout
        /// For a while, every member that becomes leader is cut off from the others a moment later: logs that differ in
        /// many terms, as in figure 8 of the Raft paper, come from nothing else.
        case leaderIsolation = "leader-isolation"
        /// A process stands still, its clock does not.
        case pause
        /// No message passes between the members of `set` and the others.
        case partition
        /// No message passes from the member to the peer.
        case oneWay = "one-way"
        /// No message reaches the member.
        case dropsIncoming = "drops-incoming"
        /// No message leaves the member.
        case dropsOutgoing = "drops-outgoing"
        /// Messages are lost, `rate` in a thousand.
        case loss
        /// Messages arrive twice, `rate` in a thousand.
        case duplication
        /// Messages arrive once more, long after.
        case replay
        /// Messages are delayed, each for another time, so that they overtake each other.
        case reordering
        /// The disk of a member is slower, `rate` times.
        case slowDisk = "slow-disk"
        /// No sync of a member's log ends.
        case stalledSync = "stalled-sync"
        /// The next sync of a member fails, and what it should have made durable is lost though it can be read.
        case failedSync = "failed-sync"
        /// The next write of a member fails.
        case failedWrite = "failed-write"
        /// The next read of a member fails.
        case failedRead = "failed-read"
        /// Writes of a member find no space.
        case noSpace = "no-space"
        /// The directory of a member is emptied while it is down.
        case wipe
        /// The directory of a member is set back to an earlier image while it is down.
        case rollBack = "roll-back"
        /// Another machine is started on an earlier image of a member's directory, under its id.
        case clone
        /// Some files and directories of a member are removed or emptied while it is down.
        case vanished = "vanished-files"
        /// Some files and directories of a member are exchanged with those of another member, or with an earlier copy,
        /// while it is down.
        case swapped = "swapped-files"
        /// A member is started and ended `rate` times, one right after the other, while the peer is down.
        case restarts
        /// The digest of a member's state becomes another one, as if it had applied an entry differently.
        case alteredDigest = "altered-digest"
        /// A bit of a table changes on a member's disk, of which only the salt says in which and where.
        case damagedTable = "damaged-table"

        /// What goes wrong, for a reader of the output.
        public var explanation: String {
            switch self {
            case .kill: "a member's process ends; all that it wrote stays"
            case .powerLoss: "a member's machine loses power, and what was not synced"
            case .killInCall: "a member's process ends within a file call"
            case .powerLossInCall: "a member's machine loses power within a file call"
            case .powerLossOfLeader: "the leader's machine loses power as it writes its log"
            case .blackout: "all machines lose power at once"
            case .leaderIsolation: "each new leader is cut off from the others soon"
            case .pause: "a member's process stands still; its clock does not"
            case .partition: "no message passes between two parts of the members"
            case .oneWay: "no message passes from one member to another"
            case .dropsIncoming: "no message reaches a member"
            case .dropsOutgoing: "no message leaves a member"
            case .loss: "messages are lost"
            case .duplication: "messages arrive twice"
            case .replay: "messages arrive once more, long after"
            case .reordering: "messages are delayed and overtake each other"
            case .slowDisk: "a member's disk is slower"
            case .stalledSync: "no sync of a member's log ends"
            case .failedSync: "a sync fails, and what it covered is lost"
            case .failedWrite: "a write fails"
            case .failedRead: "a read fails"
            case .noSpace: "writes of a member find no space"
            case .wipe: "a member's directory is emptied"
            case .rollBack: "a member's directory is set back to an earlier copy"
            case .clone: "a member runs twice, the second on an earlier copy"
            case .vanished: "some of a member's files are removed or emptied"
            case .swapped: "some of a member's files are exchanged with others"
            case .restarts: "a member is started and ended many times"
            case .alteredDigest: "the digest of a member's state changes"
            case .damagedTable: "a bit of a member's tables changes"
            }
        }

        /// Whether it is drawn apart from the others, at most once in a run.
        var isRare: Bool {
            switch self {
            case .wipe, .rollBack, .clone, .vanished, .swapped, .restarts, .alteredDigest, .damagedTable: true
            default: false
            }
        }

        /// Whether it hits the one member that it names.
        var hitsOne: Bool {
            switch self {
            case .powerLossOfLeader, .blackout, .leaderIsolation, .partition, .loss, .duplication, .replay, .reordering:
                false
            default: true
            }
        }
    }

    /// When it begins.
    public var at: TimeSpan
    /// What it is.
    public var kind: Kind
    /// Whom it hits; 0 where it hits everybody.
    public var member: MemberID = 0
    /// The other end of a one-way fault.
    public var peer: MemberID = 0
    /// A set of members, as bits by member id.
    public var set: UInt64 = 0
    /// How long it lasts; of an end of a process, how long until it is started again.
    public var lasts: TimeSpan = .zero
    /// How often or how much, as the kind says.
    public var rate: UInt64 = 0
    /// Decides what is left open.
    public var salt: UInt64 = 0

    /// A fault; what it does not need stays 0.
    public init(at: TimeSpan, kind: Kind) {
        self.at = at
        self.kind = kind
    }
}

extension Fault: CustomStringConvertible {
    /// The fault as a line of a scenario file.
    public var description: String {
        var text = "fault \(at.nanoseconds) \(kind.rawValue)"
        let fields: [(String, UInt64)] = [
            ("member", member), ("peer", peer), ("set", set), ("lasts", lasts.nanoseconds), ("rate", rate),
            ("salt", salt),
        ]
        for (name, value) in fields where value != 0 { text += " \(name)=\(value)" }
        return text
    }

    /// Reads a line of a scenario file.
    init(line: Substring) throws(ScenarioError) {
        let words = line.split(separator: " ")
        guard words.count >= 3, words[0] == "fault", let at = UInt64(words[1]),
            let kind = Kind(rawValue: String(words[2]))
        else { throw ScenarioError("not a fault: \(line)") }
        self.init(at: TimeSpan(nanoseconds: at), kind: kind)
        for word in words.dropFirst(3) {
            let parts = word.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, let value = UInt64(parts[1]) else { throw ScenarioError("not a field: \(word)") }
            switch parts[0] {
            case "member": member = value
            case "peer": peer = value
            case "set": set = value
            case "lasts": lasts = TimeSpan(nanoseconds: value)
            case "rate": rate = value
            case "salt": salt = value
            default: throw ScenarioError("unknown field: \(word)")
            }
        }
    }
}
