import BalsaKeyValue
import BalsaLSM
import BalsaPlatform
import BalsaRaft

extension Certificate {
    /// A member said that a state with everything through `index` may be read, and has applied `applied`.
    static func checkReadable(_ index: LogIndex, applied: LogIndex, at now: TimeSpan) throws(Violation) {
        guard applied < index else { return }
        throw Violation(.certificate, "\(index) was said to be readable, and \(applied) is applied", at: now)
    }

    /// The reply that the bytes are, which a member gave to a client.
    static func decode(_ bytes: Bytes, at now: TimeSpan) throws(Violation) -> CommandReply {
        do throws(BalsaPlatform.DecodingError) {
            return try CommandReply(decoding: bytes)
        } catch {
            throw Violation(.certificate, "a reply cannot be decoded: \(error)", at: now)
        }
    }

    /// Whether a read failed because the disk did, which may happen and passes; damage does not happen.
    static func isFailedDisk(_ error: KeyValueError) -> Bool { error.cause?.cause != nil && error.code != .damaged }

    /// Whether a read failed because it needs a table that a fault has damaged.
    static func isDamage(_ error: KeyValueError, of damaged: [String]) -> Bool {
        guard error.code == .damaged, let range = error.cause?.quarantine else { return false }
        return damaged.contains(range.file)
    }

    /// A read failed. Only a failing disk may be the reason, or damage that a fault has done to the table that is
    /// named.
    static func checkReadFailure(
        _ error: KeyValueError,
        damaged: [String] = [],
        at now: TimeSpan
    ) throws(Violation) {
        guard !isFailedDisk(error), !isDamage(error, of: damaged) else { return }
        throw Violation(.certificate, "a read failed: \(error)", at: now)
    }

    /// A page ends before its limits because something cannot be read. Only a failing disk may be the reason.
    static func checkCutShort(_ page: ScanPage, isDiskSound: Bool, at now: TimeSpan) throws(Violation) {
        guard page.isCutShort, isDiskSound else { return }
        throw Violation(.certificate, "a page ended early on a sound disk", at: now)
    }

    /// A member refused a call because of what it says, before it entered the log. Only what the model refuses as well may be.
    static func checkRefusal(
        of question: CallLog.Question,
        _ place: Int,
        _ reason: String,
        _ ledger: RequestLedger,
        calledAt: TimeSpan,
        at now: TimeSpan
    ) throws(Violation) {
        if case .command(let command) = question, ledger.isRefused(command, calledAt: calledAt) { return }
        throw Violation(.certificate, "call \(place + 1) was refused as \(reason), and is sound", at: now)
    }
}
