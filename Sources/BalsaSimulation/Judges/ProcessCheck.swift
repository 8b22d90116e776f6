import Balsa
import BalsaPlatform
import BalsaRaft

/// Checks what becomes of processes and of requests: who may stop, and that each request is answered once.
struct ProcessCheck {
    /// The requests that were answered.
    private var answered = LookupTable<UInt64, Bool>()

    /// A replica could not be opened. A failing file operation may be the reason, and will pass. A file that is missing, or
    /// any other reason, will not: nothing in a run damages a disk.
    func cannotOpen(_ id: MemberID, _ error: ReplicaError, at now: TimeSpan) throws(Violation) {
        guard error.file == nil || error.file?.number == .notFound else { return }
        throw Violation(.recovery, "member \(id) cannot be opened: \(error)", at: now)
    }

    /// A replica has stopped. A failed file operation may be the reason, or that the member was refused.
    func stopped(_ id: MemberID, _ error: ReplicaError, at now: TimeSpan) throws(Violation) {
        guard error.file == nil, error.code != .refused else { return }
        throw Violation(.memberState, "member \(id) stopped: \(error)", at: now)
    }

    /// A frame arrived that cannot be decoded. Nothing in a run damages frames.
    func cannotDecode(_ id: MemberID, _ reason: String, at now: TimeSpan) throws(Violation) {
        throw Violation(.memberState, "member \(id) cannot decode a frame: \(reason)", at: now)
    }

    /// The engine of a member was looked at; `sentence` says what is wrong in it.
    func engine(_ id: MemberID, _ sentence: String?, at now: TimeSpan) throws(Violation) {
        guard let sentence else { return }
        throw Violation(.memberState, "member \(id): \(sentence)", at: now)
    }

    /// A request was answered.
    ///
    /// - Parameter number: names the request; no two have the same.
    mutating func answered(_ number: UInt64, at now: TimeSpan) throws(Violation) {
        if answered.contains(number) {
            throw Violation(.memberState, "request \(number) was answered twice", at: now)
        }
        answered.insert(true, for: number)
    }
}
