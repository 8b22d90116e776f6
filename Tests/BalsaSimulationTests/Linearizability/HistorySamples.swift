import BalsaPlatform
import BalsaSimulation

extension LinearizabilityVerdict {
    /// The verdict without its contradiction.
    var kind: HistoryCheck.Verdict {
        switch self {
        case .linearizable: .linearizable
        case .notLinearizable: .notLinearizable
        case .unknown: .unknown
        }
    }
}

/// Histories made from a seed.
enum HistorySamples {
    /// What registers really did for clients that each wait for their last operation.
    ///
    /// Every operation takes effect at a drawn instant between its call and its return; now and then the outcome of one
    /// is not told. So the history is linearizable by construction.
    static func registerHistory(
        seed: UInt64,
        operations count: Int,
        clients: Int,
        keys: Int,
        unknownInHundred: UInt64 = 5
    ) -> [HistoryOperation<RegisterModel>] {
        struct Plan {
            let client: UInt64
            let key: Int
            let input: RegisterModel.Input
            let called: UInt64
            let effect: UInt64
            let returned: UInt64
            let isUnknown: Bool
        }
        var random = RandomSource(seed: seed)
        var free = [UInt64](repeating: 0, count: clients)
        var plans: [Plan] = []
        for number in 0..<count {
            let client = random.draw(0...clients - 1)
            let called = free[client] + random.below(50)
            let effect = called + random.below(100)
            let returned = effect + random.below(100)
            let isUnknown = random.chance(unknownInHundred, in: 100)
            free[client] = returned + 1
            let input: RegisterModel.Input =
                switch random.below(8) {
                case 0...3: .read
                case 4: .delete
                case 5: .compareAndSet(expected: random.chance(1, in: 3) ? nil : value(number - 1), new: value(number))
                default: .write(value(number))
                }
            plans.append(
                Plan(
                    client: UInt64(client),
                    key: random.draw(0...keys - 1),
                    input: input,
                    called: called,
                    effect: effect,
                    returned: returned,
                    isUnknown: isUnknown
                )
            )
        }
        var values = [Bytes?](repeating: nil, count: keys)
        let order = plans.indices.sorted { (plans[$0].effect, $0) < (plans[$1].effect, $1) }
        return order.map { index in
            let plan = plans[index]
            let before = values[plan.key]
            let output: RegisterModel.Output
            switch plan.input {
            case .read: output = .value(before)
            case .write(let value): (values[plan.key], output) = (value, .done)
            case .delete: (values[plan.key], output) = (nil, .done)
            case .compareAndSet(let expected, let new):
                if before == expected { values[plan.key] = new }
                output = .compared(before == expected)
            }
            return HistoryOperation(
                client: plan.client,
                called: plan.called,
                returned: plan.isUnknown ? nil : plan.returned,
                key: Bytes("key \(plan.key)"),
                input: plan.input,
                output: plan.isUnknown ? nil : output
            )
        }
    }

    private static func value(_ number: Int) -> Bytes { Bytes("v\(number)") }

    /// A history whose contradiction is found only when very many orders of concurrent comparisons have been tried.
    static func hard(key: Bytes) -> [HistoryOperation<RegisterModel>] {
        var operations: [HistoryOperation<RegisterModel>] = []
        for number in 0..<40 as Range<UInt64> {
            operations.append(
                HistoryOperation(
                    client: number,
                    called: number,
                    returned: 1_000,
                    key: key,
                    input: .write(Bytes("\(number)")),
                    output: .done
                )
            )
        }
        operations.append(
            HistoryOperation(
                client: 99,
                called: 2_000,
                returned: 3_000,
                key: key,
                input: .read,
                output: .value("never written")
            )
        )
        return operations
    }
}
