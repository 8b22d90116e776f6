import Foundation

/// What pages claim and tests hold: which tests there are, which of them a page names, and which code it shows.
enum PageClaims {
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static func page(_ path: String) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    /// The tests of a source file, as `Class.testName`.
    static func tests(ofSource text: String) -> [String] {
        var tests: [String] = []
        var name: String?
        for line in text.components(separatedBy: "\n") {
            let words = line.split(separator: " ").map(String.init)
            if let index = words.firstIndex(of: "class"), words.count > index + 2, words[index + 1].hasSuffix(":"),
                ["final", "class", "public"].contains(words[0])
            {
                name = String(words[index + 1].dropLast())
            }
            guard let name, words.count > 1, words[0] == "func", words[1].hasPrefix("test") else { continue }
            tests.append("\(name).\(words[1].prefix { $0 != "(" })")
        }
        return tests
    }

    /// All tests of the package.
    static func allTests() throws -> Set<String> {
        let folder = root.appendingPathComponent("Tests")
        let paths = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
        var tests: Set<String> = []
        for path in paths where path.hasSuffix("Tests.swift") {
            tests.formUnion(self.tests(ofSource: try page("Tests/" + path)))
        }
        return tests
    }

    /// The bullets of a section of a page, each as one line. A section ends at the next heading.
    static func bullets(of page: String, under heading: String) -> [String] {
        guard let start = page.range(of: "\n## \(heading)") else { return [] }
        let section = page[start.upperBound...].components(separatedBy: "\n## ")[0]
        var bullets: [String] = []
        var isInside = false
        for line in section.components(separatedBy: "\n") {
            if line.hasPrefix("- ") {
                bullets.append(String(line.dropFirst(2)))
                isInside = true
            } else if line.hasPrefix("  "), isInside {
                bullets[bullets.count - 1] += " " + line.trimmingCharacters(in: .whitespaces)
            } else {
                isInside = false
            }
        }
        return bullets
    }

    /// The tests that a bullet names: words between backquotes with a dot before `test`.
    static func namedTests(in bullet: String) -> [String] {
        let parts = bullet.components(separatedBy: "`")
        return parts.indices.filter { $0 % 2 == 1 }.map { parts[$0] }.filter { $0.contains(".test") }
    }

    /// What is wrong with the guarantees of a page: one that names no test, and a test that does not exist.
    static func faults(ofGuarantees page: String, under heading: String, tests: Set<String>) -> [String] {
        let bullets = bullets(of: page, under: heading)
        guard !bullets.isEmpty else { return ["there is no guarantee under '\(heading)'"] }
        return bullets.flatMap { bullet in
            let named = namedTests(in: bullet)
            let title = bullet.prefix(50)
            guard !named.isEmpty else { return ["no test is named: \(title)"] }
            return named.filter { !tests.contains($0) }.map { "\($0) does not exist: \(title)" }
        }
    }

    /// The blocks of Swift code that a page shows.
    static func swiftBlocks(of page: String) -> [String] {
        page.components(separatedBy: "```swift\n").dropFirst().map { $0.components(separatedBy: "\n```")[0] }
    }
}
