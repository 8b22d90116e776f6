import Balsa
import BalsaPlatform

/// What a member writes: replies, and what the store tells of itself.
///
/// The store tells it on the thread that also sends heartbeats, which must not wait for somebody to read.
final class MemberOutput: StoreObserver {
    private let lines: LineWriter

    /// An output to `descriptor`, which stays the caller's.
    init(_ descriptor: Int32) throws(BackgroundThread.StartError) {
        lines = try LineWriter(descriptor)
    }

    /// Writes something that the member says of itself.
    func write(_ line: String) { lines.note(Array(line.utf8)) }

    /// Writes a reply.
    ///
    /// - Parameters:
    ///   - line: the reply.
    ///   - written: called when it has been written, or never can be.
    func reply(_ line: [UInt8], _ written: @escaping @Sendable () -> Void) { lines.write(line, written) }

    /// Waits until everything has been written, the other end is closed, or writing has failed for a second.
    ///
    /// - Parameter limit: how long at most; nil for as long as somebody may still read it, as other programs wait, so
    ///   that nothing is lost.
    /// - Returns: why the last lines could not be written, unless they were, or nobody is there to read them.
    func finish(within limit: Duration?) async -> FileError.Number? {
        let promise = Promise<Void>()
        lines.finish { promise.give(()) }
        if let limit {
            Task {
                try? await Task.sleep(for: limit)
                promise.give(())
            }
        }
        await promise.value()
        return lines.failure
    }

    func stateChanged(_ state: StoreState) {
        switch state {
        case .recovering: write("* state recovering")
        case .leader: write("* state leader")
        case .follower(let leader): write("* state follower \(leader)")
        case .noQuorum: write("* state no-quorum")
        case .failed(let reason): write("* state failed \(reason)")
        case .closed: write("* state closed")
        }
    }

    func noticed(_ event: StoreEvent) {
        switch event {
        case .refused(let peer, let reason): write("* refused \(peer) \(reason)")
        case .anomaly(let anomaly): write("* anomaly \(anomaly.sentence)")
        case .checkpointRefused(let peer, let reason): write("* checkpoint-refused \(peer) \(reason)")
        case .frameRefused(let reason): write("* frame-refused \(reason)")
        case .connectionClosed(let reason): write("* connection-closed \(reason)")
        case .retrying(let what): write("* retrying \(what)")
        case .joined(let cluster): write("* joined \(cluster)")
        case .firstBootWaits(let reason): write("* first-boot-waits \(reason)")
        case .firstBootMisses(let peers):
            let missing = peers.isEmpty ? "nobody" : peers.map(\.description).joined(separator: "; ")
            write("* first-boot-misses \(missing)")
        case .slow(let operation): write("* slow \(operation)")
        case .optionsDiffer(let differences):
            write("* options-differ \(differences.map(\.description).joined(separator: "; "))")
        case .damaged(let sentence): write("* damaged \(sentence)")
        case .stalled(let reason): write("* stalled \(reason.rawValue)")
        case .resumed(let reason, let duration): write("* resumed \(reason.rawValue) after \(duration)")
        case .standing, .connected, .failed: break
        }
    }
}
