import BalsaLSM
import BalsaPlatform
import XCTest

@testable import BalsaBench

/// The options of each benchmark, and the sentence for each that cannot be used.
final class OptionTests: BenchTestCase {
    private func storage(_ words: String...) throws -> StorageArguments { try StorageArguments(words) }
    private func cluster(_ words: String...) throws -> ClusterArguments { try ClusterArguments(words) }
    private func restart(_ words: String...) throws -> RestartArguments { try RestartArguments(words) }
    private func space(_ words: String...) throws -> SpaceArguments { try SpaceArguments(words) }

    func testOptions_none_areTheDefaults() throws {
        XCTAssertEqual(try storage(), StorageArguments())
        XCTAssertEqual(try cluster(), ClusterArguments())
        XCTAssertEqual(try restart(), RestartArguments())
        XCTAssertEqual(try space(), SpaceArguments())
        XCTAssertEqual(SpaceArguments().chosenRows, SpaceArguments.rows)
        XCTAssertEqual(StorageArguments().keyCount, 1_000_000)
        XCTAssertEqual(ClusterArguments().clientCounts, [1, 10, 100, 1_000])
        XCTAssertEqual(RestartArguments().keyCount, 1_000_000)
    }

    func testStorageOptions_allGiven_areTaken() throws {
        var expected = StorageArguments()
        expected.keyCount = 300
        expected.valueBytes = 7
        expected.cacheMebibytes = 0
        expected.bufferMebibytes = 4
        expected.only = ["readseq", "fillseq"]
        expected.isCompressible = true
        expected.directory = "/tmp/x"
        let words = [
            "--num", "300", "--value", "7", "--cache", "0", "--buffer", "4", "--only", "readseq,fillseq",
            "--compressible", "--dir", "/tmp/x",
        ]
        XCTAssertEqual(try StorageArguments(words), expected)
        XCTAssertEqual(expected.rows, ["fillseq", "fillrandom", "readseq"], "fillrandom always runs")
    }

    func testClusterOptions_allGiven_areTaken() throws {
        var expected = ClusterArguments()
        expected.memberCount = 5
        expected.hasProcesses = true
        expected.clientCounts = [3, 1]
        expected.operations = [.get, .put]
        expected.total = 8
        expected.valueBytes = 0
        expected.keyspace = 9
        expected.spinMicroseconds = 20
        expected.directory = "/tmp/x"
        let words = [
            "--members", "5", "--processes", "--clients", "3,1", "--op", "get,put", "--total", "8", "--value", "0",
            "--keyspace", "9", "--spin", "20", "--dir", "/tmp/x",
        ]
        XCTAssertEqual(try ClusterArguments(words), expected)
        XCTAssertEqual(expected.loads.map(\.operation), [.get, .get, .put, .put])
        XCTAssertEqual(expected.loads.map(\.clients), [3, 1, 3, 1])
    }

    func testRestartOptions_allGiven_areTaken() throws {
        var expected = RestartArguments()
        expected.keyCount = 5
        expected.valueBytes = 6
        expected.directory = "/tmp/x"
        XCTAssertEqual(try restart("--keys", "5", "--value", "6", "--dir", "/tmp/x"), expected)
    }

    func testSpaceOptions_allGiven_areTaken() throws {
        var expected = SpaceArguments()
        expected.stateMebibytes = 1
        expected.seconds = 2
        expected.deletedMegabytes = 3
        expected.versions = 4
        expected.consumed = 5
        expected.smallMegabytes = 6
        expected.only = ["queue", "trickle"]
        expected.directory = "/tmp/x"
        let words = [
            "--state", "1", "--seconds", "2", "--deleted", "3", "--versions", "4", "--consumed", "5", "--small", "6",
            "--only", "queue,trickle", "--dir", "/tmp/x",
        ]
        XCTAssertEqual(try SpaceArguments(words), expected)
        XCTAssertEqual(expected.chosenRows, ["trickle", "queue"])
        XCTAssertEqual(
            try space("--only", "small", "--dir", "/tmp/x", "--smoke"),
            SpaceArguments.smoke(only: ["small"], directory: "/tmp/x")
        )
        XCTAssertEqual(
            sentence { _ = try self.space("--only", "queue,fillseq") },
            "there is no row 'fillseq'; 'balsa-bench space --help' lists them"
        )
    }

    func testOptions_help_isWantedWhateverFollows() throws {
        XCTAssertTrue(try storage("--help", "--bogus").wantsHelp)
        XCTAssertTrue(try cluster("-h").wantsHelp)
        XCTAssertTrue(try restart("--keys", "5", "--help").wantsHelp)
    }

    func testOptions_unknown_areNamedAndRefused() {
        for word in ["--bogus", "fillseq", "-n", "--Num"] {
            XCTAssertEqual(
                sentence { _ = try self.storage(word, "1") },
                "there is no option '\(word)'; 'balsa-bench storage --help' lists them"
            )
        }
        XCTAssertEqual(
            sentence { _ = try self.cluster("--num", "1") },
            "there is no option '--num'; 'balsa-bench cluster --help' lists them"
        )
        XCTAssertEqual(
            sentence { _ = try self.restart("--processes") },
            "there is no option '--processes'; 'balsa-bench restart --help' lists them"
        )
    }

    func testOptions_valueMissing_areNamedAndRefused() {
        for option in ["--num", "--value", "--cache", "--buffer", "--only", "--dir"] {
            for rest in [[], [""], ["--compressible"]] {
                XCTAssertEqual(
                    sentence { _ = try StorageArguments([option] + rest) },
                    "\(option) needs a value",
                    "\(rest)"
                )
            }
        }
        for option in ["--members", "--clients", "--op", "--total", "--value", "--keyspace", "--spin", "--dir"] {
            XCTAssertEqual(sentence { _ = try self.cluster(option) }, "\(option) needs a value")
        }
        for option in ["--keys", "--value", "--dir"] {
            XCTAssertEqual(sentence { _ = try self.restart(option) }, "\(option) needs a value")
        }
    }

    /// Each option with its lowest and highest number.
    private static let bounds: [(command: String, option: String, low: Int, high: Int)] = [
        ("storage", "--num", 100, 1_000_000_000),
        ("storage", "--cache", 0, 1 << 20), ("storage", "--buffer", 1, 4_096),
        ("cluster", "--members", 1, 7), ("cluster", "--clients", 1, 100_000),
        ("cluster", "--total", 1, 1_000_000_000), ("cluster", "--value", 0, 1 << 20),
        ("cluster", "--keyspace", 1, 100_000_000), ("cluster", "--spin", 0, 1_000_000),
        ("restart", "--keys", 1, 100_000_000), ("restart", "--value", 0, 1 << 20),
        ("space", "--state", 1, 100_000), ("space", "--seconds", 1, 1_000_000), ("space", "--deleted", 1, 100_000),
        ("space", "--versions", 2, 500_000), ("space", "--consumed", 1, 100_000_000),
        ("space", "--small", 1, 1_000_000),
    ]

    private func parse(_ command: String, _ words: [String]) throws {
        switch command {
        case "storage": _ = try StorageArguments(words)
        case "cluster": _ = try ClusterArguments(words)
        case "space": _ = try SpaceArguments(words)
        default: _ = try RestartArguments(words)
        }
    }

    func testOptions_numberAtABound_isTaken() {
        for (command, option, low, high) in OptionTests.bounds {
            for number in [low, high] {
                XCTAssertNoThrow(try parse(command, [option, "\(number)"]), "\(option) \(number)")
            }
        }
    }

    func testOptions_numberThatIsNoneOrOutOfRange_isRefusedWithTheRange() {
        for (command, option, low, high) in OptionTests.bounds {
            let wrong = [
                "\(low - 1)", "\(high + 1)", "x", "1x", "1.5", "0x10", " 1", "99999999999999999999", "nan", "inf",
            ]
            for text in wrong {
                XCTAssertEqual(
                    sentence { try self.parse(command, [option, text]) },
                    "\(option) is a number from \(low) to \(high), not '\(text)'"
                )
            }
        }
    }

    func testStorageValue_longerThanABatchTakes_isRefusedWhereFillbatchRuns() throws {
        let most = StorageArguments.maxBatchedValueBytes
        let refusal =
            "fillbatch writes 100 values at once, and a batch has at most 4194304 bytes: --value is at most 41918, not "
        for more in [most + 1, 1 << 20] {
            let words = ["--value", "\(more)"]
            for words in [words, words + ["--only", "readseq,fillbatch"], ["--only", "fillbatch"] + words] {
                XCTAssertEqual(
                    sentence { _ = try StorageArguments(words) },
                    refusal + "\(more), unless --only leaves fillbatch out"
                )
            }
            XCTAssertEqual(try StorageArguments(words + ["--only", "fillseq"]).valueBytes, more)
        }
        XCTAssertEqual(try storage("--value", "\(most)").valueBytes, most)
        for wrong in ["0", "\(1 << 20 + 1)", "x"] {
            XCTAssertEqual(
                sentence { _ = try self.storage("--only", "fillseq", "--value", wrong) },
                "--value is a number from 1 to 1048576, not '\(wrong)'"
            )
        }
    }

    func testLongestBatchedValue_aBatchOfDifferentKeys_isAccepted() throws {
        func byteCount(_ valueBytes: Int) -> Int {
            let key = KeyText()
            defer { key.free() }
            var batch = WriteBatch()
            let value = Bytes([UInt8](repeating: 1, count: valueBytes))
            for number in 0..<StorageArguments.batchCount { batch.put(Bytes(copying: key.digits(of: number)), value) }
            return batch.byteCount
        }
        XCTAssertLessThanOrEqual(byteCount(StorageArguments.maxBatchedValueBytes), EngineOptions().maxBatchBytes)
        XCTAssertGreaterThan(byteCount(StorageArguments.maxBatchedValueBytes + 1), EngineOptions().maxBatchBytes)
    }

    func testClients_oneOfAListWrong_isRefused() {
        for (list, wrong) in [("1,,2", ""), ("1,0", "0"), ("1,", ""), ("1,x", "x")] {
            XCTAssertEqual(
                sentence { _ = try self.cluster("--clients", list) },
                "--clients is a number from 1 to 100000, not '\(wrong)'"
            )
        }
    }

    func testOperations_unknown_areRefused() {
        for (list, wrong) in [("put,,get", ""), ("delete", "delete"), ("put,", ""), ("PUT", "PUT")] {
            XCTAssertEqual(
                sentence { _ = try self.cluster("--op", list) },
                "--op is put, get or both with a comma between them, not '\(wrong)'"
            )
        }
    }

    func testOnly_unknownWorkload_isRefusedWithTheList() {
        let all = StorageArguments.workloads.joined(separator: ", ")
        for (list, wrong) in [
            ("readall", "readall"), ("fillseq,", ""), ("fillseq,,readseq", ""), ("fillbatch(100)", "fillbatch(100)"),
        ] {
            XCTAssertEqual(
                sentence { _ = try self.storage("--only", list) },
                "there is no workload '\(wrong)', only \(all)"
            )
        }
    }

    func testClusterTotal_fewerThanClients_isOneRequestEach() throws {
        XCTAssertEqual(try cluster("--clients", "5", "--total", "2").loads.map(\.total), [5, 5])
    }
}
