import BalsaLSM
import BalsaPlatform

extension KeyValueMachine {
    /// The layout of the command that `raw` is.
    static func layout(of raw: UnsafeRawBufferPointer, at index: UInt64) throws(KeyValueError) -> CommandLayout {
        do throws(CommandError) { return try CommandLayout(of: raw) } catch { throw KeyValueError(error, at: index) }
    }

    /// What a command has to know of its key.
    enum Prior {
        /// Nothing.
        case none
        /// The revision of the value, and whether the value is the expected one; nil without a value.
        case compared((revision: UInt64, isEqual: Bool)?)
        /// Whether the value has space for what is appended, which ``scratch`` then holds behind it; nil without a
        /// value.
        case appended(Bool?)
        /// The counter; nil without a value. The inner one is nil where the value is no counter.
        case counted(Int64??)
    }

    /// Reads what a command has to know of its key. Nothing is changed.
    func prior(to command: CommandLayout, _ raw: UnsafeRawBufferPointer) throws(KeyValueError) -> Prior {
        let key = UnsafeRawBufferPointer(rebasing: raw[command.key])
        switch command.kind {
        case .compareAndSet:
            let expected = UnsafeRawBufferPointer(rebasing: raw[command.expectedValue])
            return .compared(
                try read(key) { value, revision in
                    (revision, command.condition == .value && value.elementsEqual(expected))
                }
            )
        case .append:
            let bytes = UnsafeRawBufferPointer(rebasing: raw[command.value])
            let limit = limits.maxValueBytes
            return .appended(
                try read(key) { value, _ in
                    guard value.count <= limit - bytes.count else { return false }
                    scratch.removeAll(keepingCapacity: true)
                    scratch.append(contentsOf: value)
                    scratch.append(contentsOf: bytes)
                    return true
                }
            )
        case .add:
            return .counted(
                try read(key) { value, _ -> Int64? in
                    guard value.count == MemoryLayout<Int64>.size else { return nil }
                    return Int64(littleEndian: value.loadUnaligned(as: Int64.self))
                }
            )
        case .put, .delete, .deleteRange, .changeOptions, .openSession, .closeSession:
            return .none
        }
    }

    /// Whether a command reads a key that is known to lie in a part of a table that cannot be read, unless something
    /// newer in memory says all of it.
    public func needsQuarantinedKey(_ command: Bytes) -> Bool {
        guard isDamaged else { return false }
        return command.withUnsafeBytes { raw in
            guard let layout = try? CommandLayout(of: raw) else { return false }
            switch layout.kind {
            case .compareAndSet, .append, .add: break
            case .put, .delete, .deleteRange, .changeOptions, .openSession, .closeSession: return false
            }
            let key = EngineKey.user(UnsafeRawBufferPointer(rebasing: raw[layout.key]))
            guard quarantines(after: 0).contains(where: { $0.smallest <= key && key <= $0.largest }) else {
                return false
            }
            do throws(EngineError) {
                _ = try engine.get(key, waiting: .forbidden)
                return false
            } catch {
                // Without waiting it is not known what the disk would say.
                return error.quarantine != nil || error.code == .wouldWait
            }
        }
    }

    /// Executes a command as the entry `index`, unless its session says that it is not to be.
    func execute(
        _ command: CommandLayout,
        _ raw: UnsafeRawBufferPointer,
        _ prior: Prior,
        at index: UInt64
    ) throws(KeyValueError) -> CommandReply {
        switch command.kind {
        case .openSession:
            state.sessions.open(index: index, stamp: state.position.stamp)
            return CommandReply(.sessionOpened, revision: index, number: Int64(state.sessions.window))
        case .closeSession:
            let wasOpen = state.sessions.close(command.identity.session)
            return CommandReply(wasOpen ? .applied : .sessionExpired, revision: index)
        default:
            guard command.identity.session != .none else { return try perform(command, raw, prior, at: index) }
            return try performOnce(command, raw, prior, at: index)
        }
    }

    private func performOnce(
        _ command: CommandLayout,
        _ raw: UnsafeRawBufferPointer,
        _ prior: Prior,
        at index: UInt64
    ) throws(KeyValueError) -> CommandReply {
        let admission = state.sessions.admit(
            command.identity,
            lowest: command.lowestOutstanding,
            index: index,
            stamp: state.position.stamp
        )
        switch admission {
        case .refused(let outcome):
            return CommandReply(outcome, revision: index)
        case .repeated(let reply) where !options.plantedBugs.contains(.deduplicationOff):
            return reply
        case .execute, .repeated:
            let reply = try perform(command, raw, prior, at: index)
            state.sessions.store(reply, to: command.identity)
            return reply
        }
    }

    /// Does what a command says, with the reply. A refused command changes nothing.
    private func perform(
        _ command: CommandLayout,
        _ raw: UnsafeRawBufferPointer,
        _ prior: Prior,
        at index: UInt64
    ) throws(KeyValueError) -> CommandReply {
        if let refusal = limits.refusal(of: command, in: raw) { return CommandReply(refusal, revision: index) }
        let key = UnsafeRawBufferPointer(rebasing: raw[command.key])
        let value = UnsafeRawBufferPointer(rebasing: raw[command.value])
        switch command.kind {
        case .put: try put(key, value, at: index)
        case .delete: try delete(key, at: index)
        case .deleteRange: try deleteRange(from: key, to: value, at: index)
        case .compareAndSet: return try compareAndSet(command, raw, prior, at: index)
        case .append: return try append(value, to: key, prior, at: index)
        case .add: return try add(command.amount, to: key, prior, at: index)
        case .changeOptions: return changeOptions(command, raw, at: index)
        case .openSession, .closeSession: preconditionFailure("sessions are opened and closed before")
        }
        return CommandReply(.applied, revision: index)
    }

    /// The options by which the present entry is decided.
    private var limits: ReplicatedOptions {
        var limits = state.options
        if options.plantedBugs.contains(.localLimits), let local = options.plantedMaxValueBytes {
            limits.maxValueBytes = local
        }
        return limits
    }

    /// Replaces the options. Bounds were looked at before.
    private func changeOptions(_ command: CommandLayout, _ raw: UnsafeRawBufferPointer, at index: UInt64)
        -> CommandReply
    {
        guard command.expectedRevision == state.optionsRevision else {
            return CommandReply(.conditionFailed, revision: index, number: Int64(clamping: state.optionsRevision))
        }
        guard let changed = ReplicatedOptions(command.value, of: raw) else {
            preconditionFailure("the layout has read the options")
        }
        state.change(changed)
        return CommandReply(.applied, revision: index)
    }

    private func compareAndSet(
        _ command: CommandLayout,
        _ raw: UnsafeRawBufferPointer,
        _ prior: Prior,
        at index: UInt64
    ) throws(KeyValueError) -> CommandReply {
        let key = UnsafeRawBufferPointer(rebasing: raw[command.key])
        guard case .compared(let found) = prior else { preconditionFailure("the value was read before") }
        let holds =
            switch command.condition {
            case .absent: found == nil
            case .revision: (found?.revision ?? 0) == command.expectedRevision
            case .value: found?.isEqual ?? false
            }
        guard holds else {
            return CommandReply(.conditionFailed, revision: index, number: Int64(clamping: found?.revision ?? 0))
        }
        switch command.change {
        case .put: try put(key, UnsafeRawBufferPointer(rebasing: raw[command.value]), at: index)
        case .delete: try delete(key, at: index)
        }
        return CommandReply(.applied, revision: index)
    }

    private func append(
        _ bytes: UnsafeRawBufferPointer,
        to key: UnsafeRawBufferPointer,
        _ prior: Prior,
        at index: UInt64
    ) throws(KeyValueError) -> CommandReply {
        guard case .appended(let fits) = prior else { preconditionFailure("the value was read before") }
        switch fits {
        case nil: try put(key, bytes, at: index)
        case true?:
            scratch.withUnsafeBytes { stage(key, $0, at: index) }
            try write(at: index)
        case false?: return CommandReply(.valueTooLarge, revision: index)
        }
        return CommandReply(.applied, revision: index)
    }

    private func add(
        _ amount: Int64,
        to key: UnsafeRawBufferPointer,
        _ prior: Prior,
        at index: UInt64
    ) throws(KeyValueError) -> CommandReply {
        guard case .counted(let found) = prior else { preconditionFailure("the value was read before") }
        guard let counter = found ?? .some(0) else { return CommandReply(.notACounter, revision: index) }
        let (sum, overflow) = counter.addingReportingOverflow(amount)
        guard !overflow else { return CommandReply(.overflow, revision: index) }
        try withUnsafeBytes(of: sum.littleEndian) { value throws(KeyValueError) in try put(key, value, at: index) }
        return CommandReply(.applied, revision: index, number: sum)
    }

    // MARK: The engine

    /// The newest value of a key. The entry that reads is the only one under way, so no revision need be given.
    private func read<Result>(
        _ key: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer, UInt64) -> Result
    ) throws(KeyValueError) -> Result? {
        do throws(EngineError) {
            return try EngineKey.withUser(key) { key throws(EngineError) in try engine.get(key, body) }
        } catch {
            if error.quarantine != nil, options.plantedBugs.contains(.quarantineIgnored) { return nil }
            throw KeyValueError(error)
        }
    }

    private func put(
        _ key: UnsafeRawBufferPointer,
        _ value: UnsafeRawBufferPointer,
        at index: UInt64
    ) throws(KeyValueError) {
        if writesOtherValues, index % 16 == 0, !value.isEmpty {
            var other = [UInt8](value)
            other[0] ^= 1
            other.withUnsafeBytes { stage(key, $0, at: index) }
        } else {
            stage(key, value, at: index)
        }
        try write(at: index)
    }

    private func stage(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, at index: UInt64) {
        EngineKey.userPrefix.withUnsafeBytes { batch.put(prefix: $0, key: key, value: value) }
        state.digest.add(.put, revision: index, key, value)
    }

    private func delete(_ key: UnsafeRawBufferPointer, at index: UInt64) throws(KeyValueError) {
        EngineKey.userPrefix.withUnsafeBytes { batch.delete(prefix: $0, key: key) }
        state.digest.add(.delete, revision: index, key, UnsafeRawBufferPointer(start: nil, count: 0))
        try write(at: index)
    }

    private func deleteRange(
        from: UnsafeRawBufferPointer,
        to: UnsafeRawBufferPointer,
        at index: UInt64
    ) throws(KeyValueError) {
        state.digest.add(.deleteRange, revision: index, from, to)
        let lower = EngineKey.user(from)
        let upper = EngineKey.upperBound(to)
        guard lower < upper else { return }
        batch.deleteRange(from: lower, to: upper)
        try write(at: index)
    }

    private func write(at index: UInt64) throws(KeyValueError) {
        defer { batch.removeAll() }
        try KeyValueMachine.engineCall { () throws(EngineError) in try engine.apply(batch, sequence: index) }
    }
}
