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

    func testDescriptors_ofALowLimit_areAllTaken() {
        // Of a process with many descriptors none is left below that.
        limit(to: StandardDescriptors.leastLimitWithReserve - 1)
        let all = takeAll()
        XCTAssertEqual(all.highest, Int32(StandardDescriptors.leastLimitWithReserve) - 2)
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
