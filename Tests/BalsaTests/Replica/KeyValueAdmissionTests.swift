import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa
@testable import BalsaKeyValue

/// What a leader refuses before it enters the log, by the key-value machine.
final class KeyValueAdmissionTests: ReplicaTestCase {
    private func opened(_ options: ReplicatedOptions = ReplicatedOptions()) throws -> KeyValueStateMachine {
        let files = SimulatedDisk().mount()
        try files.createDirectory("kv")
        let provider = KeyValueProvider(proposal: options, seed: 1)
        let opened = try provider.open("kv", of: .none, in: files, isReceived: false) { _ in true }
        let machine = try XCTUnwrap(opened as? KeyValueStateMachine)
        try machine.machine.found(options.encoded, index: 1, term: 1, stamp: 1)
        return machine
    }

    private func apply(_ command: Command, to machine: KeyValueStateMachine) throws -> CommandReply {
        let index = machine.machine.applied.index + 1
        return try machine.machine.apply(command.encoded(), index: index, term: 1, stamp: 1)
    }

    private func command(_ session: UInt64, _ number: UInt64, _ operation: Command.Operation) -> Command {
        Command(
            identity: RequestIdentity(session: SessionID(rawValue: session), number: number),
            lowestOutstanding: 1,
            operation: operation
        )
    }

    /// Its caller would be told that nobody knows, though every member does.
    func testCopy_ofWhatWasExecutedBeforeTheLimitWasLowered_isNotRefused() throws {
        let machine = try opened()
        let session = try apply(command(0, 1, .openSession), to: machine).revision
        let put = command(session, 1, .put(key: "k", value: "twenty bytes of value"))
        let first = try apply(put, to: machine)
        XCTAssertEqual(first.outcome, .applied)
        var options = ReplicatedOptions()
        options.maxValueBytes = 8
        XCTAssertEqual(
            try apply(command(session, 2, .changeOptions(options, expecting: 1)), to: machine).outcome,
            .applied
        )
        XCTAssertNil(machine.refusal(of: put.encoded()))
        XCTAssertEqual(try apply(put, to: machine), first, "apply answers the copy as before")
        let next = command(session, 3, .put(key: "k", value: "twenty bytes of value"))
        XCTAssertEqual(machine.refusal(of: next.encoded()), .tooLarge)
        let other = command(session + 100, 1, .put(key: "k", value: "twenty bytes of value"))
        XCTAssertEqual(machine.refusal(of: other.encoded()), .tooLarge)
    }

    /// A newer member passes it on to a leader that is older.
    func testCommand_ofANewerRelease_needsAnUpgradeAndIsNotInvalid() throws {
        let machine = try opened()
        for (place, byte) in [(0, 2), (1, 200)] as [(Int, UInt8)] {
            var bytes = [UInt8](command(1, 1, .delete(key: "k")).encoded())
            bytes[place] = byte
            XCTAssertEqual(machine.refusal(of: Bytes(bytes)), .upgradeRequired, "byte \(place)")
        }
        var options = [UInt8](command(1, 1, .changeOptions(ReplicatedOptions(), expecting: 1)).encoded())
        options[CommandLayout.headerByteCount + 8] = 2
        XCTAssertEqual(machine.refusal(of: Bytes(options)), .upgradeRequired, "options of a newer version")
        XCTAssertEqual(machine.refusal(of: Bytes()), .invalid)
        XCTAssertEqual(machine.refusal(of: Bytes([0])), .invalid)
    }

    /// Options with which the cluster could take no write any more, not even the change back.
    func testChange_ofOptionsThatEndSessionsAtOnce_isRefusedBeforeItEntersTheLog() throws {
        let machine = try opened()
        var options = ReplicatedOptions()
        options.sessionIdleNanoseconds = 3_600_000
        XCTAssertEqual(
            machine.refusal(of: command(1, 1, .changeOptions(options, expecting: 1)).encoded()),
            .invalid
        )
        options = ReplicatedOptions()
        options.maxSessions = 1
        XCTAssertEqual(
            machine.refusal(of: command(1, 1, .changeOptions(options, expecting: 1)).encoded()),
            .invalid
        )
    }

    func testFeatureLevel_ofEachKindOfThisRelease_isThatOfTheFirst() throws {
        let machine = try opened()
        for kind in 1...9 as ClosedRange<UInt8> {
            XCTAssertEqual(CommandKind(rawValue: kind)?.featureLevel, 0, "kind \(kind)")
            XCTAssertEqual(machine.featureLevel(of: Bytes([1, kind])), 0)
        }
        XCTAssertNil(CommandKind(rawValue: 10), "a new kind has a feature level above 0")
    }

    /// A new leader knows what its predecessor has committed only once an entry of its own term is.
    func testRefusal_forASize_waitsUntilAnEntryOfTheLeadersTermIsApplied() throws {
        let group = ReplicaGroup(members: 3)
        let first = try group.start()
        group.writeMany(first, 3)
        group.advance(by: .milliseconds(200))
        group.isolate(first)
        group.expect(.quorumLost, of: first)
        group.fate = { frame in
            if case .message(_, let entries?) = frame.content, entries.count > 0 { return .isLost }
            return .arrives
        }
        let leader = try group.elect()
        let host = group.host(leader)
        let replica = try XCTUnwrap(host.replica)
        XCTAssertEqual(replica.applied.position.index, replica.raft.commitIndex)
        XCTAssertLessThan(replica.applied.position.term, replica.raft.term)
        host.provider.refusal = { _ in .tooLarge }
        let early = group.write(leader, "k", "v")
        group.advance(by: .milliseconds(50))
        XCTAssertNil(host.reply(to: early), "apply decides")
        group.fate = { _ in .arrives }
        group.advance(by: .milliseconds(500))
        XCTAssertEqual(host.reply(to: early)?.isSuccess, true)
        let late = group.write(leader, "k", "v")
        group.advance(by: .milliseconds(50))
        XCTAssertEqual(host.reply(to: late), .failed(.notApplied, .tooLarge))
    }
}
