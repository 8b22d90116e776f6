import XCTest

/// Shows on planted faults that the architecture tests can fail, and on look-alikes that they do so for a reason.
final class SourceRulesTests: XCTestCase {
    private func words(_ source: String) -> [String] { SourceScanner.tokens(of: source).map(\.text) }

    // MARK: The scanner

    func testCommentsAreLeftOut() {
        XCTAssertEqual(words("a // Set\nb /* Set /* nested Set */ Set */ c /// Set"), ["a", "b", "c"])
        XCTAssertEqual(words("a /* never closed"), ["a"])
    }

    func testAStringIsOneToken() {
        let tokens = SourceScanner.tokens(of: #"let a = "Set \" // Set" + b"#)
        XCTAssertEqual(tokens.map(\.text), ["let", "a", "=", "Set  // Set", "+", "b"])
        XCTAssertEqual(tokens[3].kind, .string)
        XCTAssertEqual(words(##"#"a " \ b"# c"##), [#"a " \ b"#, "c"])
        XCTAssertEqual(words("\"\"\"\nSet \"quoted\"\n\"\"\" c"), ["\nSet \"quoted\"\n", "c"])
        XCTAssertEqual(words(#""" + c"#), ["", "+", "c"])
    }

    func testCodeInAnInterpolationIsCode() {
        XCTAssertEqual(words(#""a \(f("x", (1))) b" c"#), ["a  b", "f", "(", "x", ",", "(", "1", ")", ")", "c"])
        XCTAssertEqual(words(##"#"a \(no) \#(yes)"#"##), [#"a \(no) "#, "yes"])
    }

    func testLinesAreCounted() {
        let tokens = SourceScanner.tokens(of: "a\n/* \n */ b\n\"\"\"\n\n\"\"\"\nc")
        XCTAssertEqual(tokens.map(\.line), [1, 3, 4, 7])
    }

    // MARK: Determinism

    private func violations(_ source: String) -> [String] {
        SourceRules.nondeterminism(SourceScanner.tokens(of: source)).map(\.text)
    }

    func testForbiddenWordsAreFound() {
        XCTAssertEqual(violations("let a: Set<Int> = []"), ["`Set`"])
        XCTAssertEqual(violations("let a = `Set`<Int>()"), ["`Set`"])
        XCTAssertEqual(violations("var a = Dictionary<Int, Int>()"), ["`Dictionary`"])
        XCTAssertEqual(violations("Task { await f() }"), ["`Task`"])
        XCTAssertEqual(violations("let now = Date()"), ["`Date`"])
        XCTAssertEqual(violations("ContinuousClock().now"), ["`ContinuousClock`"])
        XCTAssertEqual(violations("SuspendingClock.now"), ["`SuspendingClock`"])
        XCTAssertEqual(violations("DispatchQueue.main"), ["`DispatchQueue`"])
        XCTAssertEqual(violations("var g = SystemRandomNumberGenerator()"), ["`SystemRandomNumberGenerator`"])
        XCTAssertEqual(violations("MonotonicClock().nanoseconds()"), ["`MonotonicClock`"])
        XCTAssertEqual(violations("RandomSource(seed: SystemRandom.seed())"), ["`SystemRandom`"])
        XCTAssertEqual(violations("key.hashValue % 8"), ["`hashValue`"])
        XCTAssertEqual(violations("func hash(into hasher: inout Hasher)"), ["`Hasher`"])
        XCTAssertEqual(violations("print(1)"), ["`print`"])
        XCTAssertEqual(violations("\"members: \\(Set(members))\""), ["`Set`"])
    }

    func testMethodsThatDrawFromTheSystemAreFound() {
        XCTAssertEqual(violations("Int.random(in: 0..<9)"), ["`.random(`"])
        XCTAssertEqual(violations("a.shuffled()"), ["`.shuffled(`"])
        XCTAssertEqual(violations("a.shuffle(using: &source)"), ["`.shuffle(`"])
        XCTAssertEqual(violations("a.randomElement()"), ["`.randomElement(`"])
        XCTAssertEqual(violations("a\n    .randomElement(using: &source)"), ["`.randomElement(`"])
    }

    func testSilentTrapsAreFound() {
        func traps(_ source: String) -> [String] {
            SourceRules.silentTraps(SourceScanner.tokens(of: source)).map(\.text)
        }
        XCTAssertEqual(traps("let a = try! f()"), ["`try!`"])
        XCTAssertEqual(traps("fatalError(\"no\")"), ["`fatalError`"])
        XCTAssertEqual(traps("let a = try !f() // try! fatalError"), [])
        XCTAssertEqual(traps("let a = try f()!"), [])
    }

    func testDifferencesOfMomentsThatAreReadInTheWrongOrderAreFound() {
        func lines(_ source: String) -> [Int] {
            SourceRules.lateSubtrahends(SourceScanner.tokens(of: source)).map(\.line)
        }
        XCTAssertEqual(lines("let a = clock.nanoseconds() - min(clock.nanoseconds(), last)"), [1])
        XCTAssertEqual(lines("a()\nlet a = clock.nanoseconds() - state.withLock { $0.last }"), [2])
        XCTAssertEqual(lines("let a = clock.nanoseconds() - begin"), [])
        XCTAssertEqual(lines("let a = clock.nanoseconds() - begin\nlet b = clock.nanoseconds()"), [])
        XCTAssertEqual(lines("let a = state.withLock { $0.silence(at: clock.nanoseconds()) }"), [])
    }

    func testDictionariesAreFound() {
        for source in [
            "var a: [Int: String]", "var a: [Int: [String]]?", "let a = [:]", "f([1: 2])", "f(x, [\"a\": 1])",
            "return [a: b]",
            "Array<[K: V]>()", "[[K: V]]()", "if ![a: b].isEmpty {}", "[(a ? b : c): d]", "[a ? b : c: d]",
            "[\n    first: 1,\n    second: 2,\n]",
        ] {
            XCTAssertEqual(violations(source), ["a dictionary"], source)
        }
    }

    func testWhatOnlyLooksForbiddenIsNotFound() {
        for source in [
            "struct Options: OptionSet {}", "let set = makeSet()", "random.next()", "source.random",
            "func random(_ a: Int) {}",
            "// print Set Date", "let text = \"Set [a: b] try!\"", "table[key, default: 0]", "a[safe: 1]", "f()[at: 2]",
            "a?[at: 2]", "a![at: 2]", "a[0][at: 1]", "[a ? b : c]", "[(key: K, value: V)]", "[f(a: 1), g(b: 2)]",
            "[{ (a: Int) in a }]", "{ [weak self] in self?.a }", "let a: [Int?] = [1, nil]", "case .a: [b]",
            "let a: [Int] = []",
        ] {
            XCTAssertEqual(violations(source), [], source)
        }
    }

    // MARK: Imports

    private func forbiddenImports(of path: String, _ source: String) -> [Violation] {
        ModuleGraph.forbiddenImports(of: path, SourceScanner.tokens(of: source))
    }

    func testForbiddenImportsAreFound() {
        XCTAssertEqual(forbiddenImports(of: "BalsaRaft/Raft.swift", "\nimport Foundation").map(\.line), [2])
        for (path, source) in [
            ("BalsaRaft/Raft.swift", "import BalsaPlatform"),
            ("BalsaRaft/Raft.swift", "@testable import Balsa"),
            ("BalsaRaft/Raft.swift", "public import struct Foundation.Date"),
            ("BalsaWire/Codec/Codec.swift", "@_exported import BalsaLog"),
            ("BalsaLog/Log.swift", "import Glibc"),
            ("BalsaLog/Log.swift", "import CBalsaPlatform"),
            ("BalsaPlatform/Bytes/Bytes.swift", "import Glibc"),
            ("BalsaPlatform/Glibc.swift", "import Glibc"),
            ("BalsaPlatform/Linux/LinuxFile.swift", "import Foundation"),
            ("BalsaSimulation/World.swift", "import Foundation"),
            ("Elsewhere/File.swift", ""),
        ] {
            XCTAssertEqual(forbiddenImports(of: path, source).count, 1, "\(source) in \(path)")
        }
    }

    func testAllowedImportsAreNotFound() {
        for (path, source) in [
            ("BalsaPlatform/Linux/LinuxFile.swift", "import CBalsaPlatform\nimport Glibc"),
            ("BalsaPlatform/Bytes/CRC32C.swift", "import CBalsaPlatform"),
            ("BalsaSimulation/World.swift", "// import Foundation\nimport Balsa\nimport BalsaRaft"),
            ("BalsaCommand/main.swift", "import Foundation\nimport Glibc\nimport BalsaSimulation"),
        ] {
            XCTAssertEqual(forbiddenImports(of: path, source), [], "\(source) in \(path)")
        }
    }

    // MARK: Lengths

    private func longFunctions(_ source: String, limit: Int) -> [String] {
        SourceRules.longFunctions(SourceScanner.tokens(of: source), limit: limit).map(\.text)
    }

    func testALongFunctionIsFound() {
        let body = String(repeating: "    f()\n", count: 8)
        XCTAssertEqual(longFunctions("func a() {\n\(body)}", limit: 9), ["`a` has 10 lines"])
        XCTAssertEqual(longFunctions("func a() {\n\(body)}", limit: 10), [])
        XCTAssertEqual(longFunctions("func a(\n    b: () -> Void = {}\n) {\n\(body)}", limit: 11), ["`a` has 12 lines"])
        XCTAssertEqual(longFunctions("struct A {\ninit() {\n\(body)}\n}", limit: 9), ["`init` has 10 lines"])
        XCTAssertEqual(longFunctions("deinit {\n\(body)}", limit: 9), ["`deinit` has 10 lines"])
        XCTAssertEqual(longFunctions("subscript(a: Int) -> Int {\n\(body)}", limit: 9), ["`subscript` has 10 lines"])
        XCTAssertEqual(
            longFunctions("func a<T>() -> T where T: B {\nlet c = \"}\"\n\(body)}", limit: 9),
            ["`a` has 11 lines"]
        )
    }

    func testARequirementHasNoBody() {
        let following = "func b() {\n\(String(repeating: "\n", count: 8))}"
        XCTAssertEqual(longFunctions("protocol P {\n    func a()\n    init()\n}\n\(following)", limit: 10), [])
        XCTAssertEqual(
            longFunctions("protocol P {\n    func a() -> Int\n    var c: Int { get }\n}\n\(following)", limit: 10),
            []
        )
        XCTAssertEqual(longFunctions("func a() {\n    self.init(b)\n}\n\(following)", limit: 10), [])
    }

    // MARK: The package description

    func testTargetsAreReadFromAPackageDescription() {
        let targets = ModuleGraph.targets(
            ofPackage: SourceScanner.tokens(
                of: """
                    products: [.library(name: "A", targets: ["A"])],
                    targets: [
                        .target(name: "A", cSettings: [.define("X")]),
                        .target(name: "B", dependencies: ["A"], swiftSettings: settings),
                        // .target(name: "Commented", dependencies: []),
                        .executableTarget(
                            name: "C",
                            dependencies: ["A", "B"]
                        ),
                        .testTarget(name: "CTests", dependencies: ["C"]),
                    ]
                    """
            )
        )
        XCTAssertEqual(targets.map(\.kind), ["target", "target", "executableTarget", "testTarget"])
        XCTAssertEqual(targets.map(\.name), ["A", "B", "C", "CTests"])
        XCTAssertEqual(targets.map(\.imports), [[], ["A"], ["A", "B"], ["C"]])
    }
}
