/// What a run of the demo has shown.
enum DemoVerdict: Equatable {
    /// Each member has every pair and no other, and the leader was killed as often as asked.
    case good(keys: Int, members: Int, kills: Int)
    /// Something is wrong: what.
    case failed(String)

    /// Decides a run that came to its end.
    ///
    /// - Parameters:
    ///   - keys: how many keys were loaded.
    ///   - members: how many members there are.
    ///   - lost: how many reads did not find their pair.
    ///   - keysBefore: how many keys each member had before the load; nil if it did not say.
    ///   - keysAfter: how many keys each member has after the load; nil if it did not say.
    ///   - kills: how often the leader was killed.
    ///   - killsAsked: how often the leader was to be killed.
    init(
        keys: Int,
        members: Int,
        lost: Int,
        keysBefore: [Int?],
        keysAfter: [Int?],
        kills: Int,
        killsAsked: Int
    ) {
        if lost > 0 {
            self = .failed("\(lost) of \(keys * members) reads did not find what was acknowledged")
            return
        }
        for member in 0..<members {
            guard keysBefore.indices.contains(member), keysAfter.indices.contains(member),
                let before = keysBefore[member], let after = keysAfter[member]
            else {
                self = .failed("member \(member + 1) did not say how many keys it has")
                return
            }
            // A directory of an earlier demo has keys already, which the load may have replaced or not.
            guard (max(before, keys)...before + keys).contains(after) else {
                self = .failed(
                    "member \(member + 1) has \(after) keys after a load of \(keys), and had \(before) before"
                )
                return
            }
        }
        guard kills >= killsAsked else {
            self = .failed(
                "the leader was killed \(kills) times and not \(killsAsked): the input was too short for more"
            )
            return
        }
        self = .good(keys: keys, members: members, kills: kills)
    }

    /// Whether the demo is a success.
    var isGood: Bool {
        if case .good = self { return true }
        return false
    }

    /// The verdict for a reader.
    var line: String {
        switch self {
        case .good(let keys, let members, let kills):
            "verdict: nothing was lost; \(keys) keys are on each of \(members) members, with equal digests; "
                + "the leader was killed \(kills) \(kills == 1 ? "time" : "times")"
        case .failed(let reason): "verdict: FAILED, \(reason)"
        }
    }
}
