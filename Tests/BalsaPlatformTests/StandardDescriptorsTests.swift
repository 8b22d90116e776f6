import Dispatch
import Foundation
import Glibc
import XCTest

@testable import BalsaPlatform

/// Which descriptors a store takes in a process that may have few.
final class StandardDescriptorsTests: XCTestCase {
    private var before = rlimit()
    private var taken: [Int32] = []

    override func setUp() { XCTAssertEqual(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before), 0) }

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

    func testDescriptors_ofWhichOneIsLeft_areMadeByOneThreadAtATimeAndLeaveTheReserve() throws {
        limit(to: 200)
        _ = takeAll()
        for round in 0..<20 {
            close(taken.removeFirst())
            let made = Locked<(under: Int, most: Int, numbers: [Int32])>((0, 0, []))
            let begun = Locked(0)
            try onThreads(8) { _ in
                begun.withLock { $0 += 1 }
                let descriptor = StandardDescriptors.avoid {
                    made.withLock {
                        $0.under += 1
                        $0.most = max($0.most, $0.under)
                    }
                    // Until all others have begun, and have had their turns to look for a free number, too.
                    while begun.withLock({ $0 }) < 8 { sched_yield() }
                    for _ in 0..<100 { sched_yield() }
                    defer { made.withLock { $0.under -= 1 } }
                    return open("/dev/null", O_RDONLY | O_CLOEXEC)
                }
                if descriptor >= 0 { made.withLock { $0.numbers.append(descriptor) } }
            }
            let (_, most, numbers) = made.withLock { $0 }
            taken += numbers
            XCTAssertEqual(most, 1, "round \(round)")
            XCTAssertEqual(numbers.count, 1, "round \(round): \(numbers)")
            XCTAssertLessThan(numbers.max() ?? 200, 192)
        }
    }

    func testDescriptors_thatManyThreadsLookForInVain_takeNoMoreThanOneOfTheLast() throws {
        limit(to: 200)
        _ = takeAll()
        let refusals = Locked(0)
        let isOver = Locked(false)
        let missing = Locked(0)
        try onThreads(9) { thread in
            guard thread == 0 else {
                while !isOver.withLock({ $0 }) {
                    if StandardDescriptors.avoid({ open("/dev/null", O_RDONLY | O_CLOEXEC) }) < 0 {
                        refusals.withLock { $0 += 1 }
                    }
                }
                return
            }
            // The host takes all of the last ones but one, again and again.
            while refusals.withLock({ $0 }) < 40_000 {
                var others: [Int32] = []
                for _ in 0..<7 {
                    let other = dup(0)
                    if other >= 0 { others.append(other) } else { missing.withLock { $0 += 1 } }
                }
                for other in others { close(other) }
            }
            isOver.withLock { $0 = true }
        }
        XCTAssertEqual(missing.withLock { $0 }, 0, "descriptors that were left to the host, and that it did not get")
    }

    func testDescriptors_whileManyAreFree_areMadeSideBySide() {
        limit(to: 200)
        let isInside = DispatchSemaphore(value: 0)
        let mayEnd = DispatchSemaphore(value: 0)
        let ended = (0..<2).map { expectation(description: "call \($0) has ended") }
        let made = Locked<[Int32]>([])
        // The first one waits for a disk that does not answer. That holds up no other.
        Thread { [ended] in
            let descriptor = StandardDescriptors.avoid {
                isInside.signal()
                mayEnd.wait()
                return open("/dev/null", O_RDONLY | O_CLOEXEC)
            }
            made.withLock { $0.append(descriptor) }
            ended[0].fulfill()
        }.start()
        isInside.wait()
        Thread { [ended] in
            let descriptor = StandardDescriptors.avoid { open("/dev/null", O_RDONLY | O_CLOEXEC) }
            made.withLock { $0.append(descriptor) }
            ended[1].fulfill()
        }.start()
        wait(for: [ended[1]], timeout: 20)
        XCTAssertEqual(made.withLock { $0.count }, 1)
        mayEnd.signal()
        wait(for: [ended[0]], timeout: 20)
        taken += made.withLock { $0 }
        XCTAssertTrue(taken.count == 2 && taken.allSatisfy { $0 >= StandardDescriptors.first }, "\(taken)")
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
