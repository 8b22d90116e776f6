import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import XCTest

@testable import Balsa

/// Background tasks of the log that fail: they are counted and tried again, and only a failed sync of the directory is final.
final class ReplicaTaskTests: ReplicaTestCase {
    /// Fails one kind of call on files of the log that a task prepares, or on the log's directory, while it is on.
    private final class TaskHook: DiskHook {
        var operation: FileError.Operation?

        func answer(_ call: DiskCall) -> DiskAnswer {
            let isOfTask = call.path.hasSuffix(".preparing") || call.path.hasSuffix("/log")
            return isOfTask && call.operation == operation ? .fail(.noSpace) : .proceed
        }
    }

    private func started() throws -> (ReplicaGroup, ReplicaHost, TaskHook) {
        let (group, hook) = (ReplicaGroup(members: 1), TaskHook())
        group.options.log.sparesWanted = 0
        group.host(1).hook = hook
        _ = try group.start()
        XCTAssertEqual(try XCTUnwrap(group.host(1).replica).metrics.tasksFailed, 0)
        return (group, group.host(1), hook)
    }

    func testTask_segmentCannotBeMade_isCountedAndTriedAgainAfterAWhile() throws {
        let (group, host, hook) = try started()
        // A leader whose disk takes nothing for an election timeout gives up its leadership.
        group.expect(.persistStalled, of: 1)
        hook.operation = .write
        group.writeMany(1, 30)
        let replica = try XCTUnwrap(host.replica)
        XCTAssertEqual(replica.metrics.tasksFailed, 1, "no time has passed")
        XCTAssertFalse(host.open.isEmpty, "writes wait for a segment")
        group.advance(by: .milliseconds(1_050))
        XCTAssertEqual(replica.metrics.tasksFailed, 11, "it is tried again every 100 ms")
        XCTAssertNil(replica.failure)
        hook.operation = nil
        group.advance(by: .milliseconds(150))
        XCTAssertEqual(replica.metrics.tasksFailed, 11)
        XCTAssertEqual(host.open, [])
        XCTAssertEqual(host.replies.count { $0.reply.isSuccess }, 30)
    }

    func testTask_directoryCannotBeSynced_stopsTheReplica() throws {
        let (group, host, hook) = try started()
        group.expect(.failed(.file), of: 1)
        hook.operation = .syncDirectory
        group.writeMany(1, 30)
        let replica = try XCTUnwrap(host.replica)
        XCTAssertEqual(replica.metrics.tasksFailed, 1)
        XCTAssertEqual(replica.failure?.code, .file)
        XCTAssertEqual(replica.failure?.message.contains("balsa/log"), true, "\(String(describing: replica.failure))")
        XCTAssertEqual(host.open, [], "everybody was told")
        group.advance(by: .seconds(1))
        XCTAssertEqual(replica.metrics.tasksFailed, 1, "it is not tried again")
    }
}
