import BalsaPlatform

/// Looks names up on a thread of its own, since the system's call for it may wait for long.
///
/// Addresses in numbers are answered at once. A loop asks for each connection at most once at a time, so that the list of
/// questions is as short as that of connections.
final class NameResolver: @unchecked Sendable {
    /// The addresses of a host, or why there are none.
    typealias Answer = Result<[SocketAddress], TransportError>

    private typealias Question = (address: NetworkAddress, answer: @Sendable (Answer) -> Void)

    private struct Shared {
        var questions: [Question] = []
        var isClosed = false
        var thread: BackgroundThread?
    }

    private let shared = Locked(Shared())

    /// Looks a host up.
    ///
    /// - Parameters:
    ///   - address: host and port.
    ///   - answer: is called at most once, on this thread or another; not any more after ``close()``.
    func resolve(_ address: NetworkAddress, _ answer: @escaping @Sendable (Answer) -> Void) {
        let numeric = NameResolver.lookUp(address, isNumeric: true)
        if case .success = numeric { return answer(numeric) }
        do throws(BackgroundThread.StartError) {
            try shared.withLock { shared throws(BackgroundThread.StartError) in
                guard !shared.isClosed else { return }
                if shared.thread == nil { shared.thread = try BackgroundThread { [self] in answerNext() } }
                shared.questions.append((address, answer))
                shared.thread?.wake()
            }
        } catch {
            answer(.failure(TransportError(.system, "start the thread that looks names up", number: error.number)))
        }
    }

    /// Answers no more. Does not wait for a question that is being looked up.
    func close() {
        shared.withLock { shared in
            shared.isClosed = true
            shared.thread?.wake()
        }
    }

    private func answerNext() -> BackgroundThread.Next {
        let (question, ended) = shared.withLock { shared -> (Question?, BackgroundThread?) in
            guard shared.isClosed else { return (shared.questions.isEmpty ? nil : shared.questions.removeFirst(), nil) }
            shared.questions = []
            defer { shared.thread = nil }
            return (nil, shared.thread)
        }
        // The thread lets go of itself, because nobody is to wait for a name server in order to end it.
        ended?.stop()
        guard let question else { return .wait }
        question.answer(NameResolver.lookUp(question.address, isNumeric: false))
        return .again
    }

    private static func lookUp(_ address: NetworkAddress, isNumeric: Bool) -> Answer {
        do throws(TransportError) {
            return .success(try SocketAddress.resolve(address, isNumeric: isNumeric))
        } catch {
            return .failure(error)
        }
    }
}
