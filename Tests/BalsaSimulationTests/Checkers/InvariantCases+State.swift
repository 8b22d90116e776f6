import Balsa
import BalsaKeyValue
import BalsaLSM
import BalsaPlatform
import BalsaRaft
import BalsaWire

@testable import BalsaSimulation

private typealias Fix = CheckerFixtures

extension InvariantCase {
    // MARK: Logs

    private static func stage(_ batches: [EntryBatch]) throws {
        var judges = Fix.judges()
        for batch in batches { try judges.staged(batch, by: 1, at: Fix.now) }
    }

    private static func sweep(_ left: LogOutline, _ right: LogOutline) throws {
        try Judges.sweep([(1, left), (2, right)], at: Fix.now)
    }

    /// Entry 1 of term 1 is applied by a member in term 2; then somebody becomes leader of `term` with that log.
    private static func lead(_ term: Term, _ log: LogOutline, afterAcknowledged isAcknowledged: Bool) throws {
        var judges = Fix.judges()
        var counters = RunCounters()
        try judges.applied(Fix.entries(), [], by: 1, in: 2, at: Fix.now)
        if isAcknowledged { judges.acknowledged(1) }
        try judges.standing(Fix.leader(term, 2), of: 2, log: log, &counters, at: Fix.now)
    }

    /// A leader's log that holds the entry, begins behind it, or belongs to a term that is over.
    private static func leadWell(isAcknowledged: Bool) throws {
        try lead(3, Fix.log([1]), afterAcknowledged: isAcknowledged)
        try lead(3, Fix.log([], base: Fix.position(1, 1)), afterAcknowledged: isAcknowledged)
        try lead(2, Fix.log([]), afterAcknowledged: isAcknowledged)
    }

    static var ofLogs: [InvariantCase] {
        [
            InvariantCase(.logMatching, "other bytes at a position") {
                try stage([Fix.entries(.command, ["a"]), Fix.entries(.command, ["b"])])
            } legal: {
                try stage([
                    Fix.entries(.command, ["a"]), Fix.entries(.command, ["a"]), Fix.entries(term: 2, .command, ["b"]),
                ])
            },
            InvariantCase(.logMatching, "another entry before a position") {
                try stage([
                    Fix.entries(after: Fix.position(1, 1), term: 3), Fix.entries(after: Fix.position(2, 1), term: 3),
                ])
            } legal: {
                try stage([
                    Fix.entries(after: Fix.position(1, 1), term: 3), Fix.entries(after: Fix.position(1, 1), term: 3),
                ])
            },
            InvariantCase(.logMatching, "two logs that agree behind a difference") {
                try sweep(Fix.log([1, 1, 3]), Fix.log([1, 2, 3]))
            } legal: {
                try sweep(Fix.log([1, 1, 3]), Fix.log([1, 2, 4, 4]))
                try sweep(Fix.log([1, 1, 3]), Fix.log([3], base: Fix.position(1, 2)))
            },
            InvariantCase(.leaderCompleteness, "a leader without an applied entry") {
                try lead(3, Fix.log([]), afterAcknowledged: false)
            } legal: {
                try leadWell(isAcknowledged: false)
            },
            InvariantCase(.leaderCompleteness, "a report that a committed entry is contradicted") {
                var judges = Fix.judges()
                try judges.reported(.committedEntryContradicted(4), by: 1, at: Fix.now)
            } legal: {
                var judges = Fix.judges()
                try judges.reported(.persistStalled, by: 1, at: Fix.now)
            },
            InvariantCase(.acknowledgedPresent, "a leader with another entry than an acknowledged one") {
                try lead(3, Fix.log([2]), afterAcknowledged: true)
            } legal: {
                try leadWell(isAcknowledged: true)
            },
        ]
    }

    // MARK: Applying

    private static func apply(_ batches: [EntryBatch]) throws {
        var judges = Fix.judges()
        for batch in batches { try judges.applied(batch, [], by: 1, in: 9, at: Fix.now) }
    }

    /// Session 1 is opened by entry 1, and commands follow; each is replied to by `results`, which name their indexes.
    private static func execute(_ commands: [Command], _ results: [AppliedCommand]) throws {
        var judges = Fix.judges()
        let batch = Fix.commands([Fix.opening] + commands)
        try judges.applied(batch, [Fix.opened] + results, by: 1, in: 1, at: Fix.now)
    }

    /// Two members apply a command with these replies.
    private static func executeTwice(_ first: CommandReply, _ second: CommandReply) throws {
        var judges = Fix.judges()
        let batch = Fix.commands([Fix.opening, Fix.adding(1)])
        for (id, reply) in [(1, first), (2, second)] as [(MemberID, CommandReply)] {
            try judges.applied(batch, [Fix.opened, Fix.result(2, reply)], by: id, in: 1, at: Fix.now)
        }
    }

    /// A member has that state where `k` was 1 at revision 1 and 2 at revision 2.
    private static func check(_ state: CheckerFixtures.State) throws {
        var limits = ReplicatedOptions()
        limits.retainedRevisions = 1
        var ledger = RequestLedger(options: limits)
        for (index, value) in [(1, "1"), (2, "2")] as [(UInt64, Bytes)] {
            let identity = RequestIdentity(session: .none, number: index)
            let command = Command(identity: identity, operation: .put(key: "k", value: value))
            _ = ledger.note(command, CommandReply(.applied, revision: index), stamp: 0)
        }
        try StateCheck(ledger: ledger).check(1, state, at: Fix.now)
    }

    private static func pair(_ value: Bytes, _ revision: UInt64) -> KeyValuePair {
        KeyValuePair(key: "k", value: value, revision: revision)
    }

    private static var sound: CheckerFixtures.State {
        Fix.State(appliedIndex: 2, retentionMark: 1, answers: [1: [pair("1", 1)], 2: [pair("2", 2)]])
    }

    private static func check(_ change: (inout CheckerFixtures.State) -> Void) throws {
        var state = sound
        change(&state)
        try check(state)
    }

    private static func step(_ views: [Judges.StepView]) throws {
        var judges = Fix.judges()
        for (place, view) in views.enumerated() { try judges.stepped(UInt64(place + 1), view, at: Fix.now) }
    }

    static var ofStates: [InvariantCase] {
        let second = Fix.position(1, 1)
        return [
            InvariantCase(.stateMachineSafety, "another entry at an index") {
                try apply([Fix.entries(), Fix.entries(term: 2)])
            } legal: {
                try apply([Fix.entries(), Fix.entries(), Fix.entries(after: second, term: 2)])
            },
            InvariantCase(.stateMachineSafety, "other bytes at an index") {
                try apply([
                    Fix.entries(), Fix.entries(after: second), Fix.entries(after: second, .configuration, ["x"]),
                ])
            } legal: {
                let configuration = Fix.entries(after: second, .configuration, ["x"])
                try apply([Fix.entries(), configuration, configuration])
            },
            InvariantCase(.stateMachineSafety, "an index that nobody reached") {
                try apply([Fix.entries(), Fix.entries(after: Fix.position(1, 2))])
            } legal: {
                try apply([Fix.entries(), Fix.entries(after: second)])
            },
            InvariantCase(.stateMachineSafety, "a stamp that falls") {
                try apply([Fix.entries(stamp: 8), Fix.entries(after: second, stamp: 7)])
            } legal: {
                try apply([Fix.entries(stamp: 8), Fix.entries(after: second, stamp: 8)])
            },
            InvariantCase(.equalStates, "two digests at an index") {
                try step([Fix.view(applied: 3, digest: 1), Fix.view(applied: 3, digest: 2)])
            } legal: {
                try step([
                    Fix.view(applied: 3, digest: 1), Fix.view(applied: 3, digest: 1), Fix.view(applied: 4, digest: 2),
                ])
                // One that has failed has no state, and before the first entry there is none to compare.
                try step([Fix.view(applied: 3, digest: 1), Fix.view(applied: 3), Fix.view(digest: 3)])
            },
            InvariantCase(.equalStates, "another value") {
                try check { $0.answers[2] = [pair("1", 2)] }
            } legal: {
                try check(sound)
            },
            InvariantCase(.equalStates, "a value more") {
                try check { $0.answers[2]?.append(KeyValuePair(key: "l", value: "2", revision: 2)) }
            } legal: {
                try check(sound)
            },
            InvariantCase(.equalStates, "another value at the retention mark") {
                try check { $0.answers[1] = [] }
            } legal: {
                try check {
                    $0.answers[1] = []
                    $0.retentionMark = 0
                }
            },
            InvariantCase(.equalStates, "a retention mark that is too high") {
                try check { $0.retentionMark = 2 }
            } legal: {
                try check { $0.retentionMark = 1 }
                try check { $0.retentionMark = 0 }
            },
            InvariantCase(.equalStates, "a state that cannot be read for no reason of its disk") {
                try check { $0.error = KeyValueError(.failed, "upside down") }
            } legal: {
                try check { $0.error = KeyValueError(EngineError(FileError(.read, "table", .inputOutput))) }
            },
            InvariantCase(.equalStates, "more applied than anybody replied to") {
                try check { $0.appliedIndex = 3 }
            } legal: {
                try check { $0.appliedIndex = 2 }
            },
            InvariantCase(.equalStates, "a state that is damaged") {
                try check { $0.error = KeyValueError(.damaged, "a block") }
            } legal: {
                try check { $0.error = KeyValueError(EngineError(FileError(.read, "table", .inputOutput))) }
            },
            InvariantCase(.equalReplies, "another reply of another member") {
                try executeTwice(Fix.sum(2, 1), CommandReply(.sessionExpired, revision: 2))
            } legal: {
                try executeTwice(Fix.sum(2, 1), Fix.sum(2, 1))
            },
            InvariantCase(.equalReplies, "a command without a reply") {
                try execute([Fix.adding(1)], [])
            } legal: {
                try execute([Fix.adding(1)], [Fix.result(2, Fix.sum(2, 1))])
            },
            InvariantCase(.equalReplies, "a reply to an entry that is no command") {
                var judges = Fix.judges()
                let reply = Fix.result(1, CommandReply(.applied, revision: 1))
                try judges.applied(Fix.entries(), [reply], by: 1, in: 1, at: Fix.now)
            } legal: {
                var judges = Fix.judges()
                try judges.applied(Fix.entries(), [], by: 1, in: 1, at: Fix.now)
            },
            InvariantCase(.equalReplies, "a reply to an entry that was not applied") {
                try execute([], [Fix.result(2, Fix.sum(2, 1))])
            } legal: {
                try execute([], [])
            },
            InvariantCase(.exactlyOnce, "a copy that is executed again") {
                try execute(
                    [Fix.adding(1), Fix.adding(1)],
                    [Fix.result(2, Fix.sum(2, 1)), Fix.result(3, Fix.sum(3, 2))]
                )
            } legal: {
                try execute(
                    [Fix.adding(1), Fix.adding(1)],
                    [Fix.result(2, Fix.sum(2, 1)), Fix.result(3, Fix.sum(2, 1))]
                )
            },
            InvariantCase(.exactlyOnce, "a session that is said to have ended") {
                try execute([Fix.adding(1)], [Fix.result(2, CommandReply(.sessionExpired, revision: 2))])
            } legal: {
                try execute([Fix.adding(1)], [Fix.result(2, Fix.sum(2, 1))])
            },
            InvariantCase(.certificate, "a result that does not follow") {
                try execute([Fix.adding(1)], [Fix.result(2, Fix.sum(2, 5))])
            } legal: {
                try execute([Fix.adding(1)], [Fix.result(2, Fix.sum(2, 1))])
            },
        ]
    }

    // MARK: Clients

    /// A client reads `k` at that index, where entry 1 is the only one and writes nothing.
    private static func read(_ value: KeyValueEntry?, at index: LogIndex) throws {
        var calls = CallLog()
        var ledger = RequestLedger(options: ReplicatedOptions())
        ledger.skip(stamp: 0)
        calls.end(calls.call(.get("k", .local), client: 0, at: .zero), .value(value, index: index), at: Fix.now)
        try Certificate(calls: calls, ledger: ledger).check(at: Fix.now)
    }

    private static func refuse(_ operation: Command.Operation) throws {
        let command = Command(identity: RequestIdentity(session: .none, number: 1), operation: operation)
        let ledger = RequestLedger(options: ReplicatedOptions())
        try Certificate.checkRefusal(of: .command(command), 0, "invalid", ledger, calledAt: .zero, at: Fix.now)
    }

    /// Somebody writes `a`, and later reads `value`.
    private static func search(_ value: Bytes?) throws {
        var history = RecordedHistory()
        let write = history.call(.write("a"), key: "k", client: 1, at: 1)
        history.return(write, .answered(.done, index: nil), at: 2)
        let read = history.call(.read, key: "k", client: 2, at: 3)
        history.return(read, .answered(.value(value), index: nil), at: 4)
        _ = try RegisterHistoryCheck(limits: LinearizabilityLimits()).check(history, at: Fix.now)
    }

    static var ofClients: [InvariantCase] {
        [
            InvariantCase(.certificate, "an answer at an index that nobody applied") {
                try read(nil, at: 2)
            } legal: {
                try read(nil, at: 1)
            },
            InvariantCase(.certificate, "a readable index that is not applied") {
                try Certificate.checkReadable(5, applied: 4, at: Fix.now)
            } legal: {
                try Certificate.checkReadable(5, applied: 5, at: Fix.now)
            },
            InvariantCase(.certificate, "a reply that cannot be decoded") {
                _ = try Certificate.decode(Bytes([1, 2]), at: Fix.now)
            } legal: {
                _ = try Certificate.decode(Fix.sum(2, 1).encoded(), at: Fix.now)
            },
            InvariantCase(.certificate, "a read that fails on a sound disk") {
                try Certificate.checkReadFailure(KeyValueError(.compacted, "revision 1"), at: Fix.now)
            } legal: {
                let error = EngineError(FileError(.read, "table", .inputOutput))
                try Certificate.checkReadFailure(KeyValueError(error), at: Fix.now)
            },
            InvariantCase(.certificate, "a page that is cut short on a sound disk") {
                var page = ScanPage(pairs: [], revision: 1, continuation: "k")
                page.isCutShort = true
                try Certificate.checkCutShort(page, isDiskSound: true, at: Fix.now)
            } legal: {
                var page = ScanPage(pairs: [], revision: 1, continuation: "k")
                page.isCutShort = true
                try Certificate.checkCutShort(page, isDiskSound: false, at: Fix.now)
            },
            InvariantCase(.certificate, "a refusal of a sound command") {
                try refuse(.deleteRange(from: "a", to: "b"))
            } legal: {
                try refuse(.deleteRange(from: "b", to: "a"))
            },
            InvariantCase(.linearizability, "a read of what is no more") {
                try search(nil)
            } legal: {
                try search("a")
            },
        ]
    }
}
