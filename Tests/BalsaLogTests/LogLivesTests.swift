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

    /// One process' life with a log.
    private struct Life {
        let driver: LogDriver
        var random: RandomSource
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
                    writes.remove(at: position)
                } else {
                    try write.write()
                    writes[position].isWritten = true
                }
            } catch {
                driver.log.writeFailed(write.number, error)
            }
        }

        private mutating func advanceTask() {
            task = task ?? driver.log.nextTask()
            guard let task else { return }
            do throws(FileError) {
                for _ in 0..<4 where try task.step(budgetBytes: 4_096) {
                    driver.log.taskFinished(task)
                    self.task = nil
                    return
                }
            } catch {
                driver.log.taskFailed(task, error)
                self.task = nil
            }
        }
    }

    private func runLives(seed: UInt64) throws {
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
                    return XCTFail(
                        "seed \(seed), life \(life): \(opened) is none of \(allowed.count), \(allowed.first ?? [])"
                    )
                }
                var one = Life(driver: driver, random: random.fork())
                do { try one.run(steps: 120) } catch { return XCTFail("seed \(seed), life \(life): \(error)") }
                allowed = driver.history[Int(driver.log.durableMark.number)...]
            } catch {
                // A file operation that failed while it was opened; what the log holds has not changed.
                guard error.reason == .file else { return XCTFail("seed \(seed), life \(life): \(error)") }
            }
            if random.chance(1, in: 2) { disk.processCrash() } else { disk.powerLoss(choosing: &random) }
        }
    }

    func testEveryLifeFindsWhatTheOneBeforeWasToldIsDurable() throws {
        for seed in 1...100 { try runLives(seed: UInt64(seed)) }
    }
}
