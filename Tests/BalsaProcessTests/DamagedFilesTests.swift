import BalsaKeyValue
import BalsaLog
import BalsaPlatform
import Foundation
import XCTest

@testable import Balsa

/// A bit is flipped in a file of a member that does not run, or the file is cut. Opening it either shows the state as it was
/// or is refused with a sentence that names the file; it never traps, takes much memory, or shows another state.
final class DamagedFilesTests: ProcessTestCase {
    private var folder: Folder!

    override func setUpWithError() throws { folder = try Folder(below: Folder.inMemory) }
    override func tearDownWithError() throws { try folder.remove() }

    /// What may become of an opening.
    private enum Outcome: Equatable, Sendable {
        case intact
        case refused(String)
        /// It opened and holds something else. This must never be.
        case changed(String)
    }

    private struct Sample {
        var path: String
        var pairs: [String: String]
        var digest: UInt64
    }

    /// A store with a state in tables, a manifest, and a log that goes on behind them, closed in order or as by a crash.
    private func makeSample(_ name: String, isClosed: Bool) async throws -> Sample {
        let path = "\(folder.path)/\(name)"
        let store = try await TestStores.open(path)
        var acknowledged = Acknowledged()
        let error = await acknowledged.put(0..<240, on: store)
        if let error { throw error }
        let digest = await digest(of: store)
        let copy = path + "-copy"
        if isClosed {
            await store.close()
            try FileManager.default.copyItem(atPath: path, toPath: copy)
        } else {
            try await copyWithEndMarker(path, to: copy)
            await store.close()
        }
        return Sample(path: copy, pairs: acknowledged.values, digest: try XCTUnwrap(digest, "everything is applied"))
    }

    /// Copies the directory of an open store as a crash of the process would leave it: at one moment.
    ///
    /// The copy is made again until no file has changed while it was made, and until its log ends with an end marker.
    /// The store writes the marker after a short rest; damage to the last frame before it cannot be told from a torn
    /// write.
    private func copyWithEndMarker(_ path: String, to copy: String) async throws {
        func contents(_ directory: String) throws -> [String: Data] {
            var contents: [String: Data] = [:]
            for file in try Folder.files(in: directory) {
                contents[file] = try Data(contentsOf: URL(fileURLWithPath: directory + "/" + file))
            }
            return contents
        }
        var trouble = "files changed"
        try await eventually("the store writes nothing for a while: \(trouble)") {
            if FileManager.default.fileExists(atPath: copy) { try FileManager.default.removeItem(atPath: copy) }
            do {
                let before = try contents(path)
                try FileManager.default.copyItem(atPath: path, toPath: copy)
                guard try before == contents(copy), try before == contents(path) else { return false }
            } catch {
                // A file was removed meanwhile.
                trouble = "\(error)"
                return false
            }
            trouble = "the log has no end marker"
            return try hasEndMarker(copy)
        }
    }

    /// Whether the log of a store that does not run ends with an end marker. Reads it from a copy: recovery changes it.
    private func hasEndMarker(_ path: String) throws -> Bool {
        let log = folder.path + "/log"
        try FileManager.default.copyItem(atPath: path + "/log", toPath: log)
        defer { try? FileManager.default.removeItem(atPath: log) }
        let names = try FileManager.default.contentsOfDirectory(atPath: log)
        let name = try XCTUnwrap(names.first { $0.hasSuffix(".log") })
        let header = try SegmentHeader(
            decoding: Bytes([UInt8](try Data(contentsOf: URL(fileURLWithPath: log + "/" + name))))
        )
        let (_, _, report) = try Log.open(
            LinuxFileSystem(),
            directory: log,
            options: TestStores.tiny.replica.log,
            binding: FileBinding(owner: header.owner, mark: FileBinding.unbound.mark, seed: 1)
        )
        // An end marker in a segment without room for the next opening does not make the log go on there.
        return report.entriesRewritten == 0 && report.tornTails == 0
    }

    private func open(_ path: String, _ sample: Sample) async -> Outcome {
        do throws(StoreError) {
            let store: ReplicatedStore
            do { store = try await TestStores.open(path) } catch let error as StoreError { throw error } catch {
                return .changed("\(error)")
            }
            let outcome = await compare(store, sample)
            await store.close()
            return outcome
        } catch {
            return .refused(error.message)
        }
    }

    private func compare(_ store: ReplicatedStore, _ sample: Sample) async -> Outcome {
        do throws(StoreError) {
            let found = try await TestStores.everything(in: store, timeout: .seconds(5))
            guard found == sample.pairs else {
                let others = Set(found.keys).symmetricDifference(sample.pairs.keys)
                let changed = sample.pairs.keys.filter { found[$0] != nil && found[$0] != sample.pairs[$0] }
                return .changed("not there or new: \(others.sorted()); not what they were: \(changed.sorted())")
            }
        } catch {
            // A block of a table that is damaged is found when it is read.
            return await compareWhatCanBeRead(store, sample, error)
        }
        guard let digest = await digest(of: store) else { return .changed("what is committed is not applied") }
        return digest == sample.digest ? .intact : .changed("the digest is another one")
    }

    /// Where a part cannot be read: every key is what it was, or is refused.
    private func compareWhatCanBeRead(_ store: ReplicatedStore, _ sample: Sample, _ error: StoreError) async -> Outcome
    {
        if case .failed(let reason) = store.state { return .refused(reason) }
        // All at once: one after the other each would wait for a turn of two threads.
        let changed = await withTaskGroup(of: String?.self, returning: [String].self) { group in
            for (key, value) in sample.pairs { group.addTask { await DamagedFilesTests.change(of: key, value, store) } }
            return await group.reduce(into: [String]()) { if let change = $1 { $0.append(change) } }
        }
        // A value that is another one is worse than a read that is refused.
        return changed.isEmpty ? .refused(error.message) : .changed("\(changed.sorted())")
    }

    /// The key, where it can be read and is not what it was.
    private static func change(of key: String, _ value: String, _ store: ReplicatedStore) async -> String? {
        do throws(StoreError) {
            return try await store.get(Bytes(key), timeout: .seconds(5)).map { String($0.value) } == value ? nil : key
        } catch {
            return nil
        }
    }

    /// The digest of all that is committed, once that has been applied; nil where it never is.
    private func digest(of store: ReplicatedStore) async -> UInt64? {
        var digest: UInt64?
        do {
            try await eventually("everything is applied") {
                let status = await store.status()
                if case .failed = status.state { return true }
                guard status.commitIndex > 0, status.appliedIndex == status.commitIndex,
                    status.outstandingCommands == 0
                else { return false }
                digest = status.digest
                return true
            }
        } catch {
            XCTFail("\(error)")
        }
        return digest
    }

    /// Changes a file of a copy, opens the copy, and judges what came of it.
    private func judge(_ sample: Sample, _ file: String, _ what: String, _ change: (inout Data) -> Void) async throws
        -> Bool
    {
        let path = folder.path + "/damaged"
        if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
        try FileManager.default.copyItem(atPath: sample.path, toPath: path)
        let url = URL(fileURLWithPath: path + "/" + file)
        var bytes = try Data(contentsOf: url)
        change(&bytes)
        try bytes.write(to: url)
        switch await open(path, sample) {
        case .intact: return true
        case .refused(let sentence):
            XCTAssertTrue(
                sentence.contains("\(path)/\(file)"),
                "\(file), \(what): the refusal names another file, or none: \(sentence)"
            )
            return false
        case .changed(let what2):
            XCTFail("\(file), \(what): \(what2)")
            return false
        }
    }

    private func damageEveryFile(of sample: Sample) async throws {
        let before = try residentBytes()
        var random = RandomSource(seed: 7)
        var counts = (intact: 0, refused: 0)
        for file in try Folder.files(in: sample.path) {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: sample.path + "/" + file))
            let size = bytes.count
            guard size > 0 else { continue }
            var places = Set([0, size - 1])
            for place in stride(from: 0, to: min(64, size), by: Thoroughness.isWanted ? 1 : 5) { places.insert(place) }
            for _ in 0..<(Thoroughness.isWanted ? 64 : 8) { places.insert(Int(random.below(UInt64(size)))) }
            // A log ends before its file does. What was written last is what nothing behind it confirms.
            if let end = bytes.lastIndex(where: { $0 != 0 }) {
                for distance in [0, 1, 20, 60, 100, 200, 300, 400] { places.insert(max(0, end - distance)) }
            }
            for place in places.sorted() {
                let bit = UInt8(random.below(8))
                let isIntact = try await judge(sample, file, "bit \(bit) of byte \(place) of \(size)") {
                    $0[place] ^= 1 << bit
                }
                if isIntact { counts.intact += 1 } else { counts.refused += 1 }
            }
            for length in Set([0, 1, size / 2, size - 1]).sorted() where length < size {
                let isIntact = try await judge(sample, file, "cut to \(length) of \(size) bytes") {
                    $0 = $0.prefix(length)
                }
                if isIntact { counts.intact += 1 } else { counts.refused += 1 }
            }
        }
        print("        \(counts.intact) left the state as it was, \(counts.refused) were refused")
        XCTAssertGreaterThan(counts.refused, 50)
        XCTAssertGreaterThan(counts.intact, 50)
        XCTAssertLessThan(try residentBytes() - before, 64 << 20)
    }

    private func residentBytes() throws -> Int {
        let text = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
        return (Int(text.split(separator: " ")[1]) ?? 0) * 4_096
    }

    func testEveryFileOfAStoreThatWasClosed() async throws {
        await check {
            let sample = try await makeSample("closed", isClosed: true)
            try await damageEveryFile(of: sample)
        }
    }

    /// The same by the command: a member whose files are damaged starts with its state, or ends with a sentence, and not by a
    /// signal.
    func testAMemberIsStartedOnDamagedFiles() async throws {
        let cluster = try ProcessCluster(1)
        let member = cluster.members[0]
        await check {
            try cluster.start()
            try await cluster.leader()
            for number in 0..<50 {
                let revision = await member.put("key-\(number)", "value-\(number)")
                XCTAssertGreaterThan(revision ?? 0, 0)
            }
            try await member.close()
            XCTAssertEqual(member.exitStatus, 0)
            let sound = cluster.folder.path + "/sound"
            try FileManager.default.moveItem(atPath: member.directory, toPath: sound)
            for file in try Folder.files(in: sound) {
                let url = URL(fileURLWithPath: member.directory + "/" + file)
                for place in [5, 40] {
                    try FileManager.default.copyItem(atPath: sound, toPath: member.directory)
                    var bytes = try Data(contentsOf: url)
                    if place < bytes.count {
                        bytes[place] ^= 0x10
                        try bytes.write(to: url)
                        try await checkStart(of: member, file, "byte \(place)")
                    }
                    try FileManager.default.removeItem(atPath: member.directory)
                }
            }
            try cluster.checkThatNobodyTrapped()
        }
        try await cluster.remove()
    }

    private func checkStart(of member: MemberProcess, _ file: String, _ place: String) async throws {
        let damage = "\(place) of \(file)"
        let told = member.notices.count
        try member.start()
        try await eventually("\(damage): the member leads or ends: \(member.state)") {
            !member.isRunning || member.isLeader
        }
        guard member.isRunning else {
            XCTAssertNil(member.signal, damage)
            XCTAssertEqual(member.exitStatus, 1, damage)
            let sentences = member.notices.dropFirst(told)
            XCTAssertTrue(sentences.contains { $0.contains("\(member.directory)/\(file)") }, "\(damage): \(sentences)")
            return
        }
        for number in 0..<50 {
            let found = await member.read("key-\(number)")
            XCTAssertEqual(found?.value, "value-\(number)", damage)
        }
        try await member.kill()
    }

    func testEveryFileOfAStoreThatWasNotClosed() async throws {
        await check {
            let sample = try await makeSample("crashed", isClosed: false)
            try await damageEveryFile(of: sample)
        }
    }
}
