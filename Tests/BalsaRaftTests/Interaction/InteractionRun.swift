import XCTest

@testable import BalsaRaft

/// A group of cores that does what a scenario says, step by step, and nothing else.
///
/// Where the core decides otherwise than the script's on purpose:
/// - A log that begins behind an entry of term 1 needs a member in term 1, so that later terms are one higher here.
/// - PreVote is always on: without it in the script, the tentative questions are asked and answered within `campaign`.
/// - A voter withholds its vote for a time: before a campaign, that time passes for all but a leader.
/// - CheckQuorum is always on: a leader whose quorum lets another one campaign has resigned when asked for its vote.
/// - A new leader sends heartbeats at once: they are lost. The others are sent when the script says so.
/// - No message of a term leaves before the term is durable: a term and a vote with nothing before them are written at
///   once, where the script's disk would be asked later.
/// - Of a finished write the core is told at once, and not by a message that travels.
/// - A checkpoint is handed over by the shell: the leader does not know how far the one under way reaches.
struct InteractionRun {
    private(set) var members: [TestMember] = []
    private var network: [Packet] = []
    private(set) var output = InteractionOutput()
    /// What members were when their last `process-ready` began.
    private var readyStates: [MemberID: [String: String]] = [:]

    private var voters: [MemberID] = []
    /// Where the logs begin, and how much higher terms are here than in the script.
    private var origin: LogIndex = 0
    private var termOffset: Term = 0
    private var options = RaftOptions()
    private var asksFirst = false
    private var isAsynchronous = false
    private var payloads: [LogPosition: String] = [:]
    /// How many persists each `process-ready` has given to the disk that are not written, oldest first.
    private var writing: [MemberID: [Int]] = [:]
    private var proposals: UInt64 = 0

    init() {
        options.minElectionTimeout = .seconds(1_000)
        options.maxElectionTimeout = .seconds(2_000)
    }

    private var ids: [MemberID] { members.map(\.id) }

    private func slot(_ id: MemberID) throws -> Int {
        guard id >= 1, id <= members.count else { throw InteractionError(description: "there is no member \(id)") }
        return Int(id) - 1
    }

    /// Does something with a member. Heartbeats are kept only where the script asks for them.
    private mutating func with(_ id: MemberID, keepsHeartbeats: Bool = false, _ body: (inout TestMember) -> Void) throws
    {
        let slot = try slot(id)
        let wasCandidate = members[slot].raft.role == .candidate
        let sentBefore = members[slot].sent.count
        body(&members[slot])
        if !keepsHeartbeats {
            let new = members[slot].sent.dropFirst(sentBefore).filter {
                if case .heartbeat = $0.message.body { false } else { true }
            }
            members[slot].sent.replaceSubrange(sentBefore..., with: new)
        }
        guard !wasCandidate, members[slot].raft.role == .candidate else { return }
        for other in members.indices where members[other].raft.role == .leader {
            members[other].sleep(options.minElectionTimeout)
        }
    }

    // MARK: Commands

    mutating func perform(_ command: InteractionCommand) throws {
        output = InteractionOutput()
        readyStates = [:]
        let all = command.members.isEmpty ? ids : command.members
        switch command.name {
        case "log-level": break
        case "add-nodes": try addMembers(command)
        case "campaign": for id in command.members { try campaign(id) }
        case "propose": try propose(command)
        case "process-ready": for id in all { try processReady(id) }
        case "process-append-thread": for id in all { try processWrite(id) }
        case "deliver-msgs": try deliver(to: command.members, losing: command.options["drop"] ?? [])
        case "stabilize": try stabilize(all)
        case "tick-heartbeat":
            for id in command.members {
                try with(id, keepsHeartbeats: true) { member in
                    if let next = member.raft.leadership?.nextHeartbeat { member.now = max(member.now, next) }
                    member.step(.timer)
                }
            }
        case "compact":
            guard command.words.count == 2, let index = LogIndex(command.words[1]) else {
                throw InteractionError(description: "line \(command.line): compact what?")
            }
            try with(command.members[0]) { $0.compact(through: index) }
        case "raft-log", "raft-state", "status": break
        default: throw InteractionError(description: "line \(command.line): no such command: \(command.name)")
        }
    }

    private mutating func addMembers(_ command: InteractionCommand) throws {
        // CheckQuorum is always on, and so nothing that a scenario has to ask for.
        let understood = ["voters", "index", "prevote", "async-storage-writes", "inflight", "checkquorum"]
        for option in command.options.keys.sorted() where !understood.contains(option) {
            throw InteractionError(description: "line \(command.line): no such option: \(option)")
        }
        let named = (command.options["voters"] ?? []).compactMap { MemberID($0) }
        if members.isEmpty {
            voters = named
            origin = command.options["index"]?.first.flatMap { LogIndex($0) } ?? 0
            termOffset = origin > 0 ? 1 : 0
            asksFirst = command.options["prevote"] == ["true"]
            isAsynchronous = command.options["async-storage-writes"] == ["true"]
            if let limit = command.options["inflight"]?.first.flatMap({ Int($0) }) {
                options.maxInflightMessages = limit
            }
        }
        // Later ones know the voters from the beginning, too, and have nothing else.
        let isFirst = !named.isEmpty
        let base: LogPosition = isFirst && origin > 0 ? .at(1, origin) : .zero
        for _ in 0..<(command.members.first ?? 0) {
            let id = MemberID(members.count + 1)
            members.append(
                try TestMember(
                    id,
                    of: voters,
                    state: HardState(term: base.term, vote: 0),
                    log: ShellLog(base: base),
                    options: options,
                    holdsPersists: true
                )
            )
        }
    }

    private mutating func campaign(_ id: MemberID) throws {
        // A sole voter has begun when it was started.
        guard voters.count > 1 else { return }
        for other in members.indices where members[other].raft.role != .leader {
            members[other].now = max(members[other].now, members[other].raft.withholdsUntil)
        }
        let slot = try slot(id)
        let sentBefore = members[slot].sent.count
        try with(id) { member in
            member.now = max(member.now, member.raft.electionDeadline)
            member.step(.timer)
        }
        guard !asksFirst else { return }
        let questions = Array(members[slot].sent[sentBefore...])
        members[slot].sent.removeSubrange(sentBefore...)
        // One whose disk is busy could answer only later.
        for question in questions where question.message.to <= members.count {
            let voter = try self.slot(question.message.to)
            guard members[voter].waiting.isEmpty, members[slot].raft.role == .preCandidate else { continue }
            let before = members[voter].sent.count
            try with(question.message.to) { $0.hear(question) }
            let answers = Array(members[voter].sent[before...])
            members[voter].sent.removeSubrange(before...)
            for answer in answers { try with(id) { $0.hear(answer) } }
        }
    }

    private mutating func propose(_ command: InteractionCommand) throws {
        guard let id = command.members.first, command.words.count == 2 else {
            throw InteractionError(description: "line \(command.line): propose what?")
        }
        proposals += 1
        let number = proposals
        try with(id) { $0.propose(id: number) }
        guard case .proposed(number, first: let first, term: let term)? = members[try slot(id)].takeResponses().last
        else {
            throw InteractionError(description: "line \(command.line): member \(id) takes no proposal")
        }
        payloads[.at(term, first)] = command.words[1]
    }

    // MARK: What a member wants done

    private func hasReady(_ id: MemberID) -> Bool {
        let member = members[Int(id) - 1]
        let isWriting = writing[id]?.reduce(0, +) ?? 0
        return !member.sent.isEmpty || member.waiting.count > isWriting || !member.wantedSnapshots.isEmpty
            || member.installing != nil
    }

    private mutating func processReady(_ id: MemberID) throws {
        let slot = try slot(id)
        readyStates[id] = state(of: id)
        if members[slot].installing != nil { try with(id) { $0.finishInstall() } }
        for packet in members[slot].sent { send(packet) }
        members[slot].sent.removeAll()
        for peer in members[slot].wantedSnapshots {
            let position = members[slot].log.base
            let body = Message.Body.snapshot(SnapshotOffer(position: position))
            send(Packet(message: Message(from: id, to: peer, term: members[slot].raft.term, body: body)))
        }
        members[slot].wantedSnapshots.removeAll()
        let isBusy = !(writing[id] ?? []).isEmpty
        let new = members[slot].waiting.count - (writing[id]?.reduce(0, +) ?? 0)
        guard new > 0 else { return }
        let hasEntries = members[slot].waiting.suffix(new).contains { $0.persist.entries != nil }
        if isAsynchronous, isBusy || hasEntries {
            writing[id, default: []].append(new)
        } else {
            try write(id, new)
        }
    }

    private mutating func processWrite(_ id: MemberID) throws {
        guard let count = writing[id]?.first else { return }
        writing[id]?.removeFirst()
        try write(id, count)
    }

    /// The oldest persists become durable, and what waits for them leaves; what the core wants then has to wait.
    private mutating func write(_ id: MemberID, _ count: Int) throws {
        let slot = try slot(id)
        for _ in 0..<count {
            let before = members[slot].sent.count
            let waiting = members[slot].waiting[0].persist.then.count
            try with(id) { $0.completePersist() }
            for packet in members[slot].sent[before..<before + waiting] { send(packet) }
            members[slot].sent.removeSubrange(before..<before + waiting)
        }
    }

    // MARK: The network

    private mutating func send(_ packet: Packet) {
        output.sends(text(packet))
        network.append(packet)
    }

    private mutating func deliver(to recipients: [MemberID], losing lost: [String]) throws {
        for id in recipients {
            let packets = network.filter { $0.message.to == id }
            network.removeAll { $0.message.to == id }
            for packet in packets {
                output.hears(text(packet))
                if id <= members.count { try with(id) { $0.hear(packet) } }
            }
        }
        for id in lost.compactMap({ MemberID($0) }) {
            for packet in network where packet.message.to == id { output.loses(text(packet)) }
            network.removeAll { $0.message.to == id }
        }
    }

    /// Lets these members work and hear each other until nothing is left to do.
    mutating func stabilize(_ ids: [MemberID]) throws {
        for id in ids { _ = try slot(id) }
        for _ in 0..<1_000 {
            var isDone = true
            for id in ids where hasReady(id) {
                isDone = false
                try processReady(id)
            }
            for id in ids where network.contains(where: { $0.message.to == id }) {
                isDone = false
                try deliver(to: [id], losing: [])
            }
            for id in ids {
                while !(writing[id] ?? []).isEmpty {
                    isDone = false
                    try processWrite(id)
                }
            }
            if isDone { return }
        }
        throw InteractionError(description: "the group never comes to rest")
    }

    mutating func stabilizeAll() throws { try stabilize(ids) }
}

// What members are, in the words of the script.

extension InteractionRun {
    private func scriptTerm(_ term: Term) -> Term { term > termOffset ? term - termOffset : 0 }

    private func text(_ position: LogPosition) -> String {
        "\(position.index > origin ? scriptTerm(position.term) : position.term)/\(position.index)"
    }

    private func text(_ packet: Packet) -> String {
        let message = packet.message
        let ends = "\(message.from)->\(message.to)"
        let term = "term \(scriptTerm(message.term))"
        switch message.body {
        case .preVoteRequest(let request): return "\(ends) MsgPreVote \(text(request.last))"
        case .preVoteResponse: return "\(ends) MsgPreVoteResp"
        case .voteRequest(let request): return "\(ends) MsgVote \(term) \(text(request.last))"
        case .voteResponse(let response): return "\(ends) MsgVoteResp \(term)" + (response.isGranted ? "" : " refused")
        case .append(let append):
            let first = append.previous.index + 1
            let entries = packet.entries.enumerated().map {
                text(LogPosition(term: $0.element.term, index: first + UInt64($0.offset)))
            }
            return "\(ends) MsgApp \(term) behind \(text(append.previous)) commit \(append.commit) "
                + entries.joined(separator: " ")
        case .appendResponse(let response): return "\(ends) MsgAppResp \(term) \(text(response.answer))"
        case .heartbeat(let heartbeat): return "\(ends) MsgHeartbeat \(term) commit \(heartbeat.commit)"
        case .heartbeatResponse: return "\(ends) MsgHeartbeatResp \(term)"
        case .snapshot: return "\(ends) MsgSnap \(term)"
        case .readRequest: return "\(ends) MsgReadIndex \(term)"
        case .readResponse: return "\(ends) MsgReadIndexResp \(term)"
        case .timeoutNow: return "\(ends) MsgTimeoutNow \(term)"
        case .checkpointRequest, .notice: return "\(ends) \(message.body) \(term)"
        }
    }

    private func text(_ answer: AppendAnswer) -> String {
        switch answer {
        case .accepted(let index): "through \(index)"
        case .rejected(let previous, let hint): "not \(previous), hint \(text(hint))"
        case .stale: "stale"
        }
    }

    private func roleName(_ role: Role) -> String {
        switch role {
        case .follower: "StateFollower"
        case .preCandidate: "StatePreCandidate"
        case .candidate: "StateCandidate"
        case .leader: "StateLeader"
        }
    }

    private func state(of id: MemberID) -> [String: String] {
        let raft = members[Int(id) - 1].raft
        return [
            "Lead": "\(raft.currentStanding.leader)", "State": roleName(raft.role), "Term": "\(scriptTerm(raft.term))",
            "Vote": "\(raft.vote)", "Commit": "\(raft.commitIndex)",
        ]
    }

    /// What a member is when a command has been carried out, or was when it was asked what it wants done.
    func state(of id: MemberID, after command: InteractionCommand) -> [String: String]? {
        guard id >= 1, id <= members.count else { return nil }
        return command.name == "process-ready" ? readyStates[id] : state(of: id)
    }

    /// The durable log of a member.
    func log(of id: MemberID) throws -> [String] {
        let log = members[try slot(id)].disk.log
        return log.entries.enumerated().map { offset, entry in
            let position = LogPosition(term: entry.term, index: log.base.index + 1 + UInt64(offset))
            return "\(text(position)) EntryNormal \"\(payloads[position] ?? "")\""
        }
    }

    /// The roles of all members.
    func roles() -> [String] {
        members.map { member in
            let state = state(of: member.id)
            return "\(member.id): \(state["State"] ?? "") Term:\(state["Term"] ?? "") Lead:\(state["Lead"] ?? "")"
        }
    }

    /// What a leader knows of the logs.
    func progress(of id: MemberID) throws -> [String] {
        let member = members[try slot(id)]
        guard let leadership = member.raft.leadership else { return [] }
        let own = member.raft.durableIndex
        var lines = ["\(id): StateReplicate match=\(own) next=\(own + 1)"]
        for peer in leadership.peers {
            var line = "\(peer.member): "
            switch peer.mode {
            case .probing(let isWaiting):
                line += "StateProbe match=\(peer.match) next=\(peer.next)" + (isWaiting ? " paused" : "")
            case .streaming:
                line += "StateReplicate match=\(peer.match) next=\(peer.next)" + (peer.isPaused ? " paused" : "")
                if peer.window.count > 0 { line += " inflight=\(peer.window.count)\(peer.isPaused ? "[full]" : "")" }
            case .snapshot:
                line += "StateSnapshot match=\(peer.match) paused"
            case .refused:
                line += "refused match=\(peer.match)"
            }
            lines.append(line)
        }
        return lines.sorted()
    }
}
