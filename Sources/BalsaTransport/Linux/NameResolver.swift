import BalsaPlatform

/// Looks names up on threads of its own, since the system's call for it may wait for long.
///
/// Addresses in numbers are answered at once. Each name that is being looked up has a thread, so that one whose server is dead
/// delays no other; a name that is asked for again meanwhile is not looked up twice.
final class NameResolver: @unchecked Sendable {
    /// The addresses of a host, or why there are none.
    typealias Answer = Result<[SocketAddress], TransportError>

    private struct LookUp {
        let address: NetworkAddress
        /// Who waits for it: each asker once.
        var waiting: [(asker: ObjectIdentifier, answer: @Sendable (Answer) -> Void)]
        /// Nil until its turn has come.
        var thread: BackgroundThread?
    }

    private struct Shared {
        /// Oldest first.
        var underWay: [LookUp] = []
        var isClosed = false
    }

    /// How many names are looked up at the same time; there are hardly ever as many peers. Others wait.
    static let maxThreads = 16

    private let shared = Locked(Shared())
    private let lookUp: @Sendable (NetworkAddress) -> Answer

    /// A resolver that asks the system, or whom it is told to.
    ///
    /// - Parameter lookUp: looks a name up, and may wait. It is called by several threads.
    init(_ lookUp: @escaping @Sendable (NetworkAddress) -> Answer = { NameResolver.ask($0, isNumeric: false) }) {
        self.lookUp = lookUp
    }

    /// Looks a host up.
    ///
    /// - Parameters:
    ///   - address: host and port.
    ///   - asker: who asks. It waits for one answer at a time: that to an earlier question of its own is dropped.
    ///   - answer: is called at most once, on this thread or another; not any more after ``close()``.
    func resolve(_ address: NetworkAddress, for asker: AnyObject, _ answer: @escaping @Sendable (Answer) -> Void) {
        let numeric = NameResolver.ask(address, isNumeric: true)
        if case .success = numeric { return answer(numeric) }
        let asker = ObjectIdentifier(asker)
        let failed = shared.withLock { shared -> FailedStart? in
            guard !shared.isClosed else { return nil }
            for place in shared.underWay.indices { shared.underWay[place].waiting.removeAll { $0.asker == asker } }
            // A question that has not had its turn is not asked for nobody.
            shared.underWay.removeAll { $0.thread == nil && $0.waiting.isEmpty }
            if let place = shared.underWay.firstIndex(where: { $0.address == address }) {
                shared.underWay[place].waiting.append((asker, answer))
                return nil
            }
            shared.underWay.append(LookUp(address: address, waiting: [(asker, answer)]))
            return startNext(&shared)
        }
        failed?.tell()
    }

    /// Answers no more. Does not wait for what is being looked up.
    func close() {
        shared.withLock { shared in
            shared.isClosed = true
            shared.underWay.removeAll { $0.thread == nil }
            for place in shared.underWay.indices { shared.underWay[place].waiting = [] }
        }
    }

    /// Those who asked for what cannot be looked up, since there is no thread for it.
    private struct FailedStart: Sendable {
        let answers: [@Sendable (Answer) -> Void]
        let error: TransportError

        func tell() { for answer in answers { answer(.failure(error)) } }
    }

    /// Starts the thread of the oldest that has none, if there is room for one.
    private func startNext(_ shared: inout Shared) -> FailedStart? {
        guard let place = shared.underWay.firstIndex(where: { $0.thread == nil }),
            shared.underWay.count(where: { $0.thread != nil }) < NameResolver.maxThreads
        else { return nil }
        let address = shared.underWay[place].address
        do throws(BackgroundThread.StartError) {
            shared.underWay[place].thread = try BackgroundThread { [self] in
                answer(address)
                return .wait
            }
            return nil
        } catch {
            // Nor is there one for the others, whose turn might never come.
            let answers = shared.underWay.filter { $0.thread == nil }.flatMap { $0.waiting.map(\.answer) }
            shared.underWay.removeAll { $0.thread == nil }
            return FailedStart(
                answers: answers,
                error: TransportError(.system, "start a thread that looks names up", number: error.number)
            )
        }
    }

    /// The work of one thread.
    private func answer(_ address: NetworkAddress) {
        let found = lookUp(address)
        let (ended, failed) = shared.withLock { shared -> (LookUp?, FailedStart?) in
            let ended = shared.underWay.firstIndex { $0.address == address }.map { shared.underWay.remove(at: $0) }
            return (ended, startNext(&shared))
        }
        for waiting in ended?.waiting ?? [] { waiting.answer(found) }
        failed?.tell()
        // The thread lets go of itself, because nobody is to wait for a name server in order to end it.
        ended?.thread?.stop()
    }

    private static func ask(_ address: NetworkAddress, isNumeric: Bool) -> Answer {
        do throws(TransportError) {
            return .success(try SocketAddress.resolve(address, isNumeric: isNumeric))
        } catch {
            return .failure(error)
        }
    }
}
