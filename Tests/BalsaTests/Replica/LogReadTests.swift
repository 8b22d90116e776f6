import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import XCTest

@testable import Balsa

/// Reads of old entries while the process has no file descriptor left: what needs them waits, and the member goes on.
final class LogReadTests: ReplicaTestCase {
    /// Lets no segment be opened to be read, while it is on.
    private final class DescriptorHook: DiskHook {
        var isOn = false
        private(set) var failures = 0

        func answer(_ call: DiskCall) -> DiskAnswer {
            guard isOn, call.operation == .open, call.path.hasSuffix(".log") else { return .proceed }
            failures += 1
            return .fail(.tooManyOpenFiles)
        }
    }

    private func makeGroup(of members: UInt64) -> (ReplicaGroup, [DescriptorHook]) {
        let group = ReplicaGroup(members: members)
        group.options.log.cacheBytes = 256
        let hooks = group.hosts.map { _ in DescriptorHook() }
        for (host, hook) in zip(group.hosts, hooks) { host.hook = hook }
        return (group, hooks)
    }

    func testAppend_whoseEntriesCannotBeReadForWantOfADescriptor_isSentLater() throws {
        let (group, hooks) = makeGroup(of: 3)
        let leader = try group.start()
        let late = leader % 3 + 1
        group.advance(by: .milliseconds(100))
        group.isolate(late)
        group.writeMany(leader, 60)
        let others = [1, 2, 3].filter { $0 != late }
        for id in others { hooks[Int(id) - 1].isOn = true }
        group.isolate()
        group.advance(by: .seconds(2))
        let replicas = try others.map { try XCTUnwrap(group.host($0).replica) }
        for replica in replicas { XCTAssertNil(replica.failure) }
        XCTAssertGreaterThan(hooks.reduce(0) { $0 + $1.failures }, 0)
        XCTAssertGreaterThan(replicas.reduce(0) { $0 + $1.metrics.logReadsPutOff }, 0)
        XCTAssertLessThan(try XCTUnwrap(group.host(late).replica).appliedIndex, 50)
        let write = group.write(leader, "k", "the others go on")
        group.settle()
        XCTAssertEqual(group.host(leader).reply(to: write)?.isSuccess, true)
        for hook in hooks { hook.isOn = false }
        group.advance(by: .seconds(2))
        let applied = try XCTUnwrap(group.host(late).replica).appliedIndex
        XCTAssertEqual(applied, replicas[0].appliedIndex)
        XCTAssertGreaterThan(applied, 60)
    }

    func testApply_whoseEntriesCannotBeReadForWantOfADescriptor_isDoneLater() throws {
        let (group, hooks) = makeGroup(of: 1)
        let (host, hook) = (group.host(1), hooks[0])
        host.provider.sealAfterBytes = 500
        host.provider.maxPendingSeals = 2
        _ = try group.start()
        // The state takes nothing, and the log goes on.
        host.holdsWork = true
        group.writeMany(1, 60)
        let replica = try XCTUnwrap(host.replica)
        XCTAssertEqual(replica.commitIndex, 61)
        XCTAssertLessThan(replica.appliedIndex, 20)
        group.expect(.retrying, of: 1)
        hook.isOn = true
        group.releaseWork(1)
        group.advance(by: .seconds(10))
        XCTAssertNil(replica.failure)
        XCTAssertGreaterThan(hook.failures, 0)
        XCTAssertGreaterThan(replica.metrics.logReadsPutOff, 1)
        XCTAssertLessThan(replica.metrics.logReadsPutOff, 10, "it waits between two attempts")
        XCTAssertLessThan(replica.appliedIndex, 61)
        hook.isOn = false
        group.advance(by: .seconds(3))
        XCTAssertEqual(replica.appliedIndex, 61)
        XCTAssertEqual(host.machine?.appliedIndexes, Array(1...61))
    }
}
