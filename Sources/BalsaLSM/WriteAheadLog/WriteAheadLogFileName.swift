/// The names of the files of a write-ahead log.
enum WriteAheadLogFileName: Equatable {
    /// `wal-<number>`: a file with a valid header.
    case file(UInt64)
    /// `wal-<number>.preparing`: a file that has not been published, of which nothing counts.
    case preparing(UInt64)

    private static let prefix = "wal-"
    private static let preparingSuffix = ".preparing"

    /// What a name in the engine's directory means for the log; nil where it is none of its files.
    init?(_ name: String) {
        guard name.hasPrefix(WriteAheadLogFileName.prefix) else { return nil }
        var digits = name.dropFirst(WriteAheadLogFileName.prefix.count)
        let isPreparing = digits.hasSuffix(WriteAheadLogFileName.preparingSuffix)
        if isPreparing { digits = digits.dropLast(WriteAheadLogFileName.preparingSuffix.count) }
        // Only the spelling that is written counts: with leading zeros one number would have several names.
        guard let number = UInt64(digits), number > 0, String(number) == digits else { return nil }
        self = isPreparing ? .preparing(number) : .file(number)
    }

    /// The number in the name.
    var number: UInt64 {
        switch self {
        case .file(let number), .preparing(let number): number
        }
    }

    /// The path of the file in `directory`.
    func path(in directory: String) -> String {
        switch self {
        case .file(let number): "\(directory)/\(WriteAheadLogFileName.prefix)\(number)"
        case .preparing(let number):
            "\(directory)/\(WriteAheadLogFileName.prefix)\(number)\(WriteAheadLogFileName.preparingSuffix)"
        }
    }
}
