import BalsaPlatform

// What the answers tell about operations of unknown outcome. A value is *seen* where an answered read returned it or an
// answered comparison expected it with success. It is *asked for* where any operation could depend on it: a read that
// returned it or any comparison that expected it.

extension RegisterModel {
    /// Removes reads that nobody saw the answer of, and unknown changes to a value that nobody asks for.
    ///
    /// Such a change can be followed only by another change, so an order is as good without it; and an unknown
    /// comparison that would then succeed can be left out as well. A comparison that *failed* does see values in a
    /// way, namely every value but the one that it expected, so where there is one all changes stay.
    public func removeIrrelevant(from operations: inout [HistoryOperation<RegisterModel>]) {
        operations.removeAll { $0.input == .read && $0.output == nil }
        guard !operations.contains(where: { $0.output == .compared(false) }) else { return }
        let askedFor = ValueTable(operations.compactMap { $0.valueAskedFor.map { ($0, 0) } })
        operations.removeAll { operation in
            guard operation.returned == nil, let value = operation.valueSet else { return false }
            return askedFor[value] == nil
        }
    }

    /// Gives unknown changes whose value was seen the time by which they must have happened, and makes unknown changes
    /// to values that nobody asks for equal.
    ///
    /// The former holds where only one operation sets that value: the answer that saw it came later. As to the latter,
    /// nothing can tell one such value from another.
    public func simplify(_ operations: inout [HistoryOperation<RegisterModel>]) {
        let askedFor = ValueTable(operations.compactMap { $0.valueAskedFor.map { ($0, 0) } })
        let seen = ValueTable(
            operations.compactMap { operation -> (Bytes?, UInt64)? in
                guard let returned = operation.returned, let value = operation.valueSeen else { return nil }
                return (value, returned)
            }
        )
        let setters = ValueTable(operations.compactMap { operation in operation.valueSet.map { ($0, 0) } })
        var nobodys: Bytes?
        for (index, operation) in operations.enumerated() where operation.returned == nil {
            guard case .some(.some(let value)) = operation.valueSet else { continue }
            if let time = seen[value], setters.count(of: value) == 1, value != initialState {
                operations[index] = operation.happened(by: max(time, operation.called))
            } else if askedFor[value] == nil, value != initialState {
                let representative = nobodys ?? value
                nobodys = representative
                operations[index] = operation.setting(representative)
            }
        }
    }
}

extension HistoryOperation<RegisterModel> {
    /// The value that the register may hold afterwards because of this operation, where nil in the optional is none.
    fileprivate var valueSet: Bytes?? {
        switch (input, output) {
        case (.write(let value), _): .some(value)
        case (.delete, _): .some(nil)
        case (.compareAndSet, .compared(false)), (.read, _): .none
        case (.compareAndSet(_, let new), _): .some(new)
        }
    }

    /// The value on which the answer depends.
    fileprivate var valueAskedFor: Bytes?? {
        switch (input, output) {
        case (.read, .value(let value)): .some(value)
        case (.compareAndSet(let expected, _), _): .some(expected)
        default: .none
        }
    }

    /// The value that the register certainly held.
    fileprivate var valueSeen: Bytes?? {
        switch (input, output) {
        case (.read, .value(let value)): .some(value)
        case (.compareAndSet(let expected, _), .compared(true)): .some(expected)
        default: .none
        }
    }

    /// This operation, known to have changed the value by `time`.
    fileprivate func happened(by time: UInt64) -> HistoryOperation {
        let output: RegisterModel.Output = if case .compareAndSet = input { .compared(true) } else { .done }
        return HistoryOperation(
            client: client,
            called: called,
            returned: time,
            key: key,
            input: input,
            output: output
        )
    }

    /// This unknown operation, setting another value.
    fileprivate func setting(_ value: Bytes) -> HistoryOperation {
        let changed: RegisterModel.Input =
            if case .compareAndSet(let expected, _) = input {
                .compareAndSet(expected: expected, new: value)
            } else {
                .write(value)
            }
        return HistoryOperation(client: client, called: called, returned: nil, key: key, input: changed, output: nil)
    }
}

/// Values, each with the times at which something was noted of it.
private struct ValueTable {
    private let notes: [(value: Bytes?, time: UInt64)]

    init(_ notes: [(Bytes?, UInt64)]) {
        self.notes = notes.map { (value: $0.0, time: $0.1) }
            .sorted { a, b in a.value == b.value ? a.time < b.time : ValueTable.precedes(a.value, b.value) }
    }

    /// The earliest time noted of a value; nil where there is none.
    subscript(value: Bytes?) -> UInt64? {
        let place = place(of: value)
        return place < notes.count && notes[place].value == value ? notes[place].time : nil
    }

    /// How many times something was noted of a value.
    func count(of value: Bytes?) -> Int {
        notes[place(of: value)...].prefix { $0.value == value }.count
    }

    private func place(of value: Bytes?) -> Int {
        var (low, high) = (0, notes.count)
        while low < high {
            let middle = low + (high - low) / 2
            if ValueTable.precedes(notes[middle].value, value) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// No value before every value, and values in the order of their bytes.
    private static func precedes(_ left: Bytes?, _ right: Bytes?) -> Bool {
        guard let right else { return false }
        return left.map { $0 < right } ?? true
    }
}
