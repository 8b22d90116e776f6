import Balsa
import BalsaPlatform
import BalsaRaft
import BalsaWire

/// A small state machine for simulations: registers by key, with read, write, compare-and-set and delete.
///
/// It behaves as one ``RegisterModel`` a key, and uses that very model to apply, so that what the members do and what the
/// judges expect can differ only by what happens in between.
public final class RegisterMachine: StateMachine {
    private struct Register {
        var key: Bytes
        var value: Bytes
    }

    private let model = RegisterModel()
    /// The registers that hold a value, by key.
    private var registers: [Register] = []

    /// Changes with every change of a register by what it adds and takes away, so that it depends on the state alone and
    /// not on the way there.
    public private(set) var digest: UInt64 = 0

    /// A machine whose registers hold nothing.
    public init() {}

    /// Applies committed entries; see ``StateMachine``.
    public func apply(_ entries: EntryBatch, reply: (LogIndex, Bytes) -> Void) throws(StateMachineError) {
        for index in entries.firstIndex...entries.lastIndex {
            switch entries.header(at: index).kind {
            case .noOp:
                break
            case .command:
                reply(index, RegisterAnswer.encode(try apply(entries.payload(at: index))))
            default:
                throw StateMachineError("entry \(index) is of a kind that this release does not know")
            }
        }
    }

    private func apply(_ payload: Bytes) throws(StateMachineError) -> RegisterModel.Output {
        do {
            let command = try RegisterCommand(decoding: payload)
            let output = answer(to: command.input, state: value(of: command.key))
            if let state = model.step(value(of: command.key), command.input, output) { set(command.key, to: state) }
            return output
        } catch {
            throw StateMachineError("a command cannot be decoded: \(error)")
        }
    }

    private func answer(to input: RegisterModel.Input, state: Bytes?) -> RegisterModel.Output {
        switch input {
        case .read: .value(state)
        case .write, .delete: .done
        case .compareAndSet(let expected, _): .compared(expected == state)
        }
    }

    /// The value of the register whose key is `query`, encoded.
    public func answer(_ query: Bytes) throws(StateMachineError) -> Bytes {
        RegisterAnswer.encode(.value(value(of: query)))
    }

    /// The value of a register; nil where it holds none.
    public func value(of key: Bytes) -> Bytes? {
        let place = place(of: key)
        return place < registers.count && registers[place].key == key ? registers[place].value : nil
    }

    private func place(of key: Bytes) -> Int {
        registers.firstIndex { $0.key >= key } ?? registers.count
    }

    private func set(_ key: Bytes, to value: Bytes?) {
        let place = place(of: key)
        let exists = place < registers.count && registers[place].key == key
        if exists { digest &-= RegisterMachine.digest(of: registers[place]) }
        switch (exists, value) {
        case (true, let value?): registers[place].value = value.compact()
        case (true, nil): registers.remove(at: place)
        case (false, let value?): registers.insert(Register(key: key.compact(), value: value.compact()), at: place)
        case (false, nil): break
        }
        if value != nil { digest &+= RegisterMachine.digest(of: registers[place]) }
    }

    private static func digest(of register: Register) -> UInt64 {
        var digest = ByteDigest()
        register.key.withUnsafeBytes { digest.add($0) }
        register.value.withUnsafeBytes { digest.add($0) }
        return digest.value
    }

    /// All registers that hold a value, by key.
    public func checkpoint() -> Bytes {
        var writer = ByteWriter()
        do {
            try writer.uint32(UInt32(registers.count), "registers")
            for register in registers {
                for part in [register.key, register.value] {
                    try writer.uint32(UInt32(part.count), "length")
                    try writer.bytes(part, "part")
                }
            }
        } catch {
            preconditionFailure("a writer without a limit takes everything")
        }
        return Bytes(writer.array)
    }

    /// Puts the registers of a checkpoint in the place of those that there are.
    public func restore(_ checkpoint: Bytes) throws(StateMachineError) {
        registers = []
        digest = 0
        do {
            try checkpoint.withReader { reader throws(DecodingError) in
                var count = try reader.uint32("registers")
                while count > 0 {
                    let key = try reader.bytes(Int(try reader.uint32("length")), "key")
                    let value = try reader.bytes(Int(try reader.uint32("length")), "value")
                    set(key, to: value)
                    count -= 1
                }
                try reader.finish("checkpoint")
            }
        } catch {
            throw StateMachineError("a checkpoint cannot be decoded: \(error)")
        }
    }
}
