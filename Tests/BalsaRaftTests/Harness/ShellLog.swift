import BalsaRaft

/// A log as a shell would hold it: the metadata stands for the bytes.
struct ShellLog: Equatable {
    private(set) var base: LogPosition
    private(set) var entries: [EntryMetadata]

    init(base: LogPosition = .zero, terms: [Term] = []) {
        self.base = base
        entries = terms.map { .command(term: $0) }
    }

    var lastIndex: LogIndex { base.index + UInt64(entries.count) }

    var last: LogPosition { LogPosition(term: entries.last?.term ?? base.term, index: lastIndex) }

    var terms: [Term] { entries.map(\.term) }

    var outline: LogOutline { LogOutline(base: base, entries: entries) }

    func term(at index: LogIndex) -> Term? {
        if index == base.index { return base.term }
        guard index > base.index, index <= lastIndex else { return nil }
        return entries[Int(index - base.index) - 1].term
    }

    /// The entries of `range`; nil where the log does not hold them any more.
    func slice(_ range: EntryRange) -> [EntryMetadata]? {
        guard range.first > base.index, term(at: range.last.index) == range.last.term else { return nil }
        return Array(entries[Int(range.first - base.index) - 1..<Int(range.last.index - base.index)])
    }

    mutating func truncate(after index: LogIndex) {
        precondition(index >= base.index && index <= lastIndex, "a truncation lies within the log")
        entries.removeLast(Int(lastIndex - index))
    }

    mutating func append(_ new: [EntryMetadata], at first: LogIndex) {
        precondition(first == lastIndex + 1, "entries follow each other")
        entries += new
    }

    mutating func compact(through index: LogIndex) {
        guard index > base.index, let term = term(at: index) else { return }
        entries.removeFirst(Int(index - base.index))
        base = LogPosition(term: term, index: index)
    }

    mutating func reset(to position: LogPosition) {
        base = position
        entries = []
    }
}

/// What a crash leaves behind.
struct DiskImage: Equatable {
    var hardState = HardState.initial
    var log = ShellLog()

    /// Carries out a persist, in the order that it prescribes.
    mutating func write(_ persist: Persist, _ entries: [EntryMetadata]) {
        if let state = persist.hardState { hardState = state }
        if let index = persist.truncation { log.truncate(after: index) }
        if let range = persist.entries { log.append(entries, at: range.first) }
    }
}

extension EntryMetadata {
    static func command(term: Term, byteCount: UInt32 = 100) -> EntryMetadata {
        EntryMetadata(term: term, kind: EntryMetadata.commandKind, byteCount: byteCount)
    }
}

/// A message on its way, with the entries that travel along.
struct Packet: Equatable {
    var message: Message
    var entries: [EntryMetadata] = []
}
