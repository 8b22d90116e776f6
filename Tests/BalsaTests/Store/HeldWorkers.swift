import Dispatch

@testable import Balsa

/// Worker threads that do not get on until they are let go.
struct HeldWorkers {
    private let semaphore = DispatchSemaphore(value: 0)
    private let count = 2

    init(of runtime: StoreRuntime) throws {
        let workers = try runtime.workers()
        for _ in 0..<count { workers.enqueue { [semaphore] in semaphore.wait() } }
    }

    func letGo() { for _ in 0..<count { semaphore.signal() } }
}
