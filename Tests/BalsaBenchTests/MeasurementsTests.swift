import XCTest

@testable import BalsaBench

/// A run that measured nothing, or left something out, is no result.
final class MeasurementsTests: BenchTestCase {
    func testLine_ofSamples_hasTheRateAndThePercentilesOfTheOtherPrograms() throws {
        // 1 to 1,000 microseconds, in no order.
        let samples = (1...1_000).map { UInt64($0 * 1_000) }.reversed()
        XCTAssertEqual(
            try Measurements.line("readrandom", 16_000, nanoseconds: 2_000_000_000, Array(samples)),
            "readrandom                 8000 ops/s  p50   501.00 us  p99   991.00 us  p99.9  1000.00 us"
        )
        XCTAssertEqual(
            try Measurements.line("fillsync8", 8, nanoseconds: 1_000_000_000, []),
            "fillsync8                     8 ops/s  p50     0.00 us  p99     0.00 us  p99.9     0.00 us"
        )
    }

    func testLine_ofNoOperationsOrNoTime_isRefused() {
        XCTAssertEqual(
            sentence { _ = try Measurements.line("x", 0, nanoseconds: 5, []) },
            "x: 0 operations in 5 ns are no measurement"
        )
        XCTAssertEqual(
            sentence { _ = try Measurements.line("x", 0, nanoseconds: 0, []) },
            "x: 0 operations in 0 ns are no measurement"
        )
        XCTAssertEqual(
            sentence { _ = try Measurements.line("x", 5, nanoseconds: 0, []) },
            "x: 5 operations in 0 ns are no measurement"
        )
    }

    func testRun_ofNoOperations_printsNoRowAndIsRefused() {
        var lines: [String] = []
        let measurements = Measurements { lines.append($0) }
        for count in [0, -1] {
            XCTAssertTrue(
                sentence { try measurements.run("x", count) { _ in } }?.hasSuffix("are no measurement") ?? false
            )
        }
        XCTAssertTrue(
            sentence { try measurements.runWhole("x") { 0 } }?.hasSuffix("are no measurement") ?? false
        )
        XCTAssertEqual(lines, [])
        XCTAssertEqual(measurements.rows, [])
    }

    func testRun_ofManyOperations_runsEachOnceInOrder() throws {
        var numbers: [Int] = []
        let measurements = Measurements { _ in }
        try measurements.run("x", 40) { numbers.append($0) }
        XCTAssertEqual(numbers, Array(0..<40))
        XCTAssertEqual(measurements.rows, ["x"])
    }

    func testRequireRows_rowsMissingOrInAnotherOrder_isReported() throws {
        let measurements = Measurements { _ in }
        XCTAssertEqual(sentence { try measurements.requireRows([]) }, "no row was asked for")
        XCTAssertEqual(sentence { try measurements.requireRows(["a"]) }, "the row a was left out")
        try measurements.runWhole("a") { 1 }
        try measurements.runWhole("b") { 1 }
        try measurements.requireRows(["a", "b"])
        XCTAssertEqual(sentence { try measurements.requireRows(["a", "b", "c"]) }, "the row c was left out")
        XCTAssertEqual(sentence { try measurements.requireRows(["b", "a"]) }, "the rows a, b are not b, a")
        XCTAssertEqual(sentence { try measurements.requireRows(["a"]) }, "the rows a, b are not a")
    }

    func testClientLine_requestsMissing_isRefused() throws {
        let load = ClientLoad(operation: .put, clients: 3, total: 10, valueBytes: 1, keyspace: 1)
        let nine = [UInt64](repeating: 2_000_000, count: 9)
        XCTAssertEqual(
            try load.line(nine, nanoseconds: 1_000_000_000),
            "balsa put      3 clients          9 ops/s  p50    2.000 ms  p99    2.000 ms"
        )
        for latencies in [[], Array(nine.dropLast())] {
            XCTAssertEqual(
                sentence { _ = try load.line(latencies, nanoseconds: 7) },
                "put: \(latencies.count) of 10 requests in 7 ns are no measurement"
            )
        }
        XCTAssertNotNil(sentence { _ = try load.line(nine, nanoseconds: 0) })
    }

    func testClientLoad_asWordsAndBack_isTheSame() {
        let load = ClientLoad(
            operation: .get,
            clients: 3,
            total: 10,
            valueBytes: 1,
            keyspace: 4,
            round: .overwrite
        )
        XCTAssertEqual(ClientLoad(words: load.words.split(separator: " ")), load)
        for words in [
            "", "get 3 10 1 4", "get 3 10 1 4 7", "get 3 10 1 4 256", "get 3 10 1 4 -1", "get 3 x 1 4 5",
            "add 3 10 1 4 5",
        ] {
            XCTAssertNil(ClientLoad(words: words.split(separator: " ")), words)
        }
    }

    // MARK: The rows of a smoke run

    private var smokeLines: [String] {
        ["# a comment"] + SmokeRows.expected.flatMap { ["\($0)   12.5 ops/s", "   3 writes beside it"] }
    }

    func testSmokeRows_allThere_areAccepted() throws {
        XCTAssertEqual(SmokeRows.expected.count, 37)
        try SmokeRows.check(smokeLines)
    }

    func testSmokeRows_oneLeftOut_isReported() {
        for row in Set(SmokeRows.expected) {
            var lines = smokeLines
            lines.removeAll { $0.hasPrefix("\(row) ") }
            XCTAssertEqual(
                sentence { try SmokeRows.check(lines) },
                "the row \(row) was left out, or is not in its order"
            )
        }
        XCTAssertNotNil(sentence { try SmokeRows.check([]) })
    }

    func testSmokeRows_figureThatIsNone_isReported() {
        for figure in ["0", "nan", "inf", "-3", "x", ""] {
            var lines = smokeLines
            lines[1] = "fillseq \(figure)"
            XCTAssertEqual(sentence { try SmokeRows.check(lines) }, "the row fillseq has the figure '\(figure)'")
        }
    }

    func testSmokeRows_ofStorage_areThoseOfItsOptions() {
        XCTAssertEqual(Array(SmokeRows.expected.prefix(13)), StorageArguments().rows)
    }

    func testPages_thatGetNoFurther_areReportedAtTheLimit() throws {
        var pages = 0
        XCTAssertEqual(
            sentence {
                _ = try SpaceBenchmark.countPages(atMost: 7, "the front") { () throws(BenchmarkError) in
                    pages += 1
                    return false
                }
            },
            "the front was not found within 7 pages"
        )
        XCTAssertEqual(pages, 7)
        XCTAssertEqual(
            sentence { _ = try SpaceBenchmark.countPages(atMost: 1, "the front") { false } },
            "the front was not found within 1 page"
        )
        pages = 0
        let counted = try SpaceBenchmark.countPages(atMost: 7, "the front") { () throws(BenchmarkError) in
            pages += 1
            return pages == 3
        }
        XCTAssertEqual([counted, pages], [3, 3])
    }
}
