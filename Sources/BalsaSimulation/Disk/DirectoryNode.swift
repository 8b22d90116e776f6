/// A file or a directory by its place in the tables of the disk.
enum Inode: Equatable {
    case file(Int)
    case directory(Int)
}

/// A name in a directory, compared byte by byte as a kernel does. Strings compare by what they look like.
struct FileName: Comparable {
    let text: String
    /// The bytes of the text in groups of eight, each a number whose order is that of the bytes; the last is filled up
    /// with zeros, which no name contains. A disk compares names all the time.
    private let words: [UInt64]

    init(text: String) {
        self.text = text
        var text = text
        words = text.withUTF8 { bytes in
            let raw = UnsafeRawBufferPointer(bytes)
            var words: [UInt64] = []
            words.reserveCapacity((raw.count + 7) / 8)
            var offset = 0
            while raw.count - offset >= 8 {
                words.append(UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
                offset += 8
            }
            if offset < raw.count {
                var word: UInt64 = 0
                for position in offset..<offset + 8 {
                    word = word << 8 | (position < raw.count ? UInt64(raw[position]) : 0)
                }
                words.append(word)
            }
            return words
        }
    }

    static func == (left: FileName, right: FileName) -> Bool {
        guard left.words.count == right.words.count else { return false }
        var index = 0
        while index < left.words.count {
            if left.words[index] != right.words[index] { return false }
            index += 1
        }
        return true
    }

    static func < (left: FileName, right: FileName) -> Bool {
        var index = 0
        while index < left.words.count, index < right.words.count {
            if left.words[index] != right.words[index] { return left.words[index] < right.words[index] }
            index += 1
        }
        return left.words.count < right.words.count
    }
}

/// The names of a directory and what they name, sorted.
struct EntryTable {
    private(set) var entries: [(name: FileName, inode: Inode)] = []

    var isEmpty: Bool { entries.isEmpty }

    /// What `name` names.
    subscript(name: FileName) -> Inode? {
        let index = position(of: name)
        return index < entries.count && entries[index].name == name ? entries[index].inode : nil
    }

    /// Lets `name` name `inode`, or nothing, and returns what it named before.
    mutating func assign(_ name: FileName, _ inode: Inode?) -> Inode? {
        let index = position(of: name)
        let old = index < entries.count && entries[index].name == name ? entries[index].inode : nil
        switch (old, inode) {
        case (nil, nil): break
        case (nil, .some(let new)): entries.insert((name, new), at: index)
        case (.some, nil): entries.remove(at: index)
        case (.some, .some(let new)): entries[index].inode = new
        }
        return old
    }

    /// The place of the first name that is not below `name`.
    private func position(of name: FileName) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].name < name { low = middle + 1 } else { high = middle }
        }
        return low
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
