import BalsaPlatform
import CBalsaPlatform
import XCTest

@testable import BalsaLSM

/// One thread writes, others read. After LevelDB's `ConcurrentTest`: a reader never misses what was there when it began,
/// and never sees anything half.
final class MemtableConcurrencyTests: XCTestCase {
    /// What the writer will do, known to the readers beforehand: the write with the sequence number n is the n-th.
    private struct Plan: Sendable {
        let keys: [Bytes]

        init(_ shape: MemtableKeyShape, writes: Int) {
            var random = RandomSource(seed: 3)
            keys = (0..<writes).map { _ in shape.draw(&random) }
        }

        /// A value that says of which write it is, in its length and in every byte.
        static func value(_ sequence: SequenceNumber) -> Bytes {
            let seed = RandomSource.mix(sequence)
            return Bytes([UInt8](repeating: UInt8(truncatingIfNeeded: seed), count: Int(seed >> 32 % 60)))
        }

        func entry(_ sequence: SequenceNumber) -> ModelEntry {
            ModelEntry(
                key: keys[Int(sequence) - 1],
                trailer: Trailer(sequence, .put),
                value: Plan.value(sequence)
            )
        }

        /// What a reader finds that may see so many writes.
        func entries(upTo sequence: SequenceNumber) -> [ModelEntry] {
            guard sequence > 0 else { return [] }
            return (1...sequence).map(entry).sorted { $0.isBefore($1.key, $1.trailer) }
        }
    }

    /// A number that one thread publishes to others.
    private final class Published: @unchecked Sendable {
        private let place = UnsafeMutableRawPointer.allocate(byteCount: 8, alignment: 8)

        init() { place.storeBytes(of: 0, as: UInt64.self) }

        deinit { place.deallocate() }

        var value: UInt64 {
            get { balsa_load_acquire_64(place) }
            set { balsa_store_release_64(place, newValue) }
        }
    }

    /// Runs a writer and two readers until all is written and each reader has looked at least once at the end. The writer
    /// pauses now and then until a reader begins anew, so that readers are under way at every size of the memtable.
    ///
    /// - Returns: what the readers found wrong, and how often they looked.
    private func run(
        _ shape: MemtableKeyShape,
        writes: Int,
        _ look: @escaping @Sendable (Memtable, Plan, SequenceNumber, inout RandomSource) -> String?
    ) -> (complaints: [String], looks: Int) {
        let plan = Plan(shape, writes: writes)
        let memtable = Memtable()
        let visible = Published()
        let complaints = Locked<[String]>([])
        let looks = Locked(0)
        ThreadGroup.run(3) { thread in
            guard thread > 0 else {
                for sequence in 1...UInt64(writes) {
                    memtable.insert(plan.entry(sequence))
                    visible.value = sequence
                    guard sequence % UInt64(writes / 50) == 0, sequence < writes else { continue }
                    let seen = looks.withLock { $0 }
                    while looks.withLock({ $0 }) == seen, complaints.withLock({ $0.isEmpty }) { sched_yield() }
                }
                return
            }
            var random = RandomSource(seed: UInt64(thread))
            while true {
                let sequence = visible.value
                looks.withLock { $0 += 1 }
                let complaint = look(memtable, plan, sequence, &random)
                if let complaint { complaints.withLock { $0.append("\(shape) at \(sequence): \(complaint)") } }
                if complaint != nil || sequence == UInt64(writes) { return }
            }
        }
        return (complaints.withLock { $0 }, looks.withLock { $0 })
    }

    func testALookupNeverMissesWhatWasThere() {
        for shape in MemtableKeyShape.allCases where shape != .long {
            let (complaints, looks) = run(shape, writes: 12_000) { memtable, plan, sequence, random in
                guard sequence > 0 else { return nil }
                for _ in 0..<50 {
                    let asked = 1 + random.below(sequence)
                    let key = plan.entry(asked).key
                    guard let found = memtable.entry(of: key, at: sequence) else { return "\(key) is missing" }
                    // A later write of the key may have replaced it, up to what the reader may see.
                    let written = found.trailer.sequence
                    guard (asked...sequence).contains(written) else { return "\(key) of \(asked) is of \(written)" }
                    guard found == plan.entry(written) else { return "\(found) is not what was written" }
                }
                return nil
            }
            XCTAssertEqual(complaints, [])
            XCTAssertGreaterThanOrEqual(looks, 50)
        }
    }

    func testACursorNeverMissesWhatWasThere() {
        for shape in MemtableKeyShape.allCases where shape != .long {
            let (complaints, looks) = run(shape, writes: 1_500) { memtable, plan, sequence, random in
                let expected = plan.entries(upTo: sequence)
                let isForward = random.chance(1, in: 2)
                let entries = isForward ? memtable.entries : memtable.entriesBackward.reversed()
                let later = entries.filter { $0.trailer.sequence > sequence }
                guard later.allSatisfy({ $0 == plan.entry($0.trailer.sequence) }) else { return "a torn entry" }
                return entries.filter { $0.trailer.sequence <= sequence } == expected ? nil : "entries are missing"
            }
            XCTAssertEqual(complaints, [])
            XCTAssertGreaterThanOrEqual(looks, 50)
        }
    }

    func testRangeDeletionsAreSeenByReadersThatMaySeeThem() {
        let memtable = Memtable()
        let visible = Published()
        let complaints = Locked<[String]>([])
        ThreadGroup.run(3) { thread in
            guard thread > 0 else {
                for sequence in 1...UInt64(150) {
                    let start = Bytes([UInt8(sequence)])
                    memtable.deleteRange(RangeDeletion(start: start, end: [255], sequence: sequence))
                    visible.value = sequence
                }
                return
            }
            var sequence: UInt64 = 0
            while sequence < 150 {
                sequence = visible.value
                let key = Bytes([UInt8(sequence), 1])
                let direct = memtable.covering(key, at: sequence)
                let listed = key.withUnsafeBytes { memtable.tombstones.covering($0, at: sequence) }
                if direct != sequence || listed != sequence {
                    complaints.withLock { $0.append("\(direct) and \(listed) in place of \(sequence)") }
                    return
                }
            }
        }
        XCTAssertEqual(complaints.withLock { $0 }, [])
    }
}
