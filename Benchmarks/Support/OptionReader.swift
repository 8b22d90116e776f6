/// Takes options and their values from a command line, one after the other.
struct OptionReader {
    /// Why arguments cannot be used, in a sentence.
    struct Failure: Error, Equatable {
        let line: String
    }

    private let command: String
    private var rest: ArraySlice<String>

    /// - Parameters:
    ///   - command: the command whose options these are, for the sentences.
    ///   - arguments: what follows it.
    init(_ command: String, _ arguments: [String]) {
        self.command = command
        rest = arguments[...]
    }

    /// The next option; nil after the last.
    ///
    /// - Parameter known: all that there are, but for those that ask for help.
    /// - Throws: ``Failure`` where it is none of them.
    mutating func next(of known: [String]) throws(Failure) -> String? {
        guard let option = rest.popFirst() else { return nil }
        if option == "-h" { return "--help" }
        guard option == "--help" || known.contains(option) else {
            throw Failure(line: "there is no option '\(option)'; 'balsa-bench \(command) --help' lists them")
        }
        return option
    }

    /// The word that follows `option`.
    mutating func value(of option: String) throws(Failure) -> String {
        guard let value = rest.popFirst(), !value.isEmpty, !value.hasPrefix("--") else {
            throw Failure(line: "\(option) needs a value")
        }
        return value
    }

    /// The number that follows `option`.
    mutating func number(of option: String, in range: ClosedRange<Int>) throws(Failure) -> Int {
        try OptionReader.number(option, try value(of: option), range)
    }

    /// The numbers that follow `option`, with commas between them.
    mutating func numbers(of option: String, in range: ClosedRange<Int>) throws(Failure) -> [Int] {
        var numbers: [Int] = []
        for part in try value(of: option).split(separator: ",", omittingEmptySubsequences: false) {
            numbers.append(try OptionReader.number(option, String(part), range))
        }
        return numbers
    }

    private static func number(
        _ option: String,
        _ text: String,
        _ range: ClosedRange<Int>
    ) throws(Failure) -> Int {
        guard let number = Int(text), range.contains(number) else {
            throw Failure(line: "\(option) is a number from \(range.lowerBound) to \(range.upperBound), not '\(text)'")
        }
        return number
    }
}
