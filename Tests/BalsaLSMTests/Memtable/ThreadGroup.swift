import Foundation

/// Threads of their own, all of which run at the same time. A queue would start only as many as there are processors,
/// and a test in which one waits for another would hang.
enum ThreadGroup {
    /// Calls `body` with the numbers below `count`, each on a thread, and returns when all have.
    static func run(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        let group = DispatchGroup()
        for number in 0..<count {
            group.enter()
            let thread = Thread {
                body(number)
                group.leave()
            }
            thread.stackSize = 1 << 20
            thread.start()
        }
        group.wait()
    }
}
