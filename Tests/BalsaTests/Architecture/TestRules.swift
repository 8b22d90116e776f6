/// The rules that the source of a test is held against. Each returns what breaks it.
enum TestRules {
    typealias Token = SourceScanner.Token

    /// Uses of `XCTAssertThrowsError` that do not look at the error: without a closure, or with one that drops it.
    static func bareThrows(_ tokens: [Token]) -> [Violation] {
        tokens.indices.compactMap { index in
            guard isCall(of: ["XCTAssertThrowsError"], at: index, in: tokens) else { return nil }
            let end = endOfArguments(after: index, in: tokens)
            let handler = tokens[min(end, tokens.count)...].prefix(3)
            let isBare = handler.first.map { $0.kind != .symbol || $0.text != "{" } ?? true
            let isDropped = handler.dropFirst().map(\.text) == ["_", "in"]
            guard isBare || isDropped else { return nil }
            return Violation(tokens[index].line, "`XCTAssertThrowsError` that does not compare the error")
        }
    }

    /// Waits of a fixed length.
    static func sleeps(_ tokens: [Token]) -> [Violation] {
        tokens.indices.compactMap { index in
            guard isCall(of: ["sleep", "usleep", "nanosleep"], at: index, in: tokens) else { return nil }
            return Violation(tokens[index].line, "`\(tokens[index].text)`: wait for a state instead")
        }
    }

    /// Tests that may be left out.
    static func skips(_ tokens: [Token]) -> [Violation] {
        tokens.indices.compactMap { index in
            guard isCall(of: ["XCTSkip", "XCTSkipIf", "XCTSkipUnless"], at: index, in: tokens) else { return nil }
            return Violation(tokens[index].line, "`\(tokens[index].text)`: a test that did not run has tested nothing")
        }
    }

    /// Ports that another process may take before they are used.
    static func randomPorts(_ tokens: [Token]) -> [Violation] {
        tokens.indices.compactMap { index in
            guard index + 2 < tokens.count, tokens[index].kind == .identifier, tokens[index + 1].text == "." else {
                return nil
            }
            let call = "\(tokens[index].text).\(tokens[index + 2].text)"
            guard call == "UInt16.random" else { return nil }
            return Violation(tokens[index].line, "`\(call)`: bind port 0, or use `ReservedPorts`")
        }
    }

    private static func isCall(of names: [String], at index: Int, in tokens: [Token]) -> Bool {
        guard tokens[index].kind == .identifier, names.contains(tokens[index].text), index + 1 < tokens.count else {
            return false
        }
        let isDeclaration = index > 0 && tokens[index - 1].text == "func"
        return tokens[index + 1].kind == .symbol && tokens[index + 1].text == "(" && !isDeclaration
    }

    /// The index after the parenthesis that closes the arguments of the call at `index`.
    private static func endOfArguments(after index: Int, in tokens: [Token]) -> Int {
        var depth = 0
        for position in (index + 1)..<tokens.count where tokens[position].kind == .symbol {
            if tokens[position].text == "(" { depth += 1 }
            if tokens[position].text == ")" {
                depth -= 1
                if depth == 0 { return position + 1 }
            }
        }
        return tokens.count
    }
}
