import BalsaPlatform
import BalsaRaft
import BalsaWire

@testable import Balsa

/// A command of the register machine: write a value, under a name or without one.
struct RegisterCommand: Equatable {
    /// The name; of session 0 where there is none.
    var identity: CommandIdentity
    var key: Bytes
    var value: Bytes

    func encoded() throws -> Bytes {
        var writer = ByteWriter()
        try writer.uint64(identity.session, "session")
        try writer.uint64(identity.number, "number")
        try writer.part(key)
        try writer.part(value)
        return Bytes(writer.array)
    }

    init(identity: CommandIdentity?, key: Bytes, value: Bytes) {
        self.identity = identity ?? CommandIdentity(session: 0, number: 0)
        self.key = key
        self.value = value
    }

    init(decoding bytes: Bytes) throws(DecodingError) {
        self = try bytes.withReader { reader throws(DecodingError) in
            let identity = CommandIdentity(
                session: try reader.uint64("session"),
                number: try reader.uint64("number")
            )
            let key = try part(from: &reader)
            let value = try part(from: &reader)
            try reader.finish("command")
            return RegisterCommand(identity: identity, key: key, value: value)
        }
    }
}

/// What the register machine knows: registers by key, and which named commands it has applied at which index.
struct RegisterState: Equatable {
    struct Register: Equatable {
        var key: Bytes
        var value: Bytes
    }

    struct Applied: Equatable {
        var identity: CommandIdentity
        var index: LogIndex
    }

    var cluster = UniqueID.none
    var position = StatePosition.zero
    private(set) var registers: [Register] = []
    private(set) var applied: [Applied] = []

    /// The state that no command has changed.
    init() {}

    func value(of key: Bytes) -> Bytes? { registers.first { $0.key == key }?.value }

    /// Applies a command at an index, and returns the index at which it took effect: the same for a second copy.
    mutating func apply(_ command: RegisterCommand, at index: LogIndex) -> LogIndex {
        if command.identity.session != 0 {
            if let earlier = applied.first(where: { $0.identity == command.identity }) { return earlier.index }
            applied.append(Applied(identity: command.identity, index: index))
        }
        let place = registers.firstIndex { $0.key >= command.key } ?? registers.count
        let register = Register(key: command.key.compact(), value: command.value.compact())
        if place < registers.count, registers[place].key == command.key {
            registers[place] = register
        } else {
            registers.insert(register, at: place)
        }
        return index
    }

    /// The CRC32C of the state without its position: an entry that is no command does not change it.
    var digest: UInt64 {
        get throws {
            var state = self
            state.position = .zero
            return UInt64(Array(try state.encoded()).withUnsafeBytes { CRC32C.checksum($0) })
        }
    }

    /// The state as the bytes of a file, with a checksum at the end.
    func encoded() throws -> Bytes {
        var writer = ByteWriter()
        try writer.uniqueID(cluster, "cluster")
        try writer.uint64(position.position.term, "term")
        try writer.uint64(position.position.index, "index")
        try writer.uint64(position.stamp, "stamp")
        try writer.uint32(UInt32(registers.count), "registers")
        for register in registers {
            try writer.part(register.key)
            try writer.part(register.value)
        }
        try writer.uint32(UInt32(applied.count), "names")
        for one in applied {
            try writer.uint64(one.identity.session, "session")
            try writer.uint64(one.identity.number, "number")
            try writer.uint64(one.index, "index")
        }
        try writer.uint32(writer.checksum(of: 0..<writer.count), "checksum")
        return Bytes(writer.array)
    }

    init(decoding bytes: Bytes) throws(DecodingError) {
        guard bytes.count >= 52 else { throw DecodingError(.truncated, "state", at: bytes.count) }
        self = try bytes.withReader { reader throws(DecodingError) in
            let checksum = reader.checksum(of: 0..<bytes.count - 4)
            var state = RegisterState()
            state.cluster = try reader.uniqueID("cluster")
            state.position.position.term = try reader.uint64("term")
            state.position.position.index = try reader.uint64("index")
            state.position.stamp = try reader.uint64("stamp")
            for _ in 0..<(try reader.uint32("registers")) {
                state.registers.append(Register(key: try part(from: &reader), value: try part(from: &reader)))
            }
            for _ in 0..<(try reader.uint32("names")) {
                let identity = CommandIdentity(
                    session: try reader.uint64("session"),
                    number: try reader.uint64("number")
                )
                state.applied.append(Applied(identity: identity, index: try reader.uint64("index")))
            }
            guard try reader.uint32("checksum") == checksum else {
                throw DecodingError(.checksum, "checksum", at: bytes.count - 4)
            }
            try reader.finish("state")
            return state
        }
    }
}

extension ByteWriter {
    fileprivate mutating func part(_ bytes: Bytes) throws {
        try uint32(UInt32(bytes.count), "length")
        try self.bytes(bytes, "part")
    }
}

/// Bytes behind their length.
private func part(from reader: inout ByteReader) throws(DecodingError) -> Bytes {
    try reader.bytes(Int(try reader.uint32("length")), "part")
}
