import Foundation
import XCTest

/// Members on a small file system of their own that runs full. Only a user who may mount one can have it; for everybody else
/// `FaultyDiskTests` lets the calls fail.
final class FullDiskTests: ProcessTestCase {
    /// A file system in memory of a few mebibytes.
    private struct SmallDisk {
        let path: String

        init(in folder: Folder, mebibytes: Int) throws {
            path = folder.path + "/small"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            let result = mount("tmpfs", path, "tmpfs", 0, "size=\(mebibytes)m")
            guard result == 0 else { throw XCTSkip("a small file system cannot be mounted here: error \(errno)") }
        }

        /// Gives it so much space in all.
        func resize(mebibytes: Int) throws {
            let result = mount("tmpfs", path, "tmpfs", UInt(MS_REMOUNT), "size=\(mebibytes)m")
            guard result == 0 else { throw Failure("the file system cannot be resized: error \(errno)") }
        }

        func unmount() { umount2(path, Int32(MNT_DETACH)) }
    }

    private let value = String(repeating: "v", count: 20_000)

    /// Puts pairs until so many in a row were not acknowledged. Returns how many were.
    private func fill(_ member: MemberProcess, from first: Int) async throws -> Int {
        var count = first
        while await member.put("key-\(count)", value, within: .seconds(2)) != nil {
            count += 1
            guard count < 20_000 else { throw Failure("the disk does not run full") }
        }
        return count
    }

    private func checkPairs(_ count: Int, on member: MemberProcess, _ verb: String) async throws {
        for number in 0..<count {
            let found = await member.read("key-\(number)", verb)
            guard found?.value == value else {
                throw Failure("key-\(number) of \(count) is not there on member \(member.id)")
            }
        }
    }

    func testAMemberAloneWaitsForSpaceAndGoesOn() async throws {
        let folder = try Folder()
        let disk = try SmallDisk(in: folder, mebibytes: 2)
        let cluster = try ProcessCluster(1, below: [1: disk.path])
        let member = cluster.members[0]
        await check {
            try cluster.start()
            try await cluster.leader()
            let count = try await self.fill(member, from: 0)
            XCTAssertGreaterThan(count, 20)
            XCTAssertTrue(member.isRunning, "\(member.notices.suffix(3))")
            XCTAssertFalse(member.state.hasPrefix("failed"), member.state)
            try await eventually("it says that there is no space: \(member.notices)") {
                member.notices.contains { $0.contains("* retrying") && $0.contains("No space left") }
            }
            try await self.checkPairs(count, on: member, "local")
            try disk.resize(mebibytes: 64)
            var revision: UInt64?
            try await eventually("writes go on: \(member.state)") {
                revision = await member.put("after", "it", within: .seconds(2))
                return revision != nil
            }
            // What was not acknowledged may have been written all the same; what was, was.
            try await self.checkPairs(count, on: member, "get")
            try await member.kill()
            try cluster.start()
            try await cluster.leader()
            try await self.checkPairs(count, on: member, "get")
            try cluster.checkThatNobodyTrapped()
        }
        try await cluster.remove()
        disk.unmount()
        try folder.remove()
    }

    /// Killed on a full disk and started again there, it opens or says why it cannot, and has everything once there is space.
    func testAMemberThatIsStartedOnAFullDiskLosesNothing() async throws {
        let folder = try Folder()
        let disk = try SmallDisk(in: folder, mebibytes: 2)
        let cluster = try ProcessCluster(1, below: [1: disk.path])
        let member = cluster.members[0]
        await check {
            try cluster.start()
            try await cluster.leader()
            let count = try await self.fill(member, from: 0)
            try await member.kill()
            // Not a byte is left.
            let filler = FileManager.default.createFile(atPath: disk.path + "/filler", contents: nil)
            XCTAssertTrue(filler)
            let handle = try XCTUnwrap(FileHandle(forWritingAtPath: disk.path + "/filler"))
            while (try? handle.write(contentsOf: Data(count: 4_096))) != nil {}
            try handle.close()
            for _ in 0..<3 {
                try cluster.start()
                try await eventually("it runs or has ended: \(member.state)") {
                    !member.isRunning || member.state == "leader" || member.state == "no-quorum"
                }
                if member.isRunning {
                    try await self.checkPairs(count, on: member, "local")
                    try await member.kill()
                } else {
                    XCTAssertEqual(member.exitStatus, 1)
                    XCTAssertTrue(member.notices.last?.contains(disk.path) ?? false, "\(member.notices)")
                }
            }
            try FileManager.default.removeItem(atPath: disk.path + "/filler")
            try disk.resize(mebibytes: 64)
            try cluster.start()
            try await cluster.leader()
            try await self.checkPairs(count, on: member, "get")
            let revision = await member.put("after", "it")
            XCTAssertGreaterThan(revision ?? 0, 0)
            try cluster.checkThatNobodyTrapped()
        }
        try await cluster.remove()
        disk.unmount()
        try folder.remove()
    }

    /// One of three runs out of space, the leader or not. The others go on, and it catches up when there is space again.
    func testOneOfThreeWithoutSpaceHoldsNobodyUp() async throws {
        let folder = try Folder()
        let disk = try SmallDisk(in: folder, mebibytes: 2)
        let cluster = try ProcessCluster(below: [1: disk.path])
        await check {
            try cluster.start()
            try await cluster.leader()
            var count = 0
            let (small, large) = (cluster.members[0], cluster.members[1])
            try await eventually("the disk is full") {
                for _ in 0..<20 {
                    if await large.put("key-\(count)", self.value, within: .seconds(20)) != nil { count += 1 }
                }
                return small.notices.contains { $0.contains("No space left") }
            }
            for _ in 0..<40 {
                let revision = await large.put("key-\(count)", self.value, within: .seconds(20))
                XCTAssertGreaterThan(revision ?? 0, 0, "writes go on: \(cluster.members.map(\.state))")
                count += 1
            }
            XCTAssertFalse(small.state.hasPrefix("failed"), small.state)
            try disk.resize(mebibytes: 64)
            try await cluster.leader()
            try await cluster.converge()
            for member in cluster.members { try await self.checkPairs(count, on: member, "local") }
            try cluster.checkThatNobodyTrapped()
        }
        try await cluster.remove()
        disk.unmount()
        try folder.remove()
    }

    func testOutput_whoseDiskIsFullForAWhile_isCompletedWhenThereIsSpace() async throws {
        let folder = try Folder()
        let disk = try SmallDisk(in: folder, mebibytes: 1)
        let (output, filler) = (disk.path + "/out", disk.path + "/filler")
        let cluster = try ProcessCluster(1)
        let process = Process()
        await check {
            // What the member says fills the page that it has begun, and no more.
            XCTAssertTrue(FileManager.default.createFile(atPath: output, contents: Data("begin\n".utf8)))
            let target = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
            try target.seekToEnd()
            let input = Pipe()
            let words = cluster.members[0].commandLine
            process.executableURL = URL(fileURLWithPath: words[0])
            process.arguments = Array(words.dropFirst())
            (process.standardInput, process.standardOutput) = (input, target)
            try process.run()
            func said() throws -> String { try String(contentsOfFile: output, encoding: .utf8) }
            try await eventually("it is open") { try said().contains("\n* open") }
            self.fillDisk(with: filler)
            for number in 0..<100 { input.fileHandleForWriting.write(Data("\(number) status\n".utf8)) }
            try await eventually("a line is cut") { try said().utf8.count == 4_096 }
            XCTAssertTrue(process.isRunning)
            try FileManager.default.removeItem(atPath: filler)
            input.fileHandleForWriting.write(Data("100 status\n".utf8))
            try input.fileHandleForWriting.close()
            try await eventually("it ends") { !process.isRunning }
            XCTAssertEqual(process.terminationStatus, 0)
            let lines = try said().components(separatedBy: "\n")
            for number in 0...100 {
                let answers = lines.filter { $0.hasPrefix("\(number) status ") && $0.contains(" pid=") }
                XCTAssertEqual(answers.count, 1, "answer \(number) in \(lines)")
            }
            XCTAssertTrue(lines.contains("* state closed"), "\(lines)")
        }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        try await cluster.remove()
        disk.unmount()
        try folder.remove()
    }

    /// Leaves no space on the disk of a file.
    private func fillDisk(with path: String) {
        let file = open(path, O_WRONLY | O_CREAT, 0o666)
        let page = [UInt8](repeating: 0, count: 4_096)
        while write(file, page, page.count) > 0 {}
        close(file)
    }
}
