import BalsaPlatform
import BalsaRaft
import Foundation

@testable import BalsaCommand

/// Members as processes on loopback ports, each in a directory of its own.
final class ProcessCluster: @unchecked Sendable {
    let folder: Folder
    let members: [MemberProcess]
    /// Where each member is reached, in the order of the members.
    let ports: [UInt16]
    private let reserved: ReservedPorts

    /// - Parameters:
    ///   - count: how many members.
    ///   - parents: below which directories the members have theirs; the test's own where there is none.
    ///   - reserved: the ports of the members, of which it takes the first; new ones where there are none.
    ///   - listening: at which ports members listen that others reach elsewhere.
    init(
        _ count: Int = 3,
        below parents: [MemberID: String] = [:],
        ports reserved: ReservedPorts? = nil,
        listening: [MemberID: UInt16] = [:]
    ) throws {
        let folder = try Folder()
        let reserved = try reserved ?? ReservedPorts(count)
        let ports = Array(reserved.ports.prefix(count))
        let peers = ports.enumerated().map { "\($0.offset + 1)=127.0.0.1:\($0.element)" }.joined(separator: ",")
        let executable = try Executable.path()
        self.folder = folder
        (self.reserved, self.ports) = (reserved, ports)
        members = (1...UInt64(count)).map { id in
            var arguments = ["--peers", peers]
            if let port = listening[id] { arguments += ["--listen", "127.0.0.1:\(port)"] }
            return MemberProcess(
                id,
                executable: executable,
                directory: "\(parents[id] ?? folder.path)/member-\(id)",
                arguments: arguments
            )
        }
    }

    /// Starts all members that do not run.
    func start() throws {
        for member in members where !member.isRunning { try member.start() }
    }

    /// Ends all processes at once, and removes what they have written.
    func remove() async throws {
        for member in members { member.send(SIGKILL) }
        for member in members { try await member.ended() }
        try folder.remove()
    }

    /// Waits until one of the members leads and the others that run follow it.
    @discardableResult
    func leader() async throws -> MemberProcess {
        var found: MemberProcess?
        try await eventually("one member leads and the others follow: \(members.map(\.state))") {
            let running = members.filter(\.isRunning)
            found = running.first(where: \.isLeader)
            guard let leader = found else { return false }
            return running.allSatisfy { $0 === leader || $0.state == "follower \(leader.id)" }
        }
        guard let found else { throw Failure("nobody leads") }
        return found
    }

    /// Waits until all members that run have applied one index, and holds that they agree on what it gave.
    @discardableResult
    func converge() async throws -> UInt64 {
        var index: UInt64 = 0
        try await eventually("all members have applied the same: \(members.map(\.state))") {
            var all: [(applied: String, digest: String)] = []
            for member in members where member.isRunning {
                guard let status = await member.status(), let applied = status["applied"], let digest = status["digest"]
                else { return false }
                all.append((applied, digest))
            }
            guard let first = all.first, all.allSatisfy({ $0.applied == first.applied }) else { return false }
            guard all.allSatisfy({ $0.digest == first.digest }) else {
                throw Failure("at index \(first.applied) the digests differ: \(all.map(\.digest))")
            }
            index = UInt64(first.applied) ?? 0
            return index > 0
        }
        return index
    }

    /// Throws where a member was ended by a signal that no test sends, or says that it trapped.
    func checkThatNobodyTrapped() throws {
        for member in members {
            let trap = member.notices.first { $0.contains("Fatal error") || $0.contains("Precondition failed") }
            if let trap { throw Failure("member \(member.id) trapped: \(trap)") }
            if let signal = member.signal, signal != SIGKILL {
                throw Failure("member \(member.id) was ended by the signal \(signal)")
            }
        }
    }
}
