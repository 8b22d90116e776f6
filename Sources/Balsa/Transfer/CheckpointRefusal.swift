import BalsaPlatform
import BalsaRaft

/// Why a checkpoint does not fit on the disk of the member that it is for.
struct MissingSpace: CustomStringConvertible {
    let directory: String
    /// How much the checkpoint takes, in bytes.
    let needed: UInt64
    let available: UInt64
    /// How much of what is available stays free for the next segment of the log and for the files that name the state,
    /// in bytes.
    let kept: UInt64

    /// Nil where the checkpoint fits.
    init?(_ needed: UInt64, in directory: String, available: UInt64, kept: UInt64) {
        guard needed > available - min(kept, available) else { return nil }
        (self.directory, self.needed, self.available, self.kept) = (directory, needed, available, kept)
    }

    /// Both numbers, and what to do.
    var description: String {
        let (required, overflow) = needed.addingReportingOverflow(kept)
        let missing = (overflow ? .max : required) - available
        return "it takes \(needed) bytes, and \(available) bytes are available in \(directory), of which "
            + "\(min(kept, available)) are kept for the log and for ROOT: free \(missing) bytes there; the leader "
            + "tries again by itself"
    }
}

/// A refusal of which the observer was told.
struct ToldRefusal: Equatable {
    let sender: MemberID
    let term: Term
    let kind: Kind

    /// What the operator would do about it. The numbers and files in the text differ with each attempt.
    enum Kind: Equatable {
        case refused(String)
        case file(FileError.Number)
        case noSpace
    }

    init(_ error: CheckpointReceiverError, of sender: MemberID, term: Term) {
        self.sender = sender
        self.term = term
        kind =
            switch error {
            case .refused(let sentence): .refused(sentence)
            case .file(let error): .file(error.number)
            case .noSpace: .noSpace
            }
    }
}
