import BalsaPlatform

/// What a client of the register machine wants changed, with a number that tells it from every other command of a run.
public struct RegisterCommand: Equatable, Sendable {
    /// Which operation of the run it is.
    public var operation: UInt64
    /// The register.
    public var key: Bytes
    /// The change: a write, a comparison or a deletion.
    public var input: RegisterModel.Input

    /// A command.
    ///
    /// - Precondition: it is not a read, which is no command.
    public init(operation: UInt64, key: Bytes, input: RegisterModel.Input) {
        precondition(input != .read, "a read is a query")
        self.operation = operation
        self.key = key
        self.input = input
    }

    private static let write: UInt8 = 1
    private static let compareAndSet: UInt8 = 2
    private static let compareAbsenceAndSet: UInt8 = 3
    private static let delete: UInt8 = 4

    /// The command as the log carries it: a byte for the kind, the operation's number, then key and values, each behind
    /// its length in four bytes.
    public func encoded() -> Bytes {
        var writer = ByteWriter()
        do {
            switch input {
            case .write(let value):
                try encode(RegisterCommand.write, [key, value], into: &writer)
            case .compareAndSet(let expected?, let new):
                try encode(RegisterCommand.compareAndSet, [key, expected, new], into: &writer)
            case .compareAndSet(nil, let new):
                try encode(RegisterCommand.compareAbsenceAndSet, [key, new], into: &writer)
            case .delete, .read:
                try encode(RegisterCommand.delete, [key], into: &writer)
            }
        } catch {
            preconditionFailure("a writer without a limit takes everything")
        }
        return Bytes(writer.array)
    }

    private func encode(_ kind: UInt8, _ parts: [Bytes], into writer: inout ByteWriter) throws(DecodingError) {
        try writer.uint8(kind, "kind")
        try writer.uint64(operation, "operation")
        for part in parts {
            try writer.uint32(UInt32(part.count), "length")
            try writer.bytes(part, "part")
        }
    }

    /// Reads a command back.
    public init(decoding bytes: Bytes) throws(DecodingError) {
        self = try bytes.withReader { reader throws(DecodingError) in try RegisterCommand(from: &reader) }
    }

    private init(from reader: inout ByteReader) throws(DecodingError) {
        let kind = try reader.uint8("kind")
        operation = try reader.uint64("operation")
        key = try RegisterCommand.part(from: &reader)
        switch kind {
        case RegisterCommand.write:
            input = .write(try RegisterCommand.part(from: &reader))
        case RegisterCommand.compareAndSet:
            let expected = try RegisterCommand.part(from: &reader)
            input = .compareAndSet(expected: expected, new: try RegisterCommand.part(from: &reader))
        case RegisterCommand.compareAbsenceAndSet:
            input = .compareAndSet(expected: nil, new: try RegisterCommand.part(from: &reader))
        case RegisterCommand.delete:
            input = .delete
        default:
            throw DecodingError(.outOfBounds, "kind", at: 0)
        }
        try reader.finish("command")
    }

    private static func part(from reader: inout ByteReader) throws(DecodingError) -> Bytes {
        let count = try reader.uint32("length")
        return try reader.bytes(Int(count), "part")
    }
}

/// How the register machine answers: one byte, and the value where there is one.
enum RegisterAnswer {
    private static let absent: UInt8 = 0
    private static let value: UInt8 = 1
    private static let done: UInt8 = 2
    private static let unequal: UInt8 = 3
    private static let equal: UInt8 = 4

    static func encode(_ output: RegisterModel.Output) -> Bytes {
        switch output {
        case .value(nil): return [absent]
        case .value(let bytes?): return Bytes([value] + [UInt8](bytes))
        case .done: return [done]
        case .compared(let succeeded): return succeeded ? [equal] : [unequal]
        }
    }

    static func decode(_ bytes: Bytes) throws(DecodingError) -> RegisterModel.Output {
        guard let kind = bytes.isEmpty ? nil : bytes[0] else { throw DecodingError(.truncated, "answer", at: 0) }
        switch kind {
        case absent: return .value(nil)
        case value: return .value(bytes.slice(1..<bytes.count))
        case done: return .done
        case unequal: return .compared(false)
        case equal: return .compared(true)
        default: throw DecodingError(.outOfBounds, "answer", at: 0)
        }
    }
}
