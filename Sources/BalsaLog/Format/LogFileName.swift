/// The names of the files of a log: `<16 hexadecimal digits>.log` and `.preparing`.
enum LogFileName: Equatable {
    /// A segment of that number.
    case segment(UInt64)
    /// A segment of that number that is being prepared.
    case preparing(UInt64)
    /// A name that ends like one of ours and is none.
    case malformed
    /// A file of somebody else.
    case foreign

    /// What `name` stands for.
    ///
    /// Files of other names are somebody else's and left alone. A malformed name of ours is not: it may be a segment
    /// that somebody renamed, and to go on without it could be to go on without acknowledged entries.
    init(_ name: String) {
        let text = Array(name.utf8)
        let endings: [(ending: [UInt8], make: (UInt64) -> LogFileName)] = [
            (Array(".log".utf8), LogFileName.segment), (Array(".preparing".utf8), LogFileName.preparing),
        ]
        for (ending, make) in endings where text.count >= ending.count && text.suffix(ending.count) == ending[...] {
            let digits = text.dropLast(ending.count)
            guard digits.count == 16, let number = LogFileName.number(digits), number > 0 else {
                self = .malformed
                return
            }
            self = make(number)
            return
        }
        self = .foreign
    }

    /// The value of lower-case hexadecimal digits.
    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
        var number: UInt64 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): number = number << 4 | UInt64(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): number = number << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return number
    }

    /// The path of the segment of that number.
    static func segmentPath(_ directory: String, _ number: UInt64) -> String { path(directory, number, ".log") }

    /// The path under which the segment of that number is prepared.
    static func preparingPath(_ directory: String, _ number: UInt64) -> String { path(directory, number, ".preparing") }

    private static func path(_ directory: String, _ number: UInt64, _ ending: String) -> String {
        let digits = String(number, radix: 16)
        return directory + "/" + String(repeating: "0", count: 16 - digits.utf8.count) + digits + ending
    }
}
