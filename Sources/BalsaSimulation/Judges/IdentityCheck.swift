import Balsa
import BalsaPlatform
import BalsaRaft
import BalsaWire

/// Checks who belongs to the cluster, who is listened to, and who may answer.
struct IdentityCheck {
    /// One end of a conversation: a member, and what became of its directory.
    struct Party {
        var member: MemberID
        var directory = DirectoryState.whole
    }

    /// What was done to files of a member whose opening is refused, and how that was refused.
    struct FileRefusal {
        /// The paths that were removed or exchanged.
        var paths: [String]
        /// Whether that has changed anything: a copy may be what is there.
        var hasChanged = true
        /// Whether some of the files are another member's.
        var hasOthers = false
        /// Whether every byte is as it was before the opening.
        var keepsEveryByte = true
        /// Why the member still does not open where what the sentence names was put back; nil where it does.
        var failedAdvice: String?
    }

    /// The cluster of the first member that was established.
    private var cluster: ClusterIdentity?

    /// A member belongs to a cluster: to the same one as all others.
    mutating func established(_ cluster: ClusterIdentity, by id: MemberID, at now: TimeSpan) throws(Violation) {
        if let known = self.cluster, known != cluster {
            throw Violation(
                .identity,
                "member \(id) belongs to the cluster \(cluster.id), others to \(known.id)",
                at: now
            )
        }
        self.cluster = cluster
    }

    /// A member of no cluster says something. It may say only what belongs to a first boot.
    func speaksBeforeItBelongs(
        _ content: PeerFrame.Content?,
        by id: MemberID,
        _ text: @autoclosure () -> String,
        at now: TimeSpan
    ) throws(Violation) {
        if case .firstBoot = content { return }
        throw Violation(.identity, "member \(id) belongs to no cluster and says \(text())", at: now)
    }

    /// A first boot waits for its operator, though no directory was lost during it.
    func waits(_ id: MemberID, _ sentence: String, at now: TimeSpan) throws(Violation) {
        throw Violation(.identity, "member \(id) waits: \(sentence)", at: now)
    }

    /// A member takes a message of consensus. Neither end may have a directory that has forgotten something: what such a
    /// member takes for committed could be what it has, and not what the leader means.
    func listens(
        _ receiver: Party,
        to sender: Party,
        _ text: @autoclosure () -> String,
        at now: TimeSpan
    ) throws(Violation) {
        let detail: String
        if sender.directory != .whole {
            detail =
                "member \(receiver.member) listens to member \(sender.member), whose directory was \(sender.directory)"
        } else if receiver.directory != .whole {
            detail =
                "member \(sender.member) talks to member \(receiver.member), whose directory was \(receiver.directory)"
        } else {
            return
        }
        throw Violation(.identity, "\(detail): \(text())", at: now)
    }

    /// A member answers a request. One whose directory has forgotten something acknowledges nothing, and serves no
    /// linearizable read.
    func serves(_ party: Party, _ reply: Reply, isLinearizable: Bool, at now: TimeSpan) throws(Violation) {
        guard party.directory != .whole else { return }
        switch reply {
        case .success:
            throw Violation(.identity, "member \(party.member), \(party.directory), acknowledged a command", at: now)
        case .readable where isLinearizable:
            throw Violation(.identity, "member \(party.member), \(party.directory), served a read", at: now)
        case .readable, .failure:
            break
        }
    }

    /// A member was opened whose files were lost or exchanged: it holds the vote that it has given, and its other files
    /// do not say that one of them is too old.
    func openedFiles(
        of party: Party,
        _ paths: [String],
        _ voted: HardState?,
        _ found: HardState?,
        mustBeRefused: Bool = false,
        at now: TimeSpan
    ) throws(Violation) {
        // One that died while it wrote the next vote may hold that one.
        let isHeld = voted.map { voted in
            guard let found, found.term >= voted.term else { return false }
            return found.term > voted.term || voted.vote == 0 || found.vote == voted.vote
        }
        guard isHeld == false, let voted else {
            guard mustBeRefused else { return }
            throw Violation(
                .identity,
                "member \(party.member) is opened, though its \(paths) are older than its other files say",
                at: now
            )
        }
        throw Violation(
            .identity,
            "member \(party.member), whose \(paths) were exchanged, is opened and has forgotten \(voted) for "
                + (found.map { "\($0)" } ?? "nothing"),
            at: now
        )
    }

    /// The opening of a member was refused, whose files were lost or exchanged: the sentence names one of them, what it
    /// advises helps, and every byte is as it was.
    func refusedFiles(
        of party: Party,
        _ refusal: FileRefusal,
        _ error: ReplicaError,
        at now: TimeSpan
    ) throws(Violation) {
        guard refusal.hasChanged else {
            throw Violation(.identity, "member \(party.member) is refused, whose files are its own: \(error)", at: now)
        }
        let isNamed = refusal.paths.contains { error.message.contains($0) }
        // Where IDENTITY and BOOT are of another member, it is the files of this one that do not belong there.
        guard isNamed || (refusal.hasOthers && error.message.contains("another member's directory")) else {
            throw Violation(
                .identity,
                "member \(party.member) is refused, and no exchanged file of \(refusal.paths) is named: \(error)",
                at: now
            )
        }
        guard refusal.keepsEveryByte else {
            throw Violation(
                .identity,
                "member \(party.member) is refused, and its files were changed: \(error)",
                at: now
            )
        }
        if let failure = refusal.failedAdvice {
            throw Violation(
                .identity,
                "member \(party.member) is refused, and what the sentence advises does not help: \(error): \(failure)",
                at: now
            )
        }
    }

    /// A member was refused for good. Only one whose directory has forgotten something may be.
    func refused(_ party: Party, at now: TimeSpan) throws(Violation) {
        guard party.directory == .whole else { return }
        throw Violation(.identity, "member \(party.member) was refused, whose directory is its own", at: now)
    }
}
