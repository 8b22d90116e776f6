import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import BalsaWire

@testable import Balsa
@testable import BalsaSimulation

private typealias Fix = CheckerFixtures

extension InvariantCase {
    private static func send(_ frames: [Bytes]) throws {
        var judges = Fix.judges()
        for frame in frames { try judges.sent(frame, at: Fix.now) }
    }

    /// Members become leader, one after another.
    private static func lead(_ leaders: [(member: MemberID, term: Term)]) throws {
        var judges = Fix.judges()
        var counters = RunCounters()
        for (member, term) in leaders {
            try judges.standing(Fix.leader(term, member), of: member, log: Fix.log([]), &counters, at: Fix.now)
        }
    }

    /// A member comes back in `term` after it spoke in term 5.
    private static func comeBack(in term: Term, isWhole: Bool = true) throws {
        var judges = Fix.judges()
        try judges.sent(try Fix.vote(1, for: 2, in: 5), at: Fix.now)
        try judges.started(1, Fix.follower(term), commitIndex: 0, isWhole: isWhole, at: Fix.now)
    }

    /// A member comes back with a commit index after its writes 1 and 2 carried 7 and 9, of which some became durable.
    private static func comeBack(_ commit: LogIndex, durable: [UInt64]) throws {
        var judges = Fix.judges()
        judges.writes(1, number: 1, commit: 7)
        judges.writes(1, number: 2, commit: 9)
        for number in durable { judges.durable(1, number: number) }
        judges.ended(1)
        try judges.started(1, Fix.follower(1), commitIndex: commit, isWhole: true, at: Fix.now)
    }

    private static func step(_ views: [Judges.StepView]) throws {
        var judges = Fix.judges()
        for view in views { try judges.stepped(1, view, at: Fix.now) }
    }

    private static func report(_ anomaly: Anomaly, altered id: MemberID? = nil) throws {
        var judges = Fix.judges()
        if let id { judges.digests.altered(id, foundBy: nil) }
        try judges.reported(anomaly, by: 1, at: Fix.now)
    }

    /// Members apply through an index with a digest each, after that of member 2 was altered and some have installed a
    /// checkpoint since. Member 4 may be a copy of another one.
    private static func compare(
        _ digests: [(member: MemberID, digest: UInt64)],
        installed: [MemberID] = [],
        asItWas: Bool = false,
        copied original: MemberID? = nil,
        then anomaly: Anomaly? = nil
    ) throws {
        var judges = Fix.judges()
        judges.digests.altered(2, foundBy: nil)
        for id in installed { judges.digests.installed(id, asItWas: asItWas) }
        if let original { judges.digests.copied(4, of: original) }
        for (member, digest) in digests {
            try judges.stepped(member, Fix.view(applied: 7, digest: digest), at: Fix.now)
        }
        if let anomaly { try judges.reported(anomaly, by: 1, at: Fix.now) }
    }

    private static func apply(_ index: LogIndex, altered id: MemberID, isRebuilt: Bool = false) throws {
        var judges = Fix.judges()
        judges.digests.altered(id, foundBy: 9)
        if isRebuilt { judges.digests.installed(1, asItWas: true) }
        try judges.stepped(1, Fix.view(applied: index), at: Fix.now)
    }

    static var ofElections: [InvariantCase] {
        [
            InvariantCase(.electionSafety, "two lead a term") {
                try lead([(1, 2), (2, 2)])
            } legal: {
                try lead([(1, 2), (2, 3), (1, 4), (1, 4)])
            },
            InvariantCase(.electionSafety, "a member reports a second leader") {
                try report(.secondLeader(2, term: 3))
            } legal: {
                for anomaly: Anomaly in [.persistFailed, .persistStalled, .quorumLost] { try report(anomaly) }
            },
            InvariantCase(.oneVote, "two votes of a term") {
                try send([try Fix.vote(3, for: 1, in: 2), try Fix.vote(3, for: 2, in: 2)])
            } legal: {
                try send([
                    try Fix.vote(3, for: 1, in: 2), try Fix.vote(3, for: 1, in: 2), try Fix.vote(3, for: 2, in: 3),
                    try Fix.vote(3, for: 2, in: 2, false), try Fix.vote(2, for: 3, in: 2),
                ])
            },
            InvariantCase(.oneVote, "a candidate that votes for another") {
                try send([try Fix.candidacy(1, to: 2, in: 4), try Fix.vote(1, for: 2, in: 4)])
            } legal: {
                try send([
                    try Fix.candidacy(1, to: 2, in: 4), try Fix.candidacy(1, to: 3, in: 4),
                    try Fix.vote(1, for: 2, in: 5),
                ])
            },
            InvariantCase(.monotoneTerm, "a start in a lower term") {
                try comeBack(in: 4)
            } legal: {
                try comeBack(in: 5)
                try comeBack(in: 4, isWhole: false)
            },
            InvariantCase(.monotoneCommit, "a step") {
                try step([Fix.view(commit: 5), Fix.view(commit: 4)])
            } legal: {
                try step([Fix.view(commit: 5), Fix.view(commit: 5), Fix.view(commit: 6)])
            },
            InvariantCase(.monotoneCommit, "a start behind writes that became durable out of order") {
                try comeBack(7, durable: [2, 1])
            } legal: {
                try comeBack(9, durable: [2, 1])
            },
            InvariantCase(.monotoneCommit, "a start behind what is durable") {
                try comeBack(6, durable: [1])
            } legal: {
                try comeBack(7, durable: [1])
                try comeBack(9, durable: [1, 2])
                try comeBack(9, durable: [2, 1])
                // The second write counts only along with the first.
                try comeBack(0, durable: [2])
            },
        ]
    }

    static var ofDigests: [InvariantCase] {
        [
            InvariantCase(.equalStates, "a member that finds states that differ") {
                try report(.stateDiverged(2, own: 1, majority: StateDigest(index: 64, value: 2)))
            } legal: {
                try report(.stateDiverged(2, own: 1, majority: StateDigest(index: 64, value: 2)), altered: 2)
                try report(.digestsDisagree(at: 64), altered: 2)
            },
            InvariantCase(.equalStates, "a member that is found to differ and was never altered") {
                try report(.stateDiverged(3, own: 1, majority: StateDigest(index: 64, value: 2)), altered: 2)
            } legal: {
                // It has installed a state that was altered.
                let found = Anomaly.stateDiverged(3, own: 8, majority: StateDigest(index: 64, value: 2))
                try compare([(1, 7), (3, 8)], installed: [3], then: found)
                // Its state is right since, and the leader says late what was.
                try report(.stateDiverged(2, own: 1, majority: StateDigest(index: 64, value: 2)), altered: 2)
            },
            InvariantCase(.equalStates, "a member that is found to differ after it has installed a right state") {
                let found = Anomaly.stateDiverged(3, own: 8, majority: StateDigest(index: 64, value: 2))
                try compare([(1, 7), (3, 7)], installed: [3], then: found)
            } legal: {
                try compare([(1, 7), (3, 7)], installed: [3])
            },
            InvariantCase(.equalStates, "a member that is rebuilt and was never altered") {
                try report(.stateRebuilt(through: 9), altered: 2)
            } legal: {
                try report(.stateRebuilt(through: 9), altered: 1)
                try report(.rebuiltInVain(times: 1, pause: nil), altered: 1)
            },
            InvariantCase(.equalStates, "a member whose state was not altered and differs") {
                try compare([(1, 7), (3, 8)])
            } legal: {
                try compare([(2, 8), (1, 7), (3, 7), (2, 9)])
            },
            InvariantCase(.equalStates, "a member whose state is right again and then differs") {
                try compare([(1, 7), (2, 7), (2, 8)])
            } legal: {
                try compare([(1, 7), (2, 7), (2, 7)])
            },
            InvariantCase(.equalStates, "a wrong state that is given to a member that could keep its own") {
                try compare([(3, 7), (2, 8), (1, 8)], installed: [1], asItWas: true)
            } legal: {
                try compare([(3, 7), (2, 8), (1, 8)], installed: [1])
                try compare([(3, 7), (2, 8), (1, 7)], installed: [1], asItWas: true)
                try compare([(3, 7), (2, 7), (1, 8)], installed: [1], asItWas: true)
            },
            InvariantCase(.equalStates, "a wrong state that is left after the one that was altered is replaced") {
                try compare([(3, 7), (2, 7), (1, 8)], installed: [2, 1], asItWas: true)
            } legal: {
                try compare([(3, 7), (2, 7), (1, 7)], installed: [2, 1], asItWas: true)
            },
            InvariantCase(.equalStates, "the copy of a member whose state is right differs") {
                try compare([(1, 7), (4, 8)], copied: 3)
            } legal: {
                try compare([(1, 7), (4, 8)], copied: 2)
                try compare([(1, 7), (4, 8)], installed: [3], copied: 3)
                try compare([(1, 7), (4, 7)], copied: 3)
            },
            InvariantCase(.equalStates, "a member that applies although its state differs") {
                try apply(10, altered: 1)
            } legal: {
                try apply(9, altered: 1)
                try apply(10, altered: 2)
                try apply(10, altered: 1, isRebuilt: true)
            },
        ]
    }

    static var ofMembers: [InvariantCase] {
        [
            InvariantCase(.memberState, "a replica that contradicts itself") {
                try step([Fix.view("applied is above commit")])
            } legal: {
                try step([Fix.view()])
            },
            InvariantCase(.memberState, "a frame that cannot be decoded") {
                let frame = try Fix.vote(1, for: 2, in: 3)
                try send([frame.slice(0..<frame.count - 1)])
            } legal: {
                try send([try Fix.vote(1, for: 2, in: 3)])
            },
            InvariantCase(.memberState, "a report of a malformed message") {
                try report(.malformedMessage(from: 2))
            } legal: {
                try report(.quorumLost)
            },
            InvariantCase(.memberState, "a reply that cannot be decoded") {
                var judges = Fix.judges()
                let result = AppliedCommand(index: 1, result: Bytes([9]))
                try judges.applied(Fix.commands([Fix.opening]), [result], by: 1, in: 1, at: Fix.now)
            } legal: {
                var judges = Fix.judges()
                try judges.applied(Fix.commands([Fix.opening]), [Fix.opened], by: 1, in: 1, at: Fix.now)
            },
            InvariantCase(.memberState, "an entry 1 without options") {
                var judges = Fix.judges()
                try judges.applied(try Fix.founding(options: "x"), [], by: 1, in: 1, at: Fix.now)
            } legal: {
                var judges = Fix.judges()
                let options = ReplicatedOptions().encoded
                try judges.applied(try Fix.founding(options: options), [], by: 1, in: 1, at: Fix.now)
            },
            InvariantCase(.memberState, "a replica that stops for no reason of its disk") {
                try ProcessCheck().stopped(1, ReplicaError(.stateMachine, "upside down"), at: Fix.now)
            } legal: {
                try ProcessCheck().stopped(1, ReplicaError(.refused, "wiped"), at: Fix.now)
                try ProcessCheck().stopped(1, ReplicaError(FileError(.sync, "log", .inputOutput)), at: Fix.now)
            },
            InvariantCase(.memberState, "a frame that a member cannot decode") {
                try ProcessCheck().cannotDecode(1, "checksum", at: Fix.now)
            } legal: {
                // A frame that can be decoded is no report of this kind, whatever it says.
                try send([try Fix.vote(1, for: 2, in: 3, false)])
            },
            InvariantCase(.memberState, "an engine that contradicts itself") {
                try ProcessCheck().engine(1, "two tables overlap", at: Fix.now)
            } legal: {
                try ProcessCheck().engine(1, nil, at: Fix.now)
            },
            InvariantCase(.memberState, "a request that is answered twice") {
                var check = ProcessCheck()
                for number: UInt64 in [1, 2, 1] { try check.answered(number, at: Fix.now) }
            } legal: {
                var check = ProcessCheck()
                for number: UInt64 in [2, 1, 3] { try check.answered(number, at: Fix.now) }
            },
            InvariantCase(.recovery, "a file that is damaged") {
                try ProcessCheck().cannotOpen(1, ReplicaError(.damaged, "ROOT"), at: Fix.now)
            } legal: {
                try ProcessCheck().cannotOpen(1, ReplicaError(FileError(.open, "log", .inputOutput)), at: Fix.now)
            },
            InvariantCase(.recovery, "a file that is missing") {
                try ProcessCheck().cannotOpen(1, ReplicaError(FileError(.open, "VOTE", .notFound)), at: Fix.now)
            } legal: {
                try ProcessCheck().cannotOpen(1, ReplicaError(FileError(.open, "VOTE", .noSpace)), at: Fix.now)
            },
        ]
    }

    /// Process 1 of a member got a request with a deadline of 5 seconds, and is looked at later.
    private static func wait(until now: TimeSpan, answered: Bool, start: UInt64, isPaused: Bool) throws {
        var check = ProcessCheck()
        check.asked(4, of: 1, start: 1, deadline: .seconds(5))
        if answered { try check.answered(4, at: .seconds(5)) }
        try check.sweep(at: now) { _ in (start, isPaused) }
        // Going on after a pause gives it more time.
        check.resumed(1, at: now)
        try check.sweep(at: now) { _ in (start, false) }
    }

    private static func settle(_ change: (inout LivenessCheck) -> Void) throws {
        func state(_ index: LogIndex) -> LivenessCheck.State {
            LivenessCheck.State(
                role: .follower,
                term: 2,
                commitIndex: index,
                appliedIndex: index,
                last: Fix.position(2, index)
            )
        }
        var check = LivenessCheck()
        check.members = (1...3).map { LivenessCheck.Member(id: $0, state: state(8)) }
        change(&check)
        try check.check(after: .seconds(15), at: Fix.now)
    }

    static var ofLiveness: [InvariantCase] {
        [
            InvariantCase(.liveness, "a client that waits") {
                try settle { $0.waitingClients = [2] }
            } legal: {
                try settle { _ in }
            },
            InvariantCase(.liveness, "a member that is down") {
                try settle { $0.members[1].state = nil }
            } legal: {
                try settle { $0.members.remove(at: 1) }
            },
            InvariantCase(.liveness, "a member whose state differs beside a sound majority") {
                try settle { $0.members[2].state?.appliedIndex = 7 }
            } legal: {
                try settle {
                    $0.members[2].state?.appliedIndex = 7
                    $0.members[2].state?.isUndecided = true
                }
            },
            InvariantCase(.liveness, "a member that stays behind") {
                try settle { $0.members[2].state?.commitIndex = 7 }
            } legal: {
                try settle {
                    $0.members[2].state?.commitIndex = 7
                    $0.members[2].state?.isCutOff = true
                }
            },
            InvariantCase(.liveness, "a member that does not apply") {
                try settle { $0.members[0].state?.appliedIndex = 7 }
            } legal: {
                try settle { check in
                    for place in 0..<3 {
                        check.members[place].state?.appliedIndex = 9
                        check.members[place].state?.commitIndex = 9
                    }
                }
            },
            InvariantCase(.liveness, "events without end") {
                var check = ProgressCheck()
                try check.check(events: 5, at: Fix.now)
                try check.check(events: 5 + ProgressCheck.mostEvents + 1, at: Fix.now)
            } legal: {
                // As many in all, but in more time.
                var check = ProgressCheck()
                for millisecond: UInt64 in 1...5 {
                    let events = (millisecond + 1) * ProgressCheck.mostEvents
                    try check.check(events: events, at: .milliseconds(millisecond))
                    try check.check(events: events + ProgressCheck.mostEvents, at: .milliseconds(millisecond))
                }
            },
            InvariantCase(.liveness, "a request that is never answered") {
                try wait(until: .seconds(7), answered: false, start: 1, isPaused: false)
            } legal: {
                try wait(until: .seconds(7), answered: true, start: 1, isPaused: false)
                try wait(until: .seconds(6), answered: false, start: 1, isPaused: false)
                try wait(until: .seconds(7), answered: false, start: 1, isPaused: true)
                try wait(until: .seconds(7), answered: false, start: 2, isPaused: false)
            },
            InvariantCase(.liveness, "an unknown outcome though nothing went wrong") {
                try LivenessCheck.checkUnknown(3, hasFaults: false, at: Fix.now)
            } legal: {
                try LivenessCheck.checkUnknown(3, hasFaults: true, at: Fix.now)
            },
        ]
    }

    private static var ofRefusedFiles: [InvariantCase] {
        let check = IdentityCheck()
        let party = IdentityCheck.Party(member: 1)
        let named = ReplicaError(.damaged, "m/log is missing")
        let owner = ReplicaError(.refused, "IDENTITY is of another member's directory")
        return [
            InvariantCase(.identity, "a refusal that names none of the files that were exchanged") {
                let other = ReplicaError(.damaged, "m/groups is missing")
                try check.refusedFiles(of: party, .init(paths: ["m/log"]), other, at: Fix.now)
            } legal: {
                try check.refusedFiles(of: party, .init(paths: ["m/log"]), named, at: Fix.now)
            },
            InvariantCase(.identity, "an opening of files that are older than the others say") {
                try check.openedFiles(of: party, ["m/BOOT"], nil, nil, mustBeRefused: true, at: Fix.now)
            } legal: {
                try check.openedFiles(of: party, ["m/BOOT"], nil, nil, at: Fix.now)
            },
            InvariantCase(.identity, "an opening of exchanged files that has forgotten a vote") {
                let (voted, found) = (HardState(term: 5, vote: 2), HardState(term: 4, vote: 3))
                try check.openedFiles(of: party, ["m/VOTE"], voted, found, at: Fix.now)
            } legal: {
                let voted = HardState(term: 5, vote: 2)
                try check.openedFiles(of: party, ["m/VOTE"], voted, voted, at: Fix.now)
                try check.openedFiles(of: party, ["m/VOTE"], voted, HardState(term: 6, vote: 0), at: Fix.now)
                try check.openedFiles(of: party, ["m/VOTE"], HardState(term: 5, vote: 0), voted, at: Fix.now)
            },
            InvariantCase(.identity, "a refusal of files that are the member's own") {
                try check.refusedFiles(of: party, .init(paths: ["m/log"], hasChanged: false), named, at: Fix.now)
            } legal: {
                try check.refusedFiles(of: party, .init(paths: ["m/log"], hasOthers: true), named, at: Fix.now)
            },
            InvariantCase(.identity, "a refusal whose advice does not help") {
                let refusal = IdentityCheck.FileRefusal(paths: ["m/log"], failedAdvice: "m/VOTE is missing")
                try check.refusedFiles(of: party, refusal, named, at: Fix.now)
            } legal: {
                try check.refusedFiles(of: party, .init(paths: ["m/log", "m/VOTE"]), named, at: Fix.now)
            },
            InvariantCase(.identity, "a refusal of another member's files that are its own") {
                try check.refusedFiles(of: party, .init(paths: ["m/log"]), owner, at: Fix.now)
            } legal: {
                try check.refusedFiles(of: party, .init(paths: ["m/log"], hasOthers: true), owner, at: Fix.now)
            },
            InvariantCase(.identity, "a refusal that changed files") {
                try check.refusedFiles(of: party, .init(paths: ["m/log"], keepsEveryByte: false), named, at: Fix.now)
            } legal: {
                try check.refusedFiles(of: party, .init(paths: ["m/log"]), named, at: Fix.now)
            },
        ]
    }

    static var ofIdentity: [InvariantCase] {
        let whole = IdentityCheck.Party(member: 1)
        let states: [DirectoryState] = [.wiped, .rolledBack, .cloned]
        let check = IdentityCheck()
        let success = Reply.success(Bytes(), index: 4)
        var cases =
            [
                InvariantCase(.identity, "two clusters") {
                    var check = IdentityCheck()
                    for seed: UInt64 in [1, 2] { try check.established(try Fix.cluster(seed), by: seed, at: Fix.now) }
                } legal: {
                    var check = IdentityCheck()
                    for id: UInt64 in [1, 2] { try check.established(try Fix.cluster(1), by: id, at: Fix.now) }
                },
                InvariantCase(.identity, "a member of no cluster that votes") {
                    let frame = try PeerFrame(decoding: try Fix.vote(1, for: 2, in: 1), options: WireOptions())
                    try check.speaksBeforeItBelongs(frame.content, by: 1, "votes", at: Fix.now)
                } legal: {
                    let hello = FirstBootMessage.hello(incarnation: UniqueID(high: 1, low: 1))
                    try check.speaksBeforeItBelongs(.firstBoot(hello), by: 1, "hello", at: Fix.now)
                },
                InvariantCase(.identity, "a first boot that waits") {
                    try check.waits(1, "member 2 is another one", at: Fix.now)
                } legal: {
                    // One that waits for nothing becomes a member of the cluster.
                    var check = IdentityCheck()
                    try check.established(try Fix.cluster(1), by: 1, at: Fix.now)
                },
                InvariantCase(.identity, "a refusal of a whole member") {
                    try check.refused(whole, at: Fix.now)
                } legal: {
                    try check.refused(IdentityCheck.Party(member: 1, directory: .cloned), at: Fix.now)
                },
            ] + ofRefusedFiles
        for state in states {
            let party = IdentityCheck.Party(member: 2, directory: state)
            cases += [
                InvariantCase(.identity, "listening to one that was \(state)") {
                    try check.listens(whole, to: party, "append", at: Fix.now)
                } legal: {
                    try check.listens(whole, to: IdentityCheck.Party(member: 2), "append", at: Fix.now)
                },
                InvariantCase(.identity, "talking to one that was \(state)") {
                    try check.listens(party, to: whole, "append", at: Fix.now)
                } legal: {
                    try check.listens(IdentityCheck.Party(member: 2), to: whole, "append", at: Fix.now)
                },
                InvariantCase(.identity, "a command acknowledged by one that was \(state)") {
                    try check.serves(party, success, isLinearizable: false, at: Fix.now)
                } legal: {
                    try check.serves(whole, success, isLinearizable: false, at: Fix.now)
                    let failure = Reply.failure(RequestError(.notApplied, .noQuorum))
                    try check.serves(party, failure, isLinearizable: false, at: Fix.now)
                },
                InvariantCase(.identity, "a linearizable read served by one that was \(state)") {
                    try check.serves(party, .readable(4), isLinearizable: true, at: Fix.now)
                } legal: {
                    try check.serves(party, .readable(4), isLinearizable: false, at: Fix.now)
                    try check.serves(whole, .readable(4), isLinearizable: true, at: Fix.now)
                },
            ]
        }
        return cases
    }
}
