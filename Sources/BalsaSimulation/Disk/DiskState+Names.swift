import BalsaPlatform

/// The names of files and directories: finding them, changing them, making the changes durable.
extension DiskState {
    /// A place where a name can be: a directory, the name in it, and all directories from the root to it.
    struct NamePlace {
        let directory: Int
        let name: FileName
        let ancestors: [Int]
    }

    // MARK: Finding

    /// The file or directory at `path`.
    func find(_ path: String) throws(DiskFault) -> Inode {
        let parts = try DiskState.parts(of: path)
        guard let last = parts.last else { return .directory(DiskState.root) }
        let stack = try walk(parts.dropLast())
        if last.isOwn { return .directory(stack[stack.count - 1]) }
        if last.isParent { return .directory(stack[max(0, stack.count - 2)]) }
        guard let inode = directories[stack[stack.count - 1]].current[last] else { throw DiskFault(.notFound) }
        return inode
    }

    /// The file at `path`.
    func findFile(_ path: String) throws(DiskFault) -> Int {
        guard case .file(let number) = try find(path) else { throw DiskFault(.isDirectory) }
        return number
    }

    /// The directory at `path`.
    func findDirectory(_ path: String) throws(DiskFault) -> Int {
        guard case .directory(let number) = try find(path) else { throw DiskFault(.notDirectory) }
        return number
    }

    /// Where the name at the end of `path` is or would be.
    func findPlace(_ path: String) throws(DiskFault) -> NamePlace {
        let parts = try DiskState.parts(of: path)
        guard let last = parts.last else { throw DiskFault(.busy) }
        let stack = try walk(parts.dropLast())
        guard !last.isOwn, !last.isParent else { throw DiskFault(.invalid) }
        return NamePlace(directory: stack[stack.count - 1], name: last, ancestors: stack)
    }

    /// The directories from the root along `parts`.
    private func walk(_ parts: ArraySlice<FileName>) throws(DiskFault) -> [Int] {
        var stack = [DiskState.root]
        for part in parts where !part.isOwn {
            if part.isParent {
                if stack.count > 1 { stack.removeLast() }
                continue
            }
            switch directories[stack[stack.count - 1]].current[part] {
            case .directory(let number): stack.append(number)
            case .file: throw DiskFault(.notDirectory)
            case nil: throw DiskFault(.notFound)
            }
        }
        return stack
    }

    /// The names along a path. The working directory of a simulated process is the root.
    private static func parts(of path: String) throws(DiskFault) -> [FileName] {
        guard !path.utf8.isEmpty else { throw DiskFault(.notFound) }
        var path = path
        let found = path.withUTF8 { bytes -> Result<[FileName], DiskFault> in
            guard let first = bytes.baseAddress else { return .failure(DiskFault(.notFound)) }
            let count = bytes.count
            var parts: [FileName] = []
            var start = 0
            var isNameTooLong = false
            var offset = 0
            let slash = UInt8(ascii: "/")
            while offset <= count {
                while offset < count, first[offset] != slash {
                    if first[offset] == 0 { return .failure(DiskFault(.invalid)) }
                    offset += 1
                }
                let length = offset - start
                if length > 255 { isNameTooLong = true }
                let part = UnsafeBufferPointer(start: first + start, count: length)
                if length > 0 { parts.append(FileName(bytes: part)) }
                offset += 1
                start = offset
            }
            return isNameTooLong ? .failure(DiskFault(.nameTooLong)) : .success(parts)
        }
        return try found.get()
    }

    // MARK: Changing

    /// Creates an empty file, whose name must be free.
    mutating func createFile(_ path: String) throws(DiskFault) -> Int {
        let place = try findPlace(path)
        guard directories[place.directory].current[place.name] == nil else { throw DiskFault(.exists) }
        let number = makeFile()
        change([.init(directory: place.directory, name: place.name, inode: .file(number))])
        return number
    }

    /// Creates a directory, unless it exists.
    mutating func createDirectory(_ path: String) throws(DiskFault) {
        if case .directory? = try findIfPresent(path) { return }
        let place = try findPlace(path)
        guard directories[place.directory].current[place.name] == nil else { throw DiskFault(.exists) }
        let number = makeDirectory()
        change([.init(directory: place.directory, name: place.name, inode: .directory(number))])
    }

    /// The file or directory at `path`, or nil where the directory that would hold it exists and has no such name.
    func findIfPresent(_ path: String) throws(DiskFault) -> Inode? {
        do {
            return try find(path)
        } catch {
            guard error.number == .notFound else { throw error }
            return nil
        }
    }

    /// Gives a file or directory another name.
    mutating func rename(_ source: String, to target: String) throws(DiskFault) {
        let from = try findPlace(source)
        let to = try findPlace(target)
        guard let inode = directories[from.directory].current[from.name] else { throw DiskFault(.notFound) }
        if case .directory(let number) = inode, to.ancestors.contains(number) { throw DiskFault(.invalid) }
        let replaced = directories[to.directory].current[to.name]
        // Two names of one file stay as they are: so POSIX wants it.
        guard replaced != inode else { return }
        switch (inode, replaced) {
        case (_, nil), (.file, .file?): break
        case (.file, .directory?): throw DiskFault(.isDirectory)
        case (.directory, .file?): throw DiskFault(.notDirectory)
        case (.directory, .directory(let number)?):
            guard directories[number].current.isEmpty else { throw DiskFault(.notEmpty) }
        }
        change(
            [
                .init(directory: from.directory, name: from.name, inode: nil),
                .init(directory: to.directory, name: to.name, inode: inode),
            ],
            isRename: true
        )
    }

    /// Gives a file one more name.
    mutating func link(_ source: String, to target: String) throws(DiskFault) {
        let inode = try find(source)
        let place = try findPlace(target)
        guard directories[place.directory].current[place.name] == nil else { throw DiskFault(.exists) }
        guard case .file = inode else { throw DiskFault(.notPermitted) }
        change([.init(directory: place.directory, name: place.name, inode: inode)])
    }

    /// Removes a name of a file, or an empty directory.
    mutating func remove(_ path: String) throws(DiskFault) {
        let place = try findPlace(path)
        guard let inode = directories[place.directory].current[place.name] else { throw DiskFault(.notFound) }
        if case .directory(let number) = inode, !directories[number].current.isEmpty { throw DiskFault(.notEmpty) }
        change([.init(directory: place.directory, name: place.name, inode: nil)])
    }

    /// Changes what look-ups see, and notes the change as pending.
    private mutating func change(_ assignments: [EntryOperation.Assignment], isRename: Bool = false) {
        let sequence = nextSequence()
        pendingEntries.append(.init(sequence: sequence, assignments: assignments, isRename: isRename))
        for inode in assignments.compactMap(\.inode) { hold(inode) }
        // The new name of a rename comes first, so that the file is not without one in between.
        for assignment in assignments.reversed() {
            if let inode = assignment.inode {
                hold(inode)
                countNames(inode, 1)
            }
            let old = directories[assignment.directory].current.assign(assignment.name, assignment.inode)
            if let old {
                countNames(old, -1)
                release(old)
            }
        }
    }

    // MARK: Durability

    /// Makes durable the names of a directory.
    ///
    /// A rename that touches the directory becomes durable in the other directory too, since it is atomic, and with it
    /// everything that happened there before to the name that it took away.
    mutating func syncDirectory(_ number: Int) {
        var chosen = [Bool](repeating: false, count: pendingEntries.count)
        var elsewhere: [EntryOperation.Assignment] = []
        for index in pendingEntries.indices.reversed() {
            let assignments = pendingEntries[index].assignments
            chosen[index] = assignments.contains { assignment in
                assignment.directory == number || elsewhere.contains { $0.sharesPlace(with: assignment) }
            }
            if chosen[index] { elsewhere += assignments.filter { $0.directory != number } }
        }
        guard chosen.contains(true) else { return }
        let operations = pendingEntries
        pendingEntries = operations.indices.filter { !chosen[$0] }.map { operations[$0] }
        // All is applied before anything is released, since a release may forget directories and change the list.
        var released: [Inode] = []
        for index in operations.indices where chosen[index] {
            for assignment in operations[index].assignments {
                if let inode = assignment.inode {
                    hold(inode)
                    released.append(inode)
                }
                let old = directories[assignment.directory].durable.assign(assignment.name, assignment.inode)
                if let old { released.append(old) }
            }
        }
        for inode in released { release(inode) }
    }
}
