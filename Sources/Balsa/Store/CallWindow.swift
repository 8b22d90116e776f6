/// The calls of a session that have numbers, until they are answered: a short run of numbers with gaps.
///
/// Numbers are given one after the other and come back in nearly the same order, so that what is found by number lies at a
/// known place, and what is answered is mostly dropped at the front.
struct CallWindow<Call> {
    private var slots: [Call?] = []
    /// The place of the lowest number that is not answered.
    private var head = 0
    /// The number of the first slot.
    private var origin: UInt64 = 1

    /// How many calls are not answered.
    private(set) var count = 0

    /// The number that the next call gets.
    var next: UInt64 { origin + UInt64(slots.count) }

    /// The lowest number that is not answered; the next one where all are.
    var lowest: UInt64 { origin + UInt64(head) }

    /// How far the numbers that are not answered reach.
    var span: Int { slots.count - head }

    /// The calls that are not answered, with their numbers in ascending order.
    var calls: [(number: UInt64, call: Call)] {
        slots.indices[head...].compactMap { place in slots[place].map { (origin + UInt64(place), $0) } }
    }

    /// The lowest number of a call of which `isIt` says so.
    func number(where isIt: (Call) -> Bool) -> UInt64? {
        for place in head..<slots.count {
            if let call = slots[place], isIt(call) { return origin + UInt64(place) }
        }
        return nil
    }

    /// Gives a call the next number.
    mutating func append(_ call: Call) {
        slots.append(call)
        count += 1
    }

    /// The call of a number, to be looked at or changed; nil where it was answered, or never given.
    subscript(number: UInt64) -> Call? {
        get { place(of: number).flatMap { slots[$0] } }
        _modify {
            if let place = place(of: number), slots[place] != nil {
                yield &slots[place]
                precondition(slots[place] != nil, "an answered call is removed")
            } else {
                var none: Call?
                yield &none
            }
        }
    }

    /// Takes out the call of a number, which was answered.
    mutating func remove(_ number: UInt64) -> Call? {
        guard let place = place(of: number), let call = slots[place] else { return nil }
        slots[place] = nil
        count -= 1
        while head < slots.count, slots[head] == nil { head += 1 }
        // Each slot is moved at most once for each that went.
        if head > slots.count / 2 {
            slots.removeFirst(head)
            origin += UInt64(head)
            head = 0
        }
        return call
    }

    private func place(of number: UInt64) -> Int? {
        guard number >= lowest, number < next else { return nil }
        return Int(number - origin)
    }
}
