import BalsaPlatform
import BalsaSimulation
import XCTest

/// The formats of other projects, and what all readers do with rubbish.
final class HistoryLogTests: XCTestCase {
    private func register(_ events: String...) throws -> [HistoryOperation<RegisterModel>] {
        try RegisterLog.operations(of: Bytes(events.map { "INFO  jepsen.util - \($0)\n" }.joined()))
    }

    private func append(_ events: String...) throws -> [HistoryOperation<AppendModel>] {
        try AppendLog.operations(of: Bytes(events.map { "{\($0)}\n" }.joined()))
    }

    private func assertFault<Result>(
        _ line: Int,
        _ part: String,
        at place: UInt = #line,
        _ body: @autoclosure () throws -> Result
    ) {
        XCTAssertThrowsError(try body(), line: place) { error in
            guard let error = error as? HistoryFormatError else { return XCTFail("\(error)", line: place) }
            XCTAssertEqual(error.line, line, "\(error)", line: place)
            XCTAssertTrue(error.problem.contains(part), "\(error)", line: place)
        }
    }

    func testARegisterLogTellsWhatRanAndWhatIsUnknown() throws {
        let operations = try register(
            "0\t:invoke\t:read\tnil",
            "0\t:ok\t:read\tnil",
            "1   :invoke  :write   4",
            "2\t:invoke\t:cas\t[4 3]",
            "1\t:ok\t:write\t4",
            "2\t:fail\t:cas\t[4 3]",
            ":nemesis\t:info\t:start\tnil",
            "3\t:invoke\t:write\t2",
            "3\t:info\t:write\t:timed-out",
            "4\t:invoke\t:read\tnil",
            "4\t:fail\t:read\t:timed-out",
            "5\t:invoke\t:write\t1",
            "5\t:fail\t:write\t1",
            "6\t:invoke\t:cas\t[2 1]"
        )
        XCTAssertEqual(operations.map(\.client), [0, 1, 2, 3, 4, 6], "in the order of the ends, which 6 has none of")
        XCTAssertEqual(operations.map(\.called), [1, 3, 4, 8, 10, 14])
        XCTAssertEqual(operations.map(\.returned), [2, 5, 6, nil, 11, nil])
        XCTAssertEqual(operations.map(\.output), [.value(nil), .done, .compared(false), nil, nil, nil])
        XCTAssertEqual(operations.last?.input, .compareAndSet(expected: "2", new: "1"))
    }

    func testARegisterLogThatContradictsItselfIsRefused() {
        assertFault(1, "no open operation", try register("0\t:ok\t:read\t3"))
        assertFault(2, "has an open operation", try register("0\t:invoke\t:read\tnil", "0\t:invoke\t:read\tnil"))
        assertFault(2, "another one", try register("0\t:invoke\t:read\tnil", "0\t:ok\t:write\t3"))
        assertFault(2, "another value", try register("0\t:invoke\t:write\t4", "0\t:ok\t:write\t3"))
        assertFault(2, "other values", try register("0\t:invoke\t:cas\t[1 2]", "0\t:ok\t:cas\t[1 3]"))
        assertFault(1, "two values in brackets", try register("0\t:invoke\t:cas\t[1 2 3]"))
        assertFault(1, "two values in brackets", try register("0\t:invoke\t:cas\t]["))
        assertFault(1, "number of a process", try register("x\t:invoke\t:read\tnil"))
        assertFault(1, "not an event", try RegisterLog.operations(of: "INFO elsewhere - 0 :invoke :read nil"))
        assertFault(2, "not a value", try register("0\t:invoke\t:read\tnil", "0\t:ok\t:read\t3x"))
    }

    func testAnAppendLogIsReadInAnyOrderOfItsParts() throws {
        let operations = try append(
            #":process 9, :type :invoke, :f :append, :key "0", :value "x \"9\" \\ y""#,
            #":value nil :key "1" :f :get :type :invoke :process 2"#,
            #":process 9, :type :ok, :f :append, :key "0", :value "x \"9\" \\ y""#,
            #":process 2, :type :ok, :f :get, :key "1", :value """#,
            #":process 3, :type :invoke, :f :put, :key "1", :value "é""#,
            #":process 4, :type :invoke, :f :put, :key "1", :value "z""#,
            #":process 4, :type :fail, :f :put, :key "1", :value "z""#
        )
        XCTAssertEqual(operations.map(\.client), [9, 2, 3])
        XCTAssertEqual(operations.map(\.input), [.append("x \"9\" \\ y"), .get, .put("é")])
        XCTAssertEqual(operations.map(\.output), [.done, .value(""), nil])
        XCTAssertEqual(operations.map(\.key), ["0", "1", "1"])
        XCTAssertEqual(operations.map(\.returned), [3, 4, nil])
    }

    func testAnAppendLogThatContradictsItselfIsRefused() {
        let get = #":process 0, :type :invoke, :f :get, :key "1", :value nil"#
        assertFault(1, "not a map", try AppendLog.operations(of: "hello"))
        assertFault(1, "an event has", try append(#":process 0, :type :ok"#))
        assertFault(1, "named twice", try append(#":process 0, :process 0"#))
        assertFault(1, "a process is a number", try append(#":process x"#))
        assertFault(1, "does not end", try append(#":process 0, :key "abc"#))
        assertFault(1, "no open operation", try append(#":process 0, :type :ok, :f :get, :key "1", :value "a""#))
        assertFault(2, "another key", try append(get, #":process 0, :type :ok, :f :get, :key "2", :value "a""#))
        assertFault(2, "another one", try append(get, #":process 0, :type :ok, :f :put, :key "1", :value "a""#))
        assertFault(2, "returns a string", try append(get, #":process 0, :type :ok, :f :get, :key "1", :value nil"#))
        assertFault(2, "already", try append(get, get))
    }

    /// Damages texts in every way that a byte can be damaged. That a reader returns at all is what is asserted: a trap
    /// would end the process, and what is read must be checkable.
    func testDamagedTextIsReadOrRefusedButNeverTraps() {
        let texts: [(HistoryModel, String)] = [
            (.register, "INFO  jepsen.util - 2\t:invoke\t:cas\t[3 0]\nINFO  jepsen.util - 2\t:ok\t:cas\t[3 0]\n"),
            (.append, "{:process 9, :type :invoke, :f :put, :key \"0\", :value \"x\\\\y\"}\n"),
            (.balsa, "balsa-history 1\ncall 1 1 1 compare-and-set \"k\" nil \"%20\"\nreturn 2 1 1 ok true @9\n"),
        ]
        var random = RandomSource(seed: 5)
        var refused = 0
        var decided = 0
        for (model, text) in texts {
            for _ in 0..<1_500 {
                var bytes = [UInt8](text.utf8)
                for _ in 0...random.below(3) {
                    let place = random.draw(0...bytes.count - 1)
                    switch random.below(4) {
                    case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
                    case 1: bytes.insert(random.pick([UInt8]("\"%[]{}: \t\n@\\9-".utf8)), at: place)
                    case 2: if bytes.count > 1 { bytes.remove(at: place) }
                    default: bytes += bytes[place...]
                    }
                }
                do throws(HistoryFormatError) {
                    let check = try model.check(Bytes(bytes), limits: LinearizabilityLimits(steps: 1_000))
                    // What is left of so short a text is decided, unless its answers are gone.
                    let isUnanswered = check.reason?.hasPrefix("no operation was answered") ?? false
                    XCTAssertEqual(check.verdict == .unknown, isUnanswered, check.reason ?? "decided")
                    if !isUnanswered { decided += 1 }
                } catch {
                    refused += 1
                    XCTAssertGreaterThanOrEqual(error.line, 1)
                }
            }
        }
        XCTAssertGreaterThan(refused, 1_000)
        XCTAssertGreaterThanOrEqual(decided, 38, "as many are whole enough")
    }
}
