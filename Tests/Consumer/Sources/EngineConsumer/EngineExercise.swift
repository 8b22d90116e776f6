import BalsaLSM

/// Why the program ends with an error.
struct Failure: Error {
    let sentence: String
}

/// Touches what is public of an engine and what its interface needs, with no import but the one.
func exerciseEngine(_ directory: String) throws {
    let files: any FileSystem = LinuxFileSystem()
    var options = EngineOptions()
    options.hasWriteAheadLog = true
    options.memtableBytes = 64 << 10
    let engine = try StorageEngine.open(directory, fileSystem: files, options: options, seed: 1)
    let worker = try BackgroundThread { (try? engine.work(budget: 1 << 20)) == .idle ? .wait : .again }

    var batch = WriteBatch()
    var ticket: CommitTicket?
    for number in 0..<1_000 {
        batch.removeAll()
        batch.put(Bytes("key-\(number % 100)"), Bytes([UInt8](repeating: UInt8(number % 256), count: 100)))
        ticket = try engine.write(batch, syncing: false)
        if engine.hasWork { worker.wake() }
    }
    guard let ticket else { throw Failure(sentence: "nothing was written") }
    try engine.waitForCommit(of: ticket)

    var names: [String] = []
    var cursor = try engine.makeCursor(from: "key-", to: "key.")
    try cursor.seekToFirst()
    while cursor.isValid {
        names.append(String(Bytes(copying: cursor.key)))
        try cursor.next()
    }
    let last = try engine.get("key-99")
    worker.stop()
    engine.close()

    guard names.count == 100, names == names.sorted() else { throw Failure(sentence: "the cursor saw \(names)") }
    guard let last, last.value == Bytes([UInt8](repeating: 231, count: 100)) else {
        throw Failure(sentence: "key-99 is \(String(describing: last))")
    }
    do {
        _ = try engine.get("key-99")
        throw Failure(sentence: "a closed engine was read")
    } catch let error as EngineError {
        guard error.code == .closed else { throw Failure(sentence: "a closed engine says \(error)") }
    }
    do {
        _ = try files.open(directory + "/none", .read)
        throw Failure(sentence: "a file that is not there was opened")
    } catch let error as FileError {
        guard error.path == directory + "/none" else { throw Failure(sentence: "the error names \(error.path)") }
    }
}
