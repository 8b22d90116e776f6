import BalsaLSM
import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaKeyValue

/// The replicated options: bounds, bytes, the first entry, the command that changes them, and what follows at once.
final class ReplicatedOptionsTests: XCTestCase {
    private func options(_ change: (inout ReplicatedOptions) -> Void) -> ReplicatedOptions {
        var options = ReplicatedOptions()
        change(&options)
        return options
    }

    // MARK: Values

    func testOptions_outsideOfTheirBounds_areRefusedWithTheRule() {
        let cases: [(String, (inout ReplicatedOptions) -> Void)] = [
            ("maxKeyBytes must be 1 to 32768, not -1", { $0.maxKeyBytes = -1 }),
            ("maxKeyBytes must be 1 to 32768, not 0", { $0.maxKeyBytes = 0 }),
            ("maxKeyBytes must be 1 to 32768, not 32769", { $0.maxKeyBytes = 32_769 }),
            ("maxValueBytes must be 8 to 268435456, not 7", { $0.maxValueBytes = 7 }),
            ("maxValueBytes must be 8 to 268435456, not 268435457", { $0.maxValueBytes = (256 << 20) + 1 }),
            ("maxSessions must be at least 8, not 0", { $0.maxSessions = 0 }),
            ("maxSessions must be at least 8, not 7", { $0.maxSessions = 7 }),
            ("maxSessions must be at least 8, not \(Int.min)", { $0.maxSessions = .min }),
            ("sessionIdleNanoseconds must be at least 1000000000, not 0", { $0.sessionIdleNanoseconds = 0 }),
            (
                "sessionIdleNanoseconds must be at least 1000000000, not 999999999",
                { $0.sessionIdleNanoseconds = 999_999_999 }
            ),
            ("sessionWindow must be 1 to 1048576, not 0", { $0.sessionWindow = 0 }),
            ("sessionWindow must be 1 to 1048576, not \(Int.max)", { $0.sessionWindow = .max }),
            (
                "maxReplyBytes must be at least 26624, the replies of one session, not 26623",
                { $0.maxReplyBytes = 1_024 * 26 - 1 }
            ),
            ("retentionSampleNanoseconds must be at least 1, not 0", { $0.retentionSampleNanoseconds = 0 }),
            ("maxSessions, maxReplyBytes and the samples", { $0.maxSessions = .max }),
            ("maxSessions, maxReplyBytes and the samples", { $0.maxReplyBytes = .max }),
            ("maxSessions, maxReplyBytes and the samples", { $0.retentionSampleNanoseconds = 1 }),
            (
                "maxSessions, maxReplyBytes and the samples",
                {
                    $0.retainedNanoseconds = .max
                    $0.retentionSampleNanoseconds = 1
                }
            ),
        ]
        for (sentence, change) in cases {
            let changed = options(change)
            let error = errorOf { try changed.validate() }
            XCTAssertEqual(error?.code, .invalid, sentence)
            XCTAssertTrue(error?.description.hasPrefix("invalid: " + sentence) ?? false, "\(error?.description ?? "")")
            // A leader refuses them before they enter the log, and says so.
            let command = Command(
                identity: RequestIdentity(session: .none, number: 1),
                operation: .changeOptions(changed, expecting: 1)
            )
            XCTAssertEqual(ReplicatedOptions().refusal(of: command), .invalidOptions, sentence)
            XCTAssertEqual(try ReplicatedOptions().refusal(ofEncoded: command.encoded()), .invalidOptions, sentence)
        }
        XCTAssertNoThrow(try ReplicatedOptions().validate())
        let smallest = options {
            $0.maxSessions = 8
            $0.sessionIdleNanoseconds = 1_000_000_000
        }
        XCTAssertNoThrow(try smallest.validate())
        let largest = options {
            $0.maxKeyBytes = ReplicatedOptions.largestKeyBytes
            $0.maxValueBytes = ReplicatedOptions.largestValueBytes
        }
        XCTAssertNoThrow(try largest.validate())
    }

    /// Whatever three options are, they are valid or refused. No sum of theirs stops the process.
    func testOptions_withThreeExtremeValues_areValidOrRefused() throws {
        let extremes: [UInt64] = [0, 1, 1 << 63 - 1, 1 << 63, .max - 1, .max]
        let names = ReplicatedOptions.fields.map(\.name)
        var valid = 0
        var refused = 0
        for first in names.indices {
            for second in names.indices where second > first {
                for third in names.indices where third > second {
                    for choice in 0..<216 {
                        var changed = ReplicatedOptions()
                        changed[name: names[first]] = extremes[choice / 36]
                        changed[name: names[second]] = extremes[choice / 6 % 6]
                        changed[name: names[third]] = extremes[choice % 6]
                        XCTAssertGreaterThan(changed.maxCommandBytes, 0)
                        if changed.fault == nil { valid += 1 } else { refused += 1 }
                    }
                }
            }
        }
        XCTAssertGreaterThan(valid, 0)
        XCTAssertGreaterThan(refused, 0)
    }

    func testFields_eachStoredProperty_hasOneAndIsReadBack() throws {
        let names = Mirror(reflecting: ReplicatedOptions()).children.compactMap(\.label)
        XCTAssertEqual(names, ReplicatedOptions.fields.map(\.name), "each option is in the format, in its order")
        for (place, name) in names.enumerated() {
            var changed = ReplicatedOptions()
            changed[name: name] = 1_000 + UInt64(place)
            XCTAssertNotEqual(changed, ReplicatedOptions(), name)
            XCTAssertEqual(try ReplicatedOptions(decoding: changed.encoded), changed, name)
            XCTAssertEqual(changed[name: name], 1_000 + UInt64(place))
        }
    }

    func testOptions_ofOtherFormats_areRefused() throws {
        let bytes = [UInt8](ReplicatedOptions().encoded)
        for (place, value, reason, field) in [
            (0, 0, .outOfBounds, "options version"), (0, 2, .version, "options version"),
            (2, 8, .outOfBounds, "number of options"), (2, 10, .outOfBounds, "number of options"),
        ] as [(Int, UInt8, BalsaPlatform.DecodingError.Reason, String)] {
            var other = bytes
            other[place] = value
            assertRefused(reason, field, at: place, "\(value)") { try ReplicatedOptions(decoding: Bytes(other)) }
        }
        for count in 0..<bytes.count {
            let (field, place) =
                count < 2
                ? ("options version", 0) : count < 4 ? ("number of options", 2) : ("option", 4 + (count - 4) / 8 * 8)
            assertRefused(.truncated, field, at: place, "cut to \(count)") {
                try ReplicatedOptions(decoding: Bytes(Array(bytes[..<count])))
            }
        }
        assertRefused(.inconsistent, "options", at: bytes.count, "a byte too many") {
            try ReplicatedOptions(decoding: Bytes(bytes + [0]))
        }
    }

    func testCommand_withTheLargestKeyAndValues_isAsLongAsTheBound() {
        let small = options {
            $0.maxKeyBytes = 5
            $0.maxValueBytes = 300
        }
        let value = Bytes([UInt8](repeating: 1, count: 300))
        let longest = Command(
            identity: RequestIdentity(session: .none, number: 1),
            operation: .compareAndSet(key: "fives", condition: .value(value), then: .put(value))
        )
        XCTAssertEqual(longest.encoded().count, small.maxCommandBytes)
        XCTAssertLessThan(ReplicatedOptions.largestCommandBytes, 1 << 30, "it fits into a frame")
    }

    /// What a release of other rules has let into the log or the state is applied and read. Only what no member could
    /// hold is not.
    func testOptions_thatOnlyTheRulesOfThisReleaseRefuse_areAppliedAndReadBack() throws {
        let refused = options {
            $0.maxSessions = 1
            $0.sessionIdleNanoseconds = 0
        }
        XCTAssertNotNil(refused.fault)
        XCTAssertNil(refused.formatFault)
        let machine = try opened()
        try machine.found(refused.encoded, index: 1, term: 1, stamp: 1)
        XCTAssertEqual(machine.replicatedOptions, ReplicatedOptionsEntry(options: refused, revision: 1))
        let store = try MachineFixture()
        XCTAssertEqual(try store.apply(.changeOptions(refused, expecting: 1)).outcome, .applied)
        try store.seal()
        try store.restart(isReceived: false)
        XCTAssertEqual(store.machine.replicatedOptions.options, refused)

        for change in [{ $0.maxReplyBytes = 1 << 40 }, { $0.maxValueBytes = 7 }] as [(inout ReplicatedOptions) -> Void]
        {
            let impossible = options(change)
            let other = try opened()
            XCTAssertEqual(
                errorOf { try other.found(impossible.encoded, index: 1, term: 1, stamp: 1) }?.code,
                .damaged
            )
            let state = ReplicatedState(cluster: .none, options: impossible)
            assertRefused(.outOfBounds, "options", at: 72, "\(impossible)") {
                try ReplicatedState(decoding: try state.encoded())
            }
        }
    }

    /// The rule of 16 MiB has its own numbers. They are as large as those of the encoding, which may grow, and do not
    /// change with it: what is valid to the byte today stays valid.
    func testRuleOfTheState_hasItsOwnNumbers() throws {
        XCTAssertEqual(ReplicatedOptions.largestStateBytes, ReplicatedState.maxEncodedBytes)
        XCTAssertLessThanOrEqual(ReplicatedState.headerByteCount + 12, 4 << 10)
        XCTAssertLessThanOrEqual(ReplicatedState.sampleByteCount, 16)
        XCTAssertLessThanOrEqual(ReplicatedState.sessionByteCount, 40)
        XCTAssertEqual(ReplyWindow.replyByteCount, 26)
        // 4 KiB, 602 samples, 10,000 sessions, and replies up to the last byte.
        let edge = (16 << 20) - 4_096 - 602 * 16 - 10_000 * 40
        XCTAssertNil(options { $0.maxReplyBytes = edge }.fault)
        XCTAssertNotNil(options { $0.maxReplyBytes = edge + 1 }.formatFault)
    }

    // MARK: The first entry

    private func opened() throws -> KeyValueMachine {
        try KeyValueMachine.open(
            directory: "kv",
            fileSystem: SimulatedDisk().mount(),
            cluster: .none,
            options: KeyValueOptions(),
            seed: 1
        )
    }

    private let put = Command(
        identity: RequestIdentity(session: .none, number: 1),
        operation: .put(key: "a", value: "1")
    ).encoded()

    func testACommand_beforeTheFirstOptions_isDamage() throws {
        let machine = try opened()
        try machine.skip(index: 1, term: 1, stamp: 1)
        let error = errorOf { _ = try machine.apply(put, index: 2, term: 1, stamp: 1) }
        XCTAssertEqual(error?.code, .damaged)
        XCTAssertEqual(machine.applied.index, 1)
    }

    func testTheFirstEntry_founds_once() throws {
        let machine = try opened()
        let first = options { $0.maxValueBytes = 8 }
        try machine.found(first.encoded, index: 1, term: 1, stamp: 1)
        XCTAssertEqual(machine.replicatedOptions, ReplicatedOptionsEntry(options: first, revision: 1))
        XCTAssertEqual(try machine.apply(put, index: 2, term: 1, stamp: 1).outcome, .applied)
        XCTAssertEqual(errorOf { try machine.found(first.encoded, index: 3, term: 1, stamp: 1) }?.code, .damaged)
        let newer = try opened()
        var bytes = [UInt8](first.encoded)
        bytes[0] = 2
        XCTAssertEqual(
            errorOf { try newer.found(Bytes(bytes), index: 1, term: 1, stamp: 1) }?.code,
            .upgradeRequired
        )
    }

    func testDigest_ofOtherOptions_isAnother() throws {
        var digests: [UInt64] = []
        for name in [nil] + ReplicatedOptions.fields.map({ Optional($0.name) }) {
            let machine = try opened()
            var first = ReplicatedOptions()
            if let name { first[name: name] += 1 }
            try machine.found(first.encoded, index: 1, term: 1, stamp: 1)
            XCTAssertFalse(digests.contains(machine.digest), name ?? "the defaults")
            digests.append(machine.digest)
        }
    }

    // MARK: The command

    func testAChange_withTheRevisionInForce_decidesTheNextEntry() throws {
        let store = try MachineFixture()
        let small = options { $0.maxValueBytes = 8 }
        XCTAssertEqual(try store.apply(.put(key: "a", value: "ninebytes")).outcome, .applied)
        XCTAssertEqual(
            try store.apply(.changeOptions(small, expecting: 1)),
            CommandReply(.applied, revision: 2)
        )
        XCTAssertEqual(store.machine.replicatedOptions, ReplicatedOptionsEntry(options: small, revision: 2))
        XCTAssertEqual(try store.apply(.put(key: "b", value: "ninebytes")).outcome, .valueTooLarge)
        XCTAssertEqual(try store.value("a"), "ninebytes", "what is there stays")
        XCTAssertEqual(
            try store.apply(.changeOptions(ReplicatedOptions(), expecting: 1)),
            CommandReply(.conditionFailed, revision: 4, number: 2),
            "a conflict names the revision in force"
        )
        XCTAssertEqual(try store.apply(.put(key: "b", value: "ninebytes")).outcome, .valueTooLarge)
    }

    func testAChange_ofInvalidOptions_changesNothing() throws {
        let store = try MachineFixture()
        let digest = store.machine.digest
        let invalid = options { $0.maxValueBytes = 7 }
        XCTAssertEqual(
            try store.apply(.changeOptions(invalid, expecting: 1)),
            CommandReply(.invalidOptions, revision: 1)
        )
        XCTAssertEqual(store.machine.replicatedOptions.options, ReplicatedOptions())
        XCTAssertNotEqual(store.machine.digest, digest, "the reply counts")
    }

    func testAChange_sentTwice_isExecutedOnce() throws {
        let store = try MachineFixture()
        let session = try store.open()
        let small = options { $0.maxValueBytes = 8 }
        let reply = try store.apply(.changeOptions(small, expecting: 1), session: session, number: 1)
        XCTAssertEqual(reply, CommandReply(.applied, revision: 2))
        XCTAssertEqual(try store.apply(.changeOptions(small, expecting: 1), session: session, number: 1), reply)
        XCTAssertEqual(store.machine.replicatedOptions.revision, 2)
    }

    func testOptions_survive_aFlushAndACheckpoint() throws {
        let store = try MachineFixture()
        let small = options {
            $0.maxValueBytes = 8
            $0.sessionWindow = 7
        }
        try store.apply(.changeOptions(small, expecting: 1))
        let session = try store.open()
        try store.seal()
        for isReceived in [false, true] {
            try store.restart(isReceived: isReceived)
            XCTAssertEqual(store.machine.replicatedOptions, ReplicatedOptionsEntry(options: small, revision: 1))
            XCTAssertEqual(
                try store.apply(.put(key: "b", value: "ninebytes"), session: session, number: 100, lowest: 93).outcome,
                .windowExceeded
            )
            try store.seal()
        }
    }

    func testASession_keepsTheWindowOfItsOpening() throws {
        let store = try MachineFixture()
        XCTAssertEqual(try store.apply(.openSession), CommandReply(.sessionOpened, revision: 1, number: 1_024))
        let session = SessionID(rawValue: 1)
        try store.apply(.changeOptions(options { $0.sessionWindow = 4 }, expecting: 1))
        let new = try store.apply(.openSession)
        XCTAssertEqual(new.number, 4)
        // Decided by the window of each session: every copy of a request alike, before and behind the change.
        let far = try store.apply(.put(key: "a", value: "1"), session: session, number: 900, lowest: 1)
        XCTAssertEqual(far.outcome, .applied)
        let late = SessionID(rawValue: new.revision)
        XCTAssertEqual(
            try store.apply(.put(key: "a", value: "2"), session: late, number: 5, lowest: 1).outcome,
            .windowExceeded
        )
    }

    func testLowerLimits_endTheSessionsBeyondThem() throws {
        let store = try MachineFixture()
        let sessions = try (0..<5).map { _ in try store.open() }
        for number in 1...3 as ClosedRange<UInt64> {
            for session in sessions {
                try store.apply(.put(key: "a", value: "1"), session: session, number: number, lowest: 1)
            }
        }
        try store.apply(.changeOptions(options { $0.maxSessions = 3 }, expecting: 1))
        XCTAssertEqual(store.machine.sessionCount, 3, "the least recently used go")
        let narrow = options {
            $0.sessionWindow = 2
            $0.maxReplyBytes = 4 * 26
        }
        try store.apply(.changeOptions(narrow, expecting: store.machine.replicatedOptions.revision))
        XCTAssertEqual(store.machine.sessionCount, 0, "a window of 1,024 may hold more than all replies may take")
        XCTAssertEqual(try store.apply(.delete(key: "a"), session: sessions[4], number: 9).outcome, .sessionExpired)
        try store.seal()
        XCTAssertNoThrow(try store.restart(), "the state is within the bounds of its options")
    }

    func testRetention_isThatInForce_andTheMarkNeverFalls() throws {
        let store = try MachineFixture()
        for index in 0..<10 { try store.apply(.put(key: [UInt8(index)], value: "x")) }
        XCTAssertEqual(store.machine.retentionMark, 0)
        try store.apply(.changeOptions(options { $0.retainedRevisions = 3 }, expecting: 1))
        XCTAssertEqual(store.machine.retentionMark, 0, "the options in force before decide this entry")
        try store.skip()
        XCTAssertEqual(store.machine.retentionMark, 9)
        try store.apply(.changeOptions(ReplicatedOptions(), expecting: 11))
        try store.skip()
        XCTAssertEqual(store.machine.retentionMark, 10)
    }

    func testALimit_raisedToTheMaximum_stopsNoOpenMachine() throws {
        var machine = MachineOptions()
        // Local values of the limits that the machine derives have no effect.
        machine.engine.maxKeyBytes = 10
        machine.engine.maxValueBytes = 10
        machine.engine.maxBatchBytes = 10
        machine.engine.memtableBytes = 1_000
        let store = try MachineFixture(machine)
        let largest = options {
            $0.maxKeyBytes = ReplicatedOptions.largestKeyBytes
            $0.maxValueBytes = ReplicatedOptions.largestValueBytes
        }
        try store.apply(.changeOptions(largest, expecting: 1))
        let key = Bytes([UInt8](repeating: 7, count: ReplicatedOptions.largestKeyBytes))
        let value = Bytes([UInt8](repeating: 8, count: 3 << 20))
        XCTAssertEqual(try store.apply(.put(key: key, value: value)).outcome, .applied)
        XCTAssertEqual(try store.apply(.deleteRange(from: key, to: key)).outcome, .applied)
        try store.seal()
        try store.restart()
        XCTAssertEqual(try store.value(key)?.count, 3 << 20)
        let engine = KeyValueMachine.engineOptions(machine.local)
        XCTAssertNoThrow(try engine.validate())
        XCTAssertGreaterThanOrEqual(engine.maxValueBytes, ReplicatedOptions.largestValueBytes)
    }
}
