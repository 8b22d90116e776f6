import BalsaPlatform

extension RecordedHistory {
    /// The first line of a file.
    static var header: StaticString { "balsa-history 1" }

    /// The history as text, as `Docs/HistoryFormat.md` describes it. Equal histories give equal text.
    public func encoded() -> Bytes {
        var text: [UInt8] = []
        RecordedHistory.header.withUTF8Buffer { text.append(contentsOf: $0) }
        text.append(UInt8(ascii: "\n"))
        for event in events {
            switch event {
            case .call(let place): encodeCall(place, into: &text)
            case .end(let place): encodeEnd(place, into: &text)
            }
            text.append(UInt8(ascii: "\n"))
        }
        return Bytes(text)
    }

    private func encodeCall(_ place: Int, into text: inout [UInt8]) {
        let operation = operations[place]
        text += "call \(operation.called) \(operation.client) \(place + 1) \(operation.input.verb) ".utf8
        RecordedHistory.encode(operation.key, into: &text)
        switch operation.input {
        case .read, .delete:
            break
        case .write(let value):
            text.append(UInt8(ascii: " "))
            RecordedHistory.encode(value, into: &text)
        case .compareAndSet(let expected, let new):
            text.append(UInt8(ascii: " "))
            RecordedHistory.encode(expected, into: &text)
            text.append(UInt8(ascii: " "))
            RecordedHistory.encode(new, into: &text)
        }
    }

    private func encodeEnd(_ place: Int, into text: inout [UInt8]) {
        let operation = operations[place]
        guard let ended = operation.ended, let outcome = operation.outcome else {
            preconditionFailure("an operation whose end was recorded has one")
        }
        text += "return \(ended) \(operation.client) \(place + 1) ".utf8
        switch outcome {
        case .failed:
            text += "failed".utf8
        case .unknown:
            text += "unknown".utf8
        case .answered(let output, let index):
            text += "ok".utf8
            switch output {
            case .done:
                break
            case .compared(let succeeded):
                text += succeeded ? " true".utf8 : " false".utf8
            case .value(let value):
                text.append(UInt8(ascii: " "))
                RecordedHistory.encode(value, into: &text)
            }
            if let index { text += " @\(index)".utf8 }
        }
    }

    /// Writes bytes in quotes, with `%` and two hexadecimal digits for all that is not a plain sign, or the word `nil`.
    private static func encode(_ bytes: Bytes?, into text: inout [UInt8]) {
        guard let bytes else {
            text += "nil".utf8
            return
        }
        text.append(UInt8(ascii: "\""))
        bytes.withUnsafeBytes { raw in
            for byte in raw {
                if isPlain(byte) {
                    text.append(byte)
                } else {
                    text.append(UInt8(ascii: "%"))
                    text.append(hexadecimalDigit(byte >> 4))
                    text.append(hexadecimalDigit(byte & 15))
                }
            }
        }
        text.append(UInt8(ascii: "\""))
    }

    private static func hexadecimalDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + (value - 10)
    }

    /// Whether a byte stands for itself: the signs of ASCII from `!` to `~` but the quote and the percent sign.
    static func isPlain(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte < 0x7f && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "%")
    }
}

extension RegisterModel.Input {
    /// The word for what is asked.
    fileprivate var verb: StaticString {
        switch self {
        case .read: "read"
        case .write: "write"
        case .compareAndSet: "compare-and-set"
        case .delete: "delete"
        }
    }
}
