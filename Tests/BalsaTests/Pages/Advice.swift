import Foundation

/// The sentences in the sources that advise something: string literals in which a clause begins with an imperative.
enum Advice {
    private static let verbs = [
        "add", "ask", "check", "close", "correct", "create", "do", "empty", "free", "give", "leave", "listen", "look",
        "lower", "mount", "move", "name", "never", "open", "pass", "put", "raise", "read", "remove", "restart", "see",
        "start", "stop", "take", "try", "update", "upgrade", "use", "wait", "write",
    ]

    /// Literals that begin with such a word and advise nothing: what was tried, a name, a title.
    static let other: Set<String> = [
        "'' is no option: NAME=NUMBER, where NAME is one of ", "add takes a number , not ''",
        "ask for a socket's address", "counters: never happened: ", "create directory", "create segment  of  bytes",
        "listen on ``", "look up ``: ", "never happened:", "open ", "read answer", "read index", "read member",
        "read nonce", "read number", "remove  segments", "start : ", "start a thread that looks names up",
        "start the thread of a loop", "start thread: ", "upgrade required",
    ]

    /// The literals of a source that advise, without what is interpolated.
    static func sentences(ofSource source: String) -> [String] {
        literals(ofSource: source).filter { $0.contains(" ") && advises($0) }
    }

    /// The literals of a source, without what is interpolated.
    static func literals(ofSource source: String) -> [String] {
        // Pieces on several lines are one sentence.
        var text = ""
        for line in source.components(separatedBy: "\n") {
            let piece = line.trimmingCharacters(in: .whitespaces)
            if text.hasSuffix("\""), piece.hasPrefix("+ \"") {
                text.removeLast()
                text += piece.dropFirst(3)
            } else {
                text += "\n" + line
            }
        }
        // Most lines hold no literal.
        return text.components(separatedBy: "\n").filter { $0.utf8.contains(UInt8(ascii: "\"")) }.flatMap { line in
            SourceScanner.tokens(of: line).filter { $0.kind == .string }.map(\.text)
        }
    }

    static func advises(_ sentence: String) -> Bool {
        var clauses: [String] = [""]
        var previous: Character = " "
        for character in sentence {
            if character == " ", ":;,.".contains(previous) {
                clauses.append("")
            } else {
                clauses[clauses.count - 1].append(character)
            }
            previous = character
        }
        return clauses.contains { clause in
            var words = clause.split(separator: " ", omittingEmptySubsequences: false).map { $0.lowercased() }
            while ["or", "and", "then"].contains(words.first) { words.removeFirst() }
            guard let first = words.first else { return false }
            return verbs.contains(String(first.prefix { $0.isLetter }))
        }
    }
}
