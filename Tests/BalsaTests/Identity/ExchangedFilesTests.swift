import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// Every subset of a member's files and directories is removed, emptied, or exchanged with another member's, with an
/// earlier copy, or with a copy that was made during the latest opening. Then the member is intact, or it is refused by
/// name and keeps every byte, or no peer listens to it. The exceptions are those of `Docs/IdentityFormat.md`.
final class ExchangedFilesTests: XCTestCase {
    /// What happens to a file or a directory.
    private enum Change: CaseIterable {
        case none, removed, emptied, otherMembers, earlierCopy, copyOfLatestOpening
    }

    /// A member that was closed twice: as it was after the first time, in its second opening, before the last write was
    /// acknowledged, and after the second time.
    private struct Sample {
        var earlier: DiskImage
        var running: DiskImage
        var latest: DiskImage
        /// A member of another cluster that has the same id.
        var other: DiskImage
        var values: [String: String] = [:]
        /// The highest term that it had promised anything in.
        var term: Term
        var cluster: ClusterIdentity
        var opening: Opening
    }

    private func closedMember(
        _ disk: SimulatedDisk,
        seed: UInt64,
        _ values: inout [String: String],
        running: (DiskImage) -> Void = { _ in }
    ) throws -> Member {
        let member = try LoneMember(disk.mount(), seed: seed)
        for number in 0..<12 {
            let (key, value) = ("k\(number % 5)", "\(seed)-\(number)-" + String(repeating: "x", count: 90))
            if number == 11 { running(disk.snapshot()) }
            XCTAssertTrue(try member.write(key, value))
            values[key] = value
        }
        member.close()
        disk.processCrash()
        return member.member
    }

    private func sample() throws -> Sample {
        let disks = [SimulatedDisk(), SimulatedDisk()]
        var values: [String: String] = [:]
        _ = try closedMember(disks[1], seed: 91, &values)
        _ = try closedMember(disks[1], seed: 92, &values)
        values = [:]
        _ = try closedMember(disks[0], seed: 1, &values)
        let earlier = disks[0].snapshot()
        var running = earlier
        let member = try closedMember(disks[0], seed: 2, &values) { running = $0 }
        return Sample(
            earlier: earlier,
            running: running,
            latest: disks[0].snapshot(),
            other: disks[1].snapshot(),
            values: values,
            term: try XCTUnwrap(member.replica?.raft.term),
            cluster: try XCTUnwrap(member.cluster),
            opening: Opening(boot: 2, nonce: try XCTUnwrap(member.introduction(to: 2).nonces.first))
        )
    }

    /// All files below a path, directories without files included, with their bytes.
    private func tree(_ disk: SimulatedDisk, _ path: String) throws -> [(path: String, bytes: [UInt8]?)] {
        let files = disk.mount()
        guard try files.exists(path) else { return [] }
        if let bytes = disk.contents(of: path) { return [(path, bytes)] }
        var all: [(String, [UInt8]?)] = [(path, nil)]
        for name in try files.list(path) { all += try tree(disk, path + "/" + name) }
        return all
    }

    private func remove(_ disk: SimulatedDisk, _ path: String) throws {
        let files = disk.mount()
        guard try files.exists(path) else { return }
        if disk.contents(of: path) != nil { return try files.remove(path) }
        for name in try files.list(path) { try remove(disk, path + "/" + name) }
        try files.removeDirectory(path)
    }

    private func apply(_ change: Change, to path: String, of disk: SimulatedDisk, _ sample: Sample) throws {
        let source: SimulatedDisk
        switch change {
        case .none: return
        case .removed: return try remove(disk, path)
        case .emptied:
            let isFile = disk.contents(of: path) != nil
            guard try disk.mount().exists(path) else { return }
            try remove(disk, path)
            if isFile {
                try disk.mount().open(path, .create).close()
            } else {
                try disk.mount().createDirectory(path)
            }
            return
        case .otherMembers: source = SimulatedDisk(sample.other)
        case .earlierCopy: source = SimulatedDisk(sample.earlier)
        case .copyOfLatestOpening: source = SimulatedDisk(sample.running)
        }
        try remove(disk, path)
        let parent = path.split(separator: "/").dropLast().joined(separator: "/")
        try disk.mount().createDirectories(parent)
        for (path, bytes) in try tree(source, path) {
            guard let bytes else {
                try disk.mount().createDirectory(path)
                continue
            }
            let file = try disk.mount().open(path, .create)
            try file.write(Bytes(bytes), at: 0)
            file.close()
        }
    }

    fileprivate enum Outcome: Hashable {
        case intact
        case refused
        /// It is opened, and no peer that has listened to its latest opening listens to it.
        case refusedByPeers
        /// It has forgotten a vote or a write, and the page says that it may.
        case unnoticed
        case violation(String)
    }

    /// Whether both `VOTE` and the log are what they were at one moment of the latest opening: the page says that the
    /// member does not notice it. The last segment decides for the log: those before it change no more once the log
    /// goes on in it, and dead ones come and go.
    private func isException(_ disk: SimulatedDisk, _ sample: Sample) throws -> Bool {
        let running = SimulatedDisk(sample.running)
        running.processCrash()
        let vote = "m/groups/1/VOTE"
        guard let copy = running.contents(of: vote), disk.contents(of: vote) == copy else { return false }
        let segments = try tree(running, "m/log").filter { $0.path.hasSuffix(".log") }.sorted { $0.path < $1.path }
        guard let last = segments.last, disk.contents(of: last.path) == last.bytes else { return false }
        let latest = SimulatedDisk(sample.latest)
        return segments.allSatisfy { path, bytes in
            disk.contents(of: path).map { $0 == bytes || $0 == latest.contents(of: path) } ?? true
        }
    }

    /// What the refusals have advised, behind their last colon.
    private var advised: Set<String> = []

    /// What becomes of a member to whose files this was done.
    private func outcome(
        _ changes: [(path: String, change: Change)],
        _ sample: Sample,
        _ planted: ReplicaPlantedBugs
    ) throws -> Outcome {
        let disk = SimulatedDisk(sample.latest)
        disk.processCrash()
        let before = disk.contentDigest
        // Parents first, so that what is in a directory is changed in the one that takes its place.
        for (path, change) in changes { try apply(change, to: path, of: disk, sample) }
        disk.processCrash()
        let digest = disk.contentDigest
        let isException = try isException(disk, sample)
        let member: LoneMember
        do throws(ReplicaError) {
            member = try LoneMember(disk.mount(), seed: 7, plantedBugs: planted)
        } catch {
            disk.processCrash()
            guard disk.contentDigest == digest else { return .violation("refused, and a byte has changed: \(error)") }
            guard digest != before else { return .violation("refused, and its files are its own: \(error)") }
            if let failure = try failedAdvice(changes, of: disk, error, sample) { return .violation(failure) }
            return .refused
        }
        if isRefusedByPeers(member, sample) { return .refusedByPeers }
        let hasForgotten = try forgotten(member, sample)
        if isException { return hasForgotten == nil ? .violation("the page can say more") : .unnoticed }
        return hasForgotten.map { .violation($0) } ?? .intact
    }

    /// What an open member has forgotten; nil for nothing.
    private func forgotten(_ member: LoneMember, _ sample: Sample) throws -> String? {
        // It campaigns, in a term that it has not voted in.
        guard member.elect(), let term = member.member.replica?.raft.term, term > sample.term else {
            return "the vote was forgotten"
        }
        for (key, value) in sample.values where try member.value(of: key) != value {
            return "\(key) is not what was acknowledged"
        }
        return nil
    }

    /// Whether a peer that has listened to the latest opening refuses this one.
    private func isRefusedByPeers(_ member: LoneMember, _ sample: Sample) -> Bool {
        var peers = PeerIdentity(
            member: 2,
            cluster: sample.cluster,
            peers: [.init(member: 1, boot: sample.opening.boot, nonce: sample.opening.nonce)]
        )
        guard case .refuse = peers.connect(member.member.introduction(to: 2)) else { return false }
        return true
    }

    /// Puts back what the sentence names, and what the next one names: in the end the member has all that it
    /// acknowledged.
    ///
    /// - Returns: what is wrong then; nil where nothing is.
    private func failedAdvice(
        _ changes: [(path: String, change: Change)],
        of disk: SimulatedDisk,
        _ first: ReplicaError,
        _ sample: Sample
    ) throws -> String? {
        var left = changes.filter { $0.change != .none }
        var error = first
        while true {
            var named = left.filter { isNamed($0.path, in: error.message) }
            // Where IDENTITY and BOOT are of another member, it is the files of this one that do not belong there.
            let isOther = left.contains { ["m/IDENTITY", "m/BOOT"].contains($0.path) && $0.change == .otherMembers }
            if named.isEmpty, isOther, error.message.contains("another member's directory") { named = left }
            guard !named.isEmpty else { return "the sentence names no file that was changed: \(error)" }
            advised.insert(String(error.message.components(separatedBy: ": ").last ?? ""))
            for (path, _) in named { disk.replace(path, from: sample.latest) }
            left.removeAll { one in named.contains { $0.path == one.path } }
            disk.processCrash()
            let isException = try isException(disk, sample)
            switch try reopened(disk, sample) {
            case .refused(let next): error = next
            case .refusedByPeers, .whole: return nil
            case .lost where isException: return nil
            case .lost(let key): return "\(key) is lost, though what the sentence names was put back: \(first)"
            case .changed(let next): return "refused when opened again, and a byte has changed: \(next)"
            }
        }
    }

    private enum Reopened {
        case refused(ReplicaError)
        case refusedByPeers
        case whole
        case lost(String)
        case changed(ReplicaError)
    }

    /// What became of the disks to which files were put back, by their digests: most changes end in few disks.
    private var reopened: [UInt64: Reopened] = [:]

    private func reopened(_ disk: SimulatedDisk, _ sample: Sample) throws -> Reopened {
        let digest = disk.contentDigest
        if let known = reopened[digest] { return known }
        let outcome = try outcome(ofOpening: disk, sample)
        reopened[digest] = outcome
        return outcome
    }

    private func outcome(ofOpening disk: SimulatedDisk, _ sample: Sample) throws -> Reopened {
        let digest = disk.contentDigest
        let member: LoneMember
        do throws(ReplicaError) { member = try LoneMember(disk.mount(), seed: 8) } catch {
            disk.processCrash()
            return disk.contentDigest == digest ? .refused(error) : .changed(error)
        }
        if isRefusedByPeers(member, sample) { return .refusedByPeers }
        for (key, value) in sample.values where try member.value(of: key) != value { return .lost(key) }
        return .whole
    }

    /// Whether a sentence names a file: itself, one in it, or a segment by its number.
    private func isNamed(_ path: String, in sentence: String) -> Bool {
        if sentence.contains(path) { return true }
        let name = path.split(separator: "/").last ?? ""
        guard name.hasSuffix(".log"), let number = UInt64(name.dropLast(4), radix: 16) else { return false }
        // Of the segments that are gone from the front, and from the end, nobody knows how many there were.
        return [
            "segment \(number),", "the oldest entries of group 1 are missing", "the later segment that is missing",
            "m/log holds no segment", "put m/log back",
        ].contains { sentence.contains($0) }
    }

    /// Every combination of changes of these paths.
    private func combinations(
        _ paths: [String],
        _ changes: [Change] = Change.allCases
    ) -> [[(path: String, change: Change)]] {
        paths.reduce([[]]) { all, path in
            all.flatMap { before in changes.map { before + [(path, $0)] } }
        }
    }

    private func enumerate(
        _ combinations: [[(path: String, change: Change)]],
        planted: ReplicaPlantedBugs = []
    ) throws -> (outcomes: [Outcome: Int], violations: [String]) {
        let sample = try sample()
        var outcomes: [Outcome: Int] = [:]
        var violations: [String] = []
        for changes in combinations {
            let outcome = try outcome(changes, sample, planted)
            if case .violation(let sentence) = outcome {
                let told = changes.filter { $0.change != .none }.map { "\($0.path) \($0.change)" }
                violations.append("\(told.joined(separator: ", ")): \(sentence)")
            } else {
                outcomes[outcome, default: 0] += 1
            }
        }
        return (outcomes, violations)
    }

    private let directories = ["m/IDENTITY", "m/BOOT", "m/log", "m/groups"]

    func testFilesAndDirectories_removedEmptiedOrExchanged_areIntactOrRefused() throws {
        let (outcomes, violations) = try enumerate(combinations(directories))
        XCTAssertEqual(violations, [])
        XCTAssertEqual(outcomes.values.reduce(0, +), 1_296)
        XCTAssertGreaterThan(outcomes[.intact] ?? 0, 1)
        XCTAssertGreaterThan(outcomes[.refused] ?? 0, 500)
        // What the sentences advise was done each time.
        for advice in [
            "put m/BOOT back as it was when the member stopped, never a copy made while it ran, or leave the member "
                + "stopped",
            "put m/log back as it was when the member stopped, never a copy made while it ran, or leave the member "
                + "stopped",
            "put back what belongs together",
        ] { XCTAssertTrue(advised.contains(advice), "\(advice): \(advised)") }
        // Nothing is left, everything is of another member, everything but IDENTITY is an earlier copy.
        XCTAssertEqual(outcomes[.refusedByPeers] ?? 0, 5, "\(outcomes)")
        XCTAssertEqual(outcomes[.unnoticed] ?? 0, 6, "\(outcomes)")
    }

    func testFilesOfTheGroupAndSegments_removedEmptiedOrExchanged_areIntactOrRefused() throws {
        let disk = SimulatedDisk(try sample().latest)
        let segments = try disk.mount().list("m/log").filter { $0.hasSuffix(".log") }.sorted().map { "m/log/" + $0 }
        XCTAssertGreaterThan(segments.count, 2)
        let paths = ["m/groups/1/VOTE", "m/groups/1/ROOT", "m/groups/1/state-1", "m/groups/1/state-1/OWNER"] + segments
        // Up to two of them, and all of them in the same way.
        var all: [[(path: String, change: Change)]] = []
        for (place, first) in paths.enumerated() {
            for change in Change.allCases.dropFirst() {
                all.append([(first, change)])
                for second in paths[(place + 1)...] {
                    for other in Change.allCases.dropFirst() { all.append([(first, change), (second, other)]) }
                }
            }
        }
        for change in Change.allCases.dropFirst() { all.append(paths.map { ($0, change) }) }
        let (outcomes, violations) = try enumerate(all)
        XCTAssertEqual(violations, [])
        XCTAssertEqual(outcomes.values.reduce(0, +), all.count)
        XCTAssertGreaterThan(outcomes[.refused] ?? 0, all.count / 2, "\(outcomes)")
        XCTAssertNil(outcomes[.refusedByPeers])
        // What the sentences advise was done each time.
        for advice in [
            "put m/groups/1/VOTE back as it was when the member stopped, never a copy made while it ran, or leave the "
                + "member stopped",
            "put back what belongs together", "put it back as a whole",
            "put it back as it was when the member stopped, or leave the member stopped",
        ] { XCTAssertTrue(advised.contains(advice), "\(advice): \(advised)") }
    }

    /// The enumeration is no test unless it finds this.
    func testMarks_thatAreNotCompared_areFound() throws {
        let (_, violations) = try enumerate(
            combinations(directories, [.none, .removed, .earlierCopy]),
            planted: .marksNotCompared
        )
        XCTAssertTrue(
            violations.contains { $0.hasPrefix("m/log removed, m/groups removed: the vote") },
            "\(violations)"
        )
        XCTAssertTrue(violations.contains { $0.contains("m/log earlierCopy, m/groups earlierCopy: ") }, "\(violations)")
    }

    /// Nor unless it finds this: a write that a copy made during the latest opening has forgotten. Forgotten votes are
    /// for `CopiesWithinAnOpeningTests`.
    func testChanges_thatAreNotCompared_areFound() throws {
        let (_, violations) = try enumerate(
            combinations(directories, [.none, .copyOfLatestOpening]),
            planted: .changesNotCompared
        )
        let expected = "m/log copyOfLatestOpening: k1 is not what was acknowledged"
        XCTAssertTrue(violations.contains(expected), "\(violations)")
    }

    /// A directory was copied while the member was stopped, and each of the two was opened once. Their openings have
    /// the same number, so that only the nonces tell the files apart.
    func testFiles_ofACopyOfTheDirectory_areRefusedByName() throws {
        let sample = try sample()
        let copies = try ([31, 32] as [UInt64]).map { seed -> DiskImage in
            let disk = SimulatedDisk(sample.latest)
            var values: [String: String] = [:]
            _ = try closedMember(disk, seed: seed, &values)
            return disk.snapshot()
        }
        for path in ["m/groups/1/VOTE", "m/groups/1/ROOT", "m/log"] {
            let disk = SimulatedDisk(copies[0])
            disk.replace(path, from: copies[1])
            disk.processCrash()
            let digest = disk.contentDigest
            XCTAssertThrowsError(try LoneMember(disk.mount(), seed: 7), path) {
                XCTAssertEqual(($0 as? ReplicaError)?.code, .damaged, path)
                XCTAssertEqual(
                    ($0 as? ReplicaError)?.message,
                    "\(path) is of another opening 3 than m/BOOT: the two are of two copies of the directory: put "
                        + "back what belongs together, or leave the member stopped"
                )
            }
            disk.processCrash()
            XCTAssertEqual(disk.contentDigest, digest, path)
            // What the message advises.
            disk.replace(path, from: copies[0])
            disk.processCrash()
            XCTAssertNoThrow(try LoneMember(disk.mount(), seed: 8), path)
        }
    }

    func testACrashInsideTheFirstOpening_leavesAMemberThatOpens() throws {
        var images = 0
        var digests: Set<UInt64> = []
        let calls = try SimulatedDisk().forEachCrashPoint { files in
            _ = try LoneMember(files, seed: 3)
        } check: { crashed, point in
            for image in crashed.crashStates(limit: 12) {
                images += 1
                // The crash behind a call and the one before the next leave the same disks.
                guard digests.insert(image.contentDigest).inserted else { continue }
                let disk = SimulatedDisk(image)
                do throws(ReplicaError) {
                    let member = try LoneMember(disk.mount(), seed: 4)
                    XCTAssertTrue(try member.write("k", "v"), "\(point)")
                    XCTAssertEqual(try member.value(of: "k"), "v", "\(point)")
                } catch {
                    XCTFail("\(point): \(error)")
                }
            }
        }
        XCTAssertGreaterThan(calls, 40)
        XCTAssertGreaterThan(images, 200)
    }

    func testACrashInsideALaterOpening_losesNothing() throws {
        let sample = try sample()
        var digests: Set<UInt64> = []
        try SimulatedDisk(sample.latest).forEachCrashPoint { files in
            _ = try LoneMember(files, seed: 3)
        } check: { crashed, point in
            for image in crashed.crashStates(limit: 6) where digests.insert(image.contentDigest).inserted {
                do throws(ReplicaError) {
                    let member = try LoneMember(SimulatedDisk(image).mount(), seed: 4)
                    for (key, value) in sample.values { XCTAssertEqual(try member.value(of: key), value, "\(point)") }
                    XCTAssertGreaterThan(try XCTUnwrap(member.member.replica?.raft.term), sample.term, "\(point)")
                } catch {
                    XCTFail("\(point): \(error)")
                }
            }
        }
    }
}
