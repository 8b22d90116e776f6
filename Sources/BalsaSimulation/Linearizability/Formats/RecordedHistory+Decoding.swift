import BalsaPlatform

extension RecordedHistory {
    /// Reads a history from text, as `Docs/HistoryFormat.md` describes it.
    ///
    /// - Throws: ``HistoryFormatError`` with the first line that does not follow the format.
    public init(decoding text: Bytes) throws(HistoryFormatError) {
        self.init()
        var lines = HistoryLines(text)
        guard let header = lines.next(), header.equals(RecordedHistory.header) else {
            throw HistoryFormatError(line: 1, "the first line of a history is \"\(RecordedHistory.header)\"")
        }
        while let line = lines.next() {
            if line.isEmpty || line.first == UInt8(ascii: "#") { continue }
            var fields = HistoryFields(line, number: lines.number)
            let kind = try fields.word("the kind of line")
            if kind.equals("call") {
                try decodeCall(&fields)
            } else if kind.equals("return") {
                try decodeEnd(&fields)
            } else {
                throw HistoryFormatError(line: lines.number, "neither a call nor a return: \(kind.quoted)")
            }
            try fields.finish()
        }
        // A file that was cut inside a line must not be taken for one in which a number or a name is shorter.
        guard lines.isEnded else { throw HistoryFormatError(line: lines.number, "the last line does not end") }
    }

    private mutating func decodeCall(_ fields: inout HistoryFields) throws(HistoryFormatError) {
        let time = try decodeTime(&fields)
        let client = try fields.number("a client")
        guard try fields.number("an operation") == UInt64(operations.count + 1) else {
            throw HistoryFormatError(
                line: fields.line,
                "operations are numbered from 1 in the order of their calls; this is number \(operations.count + 1)"
            )
        }
        let verb = try fields.word("what is asked")
        let key = try fields.bytes("a key")
        let input: RegisterModel.Input
        if verb.equals("read") {
            input = .read
        } else if verb.equals("write") {
            input = .write(try fields.bytes("a value"))
        } else if verb.equals("compare-and-set") {
            let expected = try fields.bytesOrNil("an expected value")
            input = .compareAndSet(expected: expected, new: try fields.bytesOrNil("a new value"))
        } else if verb.equals("delete") {
            input = .delete
        } else {
            throw HistoryFormatError(line: fields.line, "unknown operation: \(verb.quoted)")
        }
        _ = call(input, key: key, client: client, at: time)
    }

    private mutating func decodeEnd(_ fields: inout HistoryFields) throws(HistoryFormatError) {
        let time = try decodeTime(&fields)
        let client = try fields.number("a client")
        let number = try fields.number("an operation")
        guard number >= 1, number <= UInt64(operations.count) else {
            throw HistoryFormatError(line: fields.line, "operation \(number) was not called")
        }
        let operation = operations[Int(number) - 1]
        guard operation.client == client else {
            throw HistoryFormatError(line: fields.line, "operation \(number) is one of client \(operation.client)")
        }
        guard operation.outcome == nil else {
            throw HistoryFormatError(line: fields.line, "operation \(number) has returned already")
        }
        let word = try fields.word("an outcome")
        let outcome: Outcome
        if word.equals("ok") {
            let output: RegisterModel.Output
            switch operation.input {
            case .read: output = .value(try fields.bytesOrNil("the value read"))
            case .write, .delete: output = .done
            case .compareAndSet: output = .compared(try fields.boolean("whether the value was the expected one"))
            }
            outcome = .answered(output, index: try fields.index())
        } else if word.equals("failed") {
            outcome = .failed
        } else if word.equals("unknown") {
            outcome = .unknown
        } else {
            throw HistoryFormatError(line: fields.line, "unknown outcome: \(word.quoted)")
        }
        self.return(number, outcome, at: time)
    }

    /// A time, which must not be before that of the line above.
    private func decodeTime(_ fields: inout HistoryFields) throws(HistoryFormatError) -> UInt64 {
        let time = try fields.number("a time")
        guard time >= lastTime else { throw HistoryFormatError(line: fields.line, "time goes back") }
        return time
    }
}

/// A cursor over the fields of a line, which one space parts.
private struct HistoryFields {
    private var rest: ArraySlice<UInt8>?
    /// The number of the line.
    let line: Int

    /// The fields of a line.
    init(_ line: ArraySlice<UInt8>, number: Int) {
        rest = line
        self.line = number
    }

    /// The next field.
    mutating func word(_ what: StaticString) throws(HistoryFormatError) -> ArraySlice<UInt8> {
        guard let text = rest else { throw HistoryFormatError(line: line, "\(what) is missing") }
        let word = text.prefix { $0 != UInt8(ascii: " ") }
        rest = word.endIndex == text.endIndex ? nil : text[(word.endIndex + 1)...]
        guard !word.isEmpty else { throw HistoryFormatError(line: line, "\(what) is missing") }
        return word
    }

    /// The next field, a number in decimal digits.
    mutating func number(_ what: StaticString) throws(HistoryFormatError) -> UInt64 {
        let word = try word(what)
        guard let number = word.decimal else {
            throw HistoryFormatError(line: line, "\(what) is a number of 64 bits, not \(word.quoted)")
        }
        return number
    }

    /// The next field, `true` or `false`.
    mutating func boolean(_ what: StaticString) throws(HistoryFormatError) -> Bool {
        let word = try word(what)
        if word.equals("true") { return true }
        if word.equals("false") { return false }
        throw HistoryFormatError(line: line, "\(what) is true or false, not \(word.quoted)")
    }

    /// The next field if there is one, a log index behind the sign `@`.
    mutating func index() throws(HistoryFormatError) -> UInt64? {
        guard rest != nil else { return nil }
        let word = try word("an index")
        guard word.first == UInt8(ascii: "@"), let index = word.dropFirst().decimal else {
            throw HistoryFormatError(line: line, "an index is a number behind @, not \(word.quoted)")
        }
        return index
    }

    /// The next field, bytes in quotes.
    mutating func bytes(_ what: StaticString) throws(HistoryFormatError) -> Bytes {
        guard let bytes = try bytesOrNil(what) else {
            throw HistoryFormatError(line: line, "\(what) cannot be nil")
        }
        return bytes
    }

    /// The next field, bytes in quotes or the word `nil`.
    mutating func bytesOrNil(_ what: StaticString) throws(HistoryFormatError) -> Bytes? {
        let word = try word(what)
        if word.equals("nil") { return nil }
        guard word.count >= 2, word.first == UInt8(ascii: "\""), word.last == UInt8(ascii: "\"") else {
            throw HistoryFormatError(line: line, "\(what) stands in quotes: \(word.quoted)")
        }
        var inner = word.dropFirst().dropLast()
        var result: [UInt8] = []
        result.reserveCapacity(inner.count)
        while let byte = inner.popFirst() {
            if RecordedHistory.isPlain(byte) {
                result.append(byte)
            } else if byte == UInt8(ascii: "%"), let high = hexadecimal(inner.popFirst()),
                let low = hexadecimal(inner.popFirst())
            {
                result.append(high << 4 | low)
            } else {
                throw HistoryFormatError(line: line, "\(what) is not percent-encoded: \(word.quoted)")
            }
        }
        return Bytes(result)
    }

    /// Throws unless every field was read.
    func finish() throws(HistoryFormatError) {
        if let rest { throw HistoryFormatError(line: line, "more text than belongs here: \(rest.quoted)") }
    }

    private func hexadecimal(_ digit: UInt8?) -> UInt8? {
        switch digit {
        case .some(let digit) where digit >= UInt8(ascii: "0") && digit <= UInt8(ascii: "9"):
            digit - UInt8(ascii: "0")
        case .some(let digit) where digit >= UInt8(ascii: "A") && digit <= UInt8(ascii: "F"):
            digit - UInt8(ascii: "A") + 10
        case .some(let digit) where digit >= UInt8(ascii: "a") && digit <= UInt8(ascii: "f"):
            digit - UInt8(ascii: "a") + 10
        default:
            nil
        }
    }
}
