import BalsaKeyValue
import BalsaPlatform
import BalsaRaft

/// Checks what clients were told against the log that decided it, in time linear but for sorting.
///
/// Every answer names the index of the log at which it was decided. Then there is nothing to search: the answers are
/// linearizable if those indexes respect real time, and if replaying the log through a plain model gives every answer that
/// was given. The search of ``LinearizabilityChecker`` judges the same history without believing the indexes.
struct Certificate {
    let calls: CallLog
    let ledger: RequestLedger

    /// Throws the first contradiction.
    func check(at now: TimeSpan) throws(Violation) {
        do throws(Contradiction) {
            try checkRealTime()
            for (place, call) in calls.calls.enumerated() { try check(call, place) }
            for (place, reply) in calls.refusals { try check(calls.calls[place].question, reply, place) }
        } catch {
            throw Violation(.certificate, error.description, at: now)
        }
    }

    private struct Contradiction: Error {
        let description: String
    }

    /// An answered call that real time binds, and its index.
    private struct Answer {
        var place: Int
        var index: LogIndex
        var called: UInt64
        var ended: UInt64
        var isRead: Bool
    }

    /// A call that was made after another had returned is decided at a later index; a read may share one.
    private func checkRealTime() throws(Contradiction) {
        let answers = calls.calls.enumerated().compactMap { place, call -> Answer? in
            guard call.isLinearizable, let index = call.outcome?.index, let ended = call.ended else { return nil }
            return Answer(place: place, index: index, called: call.called, ended: ended, isRead: call.isRead)
        }
        let byReturn = answers.sorted { ($0.ended, $0.place) < ($1.ended, $1.place) }
        var returned = byReturn[...]
        var highest: Answer?
        // Calls are logged in the order of time.
        for answer in answers {
            while let first = returned.first, first.ended < answer.called {
                if first.index > highest?.index ?? 0 { highest = first }
                returned.removeFirst()
            }
            guard let before = highest else { continue }
            if answer.index < before.index || (answer.index == before.index && !answer.isRead) {
                throw Contradiction(
                    description:
                        "call \(answer.place + 1) was decided at index \(answer.index), though it was made after call "
                        + "\(before.place + 1) had returned, which was decided at \(before.index)"
                )
            }
        }
    }

    private func check(_ call: CallLog.Call, _ place: Int) throws(Contradiction) {
        guard let outcome = call.outcome else { return }
        if let index = outcome.index, index > ledger.lastIndex {
            throw Contradiction(description: "call \(place + 1) was answered at index \(index), which nobody applied")
        }
        if let index = outcome.index, let revision = call.leastRevision, index < revision {
            throw Contradiction(
                description: "call \(place + 1) was answered at index \(index), and asked for \(revision) at least"
            )
        }
        switch (call.question, outcome) {
        case (.command, .replied(let reply)):
            try check(call.question, reply, place)
        case (.command(let command), .failed):
            if let reply = ledger.reply(to: command.identity) {
                throw Contradiction(
                    description:
                        "call \(place + 1), \(command.identity), was said not to have happened and is at index "
                        + "\(reply.revision)"
                )
            }
        case (.get(let key, _), .value(let entry, let index)):
            let expected = ledger.state.value(of: key, at: index)
            guard entry == expected else {
                throw Contradiction(
                    description: "call \(place + 1) read \(describe(entry)) of \(key) at index \(index), where "
                        + "\(describe(expected)) was"
                )
            }
        case (.scan(let scan, _), .page(let page, let index, let asked)):
            try check(scan, page, at: index, asked: asked, place)
        default:
            break
        }
    }

    /// A reply to a command is one that the log gives to that command.
    private func check(
        _ question: CallLog.Question,
        _ reply: CommandReply,
        _ place: Int
    ) throws(Contradiction) {
        guard case .command(let command) = question, !ledger.hasReplied(reply, to: command.identity) else { return }
        throw Contradiction(
            description: "call \(place + 1), \(command.identity), was answered \(reply), which the log does not say"
        )
    }

    private func describe(_ entry: KeyValueEntry?) -> String {
        entry.map { "\($0.value) of revision \($0.revision)" } ?? "nothing"
    }

    /// A scan gives the pairs of the revision that was asked for: all of them, up to its limit, in its order.
    private func check(
        _ scan: CallLog.Scan,
        _ page: ScanPage,
        at index: LogIndex,
        asked: UInt64,
        _ place: Int
    ) throws(Contradiction) {
        // What lies too far back may be refused, and is read at the mark instead.
        let lowest = index - min(index, scan.back)
        let highest = max(lowest, ledger.highestRetentionMark(at: index))
        guard page.revision == asked, lowest <= asked, asked <= highest else {
            throw Contradiction(
                description: "call \(place + 1) read at revision \(page.revision), where \(asked) was asked for, "
                    + "\(scan.back) below \(index)"
            )
        }
        var expected = ledger.state.pairs(from: scan.from, to: scan.to, at: page.revision)
        if scan.order == .descending { expected.reverse() }
        let count = page.pairs.count
        guard count <= scan.limit, Array(expected.prefix(count)) == page.pairs, count > 0 || expected.isEmpty else {
            throw Contradiction(
                description: "call \(place + 1) scanned \(count) pairs at revision \(page.revision), where there were "
                    + "others or more: \(expected.count) in all, and the limit is \(scan.limit)"
            )
        }
        let next = expected.dropFirst(count).first
        guard isRight(page.continuation, after: page.pairs.last, next, scan.order) else {
            throw Contradiction(
                description:
                    "call \(place + 1) scanned \(count) of \(expected.count) pairs at revision \(page.revision), "
                    + "and was told to go on at \(page.continuation.map { "\($0)" } ?? "nothing")"
            )
        }
    }

    /// Whether a page says where the next one begins: behind its last pair, and not behind the next one, if there is
    /// one. In descending order it is the excluded bound of the next page. A page may end early, for its bytes, its
    /// work or damage: it does not know the next pair then, nor whether there is one.
    private func isRight(
        _ continuation: Bytes?,
        after last: KeyValuePair?,
        _ next: KeyValuePair?,
        _ order: ScanOrder
    ) -> Bool {
        guard let continuation else { return next == nil }
        guard let last else { return false }
        switch order {
        case .ascending: return continuation > last.key && continuation <= next?.key ?? continuation
        case .descending: return continuation <= last.key && continuation > next?.key ?? Bytes()
        }
    }
}
