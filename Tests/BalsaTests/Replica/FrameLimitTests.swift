import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// The longest frame, and what is longer than that.
final class FrameLimitTests: ReplicaTestCase {
    /// Such a command would enter the leader's log, and neither it nor anything behind it would ever reach another
    /// member.
    func testOptions_thatNeedLongerFramesThanTheFormatHas_areInvalid() throws {
        let changes: [(String, (inout ReplicaOptions) -> Void)] = [
            ("maxAppendBytes", { $0.raft.maxAppendBytes = 1 << 30 }),
            ("chunkBytes", { $0.chunkBytes = 1 << 30 }),
        ]
        let bound = "must be at most 1073741696, which is what fits into a frame of wire.maxFrameBytes, not 1073741824"
        for (name, change) in changes {
            let group = ReplicaGroup(members: 1)
            group.options.wire.maxFrameBytes = 4 << 30
            XCTAssertNoThrow(try group.options.validate(), "it counts as 1 GiB")
            change(&group.options)
            let digest = group.host(1).disk.contentDigest
            XCTAssertThrowsError(try group.open(1)) { error in
                XCTAssertEqual((error as? ReplicaError)?.code, .invalid)
                XCTAssertEqual((error as? ReplicaError)?.message, "\(name) \(bound)")
            }
            XCTAssertEqual(group.host(1).disk.contentDigest, digest)
        }
    }

    /// Whoever asks, the longest command that the options allow fits into each frame that carries it. The group decodes
    /// all frames under the same limit.
    func testCommands_asLongAsTheOptionsAllow_reachEveryMember() throws {
        let group = ReplicaGroup(members: 3)
        group.options.wire.maxFrameBytes = 2_000
        group.options.log.maxFrameBytes = 4_096
        group.options.log.smallestSegmentBytes = 8_192
        group.options.log.largestSegmentBytes = 16_384
        let longest = 2_000 - WireOptions.roomForFields - EntryHeader.encodedByteCount
        for host in group.hosts { host.provider.maxCommandBytes = longest }
        group.options.raft.maxAppendBytes = UInt64(2_000 - WireOptions.roomForFields)
        group.options.chunkBytes = 2_000 - WireOptions.roomForFields
        let leader = try group.start()
        let empty = RegisterCommand(identity: nil, key: "k", value: "")
        let room = longest - (try empty.encoded().count)
        for id in 1...3 as ClosedRange<MemberID> {
            let name = CommandIdentity(session: 7, number: id)
            let value = Bytes(String(repeating: "\(id)", count: room))
            let long = group.write(id, "k", Bytes(String(repeating: "x", count: room + 1)), as: name)
            group.settle()
            // The leader decides, which others pass it on to.
            let teller = id == leader ? 0 : leader
            XCTAssertEqual(group.host(id).reply(to: long), .failed(.notApplied, .tooLarge, leader: teller))
            let write = group.write(id, "k", value, as: name)
            group.advance(by: .milliseconds(200))
            XCTAssertEqual(group.host(id).reply(to: write)?.isSuccess, true, "asked of member \(id)")
            for host in group.hosts { XCTAssertEqual(host.machine?.value(of: "k"), value, "member \(host.id)") }
        }
        XCTAssertGreaterThan(group.host(leader % 3 + 1).forwards.count, 0)
        for host in group.hosts { XCTAssertEqual(host.replica?.metrics.framesTooLarge, 0) }
    }

    /// No options lead here. What is counted has not been sent, and the member goes on.
    func testAFrame_longerThanTheFormatAllows_isNotSentAndCounted() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        let replica = try XCTUnwrap(group.host(leader).replica)
        let room = WireOptions.formatMaximum.maxFrameBytes
        // Nobody writes these bytes or reads them, so that the system has no pages for them.
        let slab = Slab.filled(capacity: room) { _ in room }
        for (count, refused) in [(room, 1), (room - 59, 2)] {
            var effects: [ReplicaEffect] = []
            let command = ForwardedCommand(number: 1, command: Bytes(slab: slab, offset: 0, count: count))
            replica.send(.forward(command), to: leader % 3 + 1, &effects)
            XCTAssertEqual(effects.count, 0)
            XCTAssertEqual(replica.metrics.framesTooLarge, refused)
        }
        XCTAssertNil(replica.failure)
        let write = group.write(leader, "k", "v")
        group.advance(by: .milliseconds(200))
        XCTAssertEqual(group.host(leader).reply(to: write), .written(2))
        for host in group.hosts { XCTAssertEqual(host.machine?.value(of: "k"), "v") }
    }
}
