import Balsa
import BalsaKeyValue
import BalsaPlatform
import BalsaRaft

/// What a store writes, keeps and looks through, each row against its bound.
struct SpaceBenchmark {
    static let mebibyte = 1 << 20
    static let megabyte = 1_000_000
    /// How long the values of 'trickle' and 'delete' are.
    static let valueBytes = 1_000

    /// After how long without a write the state has been flushed.
    static let untilFlushed = ReplicaOptions().sealStateAfter + .seconds(60)

    let arguments: SpaceArguments
    let folder: WorkFolder
    /// Gets each line of the results.
    let print: (String) -> Void
    let values = PeerValues(byteCount: SpaceBenchmark.valueBytes)

    init(_ arguments: SpaceArguments, in folder: WorkFolder, print: @escaping (String) -> Void) {
        self.arguments = arguments
        self.folder = folder
        self.print = print
    }

    /// Runs the rows that were asked for. All of them run, also after one that exceeds its bound.
    func run() async throws(BenchmarkError) {
        var failures: [String] = []
        for row in arguments.chosenRows {
            let part = try folder.makeFolder(row)
            do throws(BenchmarkError) {
                switch row {
                case "trickle": try trickle(in: part)
                case "delete": try deletion(in: part)
                case "descending": try descending(in: part)
                case "queue": try queue(in: part)
                default: try small(in: part)
                }
            } catch { failures.append("\(row): \(error)") }
            try part.remove()
        }
        guard failures.isEmpty else { throw BenchmarkError(failures.joined(separator: "; ")) }
    }

    /// Prints a figure beside its bound.
    ///
    /// - Throws: where the figure is above it.
    func report(
        _ row: String,
        _ figure: Double,
        places: Int,
        atMost bound: Double,
        _ unit: String
    ) throws(BenchmarkError) {
        let (found, limit) = (Text.decimal(figure, places, width: 0), Text.decimal(bound, places, width: 0))
        print(Text.left(row, 28) + " " + Text.right(found, 10) + " \(unit), at most \(limit)")
        guard figure > bound, arguments.holdsBounds else { return }
        throw BenchmarkError("\(row) is \(found) \(unit), above the bound of \(limit)")
    }

    /// Prints a line that belongs to the row before it.
    func note(_ line: String) { print(Text.left("", 28) + " " + line) }

    static func mebibytes(_ bytes: UInt64) -> String { Text.decimal(Double(bytes) / Double(mebibyte), 1, width: 0) }

    // MARK: Clocks that the program moves

    /// A key of a prefix and a number.
    static func key(_ prefix: String, _ number: Int) -> Bytes {
        let digits = String(number)
        return Bytes(prefix + String(repeating: "0", count: max(0, 12 - digits.count)) + digits)
    }

    private func value(_ number: Int, _ round: Round) -> Bytes { Bytes(copying: values.of(number, round)) }

    /// Puts keys with these numbers, many at once.
    private func fill(_ member: TimedMember, _ prefix: String, _ count: Int) throws(BenchmarkError) {
        for first in stride(from: 0, to: count, by: 256) {
            try member.submit(
                (first..<min(first + 256, count)).map {
                    .put(key: SpaceBenchmark.key(prefix, $0), value: value($0, .fillseq))
                }
            )
        }
    }

    /// How many of these keys with their values are as many bytes.
    private static func count(_ bytes: Int, _ prefix: String) -> Int {
        max(1, bytes / (key(prefix, 0).count + valueBytes))
    }

    /// A member that holds a lot gets one random put a second.
    private func trickle(in part: WorkFolder) throws(BenchmarkError) {
        let member = try TimedMember(part.path + "/member")
        defer { member.close() }
        let count = SpaceBenchmark.count(arguments.stateMebibytes << 20, "key/")
        try fill(member, "key/", count)
        try member.advance(to: member.now + SpaceBenchmark.untilFlushed)
        let before = ProcessFigures.givenBytes ?? 0
        let (engine, log, start) = (member.engine, member.log, member.now)
        var random = RandomSource(seed: 1)
        for second in 1...arguments.seconds {
            try member.advance(to: start + .seconds(UInt64(second)))
            let number = Int(random.below(UInt64(count)))
            try member.submit([.put(key: SpaceBenchmark.key("key/", number), value: value(number, .overwrite))])
        }
        let written = UInt64(max(0, (ProcessFigures.givenBytes ?? 0) - before))
        let (engineAfter, logAfter) = (member.engine, member.log)
        let parts = [
            ("log", logAfter.bytes - log.bytes), ("segments", logAfter.bytesPrepared - log.bytesPrepared),
            ("flushes", engineAfter.flushedBytes - engine.flushedBytes),
            ("compactions", engineAfter.compactedBytesOut - engine.compactedBytesOut),
            ("manifest", engineAfter.manifestBytes &- min(engine.manifestBytes, engineAfter.manifestBytes)),
        ]
        defer {
            for (when, levels) in [("before", engine.levels), ("after", engineAfter.levels)] {
                note(
                    "levels \(when): "
                        + levels.map { "\($0.tableCount) of \(SpaceBenchmark.mebibytes($0.byteCount))" }
                        .joined(separator: ", ") + " MiB"
                )
            }
            note(parts.map { "\($0.0) \(SpaceBenchmark.mebibytes($0.1))" }.joined(separator: ", ") + " MiB")
            note(
                "\(arguments.seconds) puts into \(arguments.stateMebibytes) MiB, "
                    + "\(engineAfter.flushes - engine.flushes) flushes, "
                    + "\(engineAfter.compactions - engine.compactions) compactions"
            )
        }
        // In some containers the kernel counts nothing.
        let most = max(written, parts.reduce(0) { $0 + $1.1 })
        try report("trickle", Double(most) / Double(SpaceBenchmark.mebibyte), places: 1, atMost: 100, "MiB written")
    }

    /// A member deletes a range, and nothing is written any more.
    private func deletion(in part: WorkFolder) throws(BenchmarkError) {
        let member = try TimedMember(part.path + "/member")
        defer { member.close() }
        let deleted = SpaceBenchmark.count(arguments.deletedMegabytes * SpaceBenchmark.megabyte, "deleted/")
        try fill(member, "kept/", deleted / 2)
        try fill(member, "deleted/", deleted)
        // As in the normal case, everything has been flushed and compacted when it is deleted.
        try member.advance(to: member.now + SpaceBenchmark.untilFlushed)
        let before = try part.tableBytes()
        try member.submit([.deleteRange(from: Bytes("deleted/"), to: Bytes("deleted0"))])
        let retained = ReplicatedOptions().retainedNanoseconds
        let start = member.now
        try member.advance(to: start + TimeSpan(nanoseconds: retained) + .seconds(60))
        let after = try part.tableBytes()
        let bytes = arguments.deletedMegabytes * SpaceBenchmark.megabyte
        let kept = 100 * (1 - Double(before - min(after, before)) / Double(bytes))
        defer { note("tables take \(before / SpaceBenchmark.megabyte) MB, then \(after / SpaceBenchmark.megabyte) MB") }
        try report("delete", max(kept, 0), places: 1, atMost: 5, "% of what was deleted is not free")
    }
}
