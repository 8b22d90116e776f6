import BalsaPlatform

/// The calls that were handed to the replica under a session that is no more, until each of them is answered.
struct FormerCalls {
    private var calls = CallWindow<ClientCall>()
    /// Their places, by the requests under which they were handed over.
    private var places = LookupTable<UInt64, UInt64>()

    var count: Int { calls.count }

    mutating func append(_ call: ClientCall) {
        places.insert(calls.next, for: call.request)
        calls.append(call)
    }

    /// Takes out the call that was handed over under that request; nil where it is none of them.
    mutating func remove(request: UInt64) -> ClientCall? { places.remove(request).flatMap { calls.remove($0) } }

    /// Takes out the call of that name; nil where it is none of them.
    mutating func remove(_ id: CallID) -> ClientCall? {
        guard let place = calls.number(where: { $0.id == id }), let call = calls.remove(place) else { return nil }
        places.remove(call.request)
        return call
    }

    /// Takes out all of them.
    mutating func removeAll() -> [ClientCall] {
        defer { self = FormerCalls() }
        return calls.calls.map(\.call)
    }
}
