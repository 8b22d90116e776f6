@testable import BalsaRaft

/// One case of a file in the data-driven format: a command with arguments, `----`, and what is to come out.
struct QuorumCase {
    let line: Int
    let command: String
    /// The two halves; the second is nil where none is named.
    var incoming: [MemberID] = []
    var outgoing: [MemberID]?
    /// The words of `idx` or `votes`, in order.
    var values: [String] = []
    var expected: [String] = []

    /// The voters of both halves, in the order in which they are named.
    var voters: [MemberID] {
        var all: [MemberID] = []
        for voter in incoming + (outgoing ?? []) where !all.contains(voter) { all.append(voter) }
        return all
    }

    func value(of voter: MemberID) -> String? {
        guard let place = voters.firstIndex(of: voter), place < values.count else { return nil }
        return values[place] == "_" ? nil : values[place]
    }
}

/// Why a file cannot be read.
struct QuorumScriptError: Error, CustomStringConvertible {
    let description: String
}

/// A file of cases.
///
/// A directive is a line, which goes on in the next where it ends in a backslash. What is expected reaches from `----` to
/// the next blank line; where a second `----` follows the first, to the next pair of them. `#` begins a comment.
struct QuorumScript {
    private(set) var cases: [QuorumCase] = []

    init(_ text: String) throws {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { String($0).trimmed }
        var place = 0
        while place < lines.count {
            let start = place
            guard !lines[place].isEmpty, !lines[place].hasPrefix("#") else {
                place += 1
                continue
            }
            var directive = lines[place]
            while directive.hasSuffix("\\"), place + 1 < lines.count {
                place += 1
                directive = directive.dropLast() + " " + lines[place]
            }
            place += 1
            while place < lines.count, lines[place] != "----" { place += 1 }
            guard place < lines.count else { throw QuorumScriptError(description: "line \(start + 1) expects nothing") }
            place += 1
            var parsed = try QuorumCase(directive, line: start + 1)
            parsed.expected = QuorumScript.output(lines, &place)
            cases.append(parsed)
        }
    }

    private static func output(_ lines: [String], _ place: inout Int) -> [String] {
        var output: [String] = []
        let isFramed = place < lines.count && lines[place] == "----"
        if isFramed { place += 1 }
        while place < lines.count {
            if isFramed, lines[place] == "----", place + 1 < lines.count, lines[place + 1] == "----" {
                place += 2
                break
            }
            if !isFramed, lines[place].isEmpty { break }
            output.append(lines[place])
            place += 1
        }
        return output.filter { !$0.isEmpty }
    }
}

extension QuorumCase {
    init(_ directive: String, line: Int) throws {
        self.line = line
        let (first, rest) = directive.cut(before: " ")
        command = first
        guard command == "committed" || command == "vote" else {
            throw QuorumScriptError(description: "line \(line): no such command: \(command)")
        }
        var left = rest.trimmed
        while !left.isEmpty {
            let (key, after) = left.cut(before: "=")
            guard after.hasPrefix("=") else {
                throw QuorumScriptError(description: "line \(line): not an argument: \(left)")
            }
            let (words, remainder) = try QuorumCase.words(String(after.dropFirst()), line: line)
            try take(key.trimmed, words)
            left = remainder.trimmed
        }
    }

    /// `(a, b)` or one word, and what comes behind it.
    private static func words(_ text: String, line: Int) throws -> ([String], String) {
        guard text.hasPrefix("(") else {
            let (word, rest) = text.cut(before: " ")
            return ([word], rest)
        }
        let (inside, rest) = String(text.dropFirst()).cut(before: ")")
        guard rest.hasPrefix(")") else {
            throw QuorumScriptError(description: "line \(line): a list without an end")
        }
        let words = inside.split(separator: ",").map { String($0).trimmed }.filter { !$0.isEmpty }
        return (words, String(rest.dropFirst()))
    }

    private mutating func take(_ key: String, _ words: [String]) throws {
        switch key {
        case "cfg": incoming = try members(words)
        case "cfgj": outgoing = words == ["zero"] ? [] : try members(words)
        case "idx" where command == "committed", "votes" where command == "vote": values = words
        default: throw QuorumScriptError(description: "line \(line): no such argument: \(key)")
        }
    }

    private func members(_ words: [String]) throws -> [MemberID] {
        try words.map { word in
            guard let id = MemberID(word) else {
                throw QuorumScriptError(description: "line \(line): not a member: \(word)")
            }
            return id
        }
    }
}

extension String {
    fileprivate var trimmed: String {
        var view = Substring(self)
        while let last = view.last, last.isWhitespace { view.removeLast() }
        while let first = view.first, first.isWhitespace { view.removeFirst() }
        return String(view)
    }

    fileprivate func cut(before mark: Character) -> (String, String) {
        guard let place = firstIndex(of: mark) else { return (self, "") }
        return (String(self[..<place]), String(self[place...]))
    }
}
