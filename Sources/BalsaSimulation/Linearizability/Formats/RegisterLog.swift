import BalsaPlatform

/// Reads the logs that the first Jepsen tests of etcd left: operations on one register, a line an event.
///
/// ```
/// INFO  jepsen.util - 0    :invoke  :read   nil
/// INFO  jepsen.util - 0    :ok      :read   3
/// INFO  jepsen.util - 1    :invoke  :cas    [3 0]
/// INFO  jepsen.util - 1    :info    :cas    :timed-out
/// ```
///
/// Fields are parted by blanks. A comparison that says `:fail` did run and found another value; a read that says so has
/// no known answer, and a write that says so never happened. What ends with `:info`, or does not end, is of unknown
/// outcome. Events have no times but their line numbers. What the nemesis did, who causes the faults, is passed over.
public enum RegisterLog {
    private struct Call {
        let line: Int
        let input: RegisterModel.Input
    }

    /// The operations of a log.
    public static func operations(
        of text: Bytes
    ) throws(HistoryFormatError) -> [HistoryOperation<RegisterModel>] {
        var lines = HistoryLines(text)
        var open = OpenOperations<Call>()
        var operations: [HistoryOperation<RegisterModel>] = []
        while let line = lines.next() {
            let fields = line.split(whereSeparator: \.isBlank)
            if fields.isEmpty { continue }
            let number = lines.number
            guard fields.count >= 7, fields[0].equals("INFO"), fields[1].equals("jepsen.util"), fields[2].equals("-")
            else { throw HistoryFormatError(line: number, "not an event of a register log: \(line.quoted)") }
            if fields[3].equals(":nemesis") { continue }
            guard let process = fields[3].decimal else {
                throw HistoryFormatError(line: number, "not the number of a process: \(fields[3].quoted)")
            }
            let values = fields[6...]
            if fields[4].equals(":invoke") {
                let call = Call(line: number, input: try input(fields[5], values, number))
                guard open.open(call, of: process) else {
                    throw HistoryFormatError(line: number, "process \(process) has an open operation already")
                }
                continue
            }
            guard let call = open.close(process) else {
                throw HistoryFormatError(line: number, "process \(process) has no open operation")
            }
            let outcome = try outcome(of: call.input, fields[4], fields[5], values, number)
            if case .never = outcome { continue }
            operations.append(
                HistoryOperation(
                    client: process,
                    called: UInt64(call.line),
                    returned: outcome.isUnknown ? nil : UInt64(number),
                    input: call.input,
                    output: outcome.output
                )
            )
        }
        for (process, call) in open.remaining {
            operations.append(
                HistoryOperation(
                    client: process,
                    called: UInt64(call.line),
                    returned: nil,
                    input: call.input,
                    output: nil
                )
            )
        }
        return operations
    }

    private enum Outcome {
        case answered(RegisterModel.Output?)
        case never
        case unknown

        var output: RegisterModel.Output? { if case .answered(let output) = self { output } else { nil } }
        var isUnknown: Bool { if case .unknown = self { true } else { false } }
    }

    private static func input(
        _ verb: ArraySlice<UInt8>,
        _ values: ArraySlice<ArraySlice<UInt8>>,
        _ line: Int
    ) throws(HistoryFormatError) -> RegisterModel.Input {
        if verb.equals(":read") {
            guard values.count == 1, values.first?.equals("nil") == true else {
                throw HistoryFormatError(line: line, "a read is called with nil")
            }
            return .read
        }
        if verb.equals(":write") {
            guard values.count == 1, let value = try value(values[values.startIndex], line) else {
                throw HistoryFormatError(line: line, "a write is called with one number")
            }
            return .write(value)
        }
        if verb.equals(":cas") { return try comparison(values, line) }
        throw HistoryFormatError(line: line, "unknown operation: \(verb.quoted)")
    }

    /// What the end of an operation says about it, which has to fit its call.
    private static func outcome(
        of input: RegisterModel.Input,
        _ type: ArraySlice<UInt8>,
        _ verb: ArraySlice<UInt8>,
        _ values: ArraySlice<ArraySlice<UInt8>>,
        _ line: Int
    ) throws(HistoryFormatError) -> Outcome {
        let fits =
            switch input {
            case .read: verb.equals(":read")
            case .write: verb.equals(":write")
            case .compareAndSet: verb.equals(":cas")
            case .delete: false
            }
        guard fits else { throw HistoryFormatError(line: line, "the operation was called as another one") }
        let isOk = type.equals(":ok")
        guard isOk || type.equals(":fail") || type.equals(":info") else {
            throw HistoryFormatError(line: line, "unknown kind of event: \(type.quoted)")
        }
        if type.equals(":info") { return .unknown }
        switch input {
        case .read:
            guard isOk else { return .answered(nil) }
            guard values.count == 1 else { throw HistoryFormatError(line: line, "a read returns one value") }
            return .answered(.value(try value(values[values.startIndex], line)))
        case .write, .delete:
            guard isOk else { return .never }
            guard try self.input(verb, values, line) == input else {
                throw HistoryFormatError(line: line, "the write was called with another value")
            }
            return .answered(.done)
        case .compareAndSet:
            // A comparison that failed for another reason than its value, such as a refused connection, never ran.
            if !isOk, values.first?.first == UInt8(ascii: ":") { return .never }
            guard try comparison(values, line) == input else {
                throw HistoryFormatError(line: line, "the comparison was called with other values")
            }
            return .answered(.compared(isOk))
        }
    }

    /// A number, or nil for the word.
    private static func value(_ field: ArraySlice<UInt8>, _ line: Int) throws(HistoryFormatError) -> Bytes? {
        if field.equals("nil") { return nil }
        let digits = field.first == UInt8(ascii: "-") ? field.dropFirst() : field
        guard digits.decimal != nil else {
            throw HistoryFormatError(line: line, "not a value: \(field.quoted)")
        }
        return Bytes(Array(field))
    }

    /// Two values in brackets.
    private static func comparison(
        _ values: ArraySlice<ArraySlice<UInt8>>,
        _ line: Int
    ) throws(HistoryFormatError) -> RegisterModel.Input {
        let text = values.joined(separator: [0x20])
        let inner = Array(text)[...]
        guard inner.first == UInt8(ascii: "["), inner.last == UInt8(ascii: "]"), inner.count >= 2 else {
            throw HistoryFormatError(line: line, "a comparison names two values in brackets")
        }
        let pair = inner.dropFirst().dropLast().split(whereSeparator: \.isBlank)
        guard pair.count == 2, let new = try value(pair[1], line) else {
            throw HistoryFormatError(line: line, "a comparison names two values in brackets")
        }
        return .compareAndSet(expected: try value(pair[0], line), new: new)
    }
}
