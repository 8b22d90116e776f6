import BalsaPlatform

extension Command {
    /// The command as an entry's payload.
    ///
    /// - Precondition: key and values have passed ``ReplicatedOptions/refusal(of:)``; what has 4 GiB cannot be encoded.
    public func encoded() -> Bytes {
        let slab = Slab.filled(capacity: encodedByteCount) { buffer in
            var writer = CommandWriter(buffer: buffer)
            write(into: &writer)
            return writer.offset
        }
        return Bytes(slab: slab, offset: 0, count: slab.count)
    }

    /// Reads a command back. Its keys and values share the storage of `payload`.
    ///
    /// - Throws: ``CommandError`` where `payload` is none, or one of a newer release.
    public init(decoding payload: Bytes) throws(CommandError) {
        let layout = try payload.withUnsafeBytes { raw throws(CommandError) in try CommandLayout(of: raw) }
        identity = layout.identity
        lowestOutstanding = layout.lowestOutstanding
        operation = Command.operation(layout, in: payload)
    }

    /// Who sent the encoded command, without decoding the rest of it; nil where the bytes are too short for a command or
    /// of another version.
    public static func identity(ofEncoded payload: Bytes) -> RequestIdentity? {
        payload.withUnsafeBytes { CommandLayout.identity(of: $0) }
    }

    /// The feature level that an encoded command needs, by its kind; 0 for bytes that are none.
    package static func featureLevel(ofEncoded payload: Bytes) -> UInt32 {
        payload.withUnsafeBytes { raw in
            raw.count > 1 ? CommandKind(rawValue: raw[1])?.featureLevel ?? 0 : 0
        }
    }

    private static func operation(_ layout: CommandLayout, in payload: Bytes) -> Operation {
        let key = payload.slice(layout.key)
        let value = payload.slice(layout.value)
        switch layout.kind {
        case .openSession: return .openSession
        case .closeSession: return .closeSession
        case .put: return .put(key: key, value: value)
        case .delete: return .delete(key: key)
        case .deleteRange: return .deleteRange(from: key, to: value.isEmpty ? nil : value)
        case .append: return .append(key: key, bytes: value)
        case .add: return .add(key: key, amount: layout.amount)
        case .changeOptions:
            guard let options = payload.withUnsafeBytes({ ReplicatedOptions(layout.value, of: $0) }) else {
                preconditionFailure("the layout has read the options")
            }
            return .changeOptions(options, expecting: layout.expectedRevision)
        case .compareAndSet:
            let condition: Condition =
                switch layout.condition {
                case .absent: .absent
                case .revision: .revision(layout.expectedRevision)
                case .value: .value(payload.slice(layout.expectedValue))
                }
            let change: Change = layout.change == .put ? .put(value) : .delete
            return .compareAndSet(key: key, condition: condition, then: change)
        }
    }

    private var encodedByteCount: Int {
        let lengthByteCount = 4
        var count = CommandLayout.headerByteCount
        switch operation {
        case .openSession, .closeSession: break
        case .put(let key, let value), .append(let key, let value):
            count += lengthByteCount + key.count + lengthByteCount + value.count
        case .delete(let key): count += lengthByteCount + key.count
        case .deleteRange(let from, let to): count += lengthByteCount + from.count + lengthByteCount + (to?.count ?? 0)
        case .add(let key, _): count += lengthByteCount + key.count + 8
        case .changeOptions: count += 8 + ReplicatedOptions.encodedByteCount
        case .compareAndSet(let key, let condition, let change):
            count += lengthByteCount + key.count + 2
            switch condition {
            case .absent: break
            case .revision: count += 8
            case .value(let value): count += lengthByteCount + value.count
            }
            if case .put(let value) = change { count += lengthByteCount + value.count }
        }
        return count
    }

    private func write(into writer: inout CommandWriter) {
        switch operation {
        case .openSession:
            writer.header(.openSession, of: self)
        case .closeSession:
            writer.header(.closeSession, of: self)
        case .put(let key, let value):
            writer.header(.put, of: self)
            writer.part(key)
            writer.part(value)
        case .delete(let key):
            writer.header(.delete, of: self)
            writer.part(key)
        case .deleteRange(let from, let to):
            writer.header(.deleteRange, of: self)
            writer.part(from)
            writer.part(to ?? Bytes())
        case .compareAndSet(let key, let condition, let change):
            writer.header(.compareAndSet, of: self)
            writer.part(key)
            writer.condition(condition)
            writer.change(change)
        case .append(let key, let bytes):
            writer.header(.append, of: self)
            writer.part(key)
            writer.part(bytes)
        case .add(let key, let amount):
            writer.header(.add, of: self)
            writer.part(key)
            writer.number(UInt64(bitPattern: amount))
        case .changeOptions(let options, let revision):
            writer.header(.changeOptions, of: self)
            writer.number(revision)
            writer.bytes(options.encoded)
        }
    }
}

/// Fills a buffer of the right size front to back. The buffer checks its bounds.
private struct CommandWriter {
    let buffer: UnsafeMutableRawBufferPointer
    var offset = 0

    mutating func number<Number: FixedWidthInteger & BitwiseCopyable>(_ value: Number) {
        buffer.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Number.self)
        offset += MemoryLayout<Number>.size
    }

    mutating func part(_ bytes: Bytes) {
        precondition(bytes.count <= Int(UInt32.max), "a command is held against its limits before it is encoded")
        number(UInt32(bytes.count))
        self.bytes(bytes)
    }

    mutating func bytes(_ bytes: Bytes) {
        bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: buffer[offset...]).copyMemory(from: $0) }
        offset += bytes.count
    }

    mutating func header(_ kind: CommandKind, of command: Command) {
        number(CommandLayout.version)
        number(kind.rawValue)
        number(command.identity.session.rawValue)
        number(command.identity.number)
        number(command.lowestOutstanding)
    }

    mutating func condition(_ condition: Command.Condition) {
        switch condition {
        case .absent:
            number(ConditionKind.absent.rawValue)
        case .revision(let revision):
            number(ConditionKind.revision.rawValue)
            number(revision)
        case .value(let value):
            number(ConditionKind.value.rawValue)
            part(value)
        }
    }

    mutating func change(_ change: Command.Change) {
        switch change {
        case .put(let value):
            number(ChangeKind.put.rawValue)
            part(value)
        case .delete:
            number(ChangeKind.delete.rawValue)
        }
    }
}
