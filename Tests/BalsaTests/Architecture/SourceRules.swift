/// A place in a source file that breaks a rule.
struct Violation: Equatable, CustomStringConvertible {
    let line: Int
    let text: String

    init(_ line: Int, _ text: String) {
        self.line = line
        self.text = text
    }

    var description: String { "line \(line): \(text)" }
}

/// The rules that a source file is held against. Each returns what breaks it.
enum SourceRules {
    typealias Token = SourceScanner.Token

    // MARK: Imports

    /// The modules that a file imports, with the lines.
    static func imports(_ tokens: [Token]) -> [(module: String, line: Int)] {
        let kinds = ["struct", "class", "enum", "protocol", "typealias", "func", "let", "var"]
        var imports: [(module: String, line: Int)] = []
        for (index, token) in tokens.enumerated() where token.kind == .identifier && token.text == "import" {
            let following = tokens[(index + 1)...].prefix { $0.line == token.line && $0.kind == .identifier }
            let names = following.map(\.text).drop { kinds.contains($0) }
            if let module = names.first { imports.append((module, token.line)) }
        }
        return imports
    }

    // MARK: Determinism

    /// Words that stand for a clock, for chance, for scheduling, or for a collection whose order differs from process to
    /// process; and those that write to the process' terminal.
    private static let forbiddenWords = [
        "Set", "Dictionary", "Task", "TaskGroup", "withTaskGroup", "Date", "ContinuousClock", "SuspendingClock",
        "DispatchQueue", "SystemRandomNumberGenerator", "SystemRandom", "MonotonicClock", "hashValue", "Hasher",
        "print",
        "debugPrint",
    ]

    /// Methods of the standard library that draw from the system's chance, or from a source in a way that the library
    /// does not promise to keep.
    private static let forbiddenMethods = ["random", "shuffled", "shuffle", "randomElement"]

    /// What makes a run depend on more than its seed.
    static func nondeterminism(_ tokens: [Token]) -> [Violation] {
        var found: [Violation] = []
        for (index, token) in tokens.enumerated() {
            let next = index + 1 < tokens.count ? tokens[index + 1] : nil
            let previous = index > 0 ? tokens[index - 1] : nil
            if token.kind == .identifier {
                if forbiddenWords.contains(token.text) { found.append(Violation(token.line, "`\(token.text)`")) }
                if forbiddenMethods.contains(token.text), previous?.text == ".", next?.text == "(" {
                    found.append(Violation(token.line, "`.\(token.text)(`"))
                }
            }
            if token.kind == .symbol, token.text == "[", isDictionary(at: index, in: tokens) {
                found.append(Violation(token.line, "a dictionary"))
            }
        }
        return found
    }

    /// Whether the bracket at `index` opens a dictionary's type or literal: no subscript, and with a colon of its own
    /// that belongs to no `? :`.
    private static func isDictionary(at index: Int, in tokens: [Token]) -> Bool {
        guard !isSubscript(at: index, in: tokens) else { return false }
        var depth = 0
        var colons = 0
        for token in tokens[index...] where token.kind == .symbol {
            switch token.text {
            case "[", "(", "{": depth += 1
            case "]", ")", "}":
                depth -= 1
                if depth == 0 { return colons > 0 }
            case ":" where depth == 1: colons += 1
            // The question mark of an optional stands right behind its type.
            case "?" where depth == 1 && token.isSpaced: colons -= 1
            default: break
            }
        }
        return false
    }

    /// Whether the bracket at `index` follows, without a space, what can have a subscript.
    private static func isSubscript(at index: Int, in tokens: [Token]) -> Bool {
        guard index > 0, !tokens[index].isSpaced else { return false }
        let previous = tokens[index - 1]
        switch previous.kind {
        case .identifier, .string, .number: return true
        case .symbol:
            if [")", "]", "}"].contains(previous.text) { return true }
            guard ["!", "?"].contains(previous.text), !previous.isSpaced, index > 1 else { return false }
            return tokens[index - 2].kind == .identifier || [")", "]"].contains(tokens[index - 2].text)
        }
    }

    // MARK: Errors

    /// What ends the process where an error should be thrown. A `precondition` says which mistake it is about; these say
    /// nothing.
    static func silentTraps(_ tokens: [Token]) -> [Violation] {
        tokens.indices.compactMap { index in
            let token = tokens[index]
            guard token.kind == .identifier else { return nil }
            if token.text == "fatalError" { return Violation(token.line, "`fatalError`") }
            guard token.text == "try", index + 1 < tokens.count else { return nil }
            let next = tokens[index + 1]
            return next.text == "!" && !next.isSpaced ? Violation(token.line, "`try!`") : nil
        }
    }

    // MARK: Clocks

    /// Differences of two moments whose first one is read from a clock before the second one is known: on the right of
    /// the minus another reading, or a value that another thread may change meanwhile. They may be below zero, on which
    /// a subtraction of unsigned numbers traps.
    static func lateSubtrahends(_ tokens: [Token]) -> [Violation] {
        tokens.indices.compactMap { index in
            let reading = ["nanoseconds", "(", ")", "-"]
            guard tokens[index...].prefix(reading.count).map(\.text) == reading else { return nil }
            let rest = tokens[(index + reading.count)...].prefix { $0.line == tokens[index].line }
            let isLate = rest.contains { ["nanoseconds", "withLock", "load"].contains($0.text) }
            return isLate ? Violation(tokens[index].line, "a moment that is read after the one it is taken from") : nil
        }
    }

    // MARK: Lengths

    /// The functions, initializers and subscripts with a body of more than `limit` lines from signature to brace.
    static func longFunctions(_ tokens: [Token], limit: Int) -> [Violation] {
        tokens.indices.compactMap { index in
            guard let name = functionName(at: index, in: tokens), let end = endOfBody(from: index, in: tokens) else {
                return nil
            }
            let length = end - tokens[index].line + 1
            return length > limit ? Violation(tokens[index].line, "`\(name)` has \(length) lines") : nil
        }
    }

    /// The name of the function that is declared at `index`.
    private static func functionName(at index: Int, in tokens: [Token]) -> String? {
        let token = tokens[index]
        guard token.kind == .identifier, index + 1 < tokens.count else { return nil }
        switch token.text {
        case "func": return tokens[index + 1].text
        case "init", "deinit", "subscript": return index > 0 && tokens[index - 1].text == "." ? nil : token.text
        default: return nil
        }
    }

    /// The line of the brace that closes the body of the declaration at `index`; nil where it has none, as in a protocol.
    private static func endOfBody(from index: Int, in tokens: [Token]) -> Int? {
        let declarations = ["func", "init", "subscript", "var", "let", "case", "associatedtype", "typealias", "static"]
        var parentheses = 0
        var braces = 0
        for token in tokens[(index + 1)...] {
            switch token.text {
            case "(" where token.kind == .symbol, "[" where token.kind == .symbol: parentheses += 1
            case ")" where token.kind == .symbol, "]" where token.kind == .symbol: parentheses -= 1
            case "{" where token.kind == .symbol && (parentheses == 0 || braces > 0): braces += 1
            case "}" where token.kind == .symbol && (parentheses == 0 || braces > 0):
                braces -= 1
                if braces == 0 { return token.line }
                if braces < 0 { return nil }
            case let text where braces == 0 && parentheses == 0 && token.kind == .identifier:
                if declarations.contains(text) { return nil }
            default: break
            }
            if parentheses < 0 { return nil }
        }
        return nil
    }
}
