import BalsaRaft
import BalsaSimulation

/// `balsa simulate --planted`: compares what finds the planted errors with their catalogue.
struct PlantedRuns {
    /// Where errors of this many seeds of 100 or fewer are too rare to be recorded.
    static let tooRare = 4

    let runs: ParallelRuns
    let print: (String) -> Void

    // MARK: Recorded seeds

    /// What became of a recorded seed.
    struct Replay: Sendable {
        /// What is violated first where every invariant is enforced.
        var first: Violation?
        /// What is violated first where the error's other invariant is not enforced.
        var alone: Violation?
        /// What is violated without the error.
        var sound: Violation?
    }

    /// Runs each recorded seed with every invariant enforced, without those that the catalogue names beside its own,
    /// and without the error, and prints a line for each.
    ///
    /// - Returns: the exit status: 1 where a line says WRONG, or where there is none.
    func replay(_ errors: [PlantedBug], _ records: [PlantedRecord]) throws -> Int32 {
        var ok = 0
        var wrong = 0
        let cases = errors.flatMap { error in
            records.filter { $0.name == error.name }.map { (error, $0) }
        }
        if !cases.isEmpty {
            try runs.run(last: UInt64(cases.count - 1)) { number in
                PlantedRuns.replay(cases[Int(number)].0, cases[Int(number)].1)
            } take: { number, replay in
                let (error, record) = cases[Int(number)]
                let mistake = PlantedRuns.mistake(of: replay, error, record)
                if mistake == nil { ok += 1 } else { wrong += 1 }
                print(
                    "planted \(error.name) seed \(record.seed) \(record.invariant.word)"
                        + " violated \(replay.first.map { "\($0.invariant.word) at \($0.at)" } ?? "nothing")"
                        + (mistake.map { " WRONG: \($0)" } ?? " ok")
                )
                return true
            }
        }
        for error in errors {
            for invariant in error.invariants
            where !records.contains(where: { $0.name == error.name && $0.invariant == invariant }) {
                print("planted \(error.name) \(invariant.word) WRONG: no seed is recorded")
                wrong += 1
            }
        }
        print("recorded seeds: \(ok) ok, \(wrong) wrong")
        return wrong == 0 && ok > 0 ? 0 : 1
    }

    private static func replay(_ error: PlantedBug, _ record: PlantedRecord) -> Replay {
        let scenario = error.scenario(seed: record.seed)
        var replay = Replay()
        replay.first = Simulation(scenario, bugs: error.bug).run().violation
        // Up to its first violation a run is the same whichever invariants are enforced.
        replay.alone =
            replay.first?.invariant == record.invariant
            ? replay.first
            : Simulation(scenario, bugs: error.bug, enforced: error.enforced(for: record.invariant)).run().violation
        replay.sound = Simulation(scenario).run().violation
        return replay
    }

    /// What is wrong with a recorded seed; nil where it does what the catalogue says.
    static func mistake(of replay: Replay, _ error: PlantedBug, _ record: PlantedRecord) -> String? {
        let named = error.invariants.map(\.word).joined(separator: " or ")
        guard error.invariants.contains(record.invariant) else { return "the catalogue names \(named)" }
        guard let first = replay.first else { return "the error is not found" }
        guard error.invariants.contains(first.invariant) else { return "found by another invariant than \(named)" }
        guard replay.alone?.invariant == record.invariant else {
            return "by itself \(record.invariant.word) does not find it"
        }
        if let sound = replay.sound { return "fails without the error: \(sound)" }
        return nil
    }

    // MARK: Hit rates

    /// What one seed shows of one error.
    private struct Sample: Sendable {
        var seed: UInt64
        /// What is violated first where every invariant is enforced.
        var first: Invariant?
        /// The named invariants that find it, each without the other, and after how many events.
        var hits: [(invariant: Invariant, events: UInt64)] = []
    }

    /// Runs each error over the seeds and prints, for each of its invariants, in how many runs it finds the error:
    /// first, or first where the other invariant that the catalogue names is not enforced.
    ///
    /// - Parameter untilEnough: whether to go on to the next error as soon as there are as many hits as the catalogue
    ///   asks for.
    /// - Returns: the exit status, 1 where there are fewer than the catalogue asks for, in proportion to the seeds; and
    ///   what was measured, to be recorded in place of the old.
    func rates(
        _ errors: [PlantedBug],
        _ seeds: ClosedRange<UInt64>,
        untilEnough: Bool = false
    ) throws -> (status: Int32, records: [PlantedRecord]) {
        var status: Int32 = 0
        var records: [PlantedRecord] = []
        for error in errors {
            var samples: [Sample] = []
            try runs.run(last: seeds.upperBound - seeds.lowerBound) { number in
                PlantedRuns.sample(error, seeds.lowerBound + number)
            } take: { _, sample in
                samples.append(sample)
                return !untilEnough || !PlantedRuns.isEnough(error, samples, of: seeds)
            }
            let firsts = Invariant.allCases.map { invariant in
                (invariant, samples.count { $0.first == invariant })
            }
            let listed =
                firsts.filter { $0.1 > 0 }.map { "\($0.0.word) \($0.1)" } + [
                    "nothing \(samples.count { $0.first == nil })"
                ]
            for invariant in error.invariants {
                let hits = samples.count { $0.hits.contains { $0.invariant == invariant } }
                let least = error.records.first { $0.invariant == invariant }?.leastHits
                let record = PlantedRuns.record(error, invariant, samples)
                let isEnough = PlantedRuns.isEnough(error, invariant, samples, of: seeds)
                if !isEnough { status = 1 }
                print(
                    "planted \(error.name) \(invariant.word) finds \(hits) of \(samples.count), at least "
                        + "\(least.map(String.init) ?? "?") of 100 \(isEnough ? "ok" : "WRONG")"
                        + (record.map { "; earliest in seed \($0.seed)" } ?? "")
                        + "; violated first: \(listed.joined(separator: ", "))"
                )
                if let record { records.append(record) }
            }
        }
        return (status, records)
    }

    /// Whether there are as many hits as the catalogue asks for, of all invariants that it names.
    private static func isEnough(_ error: PlantedBug, _ samples: [Sample], of seeds: ClosedRange<UInt64>) -> Bool {
        error.invariants.allSatisfy { isEnough(error, $0, samples, of: seeds) }
    }

    private static func isEnough(
        _ error: PlantedBug,
        _ invariant: Invariant,
        _ samples: [Sample],
        of seeds: ClosedRange<UInt64>
    ) -> Bool {
        guard let least = error.records.first(where: { $0.invariant == invariant })?.leastHits else { return false }
        let hits = samples.count { $0.hits.contains { $0.invariant == invariant } }
        return isEnough(hits, of: seeds.count, least: least)
    }

    /// Whether these are as many hits in so many seeds as `least` in 100, and at least one.
    static func isEnough(_ hits: Int, of seeds: Int, least: Int) -> Bool { hits > 0 && hits * 100 >= least * seeds }

    private static func sample(_ error: PlantedBug, _ seed: UInt64) -> Sample {
        let scenario = error.scenario(seed: seed)
        let report = Simulation(scenario, bugs: error.bug).run()
        var sample = Sample(seed: seed, first: report.violation?.invariant)
        for invariant in error.invariants {
            if sample.first == invariant {
                sample.hits.append((invariant, report.events))
            } else if let first = sample.first, error.invariants.contains(first) {
                let enforced = error.enforced(for: invariant)
                let alone = Simulation(scenario, bugs: error.bug, enforced: enforced).run()
                if alone.violation?.invariant == invariant { sample.hits.append((invariant, alone.events)) }
            }
        }
        return sample
    }

    /// What is recorded of an invariant: 60 % of its hits, and the seed that shows it earliest. Nil where it is too
    /// rare.
    private static func record(_ error: PlantedBug, _ invariant: Invariant, _ samples: [Sample]) -> PlantedRecord? {
        let hits = samples.count { $0.hits.contains { $0.invariant == invariant } }
        let candidates = samples.compactMap { sample -> (events: UInt64, seed: UInt64)? in
            sample.hits.first { $0.invariant == invariant }.map { ($0.events, sample.seed) }
        }
        guard hits * 100 > tooRare * samples.count, let best = candidates.min(by: <) else { return nil }
        return PlantedRecord(error.name, invariant, leastHits: hits * 60 / samples.count, seed: best.seed)
    }

    /// The source file that holds the records.
    static func source(_ records: [PlantedRecord]) -> String {
        let lines = records.map {
            "        PlantedRecord(\"\($0.name)\", .\($0.invariant), leastHits: \($0.leastHits), seed: \($0.seed)),\n"
        }
        return """
            extension PlantedRecord {
                /// What was recorded last, by `Tests/record-planted-errors.sh`; not edited by hand.
                public static let all: [PlantedRecord] = [
            \(lines.joined())    ]
            }

            """
    }
}
