import BalsaPlatform

/// A sync of a write-ahead log that has begun: what it will make durable.
struct WriteAheadLogSync: Sendable {
    private let file: any File
    /// The number of the file.
    let number: UInt64
    /// Up to where the file will be durable.
    let offset: UInt64
    /// The number of the last batch that will be durable.
    let through: SequenceNumber

    init(file: any File, number: UInt64, offset: UInt64, through: SequenceNumber) {
        self.file = file
        self.number = number
        self.offset = offset
        self.through = through
    }

    /// Waits for the disk.
    func perform() throws(FileError) { try file.sync() }
}
