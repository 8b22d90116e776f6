import Foundation
import XCTest

/// The world supplies files, network, time and randomness, and nothing else: whatever it puts in the place of a part of
/// the members would not be tested by it.
final class ConformanceListTests: XCTestCase {
    /// The protocols of the modules below, each with the types of the simulation that may conform to it.
    private static let allowed: [String: [String]] = [
        "FileSystem": ["BoundSimulatedFileSystem", "SimulatedFileSystem"],
        "File": ["BoundSimulatedFile", "SimulatedFile"],
        "FileLock": ["SimulatedFileLock"],
        "StateMachine": [],
        "StateMachineProvider": [],
        "CheckpointSource": [],
        // Gives back what only a process has.
        "DescriptorHolder": [],
        "Runtime": ["World"],
        "ReplyReceiver": ["World"],
        "StoreObserver": [],
    ]

    func testTheWorldConformsToWhatItMaySupply() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let sources = root.appendingPathComponent("Sources")
        let lower = ["BalsaPlatform", "BalsaRaft", "BalsaWire", "BalsaLog", "BalsaLSM", "BalsaKeyValue", "Balsa"]
        var protocols: [String] = []
        for module in lower { protocols += try names(#"^\s*(?:public|package) protocol (\w+)"#, in: sources, module) }
        XCTAssertTrue(protocols.contains("FileSystem"), "the search finds what is there")
        XCTAssertEqual(Set(protocols), Set(ConformanceListTests.allowed.keys), "a new seam must be listed here")

        var found: [String: [String]] = [:]
        let pattern = #"(?:class|struct|enum|extension|actor)\s+(\w+)(?:<[^>]*>)?\s*:\s*([^{]+)\{"#
        for (type, list) in try pairs(pattern, in: sources, "BalsaSimulation") {
            for name in list.components(separatedBy: CharacterSet(charactersIn: ", \n@")) where protocols.contains(name)
            {
                found[name, default: []].append(type)
            }
        }
        XCTAssertEqual(found, ConformanceListTests.allowed.filter { !$0.value.isEmpty })
    }

    private func texts(_ sources: URL, _ module: String) throws -> [String] {
        let folder = sources.appendingPathComponent(module)
        let files = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
        return try (files?.allObjects as? [URL] ?? []).filter { $0.pathExtension == "swift" }.map {
            try String(contentsOf: $0, encoding: .utf8)
        }
    }

    private func names(_ pattern: String, in sources: URL, _ module: String) throws -> [String] {
        let regex = try NSRegularExpression(pattern: pattern, options: .anchorsMatchLines)
        return try texts(sources, module).flatMap { text in
            regex.matches(in: text, range: NSRange(text.startIndex..., in: text)).compactMap {
                Range($0.range(at: 1), in: text).map { String(text[$0]) }
            }
        }
    }

    private func pairs(_ pattern: String, in sources: URL, _ module: String) throws -> [(String, String)] {
        let regex = try NSRegularExpression(pattern: pattern)
        return try texts(sources, module).flatMap { text in
            regex.matches(in: text, range: NSRange(text.startIndex..., in: text)).compactMap { match in
                guard let type = Range(match.range(at: 1), in: text), let list = Range(match.range(at: 2), in: text)
                else { return nil }
                return (String(text[type]), String(text[list]))
            }
        }
    }
}
