import BalsaPlatform

/// Reads logs of *put*, *append* and *get* on keys, one map in extensible data notation a line.
///
/// ```
/// {:process 9, :type :invoke, :f :append, :key "0", :value "x 9 0 y"}
/// {:process 9, :type :ok, :f :append, :key "0", :value "x 9 0 y"}
/// {:process 0, :type :invoke, :f :get, :key "0", :value nil}
/// {:process 0, :type :ok, :f :get, :key "0", :value "x 9 0 y"}
/// ```
///
/// The parts of a map may come in any order, and commas are blanks. What ends with `:fail` never happened; what ends
/// with `:info`, or does not end, is of unknown outcome. Events have no times but their line numbers.
public enum AppendLog {
    private struct Call {
        let line: Int
        let key: Bytes
        let input: AppendModel.Input
    }

    /// The operations of a log.
    public static func operations(
        of text: Bytes
    ) throws(HistoryFormatError) -> [HistoryOperation<AppendModel>] {
        var lines = HistoryLines(text)
        var open = OpenOperations<Call>()
        var operations: [HistoryOperation<AppendModel>] = []
        while let line = lines.next() {
            if line.allSatisfy(\.isBlank) { continue }
            let number = lines.number
            let event = try AppendLogEvent(line, number: number)
            if event.type.equals(":invoke") {
                let call = Call(line: number, key: event.key, input: try input(event, number))
                guard open.open(call, of: event.process) else {
                    throw HistoryFormatError(line: number, "process \(event.process) has an open operation already")
                }
                continue
            }
            guard let call = open.close(event.process) else {
                throw HistoryFormatError(line: number, "process \(event.process) has no open operation")
            }
            let isKnown = event.type.equals(":ok")
            guard isKnown || event.type.equals(":fail") || event.type.equals(":info") else {
                throw HistoryFormatError(line: number, "unknown kind of event: \(event.type.quoted)")
            }
            let output = isKnown ? try output(of: call, event, number) : nil
            guard !event.type.equals(":fail") else { continue }
            operations.append(
                HistoryOperation(
                    client: event.process,
                    called: UInt64(call.line),
                    returned: isKnown ? UInt64(number) : nil,
                    key: call.key,
                    input: call.input,
                    output: output
                )
            )
        }
        for (process, call) in open.remaining {
            operations.append(
                HistoryOperation(
                    client: process,
                    called: UInt64(call.line),
                    returned: nil,
                    key: call.key,
                    input: call.input,
                    output: nil
                )
            )
        }
        return operations
    }

    private static func input(_ event: AppendLogEvent, _ line: Int) throws(HistoryFormatError) -> AppendModel.Input {
        if event.verb.equals(":get") {
            guard event.value == nil else { throw HistoryFormatError(line: line, "a get is called with nil") }
            return .get
        }
        guard event.verb.equals(":put") || event.verb.equals(":append") else {
            throw HistoryFormatError(line: line, "unknown operation: \(event.verb.quoted)")
        }
        guard let value = event.value else { throw HistoryFormatError(line: line, "a change is called with a string") }
        return event.verb.equals(":put") ? .put(value) : .append(value)
    }

    /// What the end of an operation answers, which has to fit its call.
    private static func output(
        of call: Call,
        _ event: AppendLogEvent,
        _ line: Int
    ) throws(HistoryFormatError) -> AppendModel.Output {
        guard event.key == call.key else {
            throw HistoryFormatError(line: line, "the operation was called with another key")
        }
        if call.input == .get, event.verb.equals(":get") {
            guard let value = event.value else { throw HistoryFormatError(line: line, "a get returns a string") }
            return .value(value)
        }
        guard try input(event, line) == call.input else {
            throw HistoryFormatError(line: line, "the operation was called as another one")
        }
        return .done
    }
}
