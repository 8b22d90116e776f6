/// A file or a directory by its place in the tables of the disk.
enum Inode: Equatable {
    case file(Int)
    case directory(Int)
}

/// A name in a directory, compared byte by byte as a kernel does. Strings compare by what they look like.
struct FileName: Comparable {
    /// The first bytes of a name in groups of eight, each a number whose order is that of the bytes, filled up with
    /// zeros, which no name contains. A disk compares names all the time, and these need no memory of their own.
    struct Prefix: Equatable {
        static let byteCount = 32

        var first: UInt64 = 0
        var second: UInt64 = 0
        var third: UInt64 = 0
        var fourth: UInt64 = 0

        static func == (left: Prefix, right: Prefix) -> Bool {
            left.first == right.first && left.second == right.second && left.third == right.third
                && left.fourth == right.fourth
        }

        func isBefore(_ other: Prefix) -> Bool {
            if first != other.first { return first < other.first }
            if second != other.second { return second < other.second }
            if third != other.third { return third < other.third }
            return fourth < other.fourth
        }
    }

    let text: String
    let prefix: Prefix
    /// The bytes behind the prefix; most names have none.
    private let rest: [UInt8]

    init(text: String) {
        var text = text
        self = text.withUTF8 { FileName(bytes: $0) }
    }

    /// A name of these bytes.
    init(bytes: UnsafeBufferPointer<UInt8>) {
        text = String(decoding: bytes, as: UTF8.self)
        var prefix = Prefix()
        if let start = bytes.baseAddress {
            prefix.first = FileName.word(start, bytes.count, 0)
            prefix.second = FileName.word(start, bytes.count, 8)
            prefix.third = FileName.word(start, bytes.count, 16)
            prefix.fourth = FileName.word(start, bytes.count, 24)
        }
        self.prefix = prefix
        rest = bytes.count > Prefix.byteCount ? Array(bytes[Prefix.byteCount...]) : []
    }

    /// The eight bytes at `offset` as a number, with zeros for those behind the end.
    private static func word(_ start: UnsafePointer<UInt8>, _ count: Int, _ offset: Int) -> UInt64 {
        guard offset < count else { return 0 }
        var word: UInt64 = 0
        var position = offset
        while position < offset + 8 {
            word = word &<< 8 | (position < count ? UInt64(start[position]) : 0)
            position += 1
        }
        return word
    }

    /// Whether it names the directory itself.
    var isOwn: Bool { prefix.first == 0x2e00_0000_0000_0000 }

    /// Whether it names the directory above.
    var isParent: Bool { prefix.first == 0x2e2e_0000_0000_0000 }

    static func == (left: FileName, right: FileName) -> Bool { left.prefix == right.prefix && left.rest == right.rest }

    static func < (left: FileName, right: FileName) -> Bool {
        left.prefix == right.prefix
            ? left.rest.lexicographicallyPrecedes(right.rest) : left.prefix.isBefore(right.prefix)
    }
}

/// The names of a directory and what they name, sorted.
struct EntryTable {
    private(set) var entries: [(name: FileName, inode: Inode)] = []

    var isEmpty: Bool { entries.isEmpty }

    /// What `name` names.
    subscript(name: FileName) -> Inode? {
        let (index, isThere) = find(name)
        return isThere ? entries[index].inode : nil
    }

    /// Lets `name` name `inode`, or nothing, and returns what it named before.
    mutating func assign(_ name: FileName, _ inode: Inode?) -> Inode? {
        let (index, isThere) = find(name)
        let old = isThere ? entries[index].inode : nil
        switch (old, inode) {
        case (nil, nil): break
        case (nil, .some(let new)): entries.insert((name, new), at: index)
        case (.some, nil): entries.remove(at: index)
        case (.some, .some(let new)): entries[index].inode = new
        }
        return old
    }

    /// The index of the first name that is not below `name`, and whether it is that name.
    private func find(_ name: FileName) -> (index: Int, isThere: Bool) {
        entries.withUnsafeBufferPointer { entries in
            guard let first = entries.baseAddress else { return (0, false) }
            let prefix = name.prefix
            var low = 0
            var high = entries.count
            // Only what begins alike is looked at as a whole: to copy a name counts references.
            while low < high {
                let middle = (low + high) / 2
                let other = first[middle].name.prefix
                if other == prefix ? first[middle].name < name : other.isBefore(prefix) {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            guard low < entries.count, first[low].name.prefix == prefix else { return (low, false) }
            return (low, first[low].name == name)
        }
    }
}

/// A directory: the entries that look-ups see, and those on the device.
struct DirectoryNode {
    /// What look-ups see.
    var current = EntryTable()
    /// What a power loss leaves if it keeps none of the pending operations.
    var durable = EntryTable()
    /// Names, durable names and names in pending operations together; without any the directory is gone.
    var holds = 0
}

/// A change of directory entries that is not durable yet, and that becomes durable as a whole or not at all.
struct EntryOperation {
    /// Lets a name of a directory name something, or nothing.
    struct Assignment {
        let directory: Int
        let name: FileName
        let inode: Inode?

        /// Whether both are about the same name.
        func sharesPlace(with other: Assignment) -> Bool { directory == other.directory && name == other.name }
    }

    /// When it was issued, among all changes of the disk.
    let sequence: UInt64
    /// One assignment; two for a rename, of which the first takes the source away.
    var assignments: [Assignment]
    /// Whether it is a rename.
    let isRename: Bool
}
