import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

/// Logs that live through many crashes, with everything drawn from a seed: what is staged, which half of which write and
/// which step of a task comes next, which call fails, and what a power loss leaves.
final class LogLivesTests: XCTestCase {
    /// Fails calls now and then.
    private final class Faults: DiskHook {
        var random: RandomSource
        let oneIn: UInt64
        init(_ random: RandomSource, oneIn: UInt64) {
            self.random = random
            self.oneIn = oneIn
        }

        func answer(_ call: DiskCall) -> DiskAnswer {
            guard call.isChange, random.chance(1, in: oneIn) else { return .proceed }
            switch call.operation {
            case .write: return random.chance(1, in: 2) ? .fail(.noSpace) : .partial(random.below(call.count + 1))
            case .sync: return .fail(.inputOutput)
            default: return random.chance(1, in: 2) ? .fail(.inputOutput) : .failAfter(.inputOutput)
            }
        }
    }

    /// How often what a life may do was done.
    private struct Tally {
        var openings = 0
        var refusedOpenings = 0
        var openingsThatFoundEntries = 0
        var staged = 0
        var synced = 0
        var failedWrites = 0
        var tasks = 0
        var failedTasks = 0

        static func += (left: inout Tally, right: Tally) {
            left.openings += right.openings
            left.refusedOpenings += right.refusedOpenings
            left.openingsThatFoundEntries += right.openingsThatFoundEntries
            left.staged += right.staged
            left.synced += right.synced
            left.failedWrites += right.failedWrites
            left.tasks += right.tasks
            left.failedTasks += right.failedTasks
        }
    }

    /// One process' life with a log.
    private struct Life {
        let driver: LogDriver
        var random: RandomSource
        var tally = Tally()
        var writes: [(write: DurableWrite, isWritten: Bool)] = []
        var task: LogTask?

        mutating func run(steps: Int) throws {
            for _ in 0..<steps where driver.log.failure == nil {
                switch random.below(10) {
                case 0...3: try stage()
                case 4...5: if let write = driver.log.nextWrite() { writes.append((write, false)) }
                case 6...7: advanceWrite()
                case 8: advanceTask()
                default: if driver.log.needsSeal { driver.log.stageSeal() }
                }
            }
        }

        private mutating func stage() throws {
            tally.staged += 1
            let group = random.below(3) + 1
            let log = driver.log
            let (base, last) = (log.base(group), log.last(group))
            switch random.below(12) {
            case 0 where last.index > base.index:
                try driver.truncate(group, after: base.index + random.below(last.index - base.index))
            case 1...3 where last.index > base.index:
                let index = base.index + 1 + random.below(last.index - base.index)
                let batch = try log.entries(group, from: index, through: index, maxBytes: 0)
                try driver.compact(group, through: batch.last)
            case 4 where random.chance(1, in: 4):
                try driver.reset(group, to: LogPosition(term: last.term + 1, index: last.index + 1 + random.below(50)))
            case 5:
                log.noteCommit(group, last.index)
            default:
                let size = random.chance(1, in: 20) ? 3_000 : Int(random.below(300))
                let text = "\(random.below(1_000_000)) " + String(repeating: "-", count: size)
                try driver.append(group, term: max(1, last.term + random.below(2)), [text])
            }
        }

        private mutating func advanceWrite() {
            guard !writes.isEmpty else { return }
            let position = Int(random.below(UInt64(writes.count)))
            let write = writes[position].write
            do throws(FileError) {
                if writes[position].isWritten {
                    try write.sync()
                    driver.log.writeFinished(write.number)
                    tally.synced += 1
                    writes.remove(at: position)
                } else {
                    try write.write()
                    writes[position].isWritten = true
                }
            } catch {
                driver.log.writeFailed(write.number, error)
                tally.failedWrites += 1
            }
        }

        private mutating func advanceTask() {
            task = task ?? driver.log.nextTask()
            guard let task else { return }
            do throws(FileError) {
                for _ in 0..<4 where try task.step(budgetBytes: 4_096) {
                    driver.log.taskFinished(task)
                    tally.tasks += 1
                    self.task = nil
                    return
                }
            } catch {
                driver.log.taskFailed(task, error)
                tally.failedTasks += 1
                self.task = nil
            }
        }
    }

    private func runLives(seed: UInt64) throws -> Tally {
        var tally = Tally()
        var random = RandomSource(seed: seed)
        var diskOptions = DiskOptions()
        diskOptions.sectorBytes = 64
        diskOptions.tornSectorsHoldGarbage = random.chance(1, in: 2)
        var options = LogOptions.tiny
        options.maxWritesInFlight = Int(random.below(3)) + 1
        options.sparesWanted = Int(random.below(3))
        let oneIn: UInt64 = random.pick([20, 100, 1_000_000])
        let disk = SimulatedDisk(options: diskOptions)
        var allowed: ArraySlice<[GroupContent]> = [[]]
        for life in 1...8 {
            let faults = Faults(random.fork(), oneIn: oneIn)
            let files = disk.mount(faults)
            do throws(LogError) {
                let driver = try LogDriver(files, options: options)
                let opened = driver.history[0]
                guard allowed.contains(opened) else {
                    XCTFail("seed \(seed), life \(life): \(opened) is none of \(allowed.count), \(allowed.first ?? [])")
                    return tally
                }
                tally.openings += 1
                if !opened.isEmpty { tally.openingsThatFoundEntries += 1 }
                var one = Life(driver: driver, random: random.fork())
                do {
                    try one.run(steps: 120)
                } catch {
                    XCTFail("seed \(seed), life \(life): \(error)")
                    return tally
                }
                tally += one.tally
                allowed = driver.history[Int(driver.log.durableMark.number)...]
            } catch {
                // A file operation that failed while it was opened; what the log holds has not changed.
                XCTAssertEqual(error.reason, .file, "seed \(seed), life \(life): \(error)")
                tally.refusedOpenings += 1
            }
            if random.chance(1, in: 2) { disk.processCrash() } else { disk.powerLoss(choosing: &random) }
        }
        return tally
    }

    private func checkLives(of seeds: ClosedRange<UInt64>) throws {
        var tally = Tally()
        for seed in seeds { tally += try runLives(seed: seed) }
        // The lives are drawn from seeds, so that all of this is as often as it is.
        XCTAssertEqual(tally.openings + tally.refusedOpenings, 8 * seeds.count)
        XCTAssertGreaterThan(tally.openings, 270)
        XCTAssertGreaterThan(tally.refusedOpenings, 47)
        XCTAssertGreaterThan(tally.openingsThatFoundEntries, 220)
        XCTAssertGreaterThan(tally.staged, 12_000)
        XCTAssertGreaterThan(tally.synced, 1_400)
        XCTAssertGreaterThan(tally.failedWrites, 30)
        XCTAssertGreaterThan(tally.tasks, 700)
        XCTAssertGreaterThan(tally.failedTasks, 45)
    }

    func testEveryLifeFindsWhatTheOneBeforeWasToldIsDurable() throws { try checkLives(of: 1...50) }

    func testEveryLifeFindsWhatTheOneBeforeWasToldIsDurable_moreSeeds() throws { try checkLives(of: 51...120) }
}
