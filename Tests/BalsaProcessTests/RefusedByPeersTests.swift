import BalsaPlatform
import Foundation
import XCTest

/// Three real members, of which one starts on a directory in which nothing contradicts anything: only its peers can
/// tell. They refuse it, both sides say why, and the others go on.
final class RefusedByPeersTests: ProcessTestCase {
    /// Three members of a cluster, and the one of them whose directory is exchanged.
    private struct Scene {
        let cluster: ProcessCluster
        let member: MemberProcess
        var others: [MemberProcess] { cluster.members.filter { $0 !== member } }

        /// A copy of the member's directory beside it.
        func copy(_ name: String) throws -> String {
            let path = cluster.folder.path + "/" + name
            try FileManager.default.copyItem(atPath: member.directory, toPath: path)
            return path
        }

        /// Puts files of a copy in the place of those of the member, which does not run.
        func replace(_ files: [String], from copy: String) throws {
            for file in files {
                let path = member.directory + "/" + file
                try FileManager.default.removeItem(atPath: path)
                try FileManager.default.copyItem(atPath: copy + "/" + file, toPath: path)
            }
        }

        /// Writes some pairs through the others, and reads them back there.
        func goesOn(_ prefix: String) async throws {
            for number in 0..<5 {
                var isWritten = false
                try await eventually("the others take \(prefix)-\(number)") {
                    for other in others where !isWritten {
                        isWritten = await other.put("\(prefix)-\(number)", "v", within: .seconds(5)) != nil
                    }
                    return isWritten
                }
                try await eventually("the others have \(prefix)-\(number)") {
                    for other in others {
                        guard await other.read("\(prefix)-\(number)")?.value == "v" else { return false }
                    }
                    return true
                }
            }
        }

        /// Waits for a sentence of a member about itself or another.
        func says(_ member: MemberProcess, from start: Int, _ parts: String...) async throws {
            try await eventually("member \(member.id) says \(parts): \(member.notices.suffix(8))") {
                member.notices.dropFirst(start).contains { notice in parts.allSatisfy { notice.contains($0) } }
            }
        }
    }

    /// A cluster that has written something, and a member that follows.
    private func scene() async throws -> Scene {
        let cluster = try ProcessCluster()
        try cluster.start()
        let leader = try await cluster.leader()
        let member = try XCTUnwrap(cluster.members.first { $0 !== leader })
        let scene = Scene(cluster: cluster, member: member)
        try await scene.goesOn("first")
        try await cluster.converge()
        return scene
    }

    func testAMember_whoseFilesAreAllAnEarlierCopy_isRefusedByItsPeersWhichGoOn() async throws {
        let scene = try await scene()
        await check {
            let member = scene.member
            try await member.close()
            let earlier = try scene.copy("earlier")
            try member.start()
            try await scene.cluster.leader()
            try await scene.goesOn("second")
            try await scene.cluster.converge()
            try await member.close()
            let latest = try scene.copy("latest")
            try scene.replace(["BOOT", "log", "groups"], from: earlier)
            let counts = scene.others.map(\.notices.count)
            let start = member.notices.count
            try member.start()
            // Its own sentence, with which it fails, and that of each of those that refuse it.
            let cause = "was set back to before its opening"
            try await scene.says(member, from: start, "* state failed", cause)
            for (other, count) in zip(scene.others, counts) {
                try await scene.says(other, from: count, "* refused \(member.id)", cause)
            }
            XCTAssertEqual(member.state.hasPrefix("failed "), true)
            try await scene.goesOn("third")
            // What the sentence advises helps: nobody has listened to the directory that was set back.
            try await member.kill()
            try scene.replace(["BOOT", "log", "groups"], from: latest)
            try member.start()
            try await scene.cluster.leader()
            try await scene.cluster.converge()
            let found = await member.read("third-0", "local")
            XCTAssertEqual(found?.value, "v")
            try scene.cluster.checkThatNobodyTrapped()
        }
        try await scene.cluster.remove()
    }

    func testAMember_whoseDirectoryIsEmpty_isRefusedByItsPeersWhichGoOn() async throws {
        let scene = try await scene()
        await check {
            let member = scene.member
            try await member.close()
            try FileManager.default.removeItem(atPath: member.directory)
            let counts = scene.others.map(\.notices.count)
            let start = member.notices.count
            try member.start()
            let cause = "is not the one with which it joined"
            try await scene.says(member, from: start, "* state failed", cause)
            for (other, count) in zip(scene.others, counts) {
                try await scene.says(other, from: count, "* refused \(member.id)", cause)
            }
            try await scene.goesOn("second")
            try scene.cluster.checkThatNobodyTrapped()
        }
        try await scene.cluster.remove()
    }

    /// A log that was copied while the member ran, put back after it was killed: nothing in the directory contradicts
    /// it. The leader knows what the member has acknowledged.
    func testAMember_whoseLogIsACopyOfItsLatestOpening_isToldByItsLeaderAndTheOthersGoOn() async throws {
        let scene = try await scene()
        await check {
            let member = scene.member
            let leader = try XCTUnwrap(scene.others.first(where: \.isLeader))
            member.send(SIGSTOP)
            let earlier = try scene.copy("earlier")
            member.send(SIGCONT)
            try await scene.goesOn("second")
            try await scene.cluster.converge()
            XCTAssertTrue(leader.isLeader)
            try await member.kill()
            let latest = try scene.copy("latest")
            try scene.replace(["log"], from: earlier)
            let start = member.notices.count
            let count = leader.notices.count
            try member.start()
            try await scene.says(member, from: start, "* state failed", "which its log does not hold")
            try await scene.says(leader, from: count, "* anomaly", "\(member.id)")
            try await scene.goesOn("third")
            try await member.kill()
            try scene.replace(["BOOT", "log", "groups"], from: latest)
            try scene.cluster.checkThatNobodyTrapped()
        }
        try await scene.cluster.remove()
    }
}
