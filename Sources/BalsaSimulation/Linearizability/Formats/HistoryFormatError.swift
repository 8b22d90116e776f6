/// Why the text of a history could not be read.
public struct HistoryFormatError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The line at fault, counted from 1.
    public let line: Int
    /// What is wrong with it, in words.
    public let problem: String

    /// A fault of a line.
    public init(line: Int, _ problem: String) {
        self.line = line
        self.problem = problem
    }

    /// The fault in one line.
    public var description: String { "line \(line): \(problem)" }
}
