import BalsaPlatform
import BalsaTransport

/// The threads that all stores of a process share. Stores are opened on ``shared`` unless told otherwise.
///
/// Each store has a loop of its own for its sockets and its replica, and a thread for its log; what takes long is done by
/// the runtime's workers, in steps, for all of them. Nothing else is global.
public final class StoreRuntime: Sendable {
    /// The runtime of the process, made at first use.
    public static let shared = StoreRuntime()

    private let spin: Duration
    let workerCount: Int
    private let started = Locked<WorkerThreads?>(nil)

    /// A runtime.
    ///
    /// - Parameters:
    ///   - workers: how many threads flush, compact and read what is not in memory; 2 to 64, and the nearest of these
    ///     for any other number.
    ///   - spin: how long a loop looks for more to do before its thread sleeps. It trades processor time for latency.
    public init(workers: Int = 2, spin: Duration = .zero) {
        workerCount = min(max(2, workers), 64)
        self.spin = spin
    }

    /// The workers, started at first use. They go on until the runtime and all stores that were opened on it have gone.
    func workers() throws(BackgroundThread.StartError) -> WorkerThreads {
        try started.withLock { started throws(BackgroundThread.StartError) in
            if let workers = started { return workers }
            let workers = try WorkerThreads(count: workerCount)
            started = workers
            return workers
        }
    }

    func makeLoop() throws(TransportError) -> EventLoop {
        var options = EventLoop.Options()
        options.spin = spin
        return try EventLoop(options: options)
    }
}
