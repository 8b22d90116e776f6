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

    /// What is scanned, valid while ``tokens(of:)`` runs. A pointer, since the tests look at every byte of the package
    /// a dozen times, without optimization.
    private let bytes: UnsafePointer<UInt8>
    private let count: Int
    private var position = 0
    private var line = 1
    private var isSpaced = true
    private var tokens: [Token] = []

    private init(_ bytes: UnsafePointer<UInt8>, count: Int) {
        self.bytes = bytes
        self.count = count
    }

    /// The tokens of `source`.
    static func tokens(of source: String) -> [Token] {
        var source = source
        return source.withUTF8 { buffer in
            guard let bytes = buffer.baseAddress else { return [] }
            var scanner = SourceScanner(bytes, count: buffer.count)
            scanner.scanCode(endsAtParenthesis: false)
            return scanner.tokens
        }
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
        guard !wordParts[Int(byte)] else {
            return scanWord(byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") ? .number : .identifier)
        }
        switch byte {
        case SourceScanner.space, UInt8(ascii: "\t"), UInt8(ascii: "\r"), SourceScanner.lineFeed:
            isSpaced = true
            advance()
            while position < count, bytes[position] == SourceScanner.space { position += 1 }
        case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "/"):
            isSpaced = true
            while position < count, bytes[position] != SourceScanner.lineFeed { position += 1 }
        case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "*"):
            skipBlockComment()
        case UInt8(ascii: "\""):
            scanString(pounds: 0)
        case UInt8(ascii: "#"):
            var pounds = 1
            while peek(pounds) == UInt8(ascii: "#") { pounds += 1 }
            if peek(pounds) == UInt8(ascii: "\"") {
                scanString(pounds: pounds)
            } else {
                emit(.symbol, count: 1)
            }
        case UInt8(ascii: "`"):
            position += 1
            scanWord(.identifier)
            if peek() == UInt8(ascii: "`") { position += 1 }
        default:
            emit(.symbol, count: 1)
        }
    }

    private mutating func scanWord(_ kind: Token.Kind) {
        var end = position
        while end < count, wordParts[Int(bytes[end])] { end += 1 }
        emit(kind, count: end - position)
    }

    private static let space = UInt8(ascii: " ")
    private static let lineFeed = UInt8(ascii: "\n")

    /// For each byte whether it can be part of a word.
    private static let wordParts = (0...255 as ClosedRange<UInt8>).map { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), 0x80...: true
        default: false
        }
    }

    private let wordParts = SourceScanner.wordParts

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

    private func hasPounds(_ pounds: Int, at start: Int) -> Bool {
        start + pounds <= count && (0..<pounds).allSatisfy { bytes[start + $0] == UInt8(ascii: "#") }
    }

    // MARK: Moving

    private func peek(_ distance: Int = 0) -> UInt8? {
        position + distance < count ? bytes[position + distance] : nil
    }

    private mutating func advance() {
        if position < count, bytes[position] == SourceScanner.lineFeed { line += 1 }
        position += 1
    }

    private mutating func emit(_ kind: Token.Kind, count: Int) {
        let text = String(decoding: UnsafeBufferPointer(start: bytes + position, count: count), as: UTF8.self)
        tokens.append(Token(kind: kind, text: text, line: line, isSpaced: isSpaced))
        isSpaced = false
        position += count
    }
}
