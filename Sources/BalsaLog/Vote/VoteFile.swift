import BalsaPlatform
import BalsaRaft
import BalsaWire

/// A change of a vote: two writes, each to be performed before the next one begins.
///
/// The promise that depends on the change leaves only when both have been performed: then damage to either copy leaves
/// the other, which says the same.
public struct VoteChange: Sendable {
    /// What will be remembered.
    public let state: HardState
    /// Writes and syncs the first copy.
    public let first: DurableWrite
    /// Writes and syncs the second copy, after ``first``.
    public let second: DurableWrite
}

/// The file `VOTE` of a group: term and vote, in two copies in separate sectors. `Docs/VoteFormat.md` has the layout.
///
/// While one copy is written the other is whole, so that a torn write loses at most a change whose promise has not left.
/// Both copies are equal whenever a promise leaves, so that damage to one of them is mended by the other.
///
/// A vote file belongs to one thread at a time and holds at most one change under way.
public struct VoteFile: Sendable {
    /// What is remembered durably, in both copies.
    public private(set) var state: HardState
    /// The failed write after which nothing is changed any more; nil while all is well.
    public private(set) var failure: FileError?

    private let group: GroupID
    private let binding: FileBinding
    /// The latest opening that had written the file when it was found; nil for a new one.
    package private(set) var foundMark: Opening?
    private let file: any File
    /// Counts the changes that were begun.
    package private(set) var sequence: UInt64
    /// Up to where the log was durable when the latest change was begun.
    package private(set) var logEnd = LogPlace.zero
    private var change: VoteChange?
    private var nextWriteNumber: UInt64 = 1
    /// The copies that have to be written once more before the file is used, in their order.
    private var unmended: [UInt64] = []

    /// How far the copies are apart, in bytes: no device writes larger sectors.
    package static let copyDistance: UInt64 = 4_096

    /// Creates the file, with both copies, and its name durable when it returns.
    ///
    /// - Parameters:
    ///   - fileSystem: the files.
    ///   - directory: the directory of the group, which exists.
    ///   - group: the group.
    ///   - binding: whose the file is, and which opening makes it.
    ///   - state: what is to be remembered at first.
    /// - Throws: ``VoteError``, with *exists already* where there is a vote file: a vote is never overwritten.
    public static func create(
        _ fileSystem: any FileSystem,
        directory: String,
        group: GroupID,
        binding: FileBinding = .unbound,
        state: HardState = .initial
    ) throws(VoteError) -> VoteFile {
        let path = path(in: directory)
        let preparing = path + ".preparing"
        let isThere = try filed(path) { () throws(FileError) in try fileSystem.exists(path) }
        guard !isThere else { throw VoteError(.exists, path: path) }
        let copy = VoteRecord(group: group, sequence: 1, state: state, binding: binding).encoded()
        let file = try filed(path) { () throws(FileError) in
            // What an earlier attempt left is never gone on with.
            if try fileSystem.exists(preparing) { try fileSystem.remove(preparing) }
            let file = try fileSystem.open(preparing, .create)
            defer { file.close() }
            try file.writeZeros(2 * copyDistance, at: 0)
            try file.write(copy, at: 0)
            try file.write(copy, at: copyDistance)
            try file.sync()
            try fileSystem.rename(preparing, to: path)
            try fileSystem.syncDirectory(directory)
            return try fileSystem.open(path, .readWrite)
        }
        return VoteFile(state: state, group: group, binding: binding, file: file, sequence: 1)
    }

    /// Opens the file and makes both copies equal and durable.
    ///
    /// The newer of two valid copies is used, or the only valid one. Both are then written once more, one after the
    /// other, even where they are equal: the page cache may show a copy that a failed sync never wrote.
    ///
    /// - Parameters:
    ///   - fileSystem: the files.
    ///   - directory: the directory of the group.
    ///   - group: the group.
    ///   - binding: whose the file has to be, and which opening marks it.
    /// - Throws: ``VoteError``. With *damaged* and *missing* the member must not vote, campaign or acknowledge.
    public static func open(
        _ fileSystem: any FileSystem,
        directory: String,
        group: GroupID,
        binding: FileBinding = .unbound
    ) throws(VoteError) -> VoteFile {
        var vote = try find(fileSystem, directory: directory, group: group, binding: binding)
        try vote.mend()
        return vote
    }

    /// Reads the file and changes nothing. ``mend()`` has to follow before it is used.
    ///
    /// - Throws: ``VoteError`` as ``open(_:directory:group:)`` does.
    package static func find(
        _ fileSystem: any FileSystem,
        directory: String,
        group: GroupID,
        binding: FileBinding = .unbound
    ) throws(VoteError) -> VoteFile {
        let path = path(in: directory)
        let isThere = try filed(path) { () throws(FileError) in try fileSystem.exists(path) }
        guard isThere else { throw VoteError(.missing, path: path) }
        let file = try filed(path) { () throws(FileError) in
            // Whoever created the file may have died before its name was durable. A vote whose name a power loss takes away
            // is forgotten, whatever was synced in it.
            try fileSystem.syncDirectory(directory)
            return try fileSystem.open(path, .readWrite)
        }
        let copies = try readCopies(file)
        guard let newest = newer(copies[0], copies[1]) else { throw VoteError(.damage, path: path) }
        guard newest.owner == binding.owner else { throw VoteError(.otherOwner, path: path) }
        guard newest.group == group else { throw VoteError(.wrongGroup, path: path) }
        for case let copy? in copies where copy != newest {
            // Two copies of one sequence that differ, or of which the newer has the lower term, an earlier opening or
            // an earlier end of the log, were not written by us.
            guard copy.group == group, copy.owner == newest.owner, copy.sequence < newest.sequence,
                copy.state.term <= newest.state.term, copy.logEnd <= newest.logEnd,
                copy.mark.boot < newest.mark.boot || copy.mark == newest.mark
            else {
                throw VoteError(.damage, path: path)
            }
        }
        var vote = VoteFile(
            state: newest.state,
            group: group,
            binding: binding,
            file: file,
            sequence: newest.sequence
        )
        vote.foundMark = newest.mark
        vote.logEnd = newest.logEnd
        // The copy that is not used goes first: until it is durable the used one is left alone.
        vote.unmended = copies[0] == newest ? [1, 0] : [0, 1]
        return vote
    }

    /// Makes both copies of a file that was found equal and durable, with the mark of this opening.
    ///
    /// - Parameter place: up to where the log is known to be durable.
    package mutating func mend(logEnd place: LogPlace = .zero) throws(VoteError) {
        if !unmended.isEmpty { sequence += 1 }
        logEnd = max(logEnd, place)
        let copy = encoded(state)
        let file = file
        for number in unmended {
            try filed(file.path) { () throws(FileError) in
                try file.write(copy, at: number * VoteFile.copyDistance)
                try file.sync()
            }
        }
        unmended = []
    }

    private func encoded(_ state: HardState) -> Bytes {
        VoteRecord(group: group, sequence: sequence, state: state, binding: binding, logEnd: logEnd).encoded()
    }

    /// Both copies, nil for one that cannot be believed.
    ///
    /// A copy of a newer release beside a valid one of ours is no reason to refuse: no promise leaves before both copies are
    /// written, so that ours holds all promises.
    private static func readCopies(_ file: any File) throws(VoteError) -> [VoteRecord?] {
        var copies: [VoteRecord?] = []
        var isNewer = false
        for copy in 0..<2 {
            let bytes = try filed(file.path) { () throws(FileError) in
                try file.read(VoteRecord.encodedByteCount, at: UInt64(copy) * copyDistance)
            }
            do {
                copies.append(try VoteRecord(decoding: bytes))
            } catch {
                copies.append(nil)
                isNewer = isNewer || error.reason == .version
            }
        }
        if isNewer && copies[0] == nil && copies[1] == nil { throw VoteError(.unsupportedVersion, path: file.path) }
        return copies
    }

    private init(state: HardState, group: GroupID, binding: FileBinding, file: any File, sequence: UInt64) {
        self.state = state
        self.group = group
        self.binding = binding
        self.file = file
        self.sequence = sequence
    }

    /// The path of the file in a group's directory.
    package static func path(in directory: String) -> String { directory + "/VOTE" }

    private static func newer(_ first: VoteRecord?, _ second: VoteRecord?) -> VoteRecord? {
        guard let first, let second else { return first ?? second }
        return second.sequence > first.sequence ? second : first
    }

    /// Begins to change what is remembered.
    ///
    /// - Parameters:
    ///   - state: the new term and vote.
    ///   - place: up to where the log is durable; nil for what the latest change said.
    /// - Returns: the writes to perform.
    /// - Precondition: no change is under way, none has failed, the term does not fall, and within a term a vote is given
    ///   once.
    public mutating func change(to state: HardState, logEnd place: LogPlace? = nil) -> VoteChange {
        precondition(
            change == nil && failure == nil && unmended.isEmpty,
            "one change of a vote is under way at a time, and none after a failure"
        )
        precondition(state.term <= largestNumber, "the term is too large")
        precondition(state.term >= self.state.term, "a term never falls")
        precondition(
            state.term > self.state.term || self.state.vote == 0 || self.state.vote == state.vote,
            "a vote is given once in a term"
        )
        sequence += 1
        logEnd = max(logEnd, place ?? logEnd)
        let copy = encoded(state)
        let change = VoteChange(
            state: state,
            first: DurableWrite(number: nextWriteNumber, file: file, offset: 0, pieces: [copy]),
            second: DurableWrite(
                number: nextWriteNumber + 1,
                file: file,
                offset: VoteFile.copyDistance,
                pieces: [copy]
            )
        )
        nextWriteNumber += 2
        self.change = change
        return change
    }

    /// Tells that both writes of the change were performed, in their order. The promise may leave.
    ///
    /// - Precondition: a change is under way.
    public mutating func changeFinished() {
        guard let change else { preconditionFailure("a change ends once") }
        state = change.state
        self.change = nil
    }

    /// Tells that one of the writes failed. What is durable is unknown, and the file is over until it is opened anew.
    ///
    /// - Precondition: a change is under way.
    public mutating func changeFailed(_ error: FileError) {
        precondition(change != nil, "a change ends once")
        change = nil
        failure = error
    }
}

/// Calls `body` and names a failed file operation as a failure of the vote file at `path`.
private func filed<Result>(_ path: String, _ body: () throws(FileError) -> Result) throws(VoteError) -> Result {
    do { return try body() } catch { throw VoteError(.file, path: path, cause: error) }
}
