/// The longest order that a search has found, kept for the report.
///
/// It shares a beginning with the present order of the search, and only what differs is copied, so that keeping it
/// costs no more than the search itself.
struct LongestOrder<State> {
    /// The operations in order.
    private(set) var order: [Int] = []
    /// How many of them were answered, which is what length means here.
    private(set) var answeredCount = 0
    /// The state that they lead to.
    private(set) var state: State
    /// How many operations at the beginning are those of the present order.
    private(set) var sharedCount = 0

    /// The empty order.
    init(state: State) { self.state = state }

    /// Notes that the present order was cut to `count` operations.
    mutating func shorten(to count: Int) { sharedCount = min(sharedCount, count) }

    /// Takes over the present order, which goes on with `operations` behind the shared beginning.
    mutating func replace(by operations: [Int], answeredCount: Int, state: State) {
        order.removeLast(order.count - sharedCount)
        order += operations
        sharedCount = order.count
        self.answeredCount = answeredCount
        self.state = state
    }
}
