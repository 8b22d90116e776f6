import Foundation

@testable import Balsa

/// A file of named bytes, as an earlier build has written them: `Tests/Fixtures/NAME.txt`.
///
/// Each name stands in a line of its own behind `#`. The bytes follow in hexadecimal digits, and `00*17` stands for 17
/// zeros. With the environment variable `BALSA_WRITE_FIXTURES` the file is written again: after a release, a format may
/// only get examples, and none may change.
struct Fixture {
    private(set) var entries: [(name: String, bytes: [UInt8])] = []

    static let isWritten = ProcessInfo.processInfo.environment["BALSA_WRITE_FIXTURES"] != nil

    static func url(_ name: String) -> URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Fixtures/\(name).txt")
    }

    init(_ name: String) throws {
        for line in try String(contentsOf: Fixture.url(name), encoding: .utf8).split(separator: "\n") {
            if line.hasPrefix("# ") {
                entries.append((String(line.dropFirst(2)), []))
                continue
            }
            for word in line.split(separator: " ") {
                let parts = word.split(separator: "*")
                guard let last = entries.indices.last, let byte = UInt8(parts[0], radix: 16),
                    let count = parts.count == 1 ? 1 : Int(parts[1])
                else { throw FixtureError.malformed(String(word)) }
                entries[last].bytes += [UInt8](repeating: byte, count: count)
            }
        }
    }

    func bytes(of name: String) -> [UInt8]? { entries.first { $0.name == name }?.bytes }

    static func write(_ name: String, _ entries: [(name: String, bytes: [UInt8])]) throws {
        var text = ""
        for (entry, bytes) in entries {
            text += "# \(entry)\n"
            var words: [String] = []
            var place = 0
            while place < bytes.count {
                let zeros = bytes[place...].prefix { $0 == 0 }.count
                if zeros >= 8 {
                    words.append("00*\(zeros)")
                    place += zeros
                } else {
                    words.append((bytes[place] < 16 ? "0" : "") + String(bytes[place], radix: 16))
                    place += 1
                }
            }
            for start in stride(from: 0, to: words.count, by: 32) {
                text += words[start..<min(start + 32, words.count)].joined(separator: " ") + "\n"
            }
        }
        try text.write(to: url(name), atomically: true, encoding: .utf8)
    }
}

enum FixtureError: Error {
    case malformed(String)
}
