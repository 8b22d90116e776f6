import Foundation
import XCTest

/// Every guarantee of the README names tests that exist, and every code that a page shows is run by a test.
final class PageClaimTests: XCTestCase {
    private static let heading = "What is guaranteed, and which tests hold it"

    func testReadmeGuarantees_each_namesTestsThatExist() throws {
        let page = try PageClaims.page("README.md")
        let tests = try PageClaims.allTests()
        XCTAssertGreaterThan(tests.count, 600, "the tests were not found")
        for fault in PageClaims.faults(ofGuarantees: page, under: PageClaimTests.heading, tests: tests) {
            XCTFail(fault)
        }
        XCTAssertEqual(PageClaims.bullets(of: page, under: PageClaimTests.heading).count, 7)
    }

    func testGuarantees_withoutATestOrWithOneThatIsNone_areReported() {
        let page = """
            # Page

            ## Held

            - **One.** It holds.
              Tests: `ATests.testOne`,
              `ATests.testTwo`.
            - **Two.** `ATests` holds it.
            - **Three.** Tests: `ATests.testOne`, `BTests.testOne`.

            No guarantee: `BTests.testTwo`.

            ## Next

            - **Four.** Nothing holds it.
            """
        func faults(_ heading: String, _ tests: Set<String>) -> [String] {
            PageClaims.faults(ofGuarantees: page, under: heading, tests: tests)
        }
        XCTAssertEqual(
            faults("Held", ["ATests.testOne", "ATests.testTwo"]),
            [
                "no test is named: **Two.** `ATests` holds it.",
                "BTests.testOne does not exist: **Three.** Tests: `ATests.testOne`, `BTests.testOn",
            ]
        )
        XCTAssertEqual(faults("Other", []), ["there is no guarantee under 'Other'"])
    }

    func testTestsOfASource_areThoseOfTheirClass() {
        let source = """
            private struct Helper {
                func testThing() {}
            }

            final class ATests: XCTestCase {
                func testOne() throws {
                    func helper() {}
                }
                private func untested() {}
            }

            final class BTests: StoreTestCase {
                func testTwo(_ parameter: Int) {}
                func testThree() async throws {}
            }
            """
        XCTAssertEqual(
            PageClaims.tests(ofSource: source),
            ["ATests.testOne", "BTests.testTwo", "BTests.testThree"]
        )
    }

    /// Where each block of Swift is run. A page that shows code and is not listed here shows what nobody runs.
    private static let runners = [
        "README.md": [
            "Tests/BalsaTests/Store/ReadmeTests.swift", "Tests/BalsaLSMTests/Engine/ReadmeEngineTests.swift",
        ],
        "Docs/Store.md": [
            "Tests/BalsaTests/Store/StoreOptionChangeTests.swift", "Tests/BalsaTests/Pages/StoreExampleTests.swift",
        ],
        "Docs/StorageEngine.md": ["Tests/BalsaLSMTests/Engine/StorageEnginePageTests.swift"],
    ]

    /// The lines of a text that say something: without indentation, comments, imports and empty lines.
    private func lines(_ text: String) -> [String] {
        text.components(separatedBy: "\n")
            .map { $0.components(separatedBy: "  //")[0].trimmingCharacters(in: .whitespaces) }
            .filter { !$0.isEmpty && !$0.hasPrefix("import ") }
    }

    func testPages_codeThatTheyShow_isRunByATest() throws {
        let pages =
            ["README.md"]
            + (try FileManager.default.contentsOfDirectory(atPath: PageClaims.root.appendingPathComponent("Docs").path)
                .filter { $0.hasSuffix(".md") }.map { "Docs/" + $0 })
        var count = 0
        for page in pages.sorted() {
            for block in PageClaims.swiftBlocks(of: try PageClaims.page(page)) where !block.hasPrefix(".package(") {
                count += 1
                let wanted = lines(block)
                let isRun = try (PageClaimTests.runners[page] ?? []).contains { runner in
                    let source = lines(try PageClaims.page(runner))
                    return source.indices.contains { source[$0...].starts(with: wanted) }
                }
                XCTAssertTrue(isRun, "\(page) shows what no test runs:\n\(block)")
            }
        }
        XCTAssertEqual(count, 17)
    }

    func testReadmeEngine_programOfTheConsumer_isWhatThePageShows() throws {
        let blocks = PageClaims.swiftBlocks(of: try PageClaims.page("README.md")).filter {
            $0.contains("StorageEngine")
        }
        XCTAssertEqual(blocks.count, 1)
        let source = lines(try PageClaims.page("Tests/Consumer/Sources/EngineConsumer/main.swift"))
        for block in blocks {
            XCTAssertTrue(block.hasPrefix("import BalsaLSM\n\n"), "one import is enough")
            let wanted = lines(block)
            XCTAssertTrue(source.indices.contains { source[$0...].starts(with: wanted) }, "not run there:\n\(block)")
        }
    }

    func testReadmeDependency_lines_nameThePackageAndAProductThatTheConsumerUses() throws {
        let blocks = PageClaims.swiftBlocks(of: try PageClaims.page("README.md")).filter { $0.hasPrefix(".package(") }
        XCTAssertEqual(blocks.count, 1)
        XCTAssertEqual(
            blocks.first.map(lines),
            [
                #".package(path: "../balsa"),"#, #".product(name: "Balsa", package: "balsa"),"#,
            ]
        )
        let package = try PageClaims.page("Package.swift")
        XCTAssertTrue(package.contains(#"name: "balsa","#))
        XCTAssertTrue(package.contains(#".library(name: "Balsa", targets: ["Balsa"])"#))
        let consumer = try PageClaims.page("Tests/Consumer/Package.swift")
        XCTAssertTrue(consumer.contains(#".product(name: "Balsa", package: "balsa")"#))
    }
}
