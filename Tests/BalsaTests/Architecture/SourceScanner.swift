/// Swift source as a list of tokens, without comments and with string literals as one token each.
///
/// Just enough of the language's lexical structure to hold rules against it that a plain search cannot: a word in a
/// comment or in a text is no use of it, and code inside of a string's interpolation is. Regular expression literals
/// are not known here; the package has none.
struct SourceScanner {
    /// A word, a literal or a single character.
    struct Token: Equatable {
        enum Kind {
            case identifier
            case number
            case string
            case symbol
        }

        let kind: Kind
        /// The word without backticks, or what stands between the quotes.
        let text: String
        /// The line, counted from 1.
        let line: Int
        /// Whether white space or a comment comes before it.
        let isSpaced: Bool
    }

    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var isSpaced = true
    private var tokens: [Token] = []

    private init(_ source: String) { bytes = Array(source.utf8) }

    /// The tokens of `source`.
    static func tokens(of source: String) -> [Token] {
        var scanner = SourceScanner(source)
        scanner.scanCode(endsAtParenthesis: false)
        return scanner.tokens
    }

    // MARK: Code

    /// Scans to the end, or past the parenthesis that closes an interpolation.
    private mutating func scanCode(endsAtParenthesis: Bool) {
        var depth = 0
        while let byte = peek() {
            if byte == UInt8(ascii: ")"), depth == 0, endsAtParenthesis {
                position += 1
                return
            }
            if byte == UInt8(ascii: "(") { depth += 1 }
            if byte == UInt8(ascii: ")") { depth -= 1 }
            scanToken(byte)
        }
    }

    private mutating func scanToken(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"):
            isSpaced = true
            advance()
        case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "/"):
            isSpaced = true
            while let next = peek(), next != UInt8(ascii: "\n") { position += 1 }
        case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "*"):
            skipBlockComment()
        case UInt8(ascii: "\""):
            scanString(pounds: 0)
        case UInt8(ascii: "#"):
            let pounds = bytes[position...].prefix { $0 == UInt8(ascii: "#") }.count
            if peek(pounds) == UInt8(ascii: "\"") {
                scanString(pounds: pounds)
            } else {
                emit(.symbol, count: 1)
            }
        case UInt8(ascii: "`"):
            position += 1
            scanWord(.identifier)
            if peek() == UInt8(ascii: "`") { position += 1 }
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
            scanWord(.number)
        case let byte where SourceScanner.isWordPart(byte):
            scanWord(.identifier)
        default:
            emit(.symbol, count: 1)
        }
    }

    private mutating func scanWord(_ kind: Token.Kind) {
        emit(kind, count: bytes[position...].prefix { SourceScanner.isWordPart($0) }.count)
    }

    private static func isWordPart(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), 0x80...: true
        default: false
        }
    }

    /// Block comments nest.
    private mutating func skipBlockComment() {
        isSpaced = true
        var depth = 0
        while let byte = peek() {
            if byte == UInt8(ascii: "/"), peek(1) == UInt8(ascii: "*") {
                depth += 1
                position += 2
            } else if byte == UInt8(ascii: "*"), peek(1) == UInt8(ascii: "/") {
                depth -= 1
                position += 2
                if depth == 0 { return }
            } else {
                advance()
            }
        }
    }

    // MARK: Strings

    /// Scans a string literal with `pounds` number signs around its quotes.
    private mutating func scanString(pounds: Int) {
        let start = (line: line, isSpaced: isSpaced, index: tokens.count)
        position += pounds
        let isMultiline = peek(1) == UInt8(ascii: "\"") && peek(2) == UInt8(ascii: "\"")
        let quotes = isMultiline ? 3 : 1
        position += quotes
        var text: [UInt8] = []
        while let byte = peek() {
            if byte == UInt8(ascii: "\""), isClosing(quotes: quotes, pounds: pounds) {
                position += quotes + pounds
                break
            }
            if byte == UInt8(ascii: "\\"), hasPounds(pounds, at: position + 1) {
                position += 1 + pounds
                if peek() == UInt8(ascii: "(") {
                    position += 1
                    scanCode(endsAtParenthesis: true)
                } else {
                    advance()
                }
                continue
            }
            text.append(byte)
            advance()
        }
        let token = Token(
            kind: .string,
            text: String(decoding: text, as: UTF8.self),
            line: start.line,
            isSpaced: start.isSpaced
        )
        tokens.insert(token, at: start.index)
        isSpaced = false
    }

    private func isClosing(quotes: Int, pounds: Int) -> Bool {
        (0..<quotes).allSatisfy { peek($0) == UInt8(ascii: "\"") } && hasPounds(pounds, at: position + quotes)
    }

    private func hasPounds(_ count: Int, at start: Int) -> Bool {
        start + count <= bytes.count && bytes[start..<start + count].allSatisfy { $0 == UInt8(ascii: "#") }
    }

    // MARK: Moving

    private func peek(_ distance: Int = 0) -> UInt8? {
        position + distance < bytes.count ? bytes[position + distance] : nil
    }

    private mutating func advance() {
        if peek() == UInt8(ascii: "\n") { line += 1 }
        position += 1
    }

    private mutating func emit(_ kind: Token.Kind, count: Int) {
        let text = String(decoding: bytes[position..<position + count], as: UTF8.self)
        tokens.append(Token(kind: kind, text: text, line: line, isSpaced: isSpaced))
        isSpaced = false
        position += count
    }
}
