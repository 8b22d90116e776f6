import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import BalsaSimulation

/// The certificate believes nothing that does not follow from the log.
final class CertificateTests: XCTestCase {
    private var history = RecordedHistory()
    private var ledger = EntryLedger()

    override func setUp() {
        history = RecordedHistory()
        ledger = EntryLedger()
    }

    private func call(_ input: RegisterModel.Input, _ client: UInt64 = 1, at time: UInt64) -> UInt64 {
        history.call(input, key: "k", client: client, at: time)
    }

    /// Applies the command of an operation as the next entry.
    private func apply(_ operation: UInt64) {
        let input = history.operations[Int(operation) - 1].input
        let payload = RegisterCommand(operation: operation, key: "k", input: input).encoded()
        let header = EntryHeader(
            group: 1,
            index: ledger.lastIndex + 1,
            term: 1,
            previousTerm: ledger.lastIndex == 0 ? 0 : 1,
            stamp: 0,
            kind: .command,
            flags: 0,
            payloadByteCount: UInt32(payload.count),
            payloadChecksum: CRC32C.checksum(payload)
        )
        XCTAssertNil(ledger.apply(header, payload: payload, in: 1))
    }

    private func verdict() -> String? {
        do throws(Violation) {
            try Certificate(history: history, ledger: ledger).check(at: .zero)
            return nil
        } catch {
            return error.detail
        }
    }

    func testAHistoryThatFollowsFromTheLogIsCertified() {
        let write = call(.write("a"), at: 1)
        apply(write)
        history.return(write, .answered(.done, index: 1), at: 2)
        let read = call(.read, at: 3)
        history.return(read, .answered(.value("a"), index: 1), at: 4)
        let change = call(.compareAndSet(expected: "b", new: "c"), at: 5)
        apply(change)
        history.return(change, .answered(.compared(false), index: 2), at: 6)
        XCTAssertNil(verdict())
    }

    func testAReadOfWhatWasNotThereIsRefused() {
        let write = call(.write("a"), at: 1)
        apply(write)
        history.return(write, .answered(.done, index: 1), at: 2)
        let read = call(.read, at: 3)
        history.return(read, .answered(.value("b"), index: 1), at: 4)
        XCTAssertEqual(verdict()?.contains("operation 2 read"), true)
    }

    func testAStaleReadIsRefusedThoughItIsRightForItsIndex() {
        let write = call(.write("a"), at: 1)
        apply(write)
        history.return(write, .answered(.done, index: 1), at: 2)
        let read = call(.read, at: 3)
        history.return(read, .answered(.value(nil), index: 0), at: 4)
        XCTAssertEqual(verdict()?.contains("called after operation 1 had returned"), true)
    }

    func testAWriteBeforeOneThatHadReturnedIsRefused() {
        let early = call(.write("a"), 1, at: 1)
        let late = call(.write("b"), 2, at: 5)
        apply(late)
        apply(early)
        history.return(early, .answered(.done, index: 2), at: 5)
        history.return(late, .answered(.done, index: 1), at: 9)
        XCTAssertNil(verdict(), "they touch, so either order is right")
        setUp()
        let first = call(.write("a"), 1, at: 1)
        history.return(first, .answered(.done, index: 2), at: 4)
        let second = call(.write("b"), 2, at: 5)
        apply(second)
        apply(first)
        history.return(second, .answered(.done, index: 1), at: 9)
        XCTAssertNotNil(verdict())
    }

    func testAnOperationThatWasSaidNotToHaveHappenedIsNotInTheLog() {
        let write = call(.write("a"), at: 1)
        apply(write)
        history.return(write, .failed, at: 2)
        XCTAssertEqual(verdict()?.contains("was said not to have happened"), true)
    }

    func testAnOperationTakesEffectOnce() {
        let write = call(.write("a"), at: 1)
        apply(write)
        apply(write)
        history.return(write, .unknown, at: 2)
        XCTAssertEqual(verdict()?.contains("took effect twice"), true)
    }

    func testAnAnswerBehindTheLogIsRefused() {
        let write = call(.write("a"), at: 1)
        history.return(write, .answered(.done, index: 1), at: 2)
        XCTAssertEqual(verdict()?.contains("which nobody applied"), true)
    }
}
