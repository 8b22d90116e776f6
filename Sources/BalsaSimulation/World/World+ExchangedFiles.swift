import Balsa
import BalsaLog
import BalsaPlatform
import BalsaRaft

// Files and directories of a member vanish, or are exchanged with another member's or an earlier copy, while it is
// down.
// Then the member is intact, or its opening is refused with a sentence that names the file, or its peers refuse it.

/// Where files that are exchanged come from.
private enum Source {
    /// An earlier copy of the same directory; one that is not older, and must do no harm, where there is no other.
    case earlier
    /// The directory of another member.
    case other
    /// One or the other, as is drawn for each.
    case drawn
}

/// What was done to the files of a member that has not been opened since.
struct ExchangedFiles {
    /// The paths that were changed.
    var paths: [String]
    /// What the disk holds since then.
    var digest: UInt64
    /// What the disk held before.
    var before: DiskImage
    /// Whether that was something else.
    var hasChanged: Bool
    /// Whether some of the files are another member's.
    var hasOthers: Bool
    /// The term and the vote that are durable; nil where it has no replica.
    var voted: HardState?
    /// Whether the member has to be refused at its opening.
    var mustBeRefused = false
}

/// Files of one moment of the latest opening, which the member's other files say to be older than they should be.
struct EarlierFiles {
    var names: [String]
    var image: DiskImage
}

extension World {
    /// The files and directories of a member that can be lost or exchanged one by one.
    private static let changeable = [
        "IDENTITY", "BOOT", "log", "groups", "groups/1/VOTE", "groups/1/ROOT", "groups/1/state",
    ]

    /// The bit in ``Fault/set`` that says that the copies are those of the latest opening.
    static let ofLatestOpening: UInt64 = 1 << 7

    /// The bits of such files in ``Fault/set``.
    static func bits(of names: [String]) -> UInt64 {
        changeable.indices.filter { names.contains(changeable[$0]) }.reduce(0) { $0 | 1 << UInt64($1) }
    }

    /// Which files a fault hits: those of its set, and those that its salt decides where it has none.
    private static func chosen(_ fault: Fault, isUniform: Bool, _ luck: inout RandomSource) -> [String] {
        var names: [String] = []
        for (place, name) in changeable.enumerated() {
            let isHit = isUniform || luck.below(3) == 0
            if fault.set == 0 ? isHit : fault.set >> UInt64(place) & 1 == 1 { names.append(name) }
        }
        return names.isEmpty ? ["log", "groups"] : names
    }

    /// Some of a member's files and directories vanish or are exchanged while it is down.
    ///
    /// Only outside of the core, so that a quorum stays whole; only once everybody belongs to the cluster; and an
    /// earlier copy is from before an opening that each of the others remembers, as in ``forget(_:)``.
    func exchangeFiles(_ fault: Fault) {
        let member = member(fault.member)
        guard !isInCore(member.id), members.allSatisfy({ $0.wasEstablished && $0.directory == .whole }) else { return }
        counters[fault.kind] += 1
        let voted = member.process?.replica?.votedState
        let ofThisOpening = filesOfThisOpening(member, fault)
        end(member, losesPower: false, salt: fault.salt, downFor: fault.lasts)
        member.disk.processCrash()
        if let ofThisOpening { return exchange(member, ofThisOpening, voted) }

        let (before, digest) = (member.disk.snapshot(), member.disk.contentDigest)
        var luck = RandomSource(seed: RandomSource.mix(fault.salt))
        let image = earlierImage(of: member)
        let earlier = image ?? before
        let others = scenario.memberIDs.filter { $0 != member.id }
        let other = self.member(others[Int(luck.below(UInt64(others.count)))]).disk.snapshot()
        // Sometimes the same happens to all of them.
        let isUniform = luck.below(4) == 0
        let source = luck.pick([Source.earlier, .earlier, .other, .drawn])
        var paths: [String] = []
        var earlierPaths: [String] = []
        var hasOthers = false
        for name in World.chosen(fault, isUniform: isUniform, &luck) {
            guard let path = path(of: name, on: member.disk) else { continue }
            paths.append(path)
            guard fault.kind == .swapped else {
                member.disk.remove(path, isEmptied: fault.set == 0 && !isUniform && luck.below(3) == 0)
                continue
            }
            let takesEarlier = source == .earlier || (source == .drawn && luck.below(2) == 0)
            if takesEarlier, image != nil { earlierPaths.append(name) }
            if !takesEarlier { hasOthers = true }
            member.disk.replace(path, from: takesEarlier ? earlier : other)
        }
        trace.record("files", member: member.id, at: now, "\(paths) earlier \(earlierPaths)")
        member.exchanged = ExchangedFiles(
            paths: paths,
            digest: member.disk.contentDigest,
            before: before,
            hasChanged: member.disk.contentDigest != digest,
            hasOthers: hasOthers,
            voted: voted
        )
        member.directory = state(of: member, isSetBack: World.isSetBack(earlierPaths))
        member.directorySince = member.starts + 1
    }

    /// Which files of a member are exchanged with a copy that was made right behind its latest opening: those for which
    /// `Docs/IdentityFormat.md` says that the member itself notices it. Nil where neither the set nor the salt says so.
    private func filesOfThisOpening(_ member: SimulatedMember, _ fault: Fault) -> EarlierFiles? {
        var luck = RandomSource(seed: RandomSource.mix(fault.salt ^ 0x6f70_656e_6564))
        let isWanted = fault.set == 0 ? luck.below(2) == 0 : fault.set & World.ofLatestOpening != 0
        guard fault.kind == .swapped, isWanted, let now = member.process?.replica?.fileClaims,
            let opened = member.opened,
            opened.start == member.starts
        else { return nil }
        var choices: [[String]] = []
        let isVoteOld = opened.claims.said.voteSequence < now.said.voteSequence
        let isBootOld = opened.claims.said.bootRevision < now.said.bootRevision
        if isVoteOld { choices.append(["groups/1/VOTE"]) }
        if isBootOld { choices.append(["BOOT"]) }
        if isVoteOld || isBootOld { choices.append(["groups/1/VOTE", "BOOT"]) }
        // A log that was appended to behind the last vote only is one that a crash may leave.
        if opened.claims.logEnd < now.votedLogEnd { choices += [["log"], ["log", "BOOT"]] }
        // A ROOT that names the same generation may have forgotten what no harm comes of; OWNER knows the rest.
        if opened.claims.generation < now.generation, now.isOnlyGeneration { choices.append(["groups/1/ROOT"]) }
        guard !choices.isEmpty else { return nil }
        let names = luck.pick(choices)
        guard fault.set != 0 else { return EarlierFiles(names: names, image: opened.image) }
        let wanted = choices.first { World.bits(of: $0) | World.ofLatestOpening == fault.set }
        return wanted.map { EarlierFiles(names: $0, image: opened.image) }
    }

    private func exchange(_ member: SimulatedMember, _ files: EarlierFiles, _ voted: HardState?) {
        counters.filesOfOneOpening += 1
        let (before, digest) = (member.disk.snapshot(), member.disk.contentDigest)
        let paths = files.names.map { "balsa/" + $0 }
        for path in paths { member.disk.replace(path, from: files.image) }
        trace.record("files", member: member.id, at: now, "\(paths) of this opening")
        member.exchanged = ExchangedFiles(
            paths: paths,
            digest: member.disk.contentDigest,
            before: before,
            hasChanged: member.disk.contentDigest != digest,
            hasOthers: false,
            voted: voted,
            mustBeRefused: true
        )
        member.directory = .exchanged
        member.directorySince = member.starts + 1
    }

    /// Whether everything that an opening compares is of one earlier copy, so that only peers can tell.
    private static func isSetBack(_ earlier: [String]) -> Bool {
        guard earlier.contains("BOOT"), earlier.contains("log") else { return false }
        return earlier.contains("groups") || (earlier.contains("groups/1/VOTE") && earlier.contains("groups/1/ROOT"))
    }

    private func state(of member: SimulatedMember, isSetBack: Bool) -> DirectoryState {
        let files = member.disk.mount()
        let names = (try? files.list("balsa")) ?? []
        // What an opening that failed has left under another name is nothing to the next one.
        if names.allSatisfy({ $0 == "LOCK" || $0.hasSuffix(".new") }) { return .wiped }
        return isSetBack ? .rolledBack : .exchanged
    }

    private func path(of name: String, on disk: SimulatedDisk) -> String? {
        guard name == "groups/1/state" else { return "balsa/" + name }
        let names = (try? disk.mount().list("balsa/groups/1")) ?? []
        return names.last { $0.hasPrefix("state-") }.map { "balsa/groups/1/" + $0 }
    }

    /// A member whose files were lost or exchanged was opened: so it has to be intact, which the other checkers decide
    /// from here on, unless its peers refuse it.
    func openedWithExchangedFiles(_ member: SimulatedMember) {
        guard let exchanged = member.exchanged else { return }
        member.exchanged = nil
        guard member.directory == .exchanged else { return }
        let found = member.process?.replica?.votedState
        judge {
            try judges.identity.openedFiles(
                of: member.party,
                exchanged.paths,
                exchanged.voted,
                found,
                mustBeRefused: exchanged.mustBeRefused,
                at: now
            )
        }
        trace.record("files-intact", member: member.id, at: now, "")
        counters.filesIntact += 1
        member.directory = .whole
    }

    /// A member whose files were lost or exchanged is refused at its opening. Its operator empties the directory: then
    /// its peers refuse it.
    ///
    /// - Returns: whether that is so. Otherwise the opening failed for another reason.
    func refusedForExchangedFiles(_ member: SimulatedMember, _ error: ReplicaError) -> Bool {
        guard let exchanged = member.exchanged, error.file == nil else { return false }
        trace.record("files-refused", member: member.id, at: now, error.description)
        judge {
            let refusal = IdentityCheck.FileRefusal(
                paths: exchanged.paths,
                hasChanged: exchanged.hasChanged,
                hasOthers: exchanged.hasOthers,
                keepsEveryByte: member.disk.contentDigest == exchanged.digest,
                failedAdvice: failedAdvice(member, exchanged, error)
            )
            try judges.identity.refusedFiles(of: member.party, refusal, error, at: now)
        }
        counters.filesRefused += 1
        member.exchanged = nil
        end(member, losesPower: false, salt: 0, downFor: .milliseconds(200))
        member.disk = SimulatedDisk(options: member.disk.state.options)
        member.directory = .wiped
        member.directorySince = member.starts + 1
        return true
    }

    /// Puts back what the sentence names, and what the next one names, on a copy of the disk: in the end the member
    /// opens.
    ///
    /// - Returns: why it does not; nil where it does.
    private func failedAdvice(
        _ member: SimulatedMember,
        _ exchanged: ExchangedFiles,
        _ first: ReplicaError
    ) -> String? {
        let disk = SimulatedDisk(member.disk.snapshot())
        disk.processCrash()
        var left = exchanged.paths
        var error = first
        while true {
            var named = left.filter { error.message.contains($0) }
            // Of the files of two members, the sentence names one. All that belong together go back.
            if named.isEmpty, exchanged.hasOthers { named = left }
            guard !named.isEmpty else { return error.description }
            for path in named { disk.replace(path, from: exchanged.before) }
            left.removeAll { named.contains($0) }
            disk.processCrash()
            do throws(ReplicaError) {
                var ignored: [ReplicaEffect] = []
                let setup = setup(of: member)
                try Member.open(
                    setup,
                    fileSystem: disk.mount(),
                    provider: provider(of: member, seed: setup.seed),
                    at: .zero,
                    into: &ignored
                ).close()
                return nil
            } catch let next {
                disk.processCrash()
                error = next
            }
        }
    }
}
