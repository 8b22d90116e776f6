import BalsaPlatform
import BalsaRaft
import BalsaWire

@testable import Balsa

/// Members in their first boot, and what is on its way between them. A value, so that every future can be tried.
struct FirstBootRoom: Hashable {
    /// A message on its way.
    struct Letter: Hashable {
        var from: MemberID
        var to: MemberID
        var message: FirstBootMessage
    }

    /// A member: its disk, and the process on it.
    struct Station {
        var disk: Identity
        var process: FirstBoot?
        var writing: Identity?
        var refusal: IdentityRefusal?
        var problems: [FirstBoot.Problem] = []
        /// How often a process was started, and how many directories there were.
        var starts: UInt64 = 0
        var directories: UInt64 = 1
    }

    var stations: [Station]
    var letters: [Letter] = []
    /// Every cluster that a disk was ever established with.
    var clusters: [ClusterIdentity] = []
    private let list: [MemberAddress]

    init(_ count: UInt64) {
        list = (1...count).map { MemberAddress(member: $0, address: "10.0.0.\($0):7001") }
        stations = (1...count).map {
            Station(disk: Identity(member: $0, incarnation: FirstBootRoom.incarnation($0)))
        }
    }

    static func incarnation(_ member: MemberID, _ directory: UInt64 = 1) -> UniqueID {
        UniqueID(high: directory, low: member)
    }

    subscript(member: MemberID) -> Station {
        get { stations[Int(member) - 1] }
        set { stations[Int(member) - 1] = newValue }
    }

    /// Starts a process, or after it was killed another one. One that is established only answers.
    mutating func start(_ member: MemberID) {
        self[member].writing = nil
        self[member].starts += 1
        guard self[member].disk.established == nil else {
            self[member].process = nil
            return
        }
        let seed = UniqueID(high: member << 32 | self[member].directories, low: self[member].starts)
        var process = FirstBoot(
            identity: self[member].disk,
            list: list,
            sayAgainAfter: .milliseconds(100),
            ids: UniqueIDSource(seed: seed)
        )
        var effects: [FirstBoot.Effect] = []
        process.start(at: .zero, into: &effects)
        self[member].process = process
        carryOut(effects, of: member)
    }

    /// Empties the directory of a member. It is to be started afterwards.
    mutating func wipe(_ member: MemberID) {
        self[member].directories += 1
        let incarnation = FirstBootRoom.incarnation(member, self[member].directories)
        self[member].disk = Identity(member: member, incarnation: incarnation)
        self[member].refusal = nil
    }

    mutating func step(_ member: MemberID, _ input: FirstBoot.Input) {
        var effects: [FirstBoot.Effect] = []
        guard self[member].refusal == nil else { return }
        self[member].process?.step(input, at: .zero, into: &effects)
        carryOut(effects, of: member)
    }

    /// The write that is under way reaches the disk; whether the process learns of it is another matter.
    mutating func write(_ member: MemberID, tells: Bool = true) {
        guard let next = self[member].writing else { return }
        self[member].writing = nil
        self[member].disk = next
        if let cluster = next.established, !clusters.contains(cluster) { clusters.append(cluster) }
        if tells { step(member, .persisted) }
    }

    /// Delivers a letter, and takes it away unless it is to come again.
    mutating func deliver(_ place: Int, again: Bool = false) {
        let letter = letters[place]
        if !again { letters.remove(at: place) }
        if let cluster = self[letter.to].disk.established {
            guard let answer = FirstBoot.answer(to: letter.message, of: cluster) else { return }
            post(Letter(from: letter.to, to: letter.from, message: answer))
        } else {
            step(letter.to, .received(letter.message, from: letter.from))
        }
    }

    private mutating func carryOut(_ effects: [FirstBoot.Effect], of member: MemberID) {
        for effect in effects {
            switch effect {
            case .persist(let identity): self[member].writing = identity
            case .send(let message, let peer): post(Letter(from: member, to: peer, message: message))
            case .wake, .established: break
            case .refused(let refusal): self[member].refusal = refusal
            case .report(let problem): self[member].problems.append(problem)
            }
        }
    }

    /// What is on its way already does not have to be there twice: a letter may come twice anyway.
    private mutating func post(_ letter: Letter) {
        if !letters.contains(letter) { letters.append(letter) }
    }

    /// Goes on, without loss, until nothing changes any more.
    mutating func settle(rounds: Int = 12) {
        for _ in 0..<rounds {
            for station in stations where station.process == nil && station.disk.established == nil {
                start(station.disk.member)
            }
            for station in stations { step(station.disk.member, .timer) }
            while true {
                for station in stations { write(station.disk.member) }
                guard !letters.isEmpty else { break }
                deliver(0)
            }
        }
    }

    var established: [MemberID] { stations.filter { $0.disk.established != nil }.map(\.disk.member) }

    // MARK: The same room

    /// All that decides about the future of a member.
    private struct Key: Hashable {
        var disk: Identity
        var writing: Identity?
        var isRefused: Bool
        var isUp: Bool
        var identity: Identity?
        var heard: [FirstBoot.Heard]
        var noters: [MemberID]
        var isOver: Bool
    }

    private var keys: [Key] {
        stations.map { station in
            Key(
                disk: station.disk,
                writing: station.writing,
                isRefused: station.refusal != nil,
                isUp: station.process != nil,
                identity: station.process?.identity,
                heard: (station.process?.heard ?? []).sorted { $0.member < $1.member },
                noters: (station.process?.noters ?? []).sorted(),
                isOver: station.process?.isOver ?? false
            )
        }
    }

    static func == (left: FirstBootRoom, right: FirstBootRoom) -> Bool {
        left.keys == right.keys && Set(left.letters) == Set(right.letters)
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(keys)
        hasher.combine(Set(letters))
    }
}
