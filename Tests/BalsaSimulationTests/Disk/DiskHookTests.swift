import BalsaPlatform
import BalsaSimulation
import XCTest

/// What a hook sees, and what its answers do.
final class DiskHookTests: XCTestCase {
    private let disk = SimulatedDisk()
    private let hook = ScriptedHook()
    private lazy var files = disk.mount(hook)

    func testAHookSeesEveryCallBeforeItIsDone() throws {
        var seen: [String] = []
        hook.script = { call in
            var bytes: [UInt8] = []
            call.forEachPiece { bytes += $0 }
            let text = String(decoding: bytes, as: UTF8.self)
            seen.append("\(call.number) \(call.operation.rawValue) \(call.path) \(call.offset)+\(call.count) \(text)")
            return .proceed
        }
        let file = try files.open("file", .create)
        try file.write("ab", at: 3)
        try file.write(gathering: ["c", "d"], at: 5)
        try file.sync()
        _ = try file.size()
        _ = try file.read(2, at: 1)
        try files.rename("file", to: "name")
        XCTAssertEqual(
            seen,
            [
                "1 open file 0+0 ", "2 write file 3+2 ab", "3 write file 5+2 cd", "4 sync file 0+0 ",
                "5 size file 0+0 ", "6 read file 1+2 ", "7 rename file 0+0 ",
            ]
        )
        XCTAssertEqual(files.callCount, 7)
    }

    func testAFailedCallHasDoneNothing() throws {
        let file = try files.open("file", .create)
        hook.script = { _ in .fail(.inputOutput) }
        XCTAssertEqual(failure { try file.write("x", at: 0) }, .inputOutput)
        XCTAssertEqual(failure { try files.rename("file", to: "name") }, .inputOutput)
        XCTAssertEqual(failure { try file.read(1, at: 0) }, .inputOutput)
        XCTAssertEqual(disk.contents(of: "file"), [])
    }

    func testACallMayBeDoneAndFail() throws {
        let file = try files.open("file", .create)
        hook.script = { _ in .failAfter(.inputOutput) }
        XCTAssertEqual(failure { try file.write("x", at: 0) }, .inputOutput)
        XCTAssertEqual(disk.contents(of: "file"), Array("x".utf8))
        XCTAssertEqual(failure { try file.setSize(.max) }, .invalid, "an error of its own comes first")
    }

    func testAWriteMayEndInTheMiddleForWantOfSpace() throws {
        let file = try files.open("file", .create)
        hook.script = { _ in .partial(3) }
        XCTAssertEqual(failure { try file.write("abcde", at: 0) }, .noSpace)
        XCTAssertEqual(failure { try file.write(gathering: ["1", "2", "34"], at: 3) }, .noSpace)
        XCTAssertEqual(disk.contents(of: "file"), Array("abc123".utf8))
        XCTAssertTrue(files.isAlive)
    }

    func testAReadThatMustNotWaitMayGetNothing() throws {
        let file = try files.open("file", .create)
        try file.write("text", at: 0)
        var buffer = [UInt8](repeating: 0, count: 4)
        let ready = try buffer.withUnsafeMutableBytes { try file.readWithoutWaiting(into: $0, at: 0) }
        XCTAssertEqual(ready, 4)
        hook.script = { $0.mayWait ? .proceed : .wouldWait }
        let busy = try buffer.withUnsafeMutableBytes { try file.readWithoutWaiting(into: $0, at: 0) }
        XCTAssertNil(busy)
        XCTAssertEqual(try file.read(4, at: 0), "text")
    }

    func testACrashBeforeACallLeavesItUndone() throws {
        let file = try files.open("file", .create)
        hook.script = { _ in .crashBefore }
        XCTAssertEqual(failure { try file.write("x", at: 0) }, .ended)
        XCTAssertEqual(disk.contents(of: "file"), [])
        XCTAssertFalse(files.isAlive)
    }

    func testACrashAfterACallLeavesItDone() throws {
        let file = try files.open("file", .create)
        hook.script = { _ in .crashAfter }
        XCTAssertEqual(failure { try file.write("x", at: 0) }, .ended)
        XCTAssertEqual(disk.contents(of: "file"), Array("x".utf8))
        XCTAssertFalse(files.isAlive)
    }

    func testACrashInAWriteLeavesItsBeginning() throws {
        let file = try files.open("file", .create)
        hook.script = { _ in .crashDuring(2) }
        XCTAssertEqual(failure { try file.write("abc", at: 0) }, .ended)
        XCTAssertEqual(disk.contents(of: "file"), Array("ab".utf8))
    }

    func testADeadProcessCanDoNothing() throws {
        let file = try files.open("file", .create)
        let sync = try files.beginSync(file)
        let lock = try files.lock("lock")
        files.kill()
        let before = disk.contentDigest
        let calls = files.callCount
        XCTAssertEqual(failure { try file.write("x", at: 0) }, .ended)
        XCTAssertEqual(failure { try file.writeZeros(1, at: 0) }, .ended)
        XCTAssertEqual(failure { try file.setSize(1) }, .ended)
        XCTAssertEqual(failure { try file.sync() }, .ended)
        XCTAssertEqual(failure { try files.endSync(sync) }, .ended)
        XCTAssertEqual(failure { try file.read(1, at: 0) }, .ended)
        XCTAssertEqual(failure { try files.open("other", .create) }, .ended)
        XCTAssertEqual(failure { try files.rename("file", to: "other") }, .ended)
        XCTAssertEqual(failure { try files.remove("file") }, .ended)
        XCTAssertEqual(failure { try files.lock("lock") }, .ended)
        XCTAssertEqual(failure { try files.exists("file") }, .ended)
        file.close()
        XCTAssertEqual(disk.contentDigest, before)
        XCTAssertEqual(files.callCount, calls, "its calls are not even shown")
        let next = try disk.mount().lock("lock")
        lock.release()
        XCTAssertEqual(failure { try disk.mount().lock("lock") }, .wouldBlock, "a dead holder releases nothing")
        next.release()
    }

    func testAProcessThatIsKilledWhileItsCallIsShownDoesNothing() throws {
        let file = try files.open("file", .create)
        hook.script = { [files] _ in
            files.kill()
            return .proceed
        }
        XCTAssertEqual(failure { try file.write("x", at: 0) }, .ended)
        XCTAssertEqual(disk.contents(of: "file"), [])
    }

    func testAPowerLossEndsAllProcesses() throws {
        let other = disk.mount()
        let file = try files.open("file", .create)
        disk.powerLoss(salt: 0)
        XCTAssertFalse(files.isAlive)
        XCTAssertFalse(other.isAlive)
        XCTAssertEqual(failure { try file.write("x", at: 0) }, .ended)
        file.close()
        XCTAssertNoThrow(try disk.mount().list("/"))
    }

    func testAProcessCrashKeepsWhatWasWritten() throws {
        let file = try files.open("file", .create)
        try file.write("text", at: 0)
        disk.processCrash()
        XCTAssertEqual(disk.contents(of: "file"), Array("text".utf8))
        XCTAssertEqual(disk.pendingOperationCount, 2)
        XCTAssertEqual(failure { try file.sync() }, .ended)
    }

    func testADiskHasItsCapacity() throws {
        var options = DiskOptions()
        options.capacityBytes = 10
        let disk = SimulatedDisk(options: options)
        let files = disk.mount()
        let file = try files.open("file", .create)
        try file.write("12345678", at: 0)
        XCTAssertEqual(try files.availableBytes(at: "/"), 2)
        XCTAssertEqual(failure { try file.write("abcd", at: 8) }, .noSpace)
        XCTAssertEqual(disk.contents(of: "file"), Array("12345678ab".utf8), "what fits is written")
        XCTAssertNoThrow(try file.write("overwrite", at: 0))
        XCTAssertEqual(failure { try file.write("x", at: 100) }, .noSpace)
        XCTAssertEqual(failure { try file.setSize(11) }, .noSpace)
        XCTAssertEqual(failure { try file.writeZeros(1, at: 10) }, .noSpace)
        try files.remove("file")
        XCTAssertEqual(try files.availableBytes(at: "/"), 0, "an open file takes its space")
        file.close()
        XCTAssertEqual(try files.availableBytes(at: "/"), 10)
    }

    private func failure<Value>(_ body: () throws -> Value) -> FileError.Number? {
        do {
            _ = try body()
            return nil
        } catch {
            return (error as? FileError)?.number
        }
    }
}
