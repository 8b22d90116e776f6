import BalsaPlatform
import BalsaRaft
import BalsaWire

/// What becomes of the messages between the members: which are lost, and when the others arrive.
///
/// Every decision follows from the faults in force and a hash of their salt, the link and the number of the message on
/// that link. Nothing is drawn, so that a message more or less on one link changes nothing on another.
struct SimulatedNetwork {
    /// A disturbance of single messages, `rate` in a thousand.
    struct Disturbance {
        let fault: Int
        let kind: Fault.Kind
        let rate: UInt64
        let salt: UInt64
    }

    private let salt: UInt64
    private let delay: TimeSpan
    private let jitter: TimeSpan
    private let members: Int
    private var sent: [UInt64]
    /// When what was sent last on the bulk path of a link arrives: it is a stream, in which nothing overtakes.
    private var lastBulk: [TimeSpan]
    /// How many faults block a link.
    private var blocks: [Int]
    private var disturbances: [Disturbance] = []

    init(_ scenario: Scenario) {
        salt = RandomSource.mix(scenario.seed ^ 0x6e65_7477_6f72_6b00)
        delay = scenario.networkDelay
        jitter = scenario.networkJitter
        members = Int(scenario.members)
        // One machine more than there are members: it may run on a copy of a member's disk.
        sent = Array(repeating: 0, count: (members + 2) * (members + 1))
        blocks = sent.map { _ in 0 }
        lastBulk = sent.map { _ in .zero }
    }

    private func link(_ from: MemberID, _ to: MemberID) -> Int {
        // From the further machine and back, which is what numbers of the table have no room for.
        to > members ? Int(to) * (members + 1) + Int(from) : Int(from) * (members + 1) + Int(to)
    }

    /// Whether messages from one member to another get nowhere.
    func isBlocked(_ from: MemberID, _ to: MemberID) -> Bool { blocks[link(from, to)] > 0 }

    /// Blocks a link once more, or once less.
    mutating func block(_ from: MemberID, _ to: MemberID, by change: Int) { blocks[link(from, to)] += change }

    /// Opens a link, whatever blocked it.
    mutating func open(_ from: MemberID, _ to: MemberID) { blocks[link(from, to)] = 0 }

    mutating func begin(_ disturbance: Disturbance) { disturbances.append(disturbance) }

    mutating func end(fault: Int) { disturbances.removeAll { $0.fault == fault } }

    mutating func endAll() { disturbances.removeAll() }

    /// When a message that is sent now arrives: not at all, once, or more often. `note` is told of each disturbance.
    mutating func route(
        from: MemberID,
        to: MemberID,
        _ path: SendPath,
        at now: TimeSpan,
        note: (Fault.Kind) -> Void
    ) -> [TimeSpan] {
        let link = link(from, to)
        sent[link] += 1
        guard blocks[link] == 0 else { return [] }
        let chance = RandomSource.mix(salt ^ RandomSource.mix(UInt64(link) << 48 ^ sent[link]))
        // What travels on the bulk path takes its time, and delays nothing on the other.
        let trip = path == .bulk ? delay * 2 + jitter : delay
        var at = now + trip + TimeSpan(nanoseconds: chance.multipliedFullWidth(by: jitter.nanoseconds + 1).high)
        if path == .bulk {
            at = max(at, lastBulk[link])
            lastBulk[link] = at
        }
        var more: [TimeSpan] = []
        for disturbance in disturbances {
            let luck = RandomSource.mix(chance ^ disturbance.salt)
            guard luck % 1000 < disturbance.rate else { continue }
            let span = luck >> 16
            note(disturbance.kind)
            switch disturbance.kind {
            case .loss:
                return more
            case .duplication:
                more.append(at + TimeSpan(nanoseconds: span % 20_000_000))
            case .replay:
                more.append(at + TimeSpan(nanoseconds: 100_000_000 + span % 3_000_000_000))
            default:
                at = at + TimeSpan(nanoseconds: span % 100_000_000)
            }
        }
        return [at] + more
    }
}
