import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaLSM

/// Readers on threads of their own, over a cache that is far too small for them, on the real file system.
final class ConcurrentReadTests: XCTestCase {
    private let epochs = Epochs()
    private var directory = ""

    override func setUpWithError() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-tables-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        directory = url.path
    }

    override func tearDownWithError() throws { try FileManager.default.removeItem(atPath: directory) }

    private func key(_ number: Int) -> Bytes { Bytes("key\(100_000 + number)") }

    private func open(entries: Int, _ cache: BlockCache) throws -> Table {
        var options = EngineOptions()
        options.blockBytes = 512
        let files = LinuxFileSystem()
        let writer = try TableWriter(
            directory: directory,
            number: 1,
            id: 5,
            fileSystem: files,
            options: options,
            filterBitsPerKey: 10
        )
        for number in 0..<entries {
            let value = Bytes([UInt8](repeating: UInt8(number % 251), count: 40))
            try key(number).withUnsafeBytes { key throws(EngineError) in
                try value.withUnsafeBytes { value throws(EngineError) in try writer.add(key, Trailer(9, .put), value) }
            }
        }
        return try Table.open(directory: directory, metadata: try writer.finish(), fileSystem: files, cache: cache)
    }

    /// Runs `body` on some threads and returns when all are through.
    private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        let group = DispatchGroup()
        for number in 0..<count {
            group.enter()
            Thread {
                body(number)
                group.leave()
            }.start()
        }
        group.wait()
    }

    func testReadersAndAnEvictingCacheDoNotDisturbEachOther() throws {
        let cache = BlockCache(capacityBytes: 4_000, epochs: epochs)
        let entries = 2_000
        let table = try open(entries: entries, cache)
        let faults = Locked<[String]>([])
        let keys = (0..<entries).map { key($0) }
        onThreads(4) { thread in
            var random = RandomSource(seed: UInt64(thread))
            do {
                for _ in 0..<6_000 {
                    // Half of the reads are of a few keys, so that there are hits, too.
                    let number = random.chance(1, in: 2) ? random.draw(0...entries - 1) : random.draw(0...20)
                    let pin = table.cache.epochs.pin()
                    defer { table.cache.epochs.unpin(pin) }
                    let isRight = try keys[number].withUnsafeBytes { raw throws(EngineError) in
                        try table.find(raw, at: 9, hash: Table.hash(raw), waiting: .allowed) { _, value in
                            value.count == 40 && value.allSatisfy { $0 == UInt8(number % 251) }
                        }
                    }
                    if isRight != true {
                        faults.withLock { $0.append("key \(number): \(String(describing: isRight))") }
                    }
                }
                var cursor = table.makeCursor(fillsCache: thread % 2 == 0)
                var seen = 0
                try cursor.seekToFirst()
                while cursor.isValid {
                    let byte = UInt8(seen % 251)
                    if !cursor.value.allSatisfy({ $0 == byte }) { faults.withLock { $0.append("entry of a scan") } }
                    seen += 1
                    try cursor.next()
                }
                if seen != entries { faults.withLock { $0.append("a scan saw \(seen) entries") } }
            } catch {
                faults.withLock { $0.append("\(error)") }
            }
        }
        XCTAssertEqual(faults.withLock { $0 }, [])
        XCTAssertNil(cache.checkInvariants())
        XCTAssertGreaterThan(cache.hits, 0)
        XCTAssertGreaterThan(cache.misses, 1_000)
        epochs.collect()
        XCTAssertEqual(epochs.retiredCount, 0)
        table.close()
        XCTAssertEqual(cache.byteCount, 0)
    }
}
