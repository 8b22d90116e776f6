/// Digests of what a disk holds.
extension DiskState {
    /// A digest of what processes see: the tree of names, which names are one file, sizes and bytes.
    ///
    /// It depends on nothing else: two disks that came to the same content on different ways have the same digest.
    mutating func contentDigest() -> UInt64 {
        var digest = ByteDigest()
        var numbers = [UInt64](repeating: 0, count: files.count)
        var filesSeen: UInt64 = 0
        var directoriesLeft = [DiskState.root]
        while let directory = directoriesLeft.popLast() {
            let entries = directories[directory].current.entries
            digest.add(UInt64(entries.count))
            for entry in entries {
                digest.add(entry.name.text)
                switch entry.inode {
                case .directory(let number):
                    digest.add(0)
                    directoriesLeft.append(number)
                case .file(let number):
                    let isNew = numbers[number] == 0
                    if isNew {
                        filesSeen += 1
                        numbers[number] = filesSeen
                    }
                    digest.add(numbers[number])
                    if isNew { digest.add(files[number].current.digest()) }
                }
            }
        }
        return digest.value
    }

    /// Computes the digests of all durable pages now, so that copies made later need not.
    mutating func prepareDurableDigests() {
        for number in files.indices { _ = files[number].durable.digest() }
    }
}
