import BalsaLog
import BalsaPlatform
import BalsaWire

/// What binds a replica to its member's directory: BOOT as the opening has read it, and the opening itself.
///
/// Each opening marks VOTE, ROOT and the log with its number and its random number, and BOOT says which opening has
/// marked all of them. So each of these files is held against BOOT: one that was lost, that is a copy made before the
/// latest opening, or that is of a copy of the directory has another mark. The order, each step durable before the
/// next:
///
/// 1. Everything is read and compared. What refuses the member refuses it here, and nothing has been changed.
/// 2. BOOT counts the opening.
/// 3. ROOT, VOTE and the log get its mark.
/// 4. BOOT says that they have it. Only then is anything said.
///
/// A crash in between leaves files with marks from the one that BOOT names to the one that it counts, and the next
/// opening goes on from there.
///
/// A copy made *during* the latest opening has the same mark. So the log says which changes of VOTE and BOOT were
/// durable, and VOTE says how far the log was: each names only what is durable already, so that no crash makes one that
/// is refused. What is not noticed: `Docs/IdentityFormat.md`.
struct ReplicaBinding {
    /// Whose the files are, this opening, and where the salts of segments come from.
    var files: FileBinding
    /// BOOT as it was read.
    var boot: BootRecord
    /// The path of BOOT.
    var path: String
    /// An error that is planted to test the invariants: marks are not compared.
    var isMarkIgnored = false
    /// Another one: neither are the changes of VOTE, BOOT and the log.
    var areChangesIgnored = false
    /// Counts the opening, durably, and returns the revision of BOOT. Called when nothing refuses it any more, and
    /// before anything is changed.
    var count: () throws(ReplicaError) -> UInt64

    /// Whether the replica was ever opened to its end: then it may have promised something.
    var isMarked: Bool { boot.marked != nil }

    /// Throws where a file does not have the mark that it should.
    ///
    /// - Parameters:
    ///   - mark: the mark that it has; nil for none.
    ///   - file: the file, or the directory of the log.
    func check(_ mark: Opening?, of file: String) throws(ReplicaError) {
        guard !isMarkIgnored else { return }
        guard let mark else {
            // A first opening that crashed has not marked everything.
            guard let marked = boot.marked else { return }
            throw ReplicaError(
                .damaged,
                "\(file) has no mark, though \(path) says that opening \(marked.boot) has marked it: "
                    + ReplicaBinding.advice(file)
            )
        }
        if let marked = boot.marked, mark.boot < marked.boot {
            throw ReplicaError(
                .damaged,
                "\(file) is of opening \(mark.boot) of the directory, though \(path) says that opening "
                    + "\(marked.boot) has marked it: " + ReplicaBinding.advice(file)
            )
        }
        guard mark.boot <= boot.counter else {
            throw ReplicaError(
                .damaged,
                "\(path) is of opening \(boot.counter) of the directory, though opening \(mark.boot) has marked "
                    + "\(file): " + ReplicaBinding.advice(path)
            )
        }
        // BOOT reaches back 4,096 openings. One that is older, and came to nothing, cannot be compared.
        let known = boot.marked.flatMap { $0.boot == mark.boot ? $0 : nil } ?? boot.opening(mark.boot)
        guard known == nil || known == mark else {
            throw ReplicaError(
                .damaged,
                "\(file) is of another opening \(mark.boot) than \(path): the two are of two copies of the directory: "
                    + "put back what belongs together, or leave the member stopped"
            )
        }
    }

    /// Throws where VOTE or the log does not have the mark that it should, where the log is missing, and where VOTE,
    /// BOOT or the log is a copy that was made before a change that another one of them knows of.
    ///
    /// - Parameters:
    ///   - vote: the vote; nil where there is none yet.
    ///   - log: the log, which was read.
    ///   - voteFile: the path of VOTE.
    ///   - directory: the directory of the log.
    func check(
        _ vote: VoteFile?,
        _ log: LogRecovery,
        voteFile: String,
        directory: String
    ) throws(ReplicaError) {
        try check(vote?.foundMark, of: voteFile)
        if !log.hasSegments, let missing = missing(directory, "holds no segment") { throw missing }
        try check(log.foundMark?.opening, of: directory)
        try checkChanges(vote, log, voteFile, directory)
    }

    private func checkChanges(
        _ vote: VoteFile?,
        _ log: LogRecovery,
        _ voteFile: String,
        _ directory: String
    ) throws(ReplicaError) {
        guard !areChangesIgnored else { return }
        if let mark = log.foundMark {
            if let vote, vote.sequence < mark.voteSequence {
                throw ReplicaError(
                    .damaged,
                    "\(voteFile) is of its change \(vote.sequence), though \(directory) was written after its change "
                        + "\(mark.voteSequence): " + ReplicaBinding.advice(voteFile)
                )
            }
            guard boot.revision >= mark.bootRevision else {
                throw ReplicaError(
                    .damaged,
                    "\(path) is of its change \(boot.revision), though \(directory) was written after its change "
                        + "\(mark.bootRevision): " + ReplicaBinding.advice(path)
                )
            }
        }
        if let vote, log.foundEnd < vote.logEnd {
            throw ReplicaError(
                .damaged,
                "\(directory) ends at \(log.foundEnd), though \(voteFile) was written when it was durable through "
                    + "\(vote.logEnd): " + ReplicaBinding.advice(directory)
            )
        }
    }

    /// What helps where a file was lost or set back. A copy that was made while the member ran has forgotten what the
    /// member promised after it was made.
    static func advice(_ file: String) -> String {
        "put \(file) back as it was when the member stopped, never a copy made while it ran, or leave the member "
            + "stopped"
    }

    /// The error of a file that is missing, or nil where the member may begin without it.
    func missing(_ file: String, _ trouble: String = "is missing") -> ReplicaError? {
        guard let marked = boot.marked, !isMarkIgnored else { return nil }
        return ReplicaError(
            .damaged,
            "\(file) \(trouble), though \(path) says that opening \(marked.boot) has marked it: "
                + ReplicaBinding.advice(file)
        )
    }
}
