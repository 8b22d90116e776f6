import BalsaKeyValue
import BalsaLSM
import BalsaPlatform
import XCTest

/// Members that have applied the same share a digest; members that have not do not.
final class DigestTests: XCTestCase {
    private func digest(of operations: [Command.Operation]) throws -> UInt64 {
        let store = try MachineFixture()
        for operation in operations { try store.apply(operation) }
        return store.machine.digest
    }

    func testTheDigestDependsOnTheLogAndNotOnHowItWasApplied() throws {
        let plain = try MachineFixture()
        var options = MachineOptions()
        options.engine.memtableBytes = 100
        let sealing = try MachineFixture(options)
        for index in 0..<30 as Range<UInt64> {
            for store in [plain, sealing] {
                store.stamp = index * MachineFixture.second
                if index % 7 == 0 { _ = try store.open() }
                let session = SessionID(rawValue: index % 3 == 0 ? 1 : 0)
                try store.apply(.append(key: [UInt8(index % 4)], bytes: "x"), session: session, number: index)
            }
            if sealing.machine.wantsSeal { try sealing.seal() }
            if index % 10 == 9 { try sealing.restart() }
        }
        XCTAssertEqual(plain.machine.digest, sealing.machine.digest)
        XCTAssertEqual(plain.machine.applied, sealing.machine.applied)
        XCTAssertEqual(plain.machine.retentionMark, sealing.machine.retentionMark)
        XCTAssertEqual(plain.machine.sessionCount, sealing.machine.sessionCount)
    }

    func testEveryPartOfAChangeCounts() throws {
        let logs: [[Command.Operation]] = [
            [], [.put(key: "a", value: "b")], [.put(key: "a", value: "c")], [.put(key: "b", value: "b")],
            [.put(key: "ab", value: "")], [.put(key: "", value: "ab")], [.delete(key: "a")],
            [.deleteRange(from: "a", to: "b")], [.deleteRange(from: "a", to: nil)],
            [.put(key: "a", value: "b"), .put(key: "c", value: "d")],
            [.put(key: "c", value: "d"), .put(key: "a", value: "b")],
            [.put(key: "a", value: "\0"), .put(key: "a", value: "\0\0")], [.openSession],
            [.compareAndSet(key: "a", condition: .value("x"), then: .delete)],
        ]
        let digests = try logs.map { try digest(of: $0) }
        for (place, digest) in digests.enumerated() {
            XCTAssertEqual(digests.firstIndex(of: digest), place, "\(logs[place])")
        }
    }

    func testTheDigestIsTheSameInEveryRelease() throws {
        XCTAssertEqual(try digest(of: []), 0)
        XCTAssertEqual(
            try digest(of: [.put(key: "key", value: "value"), .deleteRange(from: "a", to: "b")]),
            9_721_370_642_547_224_347
        )
    }
}
