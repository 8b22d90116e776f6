/// The names of an engine's files.
enum EngineFileName: Equatable {
    /// A table of that number.
    case table(UInt64)
    /// A manifest of that number.
    case manifest(UInt64)
    /// A file of the write-ahead log, which has numbers of its own.
    case log
    /// The file that names the live manifest.
    case current
    /// The same, being written.
    case preparedCurrent
    /// Somebody else's, the lock among them.
    case foreign

    /// The name of the file that names the live manifest.
    static let currentName = "CURRENT"
    /// Its name while it is written.
    static let preparedCurrentName = "CURRENT.preparing"
    /// The name of the lock.
    static let lockName = "LOCK"

    private static let tablePrefix = "table-"
    private static let manifestPrefix = "MANIFEST-"

    /// What `name` stands for.
    init(_ name: String) {
        if name == EngineFileName.currentName {
            self = .current
        } else if name == EngineFileName.preparedCurrentName {
            self = .preparedCurrent
        } else if let number = EngineFileName.number(name, behind: EngineFileName.tablePrefix) {
            self = .table(number)
        } else if let number = EngineFileName.number(name, behind: EngineFileName.manifestPrefix) {
            self = .manifest(number)
        } else if WriteAheadLogFileName(name) != nil {
            self = .log
        } else {
            self = .foreign
        }
    }

    /// The name of the manifest of that number.
    static func manifestName(_ number: UInt64) -> String { manifestPrefix + String(number) }

    /// The number of a table or a manifest, which share one count; nil for other files.
    var number: UInt64? {
        switch self {
        case .table(let number), .manifest(let number): number
        case .log, .current, .preparedCurrent, .foreign: nil
        }
    }

    /// The decimal number behind `prefix`, in its only spelling.
    private static func number(_ name: String, behind prefix: String) -> UInt64? {
        guard name.hasPrefix(prefix), let number = UInt64(name.dropFirst(prefix.utf8.count)) else { return nil }
        return prefix + String(number) == name ? number : nil
    }
}
