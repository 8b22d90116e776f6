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
