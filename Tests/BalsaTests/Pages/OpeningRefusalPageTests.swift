import Foundation
import XCTest

/// The tables of `Docs/Store.md` that list all calls and all refusals of an opening, against the sources.
final class OpeningRefusalPageTests: XCTestCase {
    private func rows(below heading: String) throws -> [[String]] {
        let parts = try PageClaims.page("Docs/Store.md").components(separatedBy: "| \(heading) |\n|")
        XCTAssertEqual(parts.count, 2, "one table has this heading: \(heading)")
        return try XCTUnwrap(parts.last).components(separatedBy: "\n\n")[0].components(separatedBy: "\n").dropFirst()
            .map { $0.components(separatedBy: "|").map { $0.trimmingCharacters(in: .whitespaces) } }
    }

    // MARK: Calls

    /// What is public of the store in a source, with labels: `get(_:timeout:)`.
    private func calls(ofSource source: String) -> [String] {
        source.components(separatedBy: "\n    public ").dropFirst().compactMap { text in
            let words = text.replacingOccurrences(of: "static ", with: "")
            if words.hasPrefix("var ") { return String(words.dropFirst(4).prefix { $0.isLetter }) }
            guard words.hasPrefix("func ") else { return nil }
            let name = words.dropFirst(5).prefix { $0.isLetter }
            var depth = 0
            var labels = [""]
            for character in words.dropFirst(5 + name.count) {
                if "([".contains(character) { depth += 1 }
                if ")]".contains(character) { depth -= 1 }
                if depth == 0 { break }
                if character == ",", depth == 1 {
                    labels.append("")
                } else {
                    labels[labels.count - 1].append(character)
                }
            }
            let names = labels.map { label in
                label.drop { !$0.isLetter && $0 != "_" }.prefix { $0.isLetter || $0 == "_" }
            }
            return name + "(" + names.filter { !$0.isEmpty }.map { "\($0):" }.joined() + ")"
        }
    }

    func testCalls_eachThatIsPublic_isListed() throws {
        let found = try ["ReplicatedStore", "ReplicatedStore+Opening"].flatMap {
            calls(ofSource: try PageClaims.page("Sources/Balsa/Store/\($0).swift"))
        }
        XCTAssertGreaterThan(found.count, 14)
        let listed = try rows(below: "call | returns | what it does").map { $0[1].filter { $0 != "`" } }
        XCTAssertEqual(listed.sorted(), found.sorted())
    }

    func testCalls_ofASource_areItsPublicFunctionsAndVariables() {
        let source = """
            final class Store {
                /// A call.
                public func put(_ key: Bytes, _ value: Bytes, timeout: Duration? = nil) async {}
                func hidden() {}
                public static func open(
                    at directory: String,
                    peers: [MemberID: String]
                ) async {}
                public var state: State { current }
                public func status() async {}
            }
            """
        XCTAssertEqual(calls(ofSource: source), ["put(_:_:timeout:)", "open(at:peers:)", "state", "status()"])
    }

    // MARK: Refusals

    /// Sources whose sentences are refusals of an opening.
    private static let sources = [
        "Balsa/Identity/IdentityStore", "Balsa/Member/MemberSetup", "Balsa/Generations/GenerationStore",
        "Balsa/Replica/Replica+Opening", "Balsa/Replica/ReplicaBinding", "BalsaPlatform/Files/FileSystemProbe",
        "BalsaTransport/NetworkAddress", "BalsaTransport/Linux/BoundPort", "BalsaTransport/Linux/TCPOptions",
        "BalsaRaft/RaftOptions", "BalsaLog/LogOptions", "BalsaLog/Recovery/LogScan", "BalsaLog/Recovery/LogRepair",
        "Balsa/Store/ReplicatedStore+Opening", "Balsa/Store/StoreOptions", "BalsaLSM/Version/ManifestReader",
    ]

    /// Sentences of these sources that are others.
    private static let others: Set<String> = [
        // What only a bug can cause.
        "an opening is counted before it marks anything", "/ cannot be encoded", "the root cannot be encoded",
        "files and decoders throw their own errors", "ROOT has a fixed size", "OWNER has a fixed size",
        "a state machine asks whether its state is accepted", "a port is taken over by one transport",
        "a sealed log has a segment", "the opening frame was planned", "the segment has been prepared",
        "the log has a segment", "cannot count any further",
        // Told while the store runs.
        "the member acknowledged entry of term , which its log does not hold; the log ends at entry of term . Either "
            + "its directory was set back, or the last frames of its log were damaged. Put the latest directory "
            + "back, or leave the member stopped",
        "the state differs again after checkpoints have replaced it: this machine or this release "
            + "computes another state than the others. Replace the release or the machine, and start the member again",
        // Parts of sentences: bounds, what a file system lacks, advice.
        "another process, or another store of this one,", "at least 0", "at least 1", "0 to 16", "1 to 64",
        "at least two of heartbeatInterval,", "at least two of wire.maxFrameBytes,", "at most maximumBackoff,",
        "above 0 and at most", "a power of two, to", "a multiple of sectorBytes, , and", "locks on files",
        ", and cannot be removed ()", "syncs of directories", "hard links that outlive the first name",
        "renaming a file over another", "files of its owner's alone", "syncs of files",
        "creating a file only where there is none", "holds no segment", "holds no store", "does not exist",
        "put back as it was when the member stopped, never a copy made while it ran, or leave the member stopped",
        ", or is damaged, where it is said that they were dropped",
    ]

    /// Without what is interpolated, and without the colon in front of it.
    private func plain(_ sentence: String) -> String {
        let text = sentence.replacingOccurrences(of: "…", with: "").split(whereSeparator: \.isWhitespace)
        return text.joined(separator: " ").trimmingCharacters(in: CharacterSet(charactersIn: " :"))
    }

    private func isSaid(_ sentence: String, by literal: String) -> Bool {
        literal.contains(sentence) || (sentence.contains(literal) && literal.count * 2 >= sentence.count)
    }

    private func listed() throws -> [String] {
        try rows(below: "it says | reason | why | what to do").flatMap { row in
            XCTAssertEqual(row.count, 6, "\(row)")
            return row[1].components(separatedBy: "<br>").map(plain)
        }
    }

    func testRefusals_eachOfThePage_isASentenceOfTheSources() throws {
        let folder = PageClaims.root.appendingPathComponent("Sources")
        var literals: Set<String> = []
        for path in try FileManager.default.subpathsOfDirectory(atPath: folder.path) where path.hasSuffix(".swift") {
            literals.formUnion(Advice.literals(ofSource: try PageClaims.page("Sources/" + path)).map(plain))
        }
        literals = literals.filter { $0.contains(" ") }
        let listed = try listed()
        XCTAssertGreaterThan(listed.count, 60)
        for sentence in listed {
            XCTAssertTrue(literals.contains { isSaid(sentence, by: $0) }, "no source says: \(sentence)")
        }
    }

    func testRefusals_eachOfTheSources_isOnThePage() throws {
        let listed = try listed()
        var unused = OpeningRefusalPageTests.others
        for source in OpeningRefusalPageTests.sources {
            for literal in Advice.literals(ofSource: try PageClaims.page("Sources/\(source).swift")).map(plain)
            where literal.split(separator: " ").count > 2 {
                if unused.remove(literal) != nil || OpeningRefusalPageTests.others.contains(literal) { continue }
                XCTAssertTrue(listed.contains { isSaid($0, by: literal) }, "\(source) says, and no row: \(literal)")
            }
        }
        XCTAssertEqual(unused.sorted(), [], "no source says these any more")
    }
}
