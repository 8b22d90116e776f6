import BalsaPlatform
import BalsaSimulation
import XCTest

/// The disk against the simplest thing that does the same, on random calls.
final class DiskModelTests: XCTestCase {
    /// A file as whole arrays, copied at every step.
    private struct ModelFile {
        var current: [UInt8] = []
        var durable: [UInt8] = []

        mutating func write(_ bytes: [UInt8], at offset: Int) {
            guard !bytes.isEmpty else { return }
            let end = offset + bytes.count
            if current.count < end { current += [UInt8](repeating: 0, count: end - current.count) }
            current.replaceSubrange(offset..<end, with: bytes)
        }

        mutating func setSize(_ size: Int) {
            current = Array(current.prefix(size)) + [UInt8](repeating: 0, count: max(0, size - current.count))
        }
    }

    /// A directory whose names stand for files by number.
    private struct Model {
        var files: [ModelFile] = []
        var names: [String: Int] = [:]
        var durableNames: [String: Int] = [:]
    }

    func testRandomCallsDoWhatTheModelDoes() throws {
        for seed in 0..<20 as Range<UInt64> {
            var random = RandomSource(seed: seed)
            let disk = SimulatedDisk()
            var files = disk.mount()
            var model = Model()
            for step in 0..<150 {
                try perform(&random, files, &model)
                if step % 10 == 0 { try compare(disk, model, "seed \(seed), step \(step)") }
                if random.chance(1, in: 50) {
                    let image = disk.image()
                    disk.processCrash()
                    XCTAssertEqual(disk.image().contentDigest, image.contentDigest)
                    files = disk.mount()
                }
            }
            try compare(SimulatedDisk(disk.snapshot()), model, "snapshot of seed \(seed)")
        }
    }

    private func perform(_ random: inout RandomSource, _ files: SimulatedFileSystem, _ model: inout Model) throws {
        let name = random.pick(["a", "b", "c", "d"])
        let other = random.pick(["a", "b", "c", "d"])
        guard let number = model.names[name] else {
            if let source = model.names[other], random.chance(1, in: 3) {
                try files.link(other, to: name)
                model.names[name] = source
            } else {
                try files.open(name, .create).close()
                model.files.append(ModelFile())
                model.names[name] = model.files.count - 1
            }
            return
        }
        let file = try files.open(name, .readWrite)
        defer { file.close() }
        let offset = random.draw(0...20_000)
        switch random.below(12) {
        case 0...3:
            let bytes = (0..<random.draw(0...9000)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            try file.write(Bytes(bytes), at: UInt64(offset))
            model.files[number].write(bytes, at: offset)
        case 4:
            let count = random.draw(0...9000)
            try file.writeZeros(UInt64(count), at: UInt64(offset))
            model.files[number].write([UInt8](repeating: 0, count: count), at: offset)
        case 5:
            try file.setSize(UInt64(offset))
            model.files[number].setSize(offset)
        case 6, 7:
            try file.sync()
            model.files[number].durable = model.files[number].current
        case 8:
            try files.rename(name, to: other)
            guard model.names[other] != number else { return }
            model.names[other] = number
            model.names[name] = nil
        case 9:
            try files.remove(name)
            model.names[name] = nil
        default:
            try files.syncDirectory("/")
            model.durableNames = model.names
        }
    }

    private func compare(_ disk: SimulatedDisk, _ model: Model, _ place: String) throws {
        let durable = SimulatedDisk(disk.image())
        XCTAssertEqual(try disk.mount().list("/"), model.names.keys.sorted(), place)
        XCTAssertEqual(try durable.mount().list("/"), model.durableNames.keys.sorted(), place)
        for (name, number) in model.names {
            XCTAssertEqual(disk.contents(of: name), model.files[number].current, place)
        }
        for (name, number) in model.durableNames {
            XCTAssertEqual(durable.contents(of: name), model.files[number].durable, place)
        }
        let used = Set(model.names.values).reduce(0) { $0 + UInt64(model.files[$1].current.count) }
        XCTAssertEqual(try disk.mount().availableBytes(at: "/"), DiskOptions().capacityBytes - used, place)
    }
}
