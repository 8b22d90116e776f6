/// The calls and returns of a history in the order of time, as a linked list from which operations can be lifted and
/// put back in constant time, provided that they are put back in the opposite order.
///
/// Node 0 is both the head and the end of the ring. An operation of unknown outcome has a call and no return, so that
/// nothing ever has to wait for it.
struct EventList {
    /// What a node stands for.
    enum Event {
        case end
        case call(Int)
        case `return`
    }

    private var nextNode: [Int]
    private var previousNode: [Int]
    /// The operation of each call, and -1 for a return.
    private let operation: [Int]
    private let callNode: [Int]
    /// The node of each operation's return, and 0 where there is none.
    private let returnNode: [Int]

    /// The events of operations with these times, numbered as they are given. At equal times calls come before returns,
    /// because intervals include their ends.
    init(times: [(called: UInt64, returned: UInt64?)]) {
        var events: [(time: UInt64, isReturn: Bool, operation: Int)] = []
        for (index, time) in times.enumerated() {
            events.append((time.called, false, index))
            if let returned = time.returned { events.append((returned, true, index)) }
        }
        events.sort { a, b in
            if a.time != b.time { return a.time < b.time }
            return a.isReturn == b.isReturn ? a.operation < b.operation : b.isReturn
        }
        var operation = [-1]
        var callNode = [Int](repeating: 0, count: times.count)
        var returnNode = callNode
        for event in events {
            if event.isReturn {
                returnNode[event.operation] = operation.count
            } else {
                callNode[event.operation] = operation.count
            }
            operation.append(event.isReturn ? -1 : event.operation)
        }
        let count = operation.count
        self.operation = operation
        self.callNode = callNode
        self.returnNode = returnNode
        nextNode = (0..<count).map { $0 + 1 == count ? 0 : $0 + 1 }
        previousNode = (0..<count).map { $0 == 0 ? count - 1 : $0 - 1 }
    }

    /// The first node.
    var first: Int { nextNode[0] }

    /// The node behind `node`, which is in the list or the call that was lifted last.
    func node(after node: Int) -> Int { nextNode[node] }

    /// The node of an operation's call.
    func call(of operation: Int) -> Int { callNode[operation] }

    /// What a node stands for.
    func event(at node: Int) -> Event {
        if node == 0 { return .end }
        let index = operation[node]
        return index < 0 ? .return : .call(index)
    }

    /// Takes an operation out of the list.
    ///
    /// The call goes last, so that its node still leads to what is in the list behind it.
    mutating func lift(_ operation: Int) {
        if returnNode[operation] != 0 { unlink(returnNode[operation]) }
        unlink(callNode[operation])
    }

    /// Puts the operation that was lifted last back where it was.
    mutating func unlift(_ operation: Int) {
        relink(callNode[operation])
        if returnNode[operation] != 0 { relink(returnNode[operation]) }
    }

    private mutating func unlink(_ node: Int) {
        nextNode[previousNode[node]] = nextNode[node]
        previousNode[nextNode[node]] = previousNode[node]
    }

    private mutating func relink(_ node: Int) {
        nextNode[previousNode[node]] = node
        previousNode[nextNode[node]] = node
    }
}
