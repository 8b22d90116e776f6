import BalsaPlatform
import BalsaSimulation
import XCTest

/// The text format of our own histories.
final class RecordedHistoryTests: XCTestCase {
    private func sample() -> RecordedHistory {
        var history = RecordedHistory()
        let write = history.call(.write("a \"quoted\" 100%\n"), key: "k", client: 7, at: 10)
        let read = history.call(.read, key: "", client: 8, at: 10)
        history.return(write, .answered(.done, index: 3), at: 20)
        history.return(read, .answered(.value(nil), index: nil), at: 20)
        let swap = history.call(.compareAndSet(expected: nil, new: [0, 255]), key: [0x7f], client: 7, at: 21)
        history.return(swap, .answered(.compared(true), index: .max), at: 30)
        let delete = history.call(.delete, key: "k", client: 8, at: 40)
        history.return(delete, .unknown, at: 50)
        let failed = history.call(.compareAndSet(expected: "", new: ""), key: "k", client: 8, at: 60)
        history.return(failed, .failed, at: .max)
        _ = history.call(.read, key: "open", client: 9, at: .max)
        return history
    }

    private func decode(_ body: String) throws -> RecordedHistory {
        try RecordedHistory(decoding: Bytes("balsa-history 1\n" + body))
    }

    private func assertFault(_ body: String, line: Int, _ part: String, at place: UInt = #line) {
        XCTAssertThrowsError(try decode(body), line: place) { error in
            guard let error = error as? HistoryFormatError else { return XCTFail("\(error)", line: place) }
            XCTAssertEqual(error.line, line, "\(error)", line: place)
            XCTAssertTrue(error.problem.contains(part), "\(error)", line: place)
        }
    }

    func testAHistoryIsReadAsItWasWritten() throws {
        let history = sample()
        XCTAssertEqual(try RecordedHistory(decoding: history.encoded()), history)
        XCTAssertEqual(
            String(history.encoded()).split(separator: "\n").prefix(6),
            [
                "balsa-history 1",
                "call 10 7 1 write \"k\" \"a%20%22quoted%22%20100%25%0A\"",
                "call 10 8 2 read \"\"",
                "return 20 7 1 ok @3",
                "return 20 8 2 ok nil",
                "call 21 7 3 compare-and-set \"%7F\" nil \"%00%FF\"",
            ]
        )
    }

    func testOutcomesBecomeWhatTheCheckerNeeds() {
        let operations = sample().registerOperations
        XCTAssertEqual(operations.map(\.client), [7, 8, 7, 8, 9], "the operation that failed is left out")
        XCTAssertEqual(operations.map(\.returned), [20, 20, 30, nil, nil])
        XCTAssertEqual(operations.map(\.output), [.done, .value(nil), .compared(true), nil, nil])
    }

    func testTheExampleOfTheDocumentationIsDecodedAndChecked() throws {
        let page = #filePath.split(separator: "/").dropLast(4).map { "/" + $0 }.joined() + "/Docs/HistoryFormat.md"
        let file = try LinuxFileSystem().open(page, .read)
        defer { file.close() }
        let blocks = String(try file.read(Int(file.size()), at: 0)).split(separator: "```\n")
        let example = try XCTUnwrap(blocks.first { $0.hasPrefix("balsa-history 1\n#") })
        let history = try RecordedHistory(decoding: Bytes(String(example)))
        XCTAssertEqual(history.operations.count, 7)
        XCTAssertEqual(history.operations[0].input, .write("hello world"))
        XCTAssertEqual(history.operations[3].outcome, .answered(.compared(false), index: 9))
        XCTAssertEqual(try HistoryModel.balsa.check(Bytes(String(example))).verdict, .linearizable)

        // What the page says of a later call of operation 3: the same lines, with that call moved behind the return.
        let call = "call 3100 2 3 read \"greeting\"\nreturn 3900 2 3 ok \"hello%20world\" @7\n"
        let returned = "return 4200 1 2 ok true @8\n"
        let late = "call 4250 2 3 read \"greeting\"\nreturn 4260 2 3 ok \"hello%20world\" @7\n"
        XCTAssertTrue(example.contains(call + returned))
        let parts = String(example).split(separator: call + returned)
        let moved = parts.joined(separator: returned + late)
        XCTAssertEqual(try HistoryModel.balsa.check(Bytes(moved)).verdict, .notLinearizable)
    }

    func testFaultsAreToldWithTheirLine() {
        assertFault("call 1 1 1 read \"k\"\ncall 0 1 2 read \"k\"\n", line: 3, "time goes back")
        assertFault("\n# text\nhello\n", line: 4, "neither a call nor a return")
        assertFault("call 1 1 2 read \"k\"\n", line: 2, "this is number 1")
        assertFault("call 1 1 1 sing \"k\"\n", line: 2, "unknown operation")
        assertFault("call 1 1 1 read k\n", line: 2, "in quotes")
        assertFault("call 1 1 1 read nil\n", line: 2, "a key cannot be nil")
        assertFault("call 1 1 1 write \"k\"\n", line: 2, "a value is missing")
        assertFault("call 1 1 1 write \"k\" \"a b\"\n", line: 2, "in quotes")
        assertFault("call 1 1 1 write \"k\" \"%4\"\n", line: 2, "not percent-encoded")
        assertFault("call 1 1 1 write \"k\" \"%+1\"\n", line: 2, "not percent-encoded")
        assertFault("call 1 1 1  read \"k\"\n", line: 2, "what is asked is missing")
        assertFault("call 1 1 1 read \"k\" \"more\"\n", line: 2, "more text")
        assertFault("call 1 1 1 read \"k\" \n", line: 2, "more text")
        assertFault("call 18446744073709551616 1 1 read \"k\"\n", line: 2, "64 bits")
        assertFault("call -1 1 1 read \"k\"\n", line: 2, "64 bits")
        assertFault("return 1 1 1 ok nil\n", line: 2, "not called")
        assertFault("return 1 1 0 ok nil\n", line: 2, "not called")
        let call = "call 1 1 1 read \"k\"\n"
        assertFault(call + "return 1 2 1 ok nil\n", line: 3, "client 1")
        assertFault(call + "return 1 1 1 ok\n", line: 3, "the value read is missing")
        assertFault(call + "return 1 1 1 perhaps\n", line: 3, "unknown outcome")
        assertFault(call + "return 1 1 1 ok nil 7\n", line: 3, "an index is a number behind @")
        assertFault(call + "return 1 1 1 failed\nreturn 2 1 1 failed\n", line: 4, "already")
        assertFault("call 1 1 1 read \"k\"", line: 2, "does not end")
    }

    func testTheHeaderSaysTheVersion() {
        for text in ["", "balsa-history 2\n", "balsa-history\n", "call 1 1 1 read \"k\"\n"] as [Bytes] {
            XCTAssertThrowsError(try RecordedHistory(decoding: text)) { error in
                XCTAssertEqual((error as? HistoryFormatError)?.line, 1)
            }
        }
    }

    func testEveryTextThatWasCutInsideALineIsRefused() throws {
        let whole = sample().encoded()
        var lastEnd = 0
        for count in 0..<whole.count {
            let isWhole = count > 0 && whole[count - 1] == UInt8(ascii: "\n")
            if isWhole { lastEnd += 1 }
            if isWhole {
                XCTAssertNoThrow(try RecordedHistory(decoding: whole.slice(0..<count)))
            } else {
                XCTAssertThrowsError(try RecordedHistory(decoding: whole.slice(0..<count))) {
                    XCTAssertEqual(($0 as? HistoryFormatError)?.line, lastEnd + 1, "\(count) bytes: \($0)")
                }
            }
        }
        XCTAssertEqual(lastEnd, 11)
    }
}
