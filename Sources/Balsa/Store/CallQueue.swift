/// Calls in the order in which they came. To take one from the front costs the same however many wait.
struct CallQueue<Element> {
    private var storage: [Element] = []
    /// Where those begin that have not been taken.
    private var head = 0

    /// Those that wait, oldest first.
    var elements: ArraySlice<Element> { storage[head...] }

    var count: Int { storage.count - head }

    var isEmpty: Bool { head == storage.count }

    mutating func append(_ element: Element) { storage.append(element) }

    mutating func popFirst() -> Element? {
        guard head < storage.count else { return nil }
        let element = storage[head]
        head += 1
        // Each element is moved at most once for each that went.
        if head > storage.count / 2 {
            storage.removeFirst(head)
            head = 0
        }
        return element
    }

    /// Takes out those of which `isGone` says so, and returns them in their order.
    mutating func removeAll(where isGone: (Element) -> Bool) -> [Element] {
        let gone = elements.filter(isGone)
        guard !gone.isEmpty else { return [] }
        storage = elements.filter { !isGone($0) }
        head = 0
        return gone
    }

    /// Takes out all of them.
    mutating func removeAll() -> [Element] {
        defer { self = CallQueue() }
        return Array(elements)
    }
}
