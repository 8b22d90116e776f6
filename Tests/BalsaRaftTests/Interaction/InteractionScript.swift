/// One command of a scenario, with what is to come out.
struct InteractionCommand {
    let line: Int
    let name: String
    /// The words behind the name that stand for themselves.
    var words: [String] = []
    /// The words of the form `name=value`; a list in parentheses is several values.
    var options: [String: [String]] = [:]
    var expected: [String] = []

    var members: [UInt64] { words.compactMap { UInt64($0) } }

    /// Whether the script has switched its output off.
    var isQuiet: Bool { expected == ["ok"] }

    /// Why a group of fixed voters cannot carry the command out; nil where it can.
    var needsMembershipChanges: Bool {
        name.contains("conf-change") || options["learners"] != nil || options["content"] != nil
    }
}

/// Why a scenario cannot be read or run.
struct InteractionError: Error, Equatable, CustomStringConvertible {
    let description: String
}

/// A whole scenario: commands, `----`, the expected output up to a blank line. `#` begins a comment.
struct InteractionScript {
    private(set) var commands: [InteractionCommand] = []

    init(_ text: String) throws {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var place = 0
        while place < lines.count {
            let start = place
            place += 1
            let directive = lines[start].split(separator: " ").joined(separator: " ")
            guard !directive.isEmpty, !directive.hasPrefix("#") else { continue }
            // Input of a command stands between it and the line that ends it; only changes of members have any.
            while place < lines.count, lines[place] != "----", !lines[place].isEmpty { place += 1 }
            guard place < lines.count, lines[place] == "----" else {
                throw InteractionError(description: "line \(start + 1) expects nothing")
            }
            place += 1
            var command = try InteractionCommand(directive, line: start + 1)
            while place < lines.count, !lines[place].isEmpty {
                command.expected.append(lines[place])
                place += 1
            }
            commands.append(command)
        }
    }
}

extension InteractionCommand {
    fileprivate init(_ directive: String, line: Int) throws {
        self.line = line
        // Blanks within a list separate nothing.
        var text = ""
        var isInList = false
        for character in directive {
            if character == "(" { isInList = true }
            if character == ")" { isInList = false }
            if !isInList || character != " " { text.append(character) }
        }
        let parts = text.split(separator: " ").map(String.init)
        name = parts[0]
        guard !isInList else { throw InteractionError(description: "line \(line): a list without an end") }
        for part in parts.dropFirst() {
            guard let sign = part.firstIndex(of: "=") else {
                words.append(part)
                continue
            }
            let value = part[part.index(after: sign)...].filter { $0 != "(" && $0 != ")" }
            options[String(part[..<sign])] = value.split(separator: ",").map(String.init)
        }
    }
}
