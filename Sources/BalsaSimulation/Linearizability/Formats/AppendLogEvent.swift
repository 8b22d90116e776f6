import BalsaPlatform

/// One line of an ``AppendLog``: a map of keywords to a number, keywords, a string, and a string or nil.
struct AppendLogEvent {
    /// Who acts.
    let process: UInt64
    /// A keyword: what happens to the operation.
    let type: ArraySlice<UInt8>
    /// A keyword: which operation it is.
    let verb: ArraySlice<UInt8>
    /// What the operation is about.
    let key: Bytes
    /// What is written or was read.
    let value: Bytes?

    /// Reads a line.
    init(_ line: ArraySlice<UInt8>, number: Int) throws(HistoryFormatError) {
        var reader = MapReader(rest: line, line: number)
        try reader.skip(UInt8(ascii: "{"))
        var process: UInt64?
        var type: ArraySlice<UInt8>?
        var verb: ArraySlice<UInt8>?
        var key: Bytes?
        var value: Bytes??
        while !reader.isAt(UInt8(ascii: "}")) {
            let name = reader.word()
            if name.equals(":process"), process == nil {
                process = reader.word().decimal
                guard process != nil else { throw HistoryFormatError(line: number, "a process is a number") }
            } else if name.equals(":type"), type == nil {
                type = reader.word()
            } else if name.equals(":f"), verb == nil {
                verb = reader.word()
            } else if name.equals(":key"), key == nil {
                key = try reader.string()
            } else if name.equals(":value"), value == nil {
                value = .some(try reader.stringOrNil())
            } else {
                throw HistoryFormatError(line: number, "not the name of a part, or named twice: \(name.quoted)")
            }
        }
        try reader.skip(UInt8(ascii: "}"))
        try reader.finish()
        guard let process, let type, let verb, let key, let value else {
            throw HistoryFormatError(line: number, "an event has :process, :type, :f, :key and :value")
        }
        self.process = process
        self.type = type
        self.verb = verb
        self.key = key
        self.value = value
    }
}

/// A cursor over the few forms of extensible data notation that occur in these logs.
private struct MapReader {
    var rest: ArraySlice<UInt8>
    let line: Int

    /// Moves past blanks and says whether `byte` follows.
    mutating func isAt(_ byte: UInt8) -> Bool {
        rest = rest.drop { $0.isBlank || $0 == UInt8(ascii: ",") }
        return rest.first == byte
    }

    /// Moves past a byte that has to follow.
    mutating func skip(_ byte: UInt8) throws(HistoryFormatError) {
        guard isAt(byte) else { throw HistoryFormatError(line: line, "not a map in braces") }
        rest = rest.dropFirst()
    }

    /// Throws unless nothing follows.
    mutating func finish() throws(HistoryFormatError) {
        rest = rest.drop(while: \.isBlank)
        guard rest.isEmpty else { throw HistoryFormatError(line: line, "more text behind the map: \(rest.quoted)") }
    }

    /// The next run of bytes that are neither blank nor punctuation, which may be empty.
    mutating func word() -> ArraySlice<UInt8> {
        rest = rest.drop { $0.isBlank || $0 == UInt8(ascii: ",") }
        let word = rest.prefix { !$0.isBlank && !MapReader.punctuation.contains($0) }
        rest = rest[word.endIndex...]
        return word
    }

    private static let punctuation = [UInt8]("{},\"".utf8)

    /// The next string, or nil for the word.
    mutating func stringOrNil() throws(HistoryFormatError) -> Bytes? {
        guard !isAt(UInt8(ascii: "\"")) else { return try string() }
        guard word().equals("nil") else { throw HistoryFormatError(line: line, "a value is a string or nil") }
        return nil
    }

    /// The next string.
    mutating func string() throws(HistoryFormatError) -> Bytes {
        guard isAt(UInt8(ascii: "\"")) else { throw HistoryFormatError(line: line, "a string is missing") }
        rest = rest.dropFirst()
        var result: [UInt8] = []
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\"") { return Bytes(result) }
            guard byte == UInt8(ascii: "\\") else {
                result.append(byte)
                continue
            }
            switch rest.popFirst() {
            case UInt8(ascii: "\""): result.append(UInt8(ascii: "\""))
            case UInt8(ascii: "\\"): result.append(UInt8(ascii: "\\"))
            case UInt8(ascii: "n"): result.append(0x0a)
            case UInt8(ascii: "r"): result.append(0x0d)
            case UInt8(ascii: "t"): result.append(0x09)
            default: throw HistoryFormatError(line: line, "unknown escape in a string")
            }
        }
        throw HistoryFormatError(line: line, "a string does not end")
    }
}
