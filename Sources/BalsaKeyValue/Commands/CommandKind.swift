/// The second byte of a command. `Docs/CommandFormat.md` lists what follows each of them.
enum CommandKind: UInt8 {
    case openSession = 1
    case closeSession = 2
    case put = 3
    case delete = 4
    case deleteRange = 5
    case compareAndSet = 6
    case append = 7
    case add = 8
    case changeOptions = 9

    /// The feature level that the members need for the command, in all of its forms: while one of them does not have
    /// it, the command is not proposed. A kind, or a version of the options, that an earlier release does not know has
    /// a level above 0.
    var featureLevel: UInt32 {
        switch self {
        case .openSession, .closeSession, .put, .delete, .deleteRange, .compareAndSet, .append, .add, .changeOptions: 0
        }
    }
}

/// The byte that says what a key's state is compared with.
enum ConditionKind: UInt8 {
    case absent = 1
    case revision = 2
    case value = 3
}

/// The byte that says what a key becomes.
enum ChangeKind: UInt8 {
    case put = 1
    case delete = 2
}
