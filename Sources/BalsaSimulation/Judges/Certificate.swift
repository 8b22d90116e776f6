import BalsaPlatform
import BalsaRaft

/// Checks a history against the log that produced it, in time linear but for sorting.
///
/// Every answer names the index of the log at which it was decided. Then there is nothing to search: the history is
/// linearizable if those indexes respect real time, and if replaying the log through the model gives every answer that
/// was given. The search of ``LinearizabilityChecker`` judges the same history without believing the indexes.
struct Certificate {
    let history: RecordedHistory
    let ledger: EntryLedger

    /// Throws the first contradiction.
    func check(at now: TimeSpan) throws(Violation) {
        do {
            try checkRealTime()
            try checkReplay()
        } catch {
            throw Violation(.certificate, error.description, at: now)
        }
    }

    private struct Contradiction: Error {
        let description: String
    }

    /// An answered operation and its index.
    private struct Answer {
        var place: Int
        var index: LogIndex
        var output: RegisterModel.Output
        var isRead: Bool
    }

    private var answers: [Answer] {
        history.operations.indices.compactMap { place in
            guard case .answered(let output, let index?) = history.operations[place].outcome else { return nil }
            let isRead = history.operations[place].input == .read
            return Answer(place: place, index: index, output: output, isRead: isRead)
        }
    }

    /// An operation that was called after another had returned is decided at a later index; a read may share one.
    private func checkRealTime() throws(Contradiction) {
        let answers = answers
        let byCall = answers.indices.sorted { left, right in
            (operation(answers[left]).called, left) < (operation(answers[right]).called, right)
        }
        let byReturn = answers.indices.sorted { left, right in
            (operation(answers[left]).ended ?? 0, left) < (operation(answers[right]).ended ?? 0, right)
        }
        var highest: Answer?
        var returned = byReturn[...]
        for slot in byCall {
            let answer = answers[slot]
            while let first = returned.first, let ended = operation(answers[first]).ended,
                ended < operation(answer).called
            {
                if answers[first].index > highest?.index ?? 0 { highest = answers[first] }
                returned.removeFirst()
            }
            guard let before = highest else { continue }
            if answer.index < before.index || (answer.index == before.index && !answer.isRead) {
                throw Contradiction(
                    description:
                        "operation \(answer.place + 1) was decided at index \(answer.index), though it was called "
                        + "after operation \(before.place + 1) had returned, which was decided at \(before.index)"
                )
            }
        }
    }

    private func operation(_ answer: Answer) -> RecordedHistory.Operation { history.operations[answer.place] }

    private func checkReplay() throws(Contradiction) {
        let answers = answers.sorted {
            ($0.index, $0.isRead ? 1 : 0, $0.place) < ($1.index, $1.isRead ? 1 : 0, $1.place)
        }
        var rest = answers[...]
        let model = RegisterModel()
        var states = LookupTable<Bytes, Bytes?>()
        var applied = LookupTable<UInt64, LogIndex>()
        var index: LogIndex = 0
        while index <= ledger.lastIndex {
            var decided: (operation: UInt64, output: RegisterModel.Output)?
            if index > 0, ledger[index].isCommand {
                decided = try apply(ledger[index].payload, at: index, model, &states)
                if let decided, let before = applied.insert(index, for: decided.operation) {
                    throw Contradiction(
                        description: "operation \(decided.operation) took effect twice, at \(before) and at \(index)"
                    )
                }
            }
            while let answer = rest.first, answer.index == index {
                rest.removeFirst()
                try check(answer, decided, states[operation(answer).key] ?? nil)
            }
            index += 1
        }
        if let answer = rest.first {
            throw Contradiction(
                description: "operation \(answer.place + 1) was answered at index \(answer.index), which nobody applied"
            )
        }
    }

    /// Applies the command of an index to the model, and checks that its operation was not told that it never happened.
    private func apply(
        _ payload: Bytes,
        at index: LogIndex,
        _ model: RegisterModel,
        _ states: inout LookupTable<Bytes, Bytes?>
    ) throws(Contradiction) -> (operation: UInt64, output: RegisterModel.Output) {
        guard let command = try? RegisterCommand(decoding: payload) else {
            throw Contradiction(description: "the command at index \(index) cannot be decoded")
        }
        let operations = history.operations
        guard command.operation >= 1, command.operation <= UInt64(operations.count) else {
            throw Contradiction(description: "the command at index \(index) was asked for by nobody")
        }
        let operation = operations[Int(command.operation) - 1]
        guard operation.key == command.key, operation.input == command.input else {
            throw Contradiction(
                description: "the command at index \(index) is not what operation \(command.operation) asked"
            )
        }
        if operation.outcome == .failed {
            throw Contradiction(
                description: "operation \(command.operation) was said not to have happened, and is at index \(index)"
            )
        }
        let state = states[command.key] ?? nil
        let output: RegisterModel.Output
        switch command.input {
        case .compareAndSet(let expected, _): output = .compared(expected == state)
        default: output = .done
        }
        if let next = model.step(state, command.input, output) { states.insert(next, for: command.key) }
        return (command.operation, output)
    }

    private func check(
        _ answer: Answer,
        _ decided: (operation: UInt64, output: RegisterModel.Output)?,
        _ state: Bytes?
    ) throws(Contradiction) {
        if answer.isRead {
            if answer.output == .value(state) { return }
            throw Contradiction(
                description: "operation \(answer.place + 1) read \(answer.output) at index \(answer.index), where "
                    + "\(RegisterModel.Output.value(state)) was"
            )
        }
        guard let decided, decided.operation == UInt64(answer.place + 1), decided.output == answer.output else {
            throw Contradiction(
                description:
                    "operation \(answer.place + 1) was answered \(answer.output) at index \(answer.index), which "
                    + "does not follow from the log"
            )
        }
    }
}
