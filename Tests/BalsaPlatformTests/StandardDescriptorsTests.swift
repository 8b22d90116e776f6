import Dispatch
import Foundation
import Glibc
import XCTest

@testable import BalsaPlatform

/// Which descriptors a store takes in a process that may have few.
final class StandardDescriptorsTests: XCTestCase {
    private var before = rlimit()
    private var taken: [Int32] = []

    override func setUp() {
        XCTAssertEqual(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before), 0)
        // The run loop and the queues make a timer when they first wait for a moment: before the limit, and not of the
        // last ones.
        let isOver = DispatchSemaphore(value: 0)
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(1)) { isOver.signal() }
        isOver.wait()
        _ = RunLoop.current.run(mode: .default, before: Date(timeIntervalSinceNow: 0.001))
    }

    override func tearDown() { release() }

    private func limit(to count: rlim_t) {
        var limit = before
        limit.rlim_cur = count
        XCTAssertEqual(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit), 0)
    }

    private func release() {
        for descriptor in taken { close(descriptor) }
        taken = []
        XCTAssertEqual(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before), 0)
    }

    /// Takes descriptors as a store does until it gets none.
    ///
    /// - Returns: the highest number, and how many calls made none.
    private func takeAll(forOthers: Bool = false) -> (highest: Int32?, futileCalls: Int, error: Int32) {
        var numbers: [Int32] = []
        var calls = 0
        while true {
            let descriptor = StandardDescriptors.avoid(forOthers: forOthers) {
                calls += 1
                return open("/dev/null", O_RDONLY | O_CLOEXEC)
            }
            guard descriptor >= 0 else { break }
            numbers.append(descriptor)
        }
        let error = errno
        taken += numbers
        return (numbers.max(), calls - numbers.count, error)
    }

    func testDescriptors_nearTheLimit_areLeftToTheHost() {
        limit(to: 200)
        let all = takeAll()
        XCTAssertEqual(all.highest, 191)
        XCTAssertEqual(all.futileCalls, 0, "nothing is made that would have to be given back")
        XCTAssertEqual(all.error, EMFILE)
        // The host has those that are left.
        var others: [Int32] = []
        while case let other = dup(taken[0]), other >= 0 { others.append(other) }
        XCTAssertEqual(errno, EMFILE)
        taken += others
        XCTAssertEqual(others, Array(192..<200))
        // A store has one again as soon as one of another number is free, and none of the host's.
        close(others[0])
        XCTAssertNil(takeAll().highest)
        XCTAssertEqual(dup(taken[1]), others[0])
        close(taken.removeFirst())
        XCTAssertNotNil(takeAll().highest)
    }

    func testDescriptors_ofConnectionsOfOthers_leaveSomeToFiles() {
        limit(to: 200)
        XCTAssertEqual(takeAll(forOthers: true).highest, 175)
        XCTAssertEqual(takeAll().highest, 191)
        release()
        limit(to: 64)
        XCTAssertEqual(takeAll(forOthers: true).highest, 47)
        XCTAssertEqual(takeAll().highest, 55)
    }

    /// Calls `body` on several threads at once. Not on those of Dispatch or Foundation, which make descriptors of their
    /// own and keep them.
    private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) throws {
        let ended = DispatchSemaphore(value: 0)
        let threads = try (0..<count).map { number in
            try BackgroundThread {
                body(number)
                ended.signal()
                return .wait
            }
        }
        for _ in threads { ended.wait() }
        for thread in threads { thread.stop() }
    }

    /// Counts what threads have come to. Uses no descriptor.
    private final class Arrivals: @unchecked Sendable {
        private let condition = NSCondition()
        private var count = 0

        func note() {
            condition.lock()
            count += 1
            condition.broadcast()
            condition.unlock()
        }

        /// Returns when so many have come, or when nobody has any more hope that they do.
        func wait(for count: Int) {
            let end = Date(timeIntervalSinceNow: 20)
            condition.lock()
            while self.count < count, condition.wait(until: end) {}
            condition.unlock()
        }
    }

    /// Has threads make descriptors at the same moment: each one goes on when all others have been refused or are
    /// there.
    ///
    /// - Returns: the numbers that were made, and the errors of the others.
    private func makeAtOnce(_ count: Int) throws -> (numbers: [Int32], errors: [Int32]) {
        let begun = Arrivals()
        let made = Locked<(numbers: [Int32], errors: [Int32])>(([], []))
        try onThreads(count) { _ in
            let descriptor = StandardDescriptors.avoid {
                begun.note()
                begun.wait(for: count)
                return open("/dev/null", O_RDONLY | O_CLOEXEC)
            }
            let error = errno
            made.withLock { made in
                if descriptor >= 0 { made.numbers.append(descriptor) } else { made.errors.append(error) }
            }
            // One that was refused has not been counted by the closure. One that was made counts twice, which is no
            // matter: all were there by then.
            begun.note()
        }
        let (numbers, errors) = made.withLock { ($0.numbers.map { $0 }, $0.errors.map { $0 }) }
        taken += numbers
        return (numbers, errors)
    }

    func testDescriptors_thatManyThreadsMakeAtOnce_leaveTheReserve() throws {
        for (free, threads) in [(1, 8), (3, 8), (40, 60)] {
            limit(to: 200)
            _ = takeAll()
            for _ in 0..<free { close(taken.removeLast()) }
            let made = try makeAtOnce(threads)
            XCTAssertEqual(made.numbers.count, free, "of \(free): \(made)")
            XCTAssertLessThan(made.numbers.max() ?? 200, 192, "of \(free): \(made)")
            XCTAssertEqual(made.errors, Array(repeating: EMFILE, count: threads - free), "of \(free)")
            // Nothing is left under way: the next call gets what is free.
            close(taken.removeFirst())
            XCTAssertNotNil(takeAll().highest)
            release()
        }
    }

    func testDescriptors_thatManyThreadsLookForInVain_takeNoneOfTheLast() throws {
        limit(to: 200)
        _ = takeAll()
        let refusals = Locked(0)
        let isOver = Locked(false)
        let missing = Locked(0)
        let ready = Arrivals()
        try onThreads(9) { thread in
            // With the first memory that a thread takes, the C library opens a file that says how many processors there
            // are. It has done so before any is missed.
            free(malloc(64))
            ready.note()
            ready.wait(for: 9)
            guard thread == 0 else {
                while !isOver.withLock({ $0 }) {
                    if StandardDescriptors.avoid({ open("/dev/null", O_RDONLY | O_CLOEXEC) }) < 0 {
                        refusals.withLock { $0 += 1 }
                    }
                }
                return
            }
            // The host takes all of the last ones, again and again.
            while refusals.withLock({ $0 }) < 2_000 {
                let others = (0..<8).map { _ in dup(0) }
                missing.withLock { $0 += others.count { $0 < 0 } }
                for other in others where other >= 0 { close(other) }
            }
            isOver.withLock { $0 = true }
        }
        XCTAssertEqual(missing.withLock { $0 }, 0, "descriptors that were left to the host, and that it did not get")
    }

    func testDescriptors_whileOneWaitsForItsDisk_areMadeOrRefusedAtOnce() throws {
        // Many are free, or two.
        for (free, expected) in [(100, [0, 0]), (2, [0, EMFILE])] {
            limit(to: 200)
            _ = takeAll()
            for _ in 0..<free { close(taken.removeFirst()) }
            let isInside = DispatchSemaphore(value: 0)
            let mayEnd = DispatchSemaphore(value: 0)
            let numbers = Locked<[Int32]>([])
            let answers = Locked<[Int32]>([])
            let answered = Arrivals()
            // The first one waits for a disk that does not answer. That holds up no other, such as that of a loop.
            let first = try BackgroundThread {
                let descriptor = StandardDescriptors.avoid {
                    isInside.signal()
                    mayEnd.wait()
                    return open("/dev/null", O_RDONLY | O_CLOEXEC)
                }
                numbers.withLock { $0.append(descriptor) }
                return .wait
            }
            isInside.wait()
            let second = try BackgroundThread {
                for _ in 0..<2 {
                    let descriptor = StandardDescriptors.avoid { open("/dev/null", O_RDONLY | O_CLOEXEC) }
                    let error = descriptor < 0 ? errno : 0
                    if descriptor >= 0 { numbers.withLock { $0.append(descriptor) } }
                    answers.withLock { $0.append(error) }
                    answered.note()
                }
                return .wait
            }
            // Not by an expectation, which would take a descriptor itself.
            answered.wait(for: 2)
            XCTAssertEqual(answers.withLock { $0.map { $0 } }, expected, "of \(free)")
            mayEnd.signal()
            first.stop()
            second.stop()
            let made = numbers.withLock { $0.map { $0 } }
            taken += made
            XCTAssertEqual(made.count, 1 + expected.count { $0 == 0 })
            XCTAssertTrue(made.allSatisfy { (StandardDescriptors.first..<192).contains($0) }, "\(made)")
            release()
        }
    }

    func testDescriptors_ofALowLimit_areAllTaken() {
        // Of a process with many descriptors none is left below that.
        let count = Int32(StandardDescriptors.leastLimitWithReserve - 1)
        limit(to: rlim_t(count))
        // Other tests of this process may have left some of the numbers taken.
        let last = (0..<count).last { fcntl($0, F_GETFD) < 0 }
        let all = takeAll()
        XCTAssertEqual(all.highest, last)
        XCTAssertEqual(all.error, EMFILE)
    }

    func testAFile_createdNearTheLimit_isNotThereUntilADescriptorIsFree() throws {
        let directory = try TemporaryDirectory()
        let files = LinuxFileSystem()
        let path = directory.file("a")
        limit(to: 200)
        _ = takeAll()
        XCTAssertThrowsError(try files.open(path, .create)) {
            XCTAssertEqual($0 as? FileError, FileError(.open, path, .tooManyOpenFiles))
        }
        XCTAssertFalse(try files.exists(path), "a later attempt would find that it exists")
        close(taken.removeFirst())
        try files.open(path, .create).close()
        release()
        try directory.remove()
    }
}
