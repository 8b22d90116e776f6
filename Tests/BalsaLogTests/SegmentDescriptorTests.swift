import BalsaPlatform
import BalsaRaft
import BalsaWire
import Foundation
import XCTest

@testable import BalsaLog

/// How many descriptors a log holds, however many segments it has. With real files.
final class SegmentDescriptorTests: XCTestCase {
    private var directory = ""

    override func setUpWithError() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-log-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        directory = url.path
    }

    override func tearDownWithError() throws {
        try FileManager.default.removeItem(atPath: directory)
    }

    /// How many descriptors of this process are files in the directory of the log.
    private func openSegments() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count { name in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/" + name)
            return target?.hasPrefix(directory + "/log/") == true
        }
    }

    /// Calls `body` while every descriptor that the process may have is in use.
    private func withoutDescriptors(_ body: () throws -> Void) throws {
        var taken: [Int32] = []
        var limit = rlimit()
        XCTAssertEqual(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit), 0)
        let before = limit
        limit.rlim_cur = 256
        XCTAssertEqual(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit), 0)
        defer {
            for descriptor in taken { close(descriptor) }
            var before = before
            XCTAssertEqual(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before), 0)
        }
        while true {
            let descriptor = open("/dev/null", O_RDONLY)
            guard descriptor >= 0 else { break }
            taken.append(descriptor)
        }
        XCTAssertEqual(errno, EMFILE)
        try body()
    }

    func testALog_whoseSegmentsThatAreOpenDie_keepsOneOpenToGiveForAnother() throws {
        let (log, _, _) = try Log.open(LinuxFileSystem(), directory: directory + "/log", options: .tiny)
        func write() throws {
            while let write = log.nextWrite() {
                try write.perform()
                log.writeFinished(write.number)
            }
        }
        func work() throws {
            while let task = log.nextTask() {
                while try !task.step(budgetBytes: 1_024) {}
                log.taskFinished(task)
                try write()
            }
        }
        for number in 1...60 {
            log.append(batch(1, after: log.last(1), term: 1, ["\(number)" + String(repeating: "-", count: 300)]))
            try write()
            try work()
        }
        // Those that are read stay open: the oldest ones, which die then.
        for index in (1...60 as ClosedRange<UInt64>).reversed() {
            _ = try log.entries(1, from: index, through: index, maxBytes: 1)
        }
        let before = log.segments.count
        log.compact(1, through: LogPosition(term: 1, index: 40))
        try write()
        XCTAssertLessThan(log.segments.count, before - 4)
        XCTAssertGreaterThan(log.segments.count, 5)
        let expected = GroupContent(
            group: 1,
            base: LogPosition(term: 1, index: 40),
            last: LogPosition(term: 1, index: 60),
            payloads: (41...60).map { "\($0)" + String(repeating: "-", count: 300) }
        )
        // All that the process can open is taken, and a follower that lags behind needs old entries.
        try withoutDescriptors { XCTAssertEqual(try contents(of: log), [expected]) }
    }

    func testALog_ofManySegments_holdsFewDescriptors() throws {
        let files = LinuxFileSystem()
        let path = directory + "/log"
        var expected: [GroupContent] = []
        do {
            let (log, _, _) = try Log.open(files, directory: path, options: .tiny)
            for number in 1...150 {
                log.append(batch(1, after: log.last(1), term: 1, ["\(number)" + String(repeating: "-", count: 300)]))
                while true {
                    if let write = log.nextWrite() {
                        try write.perform()
                        log.writeFinished(write.number)
                    } else if let task = log.nextTask() {
                        while try !task.step(budgetBytes: 1_024) {}
                        log.taskFinished(task)
                    } else {
                        break
                    }
                }
                XCTAssertLessThanOrEqual(try openSegments(), 2 + 4, "the one that is written, a spare, four to read")
            }
            expected = try contents(of: log)
            XCTAssertGreaterThan(log.segments.count, 30)
            XCTAssertLessThanOrEqual(try openSegments(), 2 + 4)
        }
        XCTAssertEqual(try openSegments(), 0)
        let recovery = try LogRecovery(fileSystem: files, directory: path, options: .tiny, binding: .unbound)
        var most = 0
        while try !recovery.step(budgetBytes: 1) { most = max(most, try openSegments()) }
        XCTAssertLessThanOrEqual(most, 2)
        let log = recovery.finish().log
        XCTAssertGreaterThan(log.segments.count, 30)
        XCTAssertEqual(try openSegments(), 2, "the one that is written, and one to read")
        // The process has no descriptor left, and a follower that lags behind needs the oldest segments.
        try withoutDescriptors { XCTAssertEqual(try contents(of: log), expected) }
        XCTAssertEqual(try contents(of: log), expected)
        XCTAssertLessThanOrEqual(try openSegments(), 1 + 4)
        // One after the other, from the end.
        for index in (1...150).reversed() as [Int] {
            let entry = try log.entries(1, from: UInt64(index), through: UInt64(index), maxBytes: 1)
            XCTAssertEqual(String(entry.payload(at: UInt64(index))), expected.first?.payloads[index - 1])
        }
        XCTAssertLessThanOrEqual(try openSegments(), 1 + 4)
    }
}
