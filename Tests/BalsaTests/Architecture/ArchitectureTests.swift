import XCTest

/// Holds the sources of the package against its architecture and its house rules.
final class ArchitectureTests: XCTestCase {
    private struct SourceFile {
        /// The path below `Sources`, or what it would be there.
        let path: String
        let lineCount: Int
        let tokens: [SourceScanner.Token]

        var module: String { String(path.prefix { $0 != "/" }) }
    }

    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static let files = Result { try readSources() }

    private static func readSources() throws -> [SourceFile] {
        try readSources("Sources", "")
            + ModuleGraph.modules.flatMap { module in
                try module.folder.map { try readSources($0, module.name + "/") } ?? []
            }
    }

    private static func readSources(_ folder: String, _ prefix: String) throws -> [SourceFile] {
        let sources = root.appendingPathComponent(folder)
        let paths = try FileManager.default.subpathsOfDirectory(atPath: sources.path)
        return try paths.filter { $0.hasSuffix(".swift") }.sorted().map { path in
            let text = try String(contentsOf: sources.appendingPathComponent(path), encoding: .utf8)
            return SourceFile(
                path: prefix + path,
                lineCount: text.split(separator: "\n", omittingEmptySubsequences: false).count,
                tokens: SourceScanner.tokens(of: text)
            )
        }
    }

    /// Fails for every violation that `rule` finds in a file that `isCovered`.
    private func check(
        where isCovered: (SourceFile) -> Bool = { _ in true },
        _ rule: (SourceFile) -> [Violation]
    ) throws {
        let covered = try ArchitectureTests.files.get().filter(isCovered)
        XCTAssertFalse(covered.isEmpty, "no file was looked at")
        for file in covered {
            for violation in rule(file) { XCTFail("Sources/\(file.path), \(violation)") }
        }
    }

    func testAModuleImportsOnlyWhatTheGraphAllows() throws {
        try check { ModuleGraph.forbiddenImports(of: $0.path, $0.tokens) }
    }

    func testDeterministicModulesUseNothingThatDiffersFromRunToRun() throws {
        try check(where: { ModuleGraph.module($0.module)?.mustBeDeterministic($0.path) ?? false }) {
            SourceRules.nondeterminism($0.tokens)
        }
    }

    func testErrorsAreThrownAndNotTrappedOn() throws {
        try check { SourceRules.silentTraps($0.tokens) }
    }

    func testMomentsAreReadBeforeTheyAreSubtractedFrom() throws {
        try check { SourceRules.lateSubtrahends($0.tokens) }
    }

    func testNoFileIsTooLong() throws {
        try check { $0.lineCount > 600 ? [Violation($0.lineCount, "the file is longer than 600 lines")] : [] }
    }

    func testNoFunctionIsTooLong() throws {
        try check { SourceRules.longFunctions($0.tokens, limit: 90) }
    }

    func testThePackageDescriptionHasTheEdgesOfTheGraph() throws {
        let text = try String(
            contentsOf: ArchitectureTests.root.appendingPathComponent("Package.swift"),
            encoding: .utf8
        )
        let targets = ModuleGraph.targets(ofPackage: SourceScanner.tokens(of: text))
        let modules = targets.filter { $0.kind != "testTarget" }
        XCTAssertEqual(modules.map(\.name).sorted(), ModuleGraph.modules.map(\.name).sorted())
        for (_, name, imports) in modules {
            XCTAssertEqual(imports.sorted(), ModuleGraph.module(name)?.imports.sorted(), "dependencies of \(name)")
        }
        let tested = targets.filter { $0.kind == "testTarget" }.map(\.name).sorted()
        let swiftModules = ModuleGraph.modules.filter { $0.folder == nil && $0.name != "CBalsaPlatform" }.map(\.name)
        XCTAssertEqual(
            tested,
            (swiftModules + ModuleGraph.furtherTests).map { "\($0)Tests" }.sorted(),
            "one test target a module"
        )
    }

    func testEveryFolderOfSourcesIsAModule() throws {
        let folders = try FileManager.default.contentsOfDirectory(
            atPath: ArchitectureTests.root.appendingPathComponent("Sources").path
        )
        let modules = ModuleGraph.modules.filter { $0.folder == nil }.map(\.name)
        XCTAssertEqual(folders.filter { !$0.hasPrefix(".") }.sorted(), modules.sorted())
    }

    func testArrowsPointDownwardsOnly() {
        for (place, module) in ModuleGraph.modules.enumerated() {
            let below = ModuleGraph.modules[..<place].map(\.name)
            for imported in module.imports {
                XCTAssertTrue(below.contains(imported), "\(imported) is not below \(module.name)")
            }
        }
    }
}
